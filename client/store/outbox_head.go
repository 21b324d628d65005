package store

import "github.com/ncruces/go-sqlite3"

// Encrypted reports whether a message of the outbox is encrypted: then it may
// have left this device.
func (tx *Tx) Encrypted(messageID int64) (bool, error) {
	return tx.one(`SELECT 1 FROM outbox WHERE message = ? AND stanza IS NOT NULL`, func(*sqlite3.Stmt) {}, messageID)
}

// OutStanza returns the encrypted stanza of a message of the outbox; nil if there
// is none.
func (tx *Tx) OutStanza(messageID int64) (stanza []byte, err error) {
	_, err = tx.one(`SELECT stanza FROM outbox WHERE message = ?`, func(st *sqlite3.Stmt) { stanza = blob(st, 0) }, messageID)
	return stanza, err
}

// OutboxHead returns what Outbox returns, without the stanzas, and says which are
// encrypted.
func (tx *Tx) OutboxHead() (outs []OutHead, err error) {
	err = tx.query(`SELECT o.message, c.peer, m.origin, o.stanza IS NOT NULL FROM outbox o JOIN message m ON m.id = o.message
		JOIN conversation c ON c.id = m.conversation WHERE o.sent = 0 ORDER BY o.message`, func(st *sqlite3.Stmt) {
		outs = append(outs, OutHead{st.ColumnInt64(0), st.ColumnText(1), st.ColumnText(2), st.ColumnBool(3)})
	})
	return outs, err
}

// OutHead is a message that the relay does not have yet.
type OutHead struct {
	MessageID int64
	Peer      string
	OriginID  string
	Encrypted bool // OutStanza has what goes to the relay
}
