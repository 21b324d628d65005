package store

import (
	"time"

	"github.com/ncruces/go-sqlite3"
)

// heldSchema is the migration that brings messages which came from somebody who is
// not known to belong to the organisation. The directory may be behind, so they are
// kept for a while as they came, encrypted.
const heldSchema = `
CREATE TABLE held (
	id      INTEGER PRIMARY KEY,
	sender  TEXT NOT NULL,                    -- bare JID
	room    TEXT NOT NULL,                    -- bare JID; '' between two people
	origin  INTEGER NOT NULL,                 -- how it came
	archive TEXT NOT NULL,
	time    INTEGER NOT NULL,
	stored  INTEGER NOT NULL,
	stanza  BLOB NOT NULL
);
CREATE INDEX held_sender ON held (sender, id);
`

// Bounds of what is held.
const (
	maxHeld       = 2000
	maxHeldOf     = 50 // of one sender
	maxHeldStanza = 256 << 10
	maxHeldBytes  = 16 << 20
)

// Held is a message stanza that waits for its sender to be known.
type Held struct {
	ID      int64
	Sender  string
	Room    string // "" between two people
	Origin  int    // as the caller has it
	Archive string // id in the archive; or ""
	Time    time.Time
	Stanza  []byte
}

// Hold keeps a message. The oldest give way: of a sender who has too many, then of
// all. False says that it was too large.
func (tx *Tx) Hold(h Held) (bool, error) {
	if len(h.Stanza) > maxHeldStanza {
		return false, nil
	}
	if _, err := tx.change(`INSERT INTO held (sender, room, origin, archive, time, stored, stanza) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		h.Sender, h.Room, h.Origin, h.Archive, h.Time, time.Now(), h.Stanza); err != nil {
		return false, err
	}
	if _, err := tx.change(`DELETE FROM held WHERE sender = ?1 AND id NOT IN (SELECT id FROM held WHERE sender = ?1 ORDER BY id DESC LIMIT ?2)`,
		h.Sender, maxHeldOf); err != nil {
		return false, err
	}
	_, err := tx.change(`DELETE FROM held WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER newest AS n, sum(length(stanza)) OVER newest AS bytes
		FROM held WINDOW newest AS (ORDER BY id DESC)) WHERE n > ? OR bytes > ?)`, maxHeld, maxHeldBytes)
	return err == nil, err
}

// HeldSenders returns who has messages that are held.
func (tx *Tx) HeldSenders() (senders []string, err error) {
	err = tx.query(`SELECT DISTINCT sender FROM held`, func(st *sqlite3.Stmt) { senders = append(senders, st.ColumnText(0)) })
	return senders, err
}

// Release returns the messages of a sender that are held, in the order in which they
// came, and holds them no longer.
func (tx *Tx) Release(sender string) (list []Held, err error) {
	err = tx.query(`SELECT id, sender, room, origin, archive, time, stanza FROM held WHERE sender = ? ORDER BY id`, func(st *sqlite3.Stmt) {
		list = append(list, Held{st.ColumnInt64(0), st.ColumnText(1), st.ColumnText(2), st.ColumnInt(3), st.ColumnText(4), fromMicro(st.ColumnInt64(5)), blob(st, 6)})
	}, sender)
	if err == nil {
		_, err = tx.change(`DELETE FROM held WHERE sender = ?`, sender)
	}
	return list, err
}

// DropHeld forgets what has been held since before a time.
func (tx *Tx) DropHeld(before time.Time) error {
	_, err := tx.change(`DELETE FROM held WHERE stored < ?`, before)
	return err
}
