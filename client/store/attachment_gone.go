package store

import (
	"bytes"
	"fmt"

	"github.com/ncruces/go-sqlite3"
)

// RemovedAttachment is a file that its message does not have any more.
type RemovedAttachment struct {
	ID  int64
	Key []byte // as Attachment.Key: what says where its ciphertext is
}

// watchAttachments has every way in which a file can go tell: with its message,
// with a recall, with its time to live. The trigger is the connection's own.
func (s *Store) watchAttachments() error {
	err := s.conn.CreateFunction("sotto_file_gone", 2, sqlite3.INNOCUOUS, func(c sqlite3.Context, arg ...sqlite3.Value) {
		s.leaving = append(s.leaving, RemovedAttachment{arg[0].Int64(), bytes.Clone(arg[1].RawBlob())})
	})
	if err == nil {
		err = s.conn.Exec(`CREATE TEMP TRIGGER attachment_gone AFTER DELETE ON main.attachment BEGIN
			SELECT sotto_file_gone(old.id, old.key);
		END`)
	}
	if err != nil {
		return fmt.Errorf("watching the files: %w", err)
	}
	return nil
}

// keepRemoved ends the list of a transaction: what it removed is gone now, or is
// not if it was undone.
func (s *Store) keepRemoved(committed bool) {
	if committed && len(s.leaving) > 0 {
		s.removedMu.Lock()
		s.removed = append(s.removed, s.leaving...)
		s.removedMu.Unlock()
	}
	s.leaving = nil
}

// RemovedAttachments returns the files that were removed by transactions since it
// was called last, so that their ciphertexts can be removed, too. What expired
// when the store was opened is not among them: compare [Tx.AttachmentKeys] with
// what there is. It waits for no transaction.
func (s *Store) RemovedAttachments() []RemovedAttachment {
	s.removedMu.Lock()
	defer s.removedMu.Unlock()
	list := s.removed
	s.removed = nil
	return list
}

// AttachmentKeys returns the keys of all files.
func (tx *Tx) AttachmentKeys() (keys [][]byte, err error) {
	err = tx.query(`SELECT key FROM attachment`, func(st *sqlite3.Stmt) { keys = append(keys, blob(st, 0)) })
	return keys, err
}

// SetAttachmentSize notes how large a file is, in bytes, once that is known.
func (tx *Tx) SetAttachmentSize(id, size int64) error {
	n, err := tx.change(`UPDATE attachment SET size = ? WHERE id = ?`, max(size, -1), id)
	if err == nil && n == 0 {
		return ErrUnknown
	}
	return err
}
