package store

import (
	"cmp"
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// orderSchema is what a device keeps of the orders of its organisation.
const orderSchema = `
CREATE TABLE ordered_recall (                 -- of messages that may still come (see RecallOrdered)
	id     INTEGER PRIMARY KEY,
	author TEXT NOT NULL,                     -- bare JID
	origin TEXT NOT NULL,
	by     TEXT NOT NULL,                     -- who ordered it, in words
	time   INTEGER NOT NULL,
	digest BLOB,                              -- of the text that is to go; NULL if any
	UNIQUE (author, origin)
);

CREATE TABLE owed_acknowledgement (           -- of orders, that the relay does not have yet
	number INTEGER PRIMARY KEY,               -- of the order
	stanza TEXT NOT NULL UNIQUE,              -- id
	note   BLOB NOT NULL
);
`

// Bounds of these tables.
const (
	maxOrderedRecalls = 4096
	maxAcknowledging  = 4096
)

// OrderedRecall is a recall that somebody has ordered who has not written the message.
type OrderedRecall struct {
	Author   string // who has written it: a bare JID
	OriginID string
	By       string // who ordered it, in words
	Time     time.Time
	Digest   []byte // of the text that is to go, see Digest; nil: whatever it is
}

// RecallOrdered finds the messages that an order takes back, in whatever
// conversations they are, and remembers it for those that have not come yet: they are
// gone when they are stored. Whether a text is the one that was meant is not looked at:
// call CarryOut for those of which it is.
func (tx *Tx) RecallOrdered(r OrderedRecall) (here []Message, err error) {
	if r.Author == "" || r.OriginID == "" || len(r.OriginID) > maxID || len(r.Author) > maxID {
		return nil, fmt.Errorf("recalling a message by order: %w", errNoPeer)
	}
	if _, err := tx.change(`INSERT INTO ordered_recall (author, origin, by, time, digest) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		r.Author, r.OriginID, bounded(r.By, maxID), r.Time, r.Digest); err != nil {
		return nil, err
	}
	if _, err := tx.change(`DELETE FROM ordered_recall WHERE id <= (SELECT id FROM ordered_recall ORDER BY id DESC LIMIT 1 OFFSET ?)`, maxOrderedRecalls); err != nil {
		return nil, err
	}
	err = tx.query(`SELECT `+messageColumns+` FROM conversation c JOIN message m ON m.conversation = c.id AND m.origin = ?1
		WHERE m.author = ?2 OR m.author = '' AND m.sender = ?2`,
		func(st *sqlite3.Stmt) { here = append(here, scanMessage(st)) }, r.OriginID, r.Author)
	return here, err
}

// CarryOut takes back a message that RecallOrdered has found, as Recall does. It
// reports whether its text went just now.
func (tx *Tx) CarryOut(r OrderedRecall, id int64) (gone bool, err error) {
	_, gone, err = tx.recall(id, bounded(r.By, maxID), r.Time)
	return gone, err
}

// orderedRecall returns who has ordered that a message be taken back which is stored
// just now, and when; "" if nobody has.
func (tx *Tx) orderedRecall(m *Message, text string) (by string, at time.Time, err error) {
	r := Recalling{OriginID: m.OriginID}
	found, err := tx.one(`SELECT by, time, digest FROM ordered_recall WHERE author = ? AND origin = ?`, func(st *sqlite3.Stmt) {
		by, at, r.Digest = st.ColumnText(0), fromMicro(st.ColumnInt64(1)), blob(st, 2)
	}, cmp.Or(m.Author, m.Sender), m.OriginID)
	if err != nil || !found || !r.is(text) {
		return "", time.Time{}, err
	}
	return by, at, nil
}

// OwedAcknowledgement is the acknowledgement of an order that the relay may not have.
type OwedAcknowledgement struct {
	Number uint64 // of the order
	ID     string // of the stanza
	Note   []byte
}

// OweAcknowledgement keeps an acknowledgement until Acknowledged, in place of an
// earlier one of the same order. Of more than 4,096 the oldest go.
func (tx *Tx) OweAcknowledgement(a OwedAcknowledgement) error {
	if _, err := tx.change(`INSERT OR REPLACE INTO owed_acknowledgement (number, stanza, note) VALUES (?, ?, ?)`, int64(a.Number), a.ID, a.Note); err != nil {
		return err
	}
	_, err := tx.change(`DELETE FROM owed_acknowledgement WHERE number <=
		(SELECT number FROM owed_acknowledgement ORDER BY number DESC LIMIT 1 OFFSET ?)`, maxAcknowledging)
	return err
}

// OwedAcknowledgements returns what the relay may not have, by number.
func (tx *Tx) OwedAcknowledgements() (list []OwedAcknowledgement, err error) {
	err = tx.query(`SELECT number, stanza, note FROM owed_acknowledgement ORDER BY number`, func(st *sqlite3.Stmt) {
		list = append(list, OwedAcknowledgement{uint64(st.ColumnInt64(0)), st.ColumnText(1), blob(st, 2)})
	})
	return list, err
}

// Acknowledged forgets an acknowledgement that the relay has.
func (tx *Tx) Acknowledged(stanza string) error {
	_, err := tx.change(`DELETE FROM owed_acknowledgement WHERE stanza = ?`, stanza)
	return err
}
