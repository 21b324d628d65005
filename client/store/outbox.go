package store

import "github.com/ncruces/go-sqlite3"

// Out is a message on its way out.
type Out struct {
	MessageID int64
	Peer      string
	OriginID  string
	Stanza    []byte // what goes to the relay; nil until it is encrypted
}

// QueueOut puts a stored message into the outbox. Doing so twice changes nothing.
func (tx *Tx) QueueOut(messageID int64) error {
	if found, err := tx.one(`SELECT 1 FROM message WHERE id = ? AND outgoing`, func(*sqlite3.Stmt) {}, messageID); err != nil {
		return err
	} else if !found {
		return ErrUnknown
	}
	_, err := tx.change(`INSERT INTO outbox (message) VALUES (?) ON CONFLICT DO NOTHING`, messageID)
	return err
}

// SetOut keeps the encrypted stanza of a message in the outbox, so that what is
// sent again is the same; nil has it encrypted anew. Call it in the transaction
// that moves the ratchet.
func (tx *Tx) SetOut(messageID int64, stanza []byte) error {
	n, err := tx.change(`UPDATE outbox SET stanza = ? WHERE message = ?`, stanza, messageID)
	if err == nil && n == 0 {
		return ErrUnknown
	}
	return err
}

// Outbox returns what is on its way out, in the order it was written.
func (tx *Tx) Outbox() (outs []Out, err error) {
	err = tx.query(`SELECT o.message, c.peer, m.origin, o.stanza FROM outbox o
		JOIN message m ON m.id = o.message JOIN conversation c ON c.id = m.conversation ORDER BY o.message`,
		func(st *sqlite3.Stmt) {
			outs = append(outs, Out{st.ColumnInt64(0), st.ColumnText(1), st.ColumnText(2), blob(st, 3)})
		})
	return outs, err
}

// RemoveOut takes a message out of the outbox. It may be gone already.
func (tx *Tx) RemoveOut(messageID int64) error {
	_, err := tx.change(`DELETE FROM outbox WHERE message = ?`, messageID)
	return err
}
