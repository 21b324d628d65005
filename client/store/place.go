package store

import "github.com/ncruces/go-sqlite3"

// Where a message stands in its conversation is a number of its own, its place.
// Times are not for ordering: clocks differ, and relays stamp what they deliver
// a second time to the second, or out of order.
//
// What is written here, and what comes live, goes to the end. What comes from
// the archive is put right after the message that it follows there, and what is
// here already moves there if it stands before it. So messages come to stand as
// in the archive, and what the archive does not know stays where it is.
//
// Places are gapSize apart at the end of a conversation. What is put between two
// messages takes a place between theirs; when there is none left, everything
// behind moves on by gapSize.
const (
	gapSize  = 1 << 32
	stepSize = 1 << 16 // from a message to one that is put right after it, if there is room
)

// Where to put a message, other than after one with an id.
const (
	atEnd int64 = 0
	Front int64 = -1 // before all others
)

// AddMessageAfter is AddMessage for a message whose predecessor is known: it is
// put right after the message with the id after, or in front of all others if
// after is Front. It reports, too, whether m stands last.
func (tx *Tx) AddMessageAfter(m *Message, after int64) (added, last bool, err error) {
	return tx.addMessage(m, after)
}

// room returns a free place after a message of a conversation, and whether it
// is the last one.
func (tx *Tx) room(conversation, after int64) (place int64, last bool, err error) {
	if after == atEnd {
		_, err = tx.one(`SELECT coalesce(max(place), 0) FROM message WHERE conversation = ?`,
			func(st *sqlite3.Stmt) { place = st.ColumnInt64(0) }, conversation)
		return place + gapSize, true, err
	}
	var from, next int64
	found := false
	if after == Front {
		found, err = tx.one(`SELECT place FROM message WHERE conversation = ? ORDER BY place LIMIT 1`,
			func(st *sqlite3.Stmt) { next = st.ColumnInt64(0) }, conversation)
		if err != nil || !found {
			return gapSize, true, err
		}
		return next - gapSize, false, nil
	}
	found, err = tx.one(`SELECT place FROM message WHERE id = ? AND conversation = ?`,
		func(st *sqlite3.Stmt) { from = st.ColumnInt64(0) }, after, conversation)
	if err != nil {
		return 0, false, err
	}
	if !found {
		return 0, false, ErrUnknown
	}
	found, err = tx.one(`SELECT place FROM message WHERE conversation = ? AND place > ? ORDER BY place LIMIT 1`,
		func(st *sqlite3.Stmt) { next = st.ColumnInt64(0) }, conversation, from)
	if err != nil || !found {
		return from + gapSize, true, err
	}
	if next-from < 2 {
		if _, err := tx.change(`UPDATE message SET place = place + ? WHERE conversation = ? AND place > ?`, int64(gapSize), conversation, from); err != nil {
			return 0, false, err
		}
		next += gapSize
	}
	return from + min(stepSize, (next-from)/2), false, nil
}

// MoveAfter puts a message right after another one of its conversation if it
// stands before it, and reports whether it did.
func (tx *Tx) MoveAfter(id, after int64) (moved bool, err error) {
	if id == after || after == Front {
		return false, nil
	}
	var conversation int64
	stands := false
	found, err := tx.one(`SELECT m.conversation, m.place > a.place FROM message m JOIN message a ON a.conversation = m.conversation
		WHERE m.id = ? AND a.id = ?`, func(st *sqlite3.Stmt) { conversation, stands = st.ColumnInt64(0), st.ColumnBool(1) }, id, after)
	if err != nil || stands {
		return false, err
	}
	if !found {
		return false, ErrUnknown
	}
	return true, tx.move(id, conversation, after)
}

// MoveToEnd puts a message at the end of its conversation, as when it is
// written anew.
func (tx *Tx) MoveToEnd(id int64) (moved bool, err error) {
	var conversation int64
	found, err := tx.one(`SELECT m.conversation FROM message m JOIN conversation c ON c.id = m.conversation WHERE m.id = ? AND c.last <> m.id`,
		func(st *sqlite3.Stmt) { conversation = st.ColumnInt64(0) }, id)
	if err != nil || !found {
		return false, err
	}
	return true, tx.move(id, conversation, atEnd)
}

func (tx *Tx) move(id, conversation, after int64) error {
	place, _, err := tx.room(conversation, after)
	if err != nil {
		return err
	}
	if _, err := tx.change(`UPDATE message SET place = ? WHERE id = ?`, place, id); err != nil {
		return err
	}
	_, err = tx.change(`UPDATE conversation SET last = (SELECT id FROM message WHERE conversation = ?1 ORDER BY place DESC LIMIT 1)
		WHERE id = ?1`, conversation)
	return err
}

// Newest returns the id of the message that was stored last, in any
// conversation; 0 if there is none.
func (tx *Tx) Newest() (id int64, err error) {
	_, err = tx.one(`SELECT coalesce(max(id), 0) FROM message`, func(st *sqlite3.Stmt) { id = st.ColumnInt64(0) })
	return id, err
}

// LastUpTo returns the id of the message that stands last in a conversation of
// those that were stored up to the one with the id newest and are not waiting
// to be sent; Front if there is none.
func (tx *Tx) LastUpTo(peer string, newest int64) (id int64, err error) {
	id = Front
	_, err = tx.one(`SELECT m.id FROM conversation c JOIN message m ON m.conversation = c.id
		WHERE c.peer = ? AND m.id <= ? AND m.state NOT IN (?, ?) ORDER BY m.place DESC LIMIT 1`,
		func(st *sqlite3.Stmt) { id = st.ColumnInt64(0) }, peer, newest, int(Queued), int(Failed))
	return id, err
}
