package store

import (
	"fmt"

	"github.com/ncruces/go-sqlite3"
)

// AttachmentState is how a file stands.
type AttachmentState int

// The states of a file.
const (
	Offered     AttachmentState = iota // it can be had
	Uploading                          // on its way up, or waiting for that
	Downloading                        // on its way down, or waiting for that
	Done                               // it is where it belongs
	Broken                             // stopped; it can be tried again
	Lost                               // it cannot be had any more
)

// Attachment is a file that belongs to a message (XEP-0363, XEP-0454). What is in
// it is never in the database.
type Attachment struct {
	ID        int64 // filled by AddAttachment
	MessageID int64
	Name      string // as its sender calls it: Sanitize it
	Type      string // media type, as its sender says
	Size      int64  // bytes of the file; -1 if unknown
	URL       string // where its ciphertext is, without the key; "" before it is uploaded
	Key       []byte // what it is encrypted with: nonce and key
	State     AttachmentState
	Progress  int64 // bytes that are there, of those that move
}

// Bounds of an attachment, in bytes, and of how many a message has.
const (
	maxFileName    = 255
	maxMediaType   = 127
	maxURL         = 4096
	maxFileKey     = 128
	MaxAttachments = 32
)

// AddAttachment stores a file of a message, and fills a.ID.
func (tx *Tx) AddAttachment(a *Attachment) error {
	switch {
	case len(a.Name) > maxFileName, len(a.Type) > maxMediaType, len(a.URL) > maxURL, len(a.Key) > maxFileKey:
		return fmt.Errorf("storing a file: its name, type, address or key is too long")
	case a.State < Offered || a.State > Lost:
		return fmt.Errorf("storing a file: no such state: %d", a.State)
	}
	n, err := tx.change(`INSERT INTO attachment (message, name, type, size, url, key, state, progress)
		SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE EXISTS (SELECT 1 FROM message WHERE id = ?1 AND gone = 0)
		AND (SELECT count(*) FROM attachment WHERE message = ?1) < ?9`,
		a.MessageID, a.Name, a.Type, max(a.Size, -1), a.URL, a.Key, int(a.State), a.Progress, MaxAttachments)
	if err == nil && n == 0 {
		return ErrUnknown
	}
	a.ID = tx.s.conn.LastInsertRowID()
	return err
}

const attachmentColumns = `id, message, name, type, size, url, key, state, progress`

func scanAttachment(st *sqlite3.Stmt) Attachment {
	return Attachment{ID: st.ColumnInt64(0), MessageID: st.ColumnInt64(1), Name: st.ColumnText(2), Type: st.ColumnText(3), Size: st.ColumnInt64(4),
		URL: st.ColumnText(5), Key: blob(st, 6), State: AttachmentState(st.ColumnInt(7)), Progress: st.ColumnInt64(8)}
}

// Attachments returns the files of a message, in the order in which they were added.
func (tx *Tx) Attachments(messageID int64) (list []Attachment, err error) {
	err = tx.query(`SELECT `+attachmentColumns+` FROM attachment WHERE message = ? ORDER BY id`,
		func(st *sqlite3.Stmt) { list = append(list, scanAttachment(st)) }, messageID)
	return list, err
}

// Attachment returns a file by its id, or nil.
func (tx *Tx) Attachment(id int64) (a *Attachment, err error) {
	_, err = tx.one(`SELECT `+attachmentColumns+` FROM attachment WHERE id = ?`,
		func(st *sqlite3.Stmt) { a = new(scanAttachment(st)) }, id)
	return a, err
}

// Moving returns the files that are under way or were stopped, oldest first: what
// to go on with after a start.
func (tx *Tx) Moving() (list []Attachment, err error) {
	err = tx.query(`SELECT `+attachmentColumns+` FROM attachment WHERE state IN (1, 2, 4) ORDER BY id`,
		func(st *sqlite3.Stmt) { list = append(list, scanAttachment(st)) })
	return list, err
}

// SetAttachment notes how a file stands.
func (tx *Tx) SetAttachment(id int64, s AttachmentState, progress int64) error {
	if s < Offered || s > Lost {
		return fmt.Errorf("storing a file: no such state: %d", s)
	}
	n, err := tx.change(`UPDATE attachment SET state = ?, progress = ? WHERE id = ?`, int(s), max(progress, 0), id)
	if err == nil && n == 0 {
		return ErrUnknown
	}
	return err
}

// SetAttachmentURL notes where a file was uploaded to.
func (tx *Tx) SetAttachmentURL(id int64, url string) error {
	if len(url) > maxURL {
		return fmt.Errorf("storing a file: its address is too long")
	}
	n, err := tx.change(`UPDATE attachment SET url = ? WHERE id = ?`, url, id)
	if err == nil && n == 0 {
		return ErrUnknown
	}
	return err
}

// RemoveAttachment forgets a file and its key.
func (tx *Tx) RemoveAttachment(id int64) error {
	n, err := tx.change(`DELETE FROM attachment WHERE id = ?`, id)
	if n > 0 {
		tx.s.purge = true
	}
	return err
}
