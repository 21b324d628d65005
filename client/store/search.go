package store

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// MaxHits bounds the messages that one search returns.
const MaxHits = 500

// Search says what to look for. What is empty does not narrow it.
type Search struct {
	Text   string    // as a person types it; see NewMatcher
	Peer   string    // the conversation: a bare JID
	Sender string    // as Message.Sender
	From   time.Time // the first instant
	Until  time.Time // the first instant after
	After  Cursor    // the end of the page before
	Limit  int       // messages on a page, at most MaxHits
}

// Cursor is where a page of a search ends. The zero value is before the first.
type Cursor struct {
	moment, id int64
	set        bool
}

// Search returns the messages that hold what is searched for, the newest by their
// time first, and where the next page begins; more is false when there is none.
// Where the words stand tells [Matcher.Spans], which is asked about the text as it
// is shown. Notices, and what was recalled or has expired, are never found.
//
// A search for several words that are all frequent, and never together, reads the
// index of each, which takes about a second for a million messages.
func (tx *Tx) Search(q Search) (hits []Message, next Cursor, more bool, err error) {
	m := NewMatcher(q.Text)
	limit := min(q.Limit, MaxHits)
	if limit <= 0 || m.Empty() && strings.TrimSpace(q.Text) != "" {
		return nil, Cursor{}, false, nil // signs only
	}
	r := searchRange{low: math.MinInt64 / 2, high: math.MaxInt64 / 2, from: micros(q.From, math.MinInt64), until: micros(q.Until, math.MaxInt64)}
	if !q.From.IsZero() {
		r.low = momentOf(r.from)
	}
	if !q.Until.IsZero() {
		r.high = momentOf(r.until) + maxShift
	}
	if q.After.set {
		r.high = min(r.high, q.After.moment)
	}
	if q.Peer != "" {
		known, err := tx.one(`SELECT id FROM conversation WHERE peer = ?`, func(st *sqlite3.Stmt) { r.conversation = st.ColumnInt64(0) }, q.Peer)
		if err != nil || !known {
			return nil, Cursor{}, false, err
		}
	}
	found, err := tx.searchIndex(&q, m, &r, limit+2)
	if err != nil {
		return nil, Cursor{}, false, err
	}
	fresh, err := tx.searchNew(&q, m, &r)
	if err != nil {
		return nil, Cursor{}, false, err
	}
	found = append(found, fresh...)
	slices.SortFunc(found, func(a, b hit) int {
		return cmp.Or(cmp.Compare(b.moment, a.moment), cmp.Compare(b.ID, a.ID))
	})
	for i := range found {
		h := &found[i]
		if q.After.set && cmp.Or(cmp.Compare(h.moment, q.After.moment), cmp.Compare(h.ID, q.After.id)) >= 0 {
			continue
		}
		if len(hits) == limit {
			return hits, next, true, nil
		}
		hits = append(hits, h.Message)
		next = Cursor{h.moment, h.ID, true}
	}
	return hits, next, false, nil
}

// maxShift bounds, in moments, how far after its time a message is looked for
// that shares its time with others: two hours, enough for 100,000 of one instant.
const maxShift = 2 * 3600 * momentsASec

type hit struct {
	Message
	moment int64
}

// searchRange is what a search is narrowed to.
type searchRange struct {
	low, high    int64 // moments
	from, until  int64 // µs
	conversation int64 // 0 for any
}

// searchIndex looks up what is indexed.
func (tx *Tx) searchIndex(q *Search, m Matcher, r *searchRange, limit int) (found []hit, err error) {
	row := func(st *sqlite3.Stmt) { found = append(found, hit{scanMessage(st), st.ColumnInt64(messageWidth)}) }
	var tags []string
	if r.conversation != 0 {
		tags = append(tags, conversationTag(r.conversation))
	}
	if q.Sender != "" {
		tags = append(tags, senderTag(q.Sender))
	}
	var match []string
	if !m.Empty() {
		match = append(match, "body : ("+m.expression()+")")
	}
	if len(tags) > 0 {
		match = append(match, `tags : ("`+strings.Join(tags, `" AND "`)+`")`)
	}
	if len(match) == 0 {
		err = tx.query(searchAll, row, r.low, r.high, r.from, r.until, limit)
		return found, err
	}
	err = tx.query(searchMatch, row, r.low, r.high, r.from, r.until, limit, strings.Join(match, " AND "), r.conversation, q.Sender)
	return found, err
}

const (
	searchMatch = `SELECT ` + messageColumns + `, i.moment FROM search f CROSS JOIN indexed i ON i.moment = f.rowid
		CROSS JOIN message m ON m.id = i.message CROSS JOIN conversation c ON c.id = m.conversation
		WHERE f.search MATCH ?6 AND f.rowid BETWEEN ?1 AND ?2 AND m.time >= ?3 AND m.time < ?4
		AND (?7 = 0 OR m.conversation = ?7) AND (?8 = '' OR m.sender = ?8) ORDER BY f.rowid DESC LIMIT ?5`
	searchAll = `SELECT ` + messageColumns + `, i.moment FROM indexed i
		CROSS JOIN message m ON m.id = i.message CROSS JOIN conversation c ON c.id = m.conversation
		WHERE i.moment BETWEEN ?1 AND ?2 AND m.time >= ?3 AND m.time < ?4 ORDER BY i.moment DESC LIMIT ?5`
)

// searchNew reads through what is not indexed yet.
func (tx *Tx) searchNew(q *Search, m Matcher, r *searchRange) (found []hit, err error) {
	err = tx.query(`SELECT `+messageColumns+` FROM unindexed u CROSS JOIN message m ON m.id = u.message CROSS JOIN conversation c ON c.id = m.conversation
		WHERE m.time >= ?1 AND m.time < ?2 AND (?3 = 0 OR m.conversation = ?3) AND (?4 = '' OR m.sender = ?4)`,
		func(st *sqlite3.Stmt) {
			if !m.Empty() && m.Spans(st.ColumnText(messageBody)) == nil {
				return
			}
			x := scanMessage(st)
			found = append(found, hit{x, momentOf(x.Time.UnixMicro())})
		}, r.from, r.until, r.conversation, q.Sender)
	return found, err
}
