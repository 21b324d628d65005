package store

import "github.com/ncruces/go-sqlite3"

// HeardFrom reports whether a message from somebody is here.
func (tx *Tx) HeardFrom(peer string) (bool, error) {
	return tx.one(`SELECT 1 FROM conversation c JOIN message m ON m.conversation = c.id
		WHERE c.peer = ? AND NOT m.outgoing AND m.kind = ? LIMIT 1`, func(*sqlite3.Stmt) {}, peer, int(Text))
}
