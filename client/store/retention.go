package store

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// Retention is how long texts are kept here at most, counted from when they were
// sent: an organisation's policy says so. It is no time to live of a message: what is
// kept under a longer retention later is what is still here then. What is older goes
// with Expire, and so before Open returns.

// retentionName is the value that says how long texts are kept, in microseconds.
const retentionName = "retention"

// SetRetention says how long texts are kept; 0 for as long as they live. Call Expire
// after it.
func (tx *Tx) SetRetention(d time.Duration) error {
	if d < 0 || d > MaxLifespan {
		return fmt.Errorf("storing how long texts are kept: %v is not between 0 and %v", d, MaxLifespan)
	}
	if d == 0 {
		return tx.SetValue(retentionName, nil)
	}
	return tx.SetValue(retentionName, strconv.AppendInt(nil, d.Microseconds(), 10))
}

// Retention returns what SetRetention was told.
func (tx *Tx) Retention() (time.Duration, error) {
	b, err := tx.Value(retentionName)
	if err != nil || b == nil {
		return 0, err
	}
	us, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil || us < 0 || us > MaxLifespan.Microseconds() {
		return 0, fmt.Errorf("reading how long texts are kept: %q is no time", b)
	}
	return time.Duration(us) * time.Microsecond, nil
}

// outdated adds to a batch up to so many messages whose texts are older than the
// retention. They are found by the search index, which knows every text by its time.
func (tx *Tx) outdated(now time.Time, most int, add func(*sqlite3.Stmt, time.Time)) error {
	keep, err := tx.Retention()
	if err != nil || keep == 0 || most <= 0 {
		return err
	}
	until := now.Add(-keep)
	n := 0
	row := func(st *sqlite3.Stmt) {
		n++
		add(st, fromMicro(st.ColumnInt64(5)).Add(keep))
	}
	const columns = `SELECT m.id, c.peer, m.origin, m.sender, m.outgoing, m.time, m.expires, m.place, m.body FROM `
	const joined = ` CROSS JOIN message m ON m.id = i.message CROSS JOIN conversation c ON c.id = m.conversation `
	const alive = ` AND (m.expires = 0 OR m.expires > ?) ` // else Expire has it already
	if err := tx.query(columns+`indexed i`+joined+`WHERE i.moment <= ?`+alive+`ORDER BY i.moment LIMIT ?`, row, momentOf(until.UnixMicro()), now, most); err != nil || n == most {
		return err
	}
	return tx.query(columns+`unindexed i`+joined+`WHERE m.time <= ?`+alive+`LIMIT ?`, row, until, now, most-n)
}

// nextOutdated returns when the next text is too old; zero if none will be.
func (tx *Tx) nextOutdated() (at time.Time, err error) {
	keep, err := tx.Retention()
	if err != nil || keep == 0 {
		return at, err
	}
	first := int64(math.MaxInt64)
	if err := tx.query(`SELECT moment FROM indexed ORDER BY moment LIMIT 1`, func(st *sqlite3.Stmt) {
		first = (st.ColumnInt64(0) + 1) * (1_000_000 / momentsASec)
	}); err != nil {
		return at, err
	}
	if err := tx.query(`SELECT min(m.time) FROM unindexed i CROSS JOIN message m ON m.id = i.message HAVING count(*) > 0`, func(st *sqlite3.Stmt) {
		first = min(first, st.ColumnInt64(0))
	}); err != nil || first == math.MaxInt64 {
		return at, err
	}
	return fromMicro(first).Add(keep), nil
}
