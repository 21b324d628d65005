package store

import "github.com/ncruces/go-sqlite3"

// A Retraction is a row like any other: it goes out, is confirmed, and is known when
// it comes again. But the line of the message that it took back says all there is to
// say, so that it is a line of its own only while that message is not here.

// isShown is true of a message m that is a line of its conversation.
const isShown = `(m.kind <> 2 OR NOT EXISTS (SELECT 1 FROM message t WHERE t.conversation = m.conversation AND t.origin = m.reply AND t.gone = 1))`

// lastShown is the message that stands last among those that are lines of ?1.
const lastShown = `(SELECT m.id FROM message m WHERE m.conversation = ?1 AND ` + isShown + ` ORDER BY m.place DESC LIMIT 1)`

// findLast finds out anew which line of a conversation stands last.
func (tx *Tx) findLast(conversation int64) error {
	_, err := tx.change(`UPDATE conversation SET last = `+lastShown+` WHERE id = ?1`, conversation)
	return err
}

// IsShown reports whether a stored message is a line of its conversation: all are
// but a Retraction of a message that is here, and taken back.
func (tx *Tx) IsShown(id int64) (bool, error) {
	return tx.one(`SELECT 1 FROM message m WHERE m.id = ? AND `+isShown, func(*sqlite3.Stmt) {}, id)
}

// lineUpTo returns the id of the last line of a conversation up to a message; 0 if
// there is none.
func (tx *Tx) lineUpTo(message int64) (id int64, err error) {
	_, err = tx.one(`SELECT m.id FROM message e CROSS JOIN message m ON m.conversation = e.conversation AND m.place <= e.place
		WHERE e.id = ? AND `+isShown+` ORDER BY m.place DESC LIMIT 1`, func(st *sqlite3.Stmt) { id = st.ColumnInt64(0) }, message)
	return id, err
}

// RetractionOf returns the newest own Retraction of a message, or nil.
func (tx *Tx) RetractionOf(messageID int64) (m *Message, err error) {
	_, err = tx.one(`SELECT `+messageColumns+` FROM message o JOIN message m ON m.conversation = o.conversation AND m.reply = o.origin AND m.kind = 2
		JOIN conversation c ON c.id = m.conversation WHERE o.id = ? AND m.outgoing ORDER BY m.id DESC LIMIT 1`,
		func(st *sqlite3.Stmt) { m = new(scanMessage(st)) }, messageID)
	return m, err
}
