package store

import (
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3"
)

// ErrContact is returned where somebody must not be a contact.
var ErrContact = errors.New("this is a contact")

// RemoveMessage takes a message out of its conversation, with all that is kept
// about it, as if it had never been stored. It may be gone already.
func (tx *Tx) RemoveMessage(id int64) error {
	var conversation int64
	found, err := tx.one(`SELECT conversation FROM message WHERE id = ?`, func(st *sqlite3.Stmt) { conversation = st.ColumnInt64(0) }, id)
	if err != nil || !found {
		return err
	}
	if err := tx.leaveEdges(conversation, id); err != nil {
		return err
	}
	for _, sql := range []string{
		`UPDATE conversation SET last = (SELECT m.id FROM message m WHERE m.conversation = ?1 AND m.id <> ?2 AND ` + isShown + ` ORDER BY m.place DESC LIMIT 1) WHERE id = ?1 AND last = ?2`,
		`UPDATE conversation SET anchor = (SELECT id FROM message WHERE conversation = ?1 AND settled AND id <> ?2 ORDER BY place DESC LIMIT 1)
			WHERE id = ?1 AND anchor = ?2`,
		`DELETE FROM outbox WHERE message = ?2`,
		`DELETE FROM message WHERE id = ?2 AND conversation = ?1`,
	} {
		if _, err := tx.change(sql, conversation, id); err != nil {
			return err
		}
	}
	return nil
}

// RemoveConversation takes a conversation with somebody who is no contact away,
// with its messages, its draft, and what waits to be sent. It returns the ids of
// the messages. What is known of the person's devices stays: it says whom to
// trust if they write again. ErrContact is returned for a contact.
func (tx *Tx) RemoveConversation(peer string) (messages []int64, err error) {
	var conversation int64
	contact := false
	found, err := tx.one(`SELECT id, contact FROM conversation WHERE peer = ?`,
		func(st *sqlite3.Stmt) { conversation, contact = st.ColumnInt64(0), st.ColumnBool(1) }, peer)
	switch {
	case err != nil || !found:
		return nil, err
	case contact:
		return nil, fmt.Errorf("removing a conversation: %w", ErrContact)
	}
	err = tx.query(`SELECT id FROM message WHERE conversation = ?`,
		func(st *sqlite3.Stmt) { messages = append(messages, st.ColumnInt64(0)) }, conversation)
	if err != nil {
		return nil, err
	}
	for _, sql := range []string{
		`UPDATE conversation SET last = NULL, anchor = NULL WHERE id = ?`,
		`DELETE FROM outbox WHERE message IN (SELECT id FROM message WHERE conversation = ?)`,
		`DELETE FROM message WHERE conversation = ?`,
		`DELETE FROM conversation WHERE id = ?`,
	} {
		if _, err := tx.change(sql, conversation); err != nil {
			return nil, err
		}
	}
	return messages, nil
}

// Known reports whether somebody is a contact, or has a conversation or a draft.
func (tx *Tx) Known(peer string) (bool, error) {
	return tx.one(`SELECT 1 FROM conversation WHERE peer = ?`, func(*sqlite3.Stmt) {}, peer)
}
