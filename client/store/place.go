package store

import (
	"fmt"
	"math"

	"github.com/ncruces/go-sqlite3"
)

// Where a message stands in its conversation is a number of its own, its place.
// Times are not for ordering: clocks differ, and relays stamp what they deliver
// a second time to the second, or out of order.
//
// What is written here, and what comes live, goes to the end. What the archive
// returns, in its order, settles: the anchor of a conversation is the last message
// that is settled, and the next one goes right behind it. What stands elsewhere
// moves there, unless it stands behind the anchor already and nothing is in
// between that the archive has later. What is settled never moves again, and
// nothing gets in before it. What was written here keeps its place among what
// others wrote after it was written, or its lines would change places with each
// other before the archive has them all.
//
// Above all of this stands the order in which a device has encrypted its messages,
// which OMEMO proves and no relay can change: whatever is stored or moved stays
// between what the device encrypted before it and after it.
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
	front int64 = -1 // before all others
)

// AddArchived is AddMessage for what the archive returns next: it is settled,
// whether it is new or was here. newest is the id of the message that was stored
// last before the archive was asked: if nothing is settled in the conversation,
// a new message comes after what was there at that time. It reports, too, whether
// anything stands elsewhere than at the end now.
func (tx *Tx) AddArchived(m *Message, newest int64) (added, reordered bool, err error) {
	if m.Peer == "" {
		return false, false, fmt.Errorf("storing a message: %w", errNoPeer)
	}
	if !tx.write {
		return false, false, ErrViewWrites
	}
	conversation, err := tx.conversation(m.Peer)
	if err != nil {
		return false, false, err
	}
	after, err := tx.anchor(conversation)
	if err == nil && after == 0 {
		after, err = tx.lastUpTo(conversation, newest)
	}
	if err != nil {
		return false, false, err
	}
	archiveID := m.ArchiveID
	how, err := tx.addMessage(m, after, true)
	switch {
	case err != nil:
		return false, false, err
	case how >= inside:
		moved, err := tx.settleAdded(conversation, m, how)
		return true, how == inside || moved, err
	case archiveID == "":
		return how == replaced, false, nil
	}
	reordered, err = tx.Settle(m.ID, archiveID, m.Outgoing)
	return how == replaced, reordered, err
}

// Settle takes over the place that the archive gives to a message that is here,
// and its id there. Only what the archive returns first for a message counts:
// relays archive again what they deliver again. A message that keeps its place
// is settled where it stands. It reports whether the message has moved.
func (tx *Tx) Settle(id int64, archiveID string, keeps bool) (moved bool, err error) {
	var (
		conversation, place, epoch int64
		counter                    uint32
		strand                     []byte
		settled                    bool
	)
	found, err := tx.one(`SELECT conversation, place, settled, strand, epoch, counter FROM message WHERE id = ?`, func(st *sqlite3.Stmt) {
		conversation, place, settled = st.ColumnInt64(0), st.ColumnInt64(1), st.ColumnBool(2)
		strand, epoch, counter = blob(st, 3), st.ColumnInt64(4), uint32(st.ColumnInt64(5))
	}, id)
	if err != nil || settled {
		return false, err
	}
	if !found {
		return false, ErrUnknown
	}
	// OR IGNORE: a relay may have given the id to another message too.
	if _, err := tx.change(`UPDATE OR IGNORE message SET archive = ? WHERE id = ?`, archiveID, id); err != nil {
		return false, err
	}
	anchor, err := tx.anchor(conversation)
	if err != nil {
		return false, err
	}
	from := int64(math.MinInt64)
	if anchor != 0 {
		if from, err = tx.placeOf(anchor); err != nil {
			return false, err
		}
	}
	low, high, err := tx.between(conversation, strand, epoch, counter, true)
	if err != nil {
		return false, err
	}
	if place < from && (keeps || high <= from) {
		return tx.settle(conversation, id)
	}
	free := place > from
	if free && !keeps {
		// What stands between the anchor, or what its device wrote before it, and
		// here, and is in the archive: that comes later there.
		_, err = tx.one(`SELECT 1 FROM message WHERE conversation = ? AND place > ? AND place < ? AND NOT settled AND archive IS NOT NULL LIMIT 1`,
			func(*sqlite3.Stmt) { free = false }, conversation, max(from, low), place)
		if err != nil {
			return false, err
		}
	}
	if !free {
		if anchor == 0 {
			// Before the first that the archive has later.
			_, err = tx.one(`SELECT coalesce((SELECT id FROM message WHERE conversation = ?1 AND place <
				(SELECT min(place) FROM message WHERE conversation = ?1 AND NOT settled AND archive IS NOT NULL) ORDER BY place DESC LIMIT 1), ?2)`,
				func(st *sqlite3.Stmt) { anchor = st.ColumnInt64(0) }, conversation, front)
			if err != nil {
				return false, err
			}
		}
		after, err := tx.clamp(conversation, anchor, strand, epoch, counter, true)
		if err != nil {
			return false, err
		}
		if after != id {
			if err := tx.move(id, conversation, after); err != nil {
				return false, err
			}
		}
	}
	dragged, err := tx.settle(conversation, id)
	return !free || dragged, err
}

// settle notes that a message stands where it belongs, and makes it the anchor if
// it stands behind that. What its device has encrypted after it and the archive
// has not settled yet comes along, if it stands before it.
func (tx *Tx) settle(conversation, id int64) (dragged bool, err error) {
	if _, err := tx.change(`UPDATE message SET settled = 1 WHERE id = ?`, id); err != nil {
		return false, err
	}
	var (
		strand       []byte
		epoch, place int64
		counter      uint32
	)
	if _, err := tx.one(`SELECT strand, epoch, counter, place FROM message WHERE id = ?`, func(st *sqlite3.Stmt) {
		strand, epoch, counter, place = blob(st, 0), st.ColumnInt64(1), uint32(st.ColumnInt64(2)), st.ColumnInt64(3)
	}, id); err != nil {
		return false, err
	}
	dragged, err = tx.drag(conversation, id, strand, epoch, counter, place)
	if err != nil {
		return false, err
	}
	return dragged, tx.moveAnchor(conversation, id)
}

// settleAdded is settle for a message that was just stored.
func (tx *Tx) settleAdded(conversation int64, m *Message, how outcome) (dragged bool, err error) {
	if m.Strand != nil {
		if dragged, err = tx.drag(conversation, m.ID, m.Strand, m.Epoch, m.Counter, m.Place); err != nil {
			return false, err
		}
	}
	if how == last {
		return dragged, nil
	}
	return dragged, tx.moveAnchor(conversation, m.ID)
}

// moveAnchor makes a message the anchor, if it stands behind that.
func (tx *Tx) moveAnchor(conversation, id int64) error {
	_, err := tx.change(`UPDATE conversation SET anchor = ?1 WHERE id = ?2 AND (anchor IS NULL OR
		(SELECT place FROM message WHERE id = ?1) > (SELECT place FROM message WHERE id = anchor))`, id, conversation)
	return err
}

// drag puts what a device has encrypted after a message, stands before it, and is not
// settled, behind it.
func (tx *Tx) drag(conversation, id int64, strand []byte, epoch int64, counter uint32, place int64) (dragged bool, err error) {
	var behind []int64
	row := func(st *sqlite3.Stmt) { behind = append(behind, st.ColumnInt64(0)) }
	err = tx.query(`SELECT id FROM message WHERE conversation = ? AND strand = ? AND epoch = ? AND counter > ?
		AND +place < ? AND NOT settled ORDER BY counter`, row, conversation, strand, epoch, counter, place)
	if err == nil {
		err = tx.query(`SELECT id FROM message WHERE conversation = ? AND strand = ? AND epoch > ?
			AND +place < ? AND NOT settled ORDER BY epoch, counter`, row, conversation, strand, epoch, place)
	}
	if err != nil {
		return false, err
	}
	after := id
	for _, x := range behind {
		if err := tx.move(x, conversation, after); err != nil {
			return false, err
		}
		after = x
	}
	return len(behind) > 0, nil
}

// maxEpochs bounds the chains of a session whose order is remembered.
const maxEpochs = 500

// Epoch returns the number of a chain of an OMEMO session, which grows from chain
// to chain. Call it with every message that was decrypted, empty ones too, in the
// order in which they are: a chain seen for the first time is the newest.
func (tx *Tx) Epoch(strand, chain []byte) (epoch int64, err error) {
	row := func(st *sqlite3.Stmt) { epoch = st.ColumnInt64(0) }
	found, err := tx.one(`SELECT epoch FROM epoch WHERE strand = ? AND chain = ?`, row, strand, chain)
	if err != nil || found {
		return epoch, err
	}
	if _, err := tx.one(`SELECT coalesce(max(epoch), 0) + 1 FROM epoch WHERE strand = ?`, row, strand); err != nil {
		return 0, err
	}
	if _, err := tx.change(`INSERT INTO epoch (strand, chain, epoch) VALUES (?, ?, ?)`, strand, chain, epoch); err != nil {
		return 0, err
	}
	_, err = tx.change(`DELETE FROM epoch WHERE strand = ? AND epoch <= ?`, strand, epoch-maxEpochs)
	return epoch, err
}

// between returns the places between which a message must stand: behind low and
// before high, because of what its device encrypted before and after it; of what
// came after it, only what is settled counts if settled is set.
func (tx *Tx) between(conversation int64, strand []byte, epoch int64, counter uint32, settled bool) (low, high int64, err error) {
	low, high = math.MinInt64, math.MaxInt64
	if strand == nil {
		return low, high, nil
	}
	// Its neighbours are enough, for what is further away stands further away.
	_, err = tx.one(`SELECT coalesce(
			(SELECT place FROM message WHERE conversation = ?1 AND strand = ?2 AND epoch = ?3 AND counter < ?4 ORDER BY counter DESC LIMIT 1),
			(SELECT place FROM message WHERE conversation = ?1 AND strand = ?2 AND epoch < ?3 ORDER BY epoch DESC, counter DESC LIMIT 1), ?5),
		coalesce(
			(SELECT place FROM message WHERE conversation = ?1 AND strand = ?2 AND epoch = ?3 AND counter > ?4 AND settled >= ?7 ORDER BY counter LIMIT 1),
			(SELECT place FROM message WHERE conversation = ?1 AND strand = ?2 AND epoch > ?3 AND settled >= ?7 ORDER BY epoch, counter LIMIT 1), ?6)`,
		func(st *sqlite3.Stmt) { low, high = st.ColumnInt64(0), st.ColumnInt64(1) },
		conversation, strand, epoch, counter, low, high, settled)
	return low, high, err
}

// clamp returns the message to put another one after: after, or what comes closest
// to it between what its device encrypted before and after it.
func (tx *Tx) clamp(conversation, after int64, strand []byte, epoch int64, counter uint32, settled bool) (int64, error) {
	low, high, err := tx.between(conversation, strand, epoch, counter, settled)
	if err != nil || low == math.MinInt64 && high == math.MaxInt64 {
		return after, err
	}
	place := int64(math.MaxInt64) // at the end
	switch {
	case after == front:
		place = math.MinInt64
	case after != atEnd:
		if place, err = tx.placeOf(after); err != nil {
			return 0, err
		}
	}
	id := func(sql string, bound int64) (id int64, err error) {
		id = front
		_, err = tx.one(sql, func(st *sqlite3.Stmt) { id = st.ColumnInt64(0) }, conversation, bound)
		return id, err
	}
	switch {
	case place >= high:
		return id(`SELECT id FROM message WHERE conversation = ? AND place < ? ORDER BY place DESC LIMIT 1`, high)
	case place < low:
		return id(`SELECT id FROM message WHERE conversation = ? AND place = ?`, low)
	}
	return after, nil
}

func (tx *Tx) placeOf(id int64) (place int64, err error) {
	found, err := tx.one(`SELECT place FROM message WHERE id = ?`, func(st *sqlite3.Stmt) { place = st.ColumnInt64(0) }, id)
	if err == nil && !found {
		err = ErrUnknown
	}
	return place, err
}

// anchor returns the last message that is settled; 0 if none is.
func (tx *Tx) anchor(conversation int64) (id int64, err error) {
	_, err = tx.one(`SELECT coalesce(anchor, 0) FROM conversation WHERE id = ?`,
		func(st *sqlite3.Stmt) { id = st.ColumnInt64(0) }, conversation)
	return id, err
}

// lastUpTo returns the id of the message that stands last of those that were
// stored up to the one with the id newest and do not wait to be sent; front if
// there is none.
func (tx *Tx) lastUpTo(conversation, newest int64) (id int64, err error) {
	id = front
	_, err = tx.one(`SELECT id FROM message WHERE conversation = ? AND id <= ? AND state NOT IN (?, ?) ORDER BY place DESC LIMIT 1`,
		func(st *sqlite3.Stmt) { id = st.ColumnInt64(0) }, conversation, newest, int(Queued), int(Failed))
	return id, err
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
	if after == front {
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

// MoveToEnd puts a message at the end of its conversation, as when it is
// written anew.
func (tx *Tx) MoveToEnd(id int64) (moved bool, err error) {
	var conversation int64
	found, err := tx.one(`SELECT m.conversation FROM message m JOIN conversation c ON c.id = m.conversation WHERE m.id = ? AND c.last <> m.id`,
		func(st *sqlite3.Stmt) { conversation = st.ColumnInt64(0) }, id)
	if err != nil || !found {
		return false, err
	}
	if err := tx.leaveEdges(conversation, id); err != nil {
		return false, err
	}
	// It will be in the archive once more, or for the first time.
	if _, err := tx.change(`UPDATE conversation SET anchor = (SELECT id FROM message WHERE conversation = ?1 AND settled AND id <> ?2
		ORDER BY place DESC LIMIT 1) WHERE id = ?1 AND anchor = ?2`, conversation, id); err != nil {
		return false, err
	}
	if _, err := tx.change(`UPDATE message SET settled = 0, archive = NULL WHERE id = ?`, id); err != nil {
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
	return tx.findLast(conversation)
}

// Newest returns the id of the message that was stored last, in any
// conversation; 0 if there is none.
func (tx *Tx) Newest() (id int64, err error) {
	_, err = tx.one(`SELECT coalesce(max(id), 0) FROM message`, func(st *sqlite3.Stmt) { id = st.ColumnInt64(0) })
	return id, err
}
