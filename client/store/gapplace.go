package store

import (
	"errors"
	"math"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// A gap has an edge in each conversation of its archive: the last message that
// stands before it there. Edges are noted with the gap, when the anchors of
// conversations are just that. What fills the gap goes right behind the edge, and
// becomes it. A conversation without one began after the gap: there, what fills it
// goes to the front.
//
// This is the only way in which anything gets in before what is settled, and
// OMEMO's order stands above it, too.

// ErrTooManyGaps says that an archive has MaxGaps of them.
var ErrTooManyGaps = errors.New("too many gaps in this archive")

// noteEdges has a new gap begin behind the anchors of an archive's conversations, or,
// where nothing is settled, behind what does not wait to be sent.
func (tx *Tx) noteEdges(gap int64, archive string) error {
	_, err := tx.change(`INSERT INTO gap_edge (gap, conversation, message)
		SELECT ?1, id, edge FROM (SELECT c.id, coalesce(c.anchor, (SELECT m.id FROM message m WHERE m.conversation = c.id
				AND m.state NOT IN (?3, ?4) ORDER BY m.place DESC LIMIT 1)) AS edge
			FROM conversation c WHERE `+ofArchive+`) WHERE edge IS NOT NULL`, gap, archive, int(Queued), int(Failed))
	return err
}

// ofArchive holds for the conversations c of the archive ?2: a room's is one, and
// all others are in the own archive.
const ofArchive = `CASE WHEN EXISTS (SELECT 1 FROM conversation x JOIN room r ON r.conversation = x.id WHERE x.peer = ?2)
	THEN c.peer = ?2 ELSE NOT EXISTS (SELECT 1 FROM room r WHERE r.conversation = c.id) END`

// GapEdge returns the id of the last shown message before a gap in a conversation; 0 if
// the gap is at its beginning. What the archive has not settled, and stands before
// what it has behind the gap, or was here when the gap was found, is before it.
func (tx *Tx) GapEdge(gap int64, peer string) (message int64, err error) {
	_, err = tx.one(`SELECT coalesce((SELECT m.id FROM message m WHERE m.conversation = p.conversation AND m.place < (SELECT n.place FROM message n
				WHERE n.conversation = p.conversation AND n.place > p.place AND n.settled ORDER BY n.place LIMIT 1) ORDER BY m.place DESC LIMIT 1),
				(SELECT m.id FROM message m WHERE m.conversation = p.conversation AND m.place > p.place AND m.id <= g.newest ORDER BY m.place DESC LIMIT 1), p.id)
			FROM gap_edge e JOIN gap g ON g.id = e.gap JOIN conversation c ON c.id = e.conversation JOIN message p ON p.id = e.message WHERE e.gap = ? AND c.peer = ?`,
		func(st *sqlite3.Stmt) { message = st.ColumnInt64(0) }, gap, peer)
	if err != nil || message == 0 {
		return message, err
	}
	return tx.lineUpTo(message)
}

func (tx *Tx) edge(gap, conversation int64) (message int64, err error) {
	message = front
	_, err = tx.one(`SELECT message FROM gap_edge WHERE gap = ? AND conversation = ?`,
		func(st *sqlite3.Stmt) { message = st.ColumnInt64(0) }, gap, conversation)
	return message, err
}

// moveEdge makes a message the edge, if it stands behind that.
func (tx *Tx) moveEdge(gap, conversation, message int64) error {
	_, err := tx.change(`INSERT INTO gap_edge (gap, conversation, message) SELECT id, ?2, ?3 FROM gap WHERE id = ?1
		ON CONFLICT DO UPDATE SET message = ?3 WHERE
			(SELECT place FROM message WHERE id = ?3) > (SELECT place FROM message WHERE id = gap_edge.message)`, gap, conversation, message)
	return err
}

// leaveEdges has gaps begin one message earlier, where one that is taken away or
// moved was their edge.
func (tx *Tx) leaveEdges(conversation, message int64) error {
	var before int64
	found, err := tx.one(`SELECT b.id FROM message m JOIN message b ON b.conversation = m.conversation AND b.place < m.place
		WHERE m.id = ?1 AND EXISTS (SELECT 1 FROM gap_edge WHERE message = ?1) ORDER BY b.place DESC LIMIT 1`,
		func(st *sqlite3.Stmt) { before = st.ColumnInt64(0) }, message)
	if err != nil {
		return err
	}
	if found {
		_, err = tx.change(`UPDATE gap_edge SET message = ? WHERE message = ? AND conversation = ?`, before, message, conversation)
	} else {
		_, err = tx.change(`DELETE FROM gap_edge WHERE message = ? AND conversation = ?`, message, conversation)
	}
	return err
}

// AddInGap is AddArchived for what fills a gap: it goes where the gap begins.
func (tx *Tx) AddInGap(m *Message, gap int64) (added, reordered bool, err error) {
	conversation, err := tx.conversation(m.Peer)
	if err != nil {
		return false, false, err
	}
	after, err := tx.edge(gap, conversation)
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
		if err == nil {
			err = tx.moveEdge(gap, conversation, m.ID)
		}
		return true, how == inside || moved, err
	case archiveID == "":
		return how == replaced, false, nil
	}
	reordered, err = tx.SettleInGap(m.ID, gap, archiveID, m.Outgoing)
	return how == replaced, reordered, err
}

// SettleInGap is Settle for what the archive returns while a gap is filled. What
// is settled stays where it is.
func (tx *Tx) SettleInGap(id, gap int64, archiveID string, keeps bool) (moved bool, err error) {
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
	edge, err := tx.edge(gap, conversation)
	if err != nil {
		return false, err
	}
	from := int64(math.MinInt64)
	if edge != front {
		if from, err = tx.placeOf(edge); err != nil {
			return false, err
		}
	}
	if place > from {
		stays := keeps
		if keeps { // unless it stands behind the gap
			_, err = tx.one(`SELECT 1 FROM message WHERE conversation = ? AND place > ? AND place < ? AND settled LIMIT 1`,
				func(*sqlite3.Stmt) { stays = false }, conversation, from, place)
			if err != nil {
				return false, err
			}
		}
		if !stays {
			after, err := tx.clamp(conversation, edge, strand, epoch, counter, true)
			if err != nil {
				return false, err
			}
			if moved, err = tx.moveBehind(id, conversation, after); err != nil {
				return false, err
			}
		}
	}
	dragged, err := tx.settle(conversation, id)
	if err == nil {
		err = tx.moveEdge(gap, conversation, id)
	}
	return moved || dragged, err
}

// maxBefore bounds what StandBefore moves in one conversation.
const maxBefore = 1000

// StandBefore moves what was here before the archive was asked, and what it has not
// settled although everything behind the gap was taken, to where the gap begins: it
// was written before. newest is the id of the message that was stored last then.
// What waits to be sent stays.
func (tx *Tx) StandBefore(gap, newest int64) (moved bool, err error) {
	type late struct {
		id, conversation, edge int64
		strand                 []byte
		epoch                  int64
		counter                uint32
	}
	var list []late
	err = tx.query(`SELECT m.id, m.conversation, p.id, m.strand, m.epoch, m.counter FROM gap_edge e JOIN message p ON p.id = e.message
			JOIN message m ON m.conversation = e.conversation AND m.place > p.place
		WHERE e.gap = ? AND m.id <= ? AND NOT m.settled AND m.state NOT IN (?, ?) ORDER BY m.conversation, m.place LIMIT ?`,
		func(st *sqlite3.Stmt) {
			list = append(list, late{st.ColumnInt64(0), st.ColumnInt64(1), st.ColumnInt64(2), blob(st, 3), st.ColumnInt64(4), uint32(st.ColumnInt64(5))})
		}, gap, newest, int(Queued), int(Failed), maxBefore)
	if err != nil {
		return false, err
	}
	for i, x := range list {
		after := x.edge
		if i > 0 && list[i-1].conversation == x.conversation {
			after = list[i-1].id
		}
		if after, err = tx.clamp(x.conversation, after, x.strand, x.epoch, x.counter, true); err != nil {
			return moved, err
		}
		went, err := tx.moveBehind(x.id, x.conversation, after)
		if err != nil {
			return moved, err
		}
		moved = moved || went
	}
	return moved, nil
}

// moveBehind moves a message right behind another one, unless it stands there.
func (tx *Tx) moveBehind(id, conversation, after int64) (moved bool, err error) {
	if after == id {
		return false, nil
	}
	next := int64(0)
	_, err = tx.one(`SELECT id FROM message WHERE conversation = ?1 AND place > coalesce((SELECT place FROM message WHERE id = ?2), ?3) ORDER BY place LIMIT 1`,
		func(st *sqlite3.Stmt) { next = st.ColumnInt64(0) }, conversation, after, int64(math.MinInt64))
	if err != nil || next == id {
		return false, err
	}
	return true, tx.move(id, conversation, after)
}

// SplitGap makes two of a gap, where a message inside it came from the archive that
// is not known to follow the gap's beginning: the one returned is what lies behind
// that message, and begins in conversations where the whole one did. ErrTooManyGaps
// is returned if there is no room for one more.
func (tx *Tx) SplitGap(id int64, archiveID string, at time.Time) (behind int64, err error) {
	var g Gap
	found, err := tx.one(`SELECT archive, before, until, newest FROM gap WHERE id = ?`, func(st *sqlite3.Stmt) {
		g = Gap{Archive: st.ColumnText(0), Before: st.ColumnText(1), Until: fromMicro(st.ColumnInt64(2)), Newest: st.ColumnInt64(3)}
	}, id)
	if err != nil {
		return 0, err
	}
	if !found {
		return 0, ErrUnknown
	}
	gaps, err := tx.Gaps(g.Archive)
	if err != nil {
		return 0, err
	}
	if len(gaps) >= MaxGaps {
		return 0, ErrTooManyGaps
	}
	if _, err := tx.change(`INSERT INTO gap (archive, after, before, since, until, newest) VALUES (?, ?, ?, ?, ?, ?)`,
		g.Archive, archiveID, g.Before, at, g.Until, g.Newest); err != nil {
		return 0, err
	}
	behind = tx.s.conn.LastInsertRowID()
	if _, err := tx.change(`INSERT INTO gap_edge (gap, conversation, message) SELECT ?, conversation, message FROM gap_edge WHERE gap = ?`, behind, id); err != nil {
		return 0, err
	}
	return behind, tx.FillGapFromEnd(id, archiveID, at)
}

// Gap returns a gap; nil if there is none of this id.
func (tx *Tx) Gap(id int64) (g *Gap, err error) {
	_, err = tx.one(`SELECT id, archive, after, before, since, until, newest FROM gap WHERE id = ?`, func(st *sqlite3.Stmt) {
		x := scanGap(st)
		g = &x
	}, id)
	return g, err
}
