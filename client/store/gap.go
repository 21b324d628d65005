package store

import (
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// Gap is a part of an archive (XEP-0313) that may not be here: what lies between
// two messages that are.
type Gap struct {
	ID      int64
	Archive string    // its bare JID: our own, or a room's
	After   string    // archive id of the last that is here before it; "" if it reaches to the beginning
	Before  string    // of the first that is here behind it; "" if it reaches to the end
	Since   time.Time // when those two were sent, as far as known
	Until   time.Time
	Newest  int64 // id of the message that was stored last before the gap was found; 0 if unknown
}

// MaxGaps is how many gaps of one archive are remembered. Beyond, the two oldest
// become one.
const MaxGaps = 64

// AddGap notes a gap, and returns its id. One that lies between the same two is
// the same. Call it before anything is stored that stands behind it.
func (tx *Tx) AddGap(g Gap) (id int64, err error) {
	if g.Archive == "" || len(g.After) > maxID || len(g.Before) > maxID {
		return 0, fmt.Errorf("noting a gap in an archive: %w", errNoPeer)
	}
	found, err := tx.one(`SELECT id FROM gap WHERE archive = ? AND after = ? AND before = ?`,
		func(st *sqlite3.Stmt) { id = st.ColumnInt64(0) }, g.Archive, g.After, g.Before)
	if err != nil || found {
		return id, err
	}
	gaps, err := tx.Gaps(g.Archive)
	if err != nil {
		return 0, err
	}
	if len(gaps) >= MaxGaps {
		first, second := gaps[0], gaps[1]
		if _, err := tx.change(`UPDATE gap SET before = ?, until = ? WHERE id = ?`, second.Before, second.Until, first.ID); err != nil {
			return 0, err
		}
		if err := tx.CloseGap(second.ID); err != nil {
			return 0, err
		}
	}
	if _, err := tx.change(`INSERT INTO gap (archive, after, before, since, until, newest) VALUES (?, ?, ?, ?, ?, ?)`,
		g.Archive, g.After, g.Before, g.Since, g.Until, g.Newest); err != nil {
		return 0, err
	}
	id = tx.s.conn.LastInsertRowID()
	if g.Before == "" {
		return id, nil
	}
	return id, tx.noteEdges(id, g.Archive)
}

// Gaps returns the gaps of an archive, oldest first.
func (tx *Tx) Gaps(archive string) (list []Gap, err error) {
	err = tx.query(`SELECT id, archive, after, before, since, until, newest FROM gap WHERE archive = ? ORDER BY since, id`, func(st *sqlite3.Stmt) {
		list = append(list, scanGap(st))
	}, archive)
	return list, err
}

func scanGap(st *sqlite3.Stmt) Gap {
	return Gap{st.ColumnInt64(0), st.ColumnText(1), st.ColumnText(2), st.ColumnText(3),
		fromMicro(st.ColumnInt64(4)), fromMicro(st.ColumnInt64(5)), st.ColumnInt64(6)}
}

// FillGap notes that what follows a gap's beginning is here up to the message with
// an archive id, sent at a time; call it in the transaction that stores a page. A
// gap that reaches its end by that is closed.
func (tx *Tx) FillGap(id int64, upTo string, at time.Time) error {
	return tx.shrink(`UPDATE gap SET after = ?1, since = ?2 WHERE id = ?3 AND ?1 <> ''`, id, upTo, at)
}

// FillGapFromEnd notes that what comes before a gap's end is here down to the
// message with an archive id, as FillGap does from the other side.
func (tx *Tx) FillGapFromEnd(id int64, downTo string, at time.Time) error {
	return tx.shrink(`UPDATE gap SET before = ?1, until = ?2 WHERE id = ?3 AND ?1 <> ''`, id, downTo, at)
}

func (tx *Tx) shrink(sql string, id int64, archiveID string, at time.Time) error {
	if len(archiveID) > maxID {
		return fmt.Errorf("filling a gap in an archive: its id is too long")
	}
	n, err := tx.change(sql, archiveID, at, id)
	if err != nil {
		return err
	}
	if n == 0 {
		return ErrUnknown
	}
	_, err = tx.change(`DELETE FROM gap WHERE id = ? AND after = before AND after <> ''`, id)
	return err
}

// CloseGap notes that nothing is missing there any more. It may be gone already.
func (tx *Tx) CloseGap(id int64) error {
	_, err := tx.change(`DELETE FROM gap WHERE id = ?`, id)
	return err
}
