package store

import (
	"math"
	"slices"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// MessagesAfter returns up to limit messages of a conversation that stand after
// the message with the id after, in the order of their places: the page below.
func (tx *Tx) MessagesAfter(peer string, after int64, limit int) ([]Message, error) {
	if limit <= 0 {
		return nil, nil
	}
	messages := make([]Message, 0, min(limit, 256))
	err := tx.query(`SELECT `+messageColumns+` FROM conversation c JOIN message m ON m.conversation = c.id
		WHERE c.peer = ?1 AND m.place > (SELECT place FROM message WHERE id = ?2 AND conversation = c.id)
		AND `+isShown+` ORDER BY m.place LIMIT ?3`, func(st *sqlite3.Stmt) { messages = append(messages, scanMessage(st)) }, peer, after, limit)
	return messages, err
}

// Around returns the message with an id in the midst of up to before messages
// that stand before it and up to after that stand after it, in the order of their
// places; nothing if there is no such message in the conversation.
func (tx *Tx) Around(peer string, id int64, before, after int) ([]Message, error) {
	m, err := tx.Message(id)
	if err != nil || m == nil || m.Peer != peer {
		return nil, err
	}
	above, err := tx.Messages(peer, id, before)
	if err != nil {
		return nil, err
	}
	below, err := tx.MessagesAfter(peer, id, after)
	if err != nil {
		return nil, err
	}
	return slices.Concat(above, []Message{*m}, below), nil
}

// FirstUnread returns the id of the unread message that stands first in a
// conversation; 0 if there is none.
func (tx *Tx) FirstUnread(peer string) (id int64, err error) {
	_, err = tx.one(`SELECT m.id FROM conversation c JOIN message m ON m.conversation = c.id
		WHERE c.peer = ? AND m.read = 0 ORDER BY m.place LIMIT 1`, func(st *sqlite3.Stmt) { id = st.ColumnInt64(0) }, peer)
	return id, err
}

// At returns the id of the message at which a time begins in a conversation: the
// one that stands first of those sent at or after t; 0 if all are older. As times
// need not grow along a conversation (see place.go), another one may do as well.
func (tx *Tx) At(peer string, t time.Time) (id int64, err error) {
	want := t.UnixMicro()
	// Halving places, as they grow evenly, finds it without an index of times.
	var low, high int64
	if _, err := tx.one(`SELECT coalesce((SELECT m.place FROM message m WHERE m.conversation = c.id ORDER BY m.place LIMIT 1), 0),
			coalesce((SELECT m.place FROM message m WHERE m.conversation = c.id ORDER BY m.place DESC LIMIT 1), 0)
		FROM conversation c WHERE c.peer = ?`, func(st *sqlite3.Stmt) { low, high = st.ColumnInt64(0), st.ColumnInt64(1) }, peer); err != nil {
		return 0, err
	}
	for low <= high {
		var at, place int64 = math.MinInt64, 0
		middle := low + (high-low)/2
		var here int64
		found, err := tx.one(`SELECT m.id, m.place, m.time FROM conversation c JOIN message m ON m.conversation = c.id
			WHERE c.peer = ? AND m.place >= ? AND `+isShown+` ORDER BY m.place LIMIT 1`, func(st *sqlite3.Stmt) {
			here, place, at = st.ColumnInt64(0), st.ColumnInt64(1), st.ColumnInt64(2)
		}, peer, middle)
		if err != nil {
			return 0, err
		}
		if found && at < want {
			low = place + 1
			continue
		}
		if found {
			id = here
		}
		high = middle - 1
	}
	return id, nil
}

// ByArchive returns the message that a conversation's archive has under an id, or
// nil.
func (tx *Tx) ByArchive(peer, archiveID string) (m *Message, err error) {
	_, err = tx.one(`SELECT `+messageColumns+` FROM conversation c JOIN message m ON m.conversation = c.id
		WHERE c.peer = ? AND m.archive = ? LIMIT 1`, func(st *sqlite3.Stmt) { m = new(scanMessage(st)) }, peer, archiveID)
	return m, err
}

// Below counts, up to limit, the messages of a conversation that stand after the
// one with the id after, and those among them that others have sent as STAT.
func (tx *Tx) Below(peer string, after int64, limit int) (n, stats int, err error) {
	_, err = tx.one(`SELECT count(*) FROM (SELECT 1 FROM conversation c JOIN message m ON m.conversation = c.id
		WHERE c.peer = ?1 AND m.place > (SELECT place FROM message WHERE id = ?2 AND conversation = c.id) LIMIT ?3)`,
		func(st *sqlite3.Stmt) { n = st.ColumnInt(0) }, peer, after, limit)
	if err != nil || n == 0 {
		return n, 0, err
	}
	if n < limit {
		hidden := 0
		if _, err := tx.one(`SELECT count(*) FROM conversation c JOIN message m ON m.conversation = c.id
			WHERE c.peer = ?1 AND m.kind = 2 AND m.place > (SELECT place FROM message WHERE id = ?2 AND conversation = c.id) AND NOT `+isShown,
			func(st *sqlite3.Stmt) { hidden = st.ColumnInt(0) }, peer, after); err != nil {
			return 0, 0, err
		}
		n -= hidden
	}
	_, err = tx.one(`SELECT count(*) FROM (SELECT 1 FROM conversation c JOIN message m ON m.conversation = c.id
		WHERE c.peer = ?1 AND m.outgoing = 0 AND m.urgency > 0 AND m.urgency >= ?4
		AND m.place > (SELECT place FROM message WHERE id = ?2 AND conversation = c.id) LIMIT ?3)`,
		func(st *sqlite3.Stmt) { stats = st.ColumnInt(0) }, peer, after, limit, Stat)
	return n, stats, err
}

// FirstUrgent returns the id of the unread STAT message that stands first in a
// conversation; 0 if there is none.
func (tx *Tx) FirstUrgent(peer string) (id int64, err error) {
	_, err = tx.one(`SELECT m.id FROM conversation c JOIN message m ON m.conversation = c.id
		WHERE c.peer = ? AND m.read = 0 AND m.urgency >= ? ORDER BY m.place LIMIT 1`,
		func(st *sqlite3.Stmt) { id = st.ColumnInt64(0) }, peer, Stat)
	return id, err
}
