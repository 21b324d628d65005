package store

import (
	"time"

	"github.com/ncruces/go-sqlite3"
)

// Out is a message on its way out.
type Out struct {
	MessageID int64
	Peer      string
	OriginID  string
	Stanza    []byte    // what goes to the relay; nil until it is encrypted
	Sent      time.Time // when the relay had it last; zero if it has not
	Tries     int       // how often it has had it
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
	n, err := tx.change(`UPDATE outbox SET stanza = ?, sent = 0, tries = 0 WHERE message = ?`, stanza, messageID)
	if err == nil && n == 0 {
		return ErrUnknown
	}
	return err
}

// SentOut notes that the relay has a message of the outbox, at a time. It stays
// there, in case its recipient never gets it, until RemoveOut. It may be gone
// already.
func (tx *Tx) SentOut(messageID int64, at time.Time) error {
	_, err := tx.change(`UPDATE outbox SET sent = ?, tries = tries + 1 WHERE message = ?`, at, messageID)
	return err
}

const selectOuts = `SELECT o.message, c.peer, m.origin, o.stanza, o.sent, o.tries FROM outbox o
	JOIN message m ON m.id = o.message JOIN conversation c ON c.id = m.conversation `

// Outbox returns what the relay does not have yet, in the order it was written.
func (tx *Tx) Outbox() ([]Out, error) {
	return tx.outs(selectOuts + `WHERE o.sent = 0 ORDER BY o.message`)
}

// Unconfirmed returns what the relay has and nobody has confirmed to have got, in
// the order it was written.
func (tx *Tx) Unconfirmed() ([]Out, error) {
	return tx.outs(selectOuts + `WHERE o.sent > 0 ORDER BY o.message`)
}

func (tx *Tx) outs(sql string) (outs []Out, err error) {
	err = tx.query(sql, func(st *sqlite3.Stmt) {
		outs = append(outs, Out{st.ColumnInt64(0), st.ColumnText(1), st.ColumnText(2), blob(st, 3), fromMicro(st.ColumnInt64(4)), st.ColumnInt(5)})
	})
	return outs, err
}

// RemoveOut takes a message out of the outbox. It may be gone already.
func (tx *Tx) RemoveOut(messageID int64) error {
	_, err := tx.change(`DELETE FROM outbox WHERE message = ?`, messageID)
	return err
}

// Confirms reports whether a peer has ever confirmed to have got a message, and
// the id of the last one in the conversation that it has.
func (tx *Tx) Confirms(peer string) (last int64, confirms bool, err error) {
	confirms, err = tx.one(`SELECT m.id FROM conversation c JOIN message m ON m.conversation = c.id
		WHERE c.peer = ? AND m.outgoing AND m.state IN (?, ?) ORDER BY m.place DESC LIMIT 1`,
		func(st *sqlite3.Stmt) { last = st.ColumnInt64(0) }, peer, int(Delivered), int(Read))
	return last, confirms, err
}
