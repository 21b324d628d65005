package store

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ncruces/go-sqlite3"
)

// MaxHits bounds the messages that one search returns.
const MaxHits = 500

// Search says what to look for. What is empty does not narrow it.
type Search struct {
	Text   string    // as a person types it; see NewMatcher
	Peer   string    // the conversation: a bare JID
	Sender string    // as Message.Sender
	Urgent int       // at least so urgent: Urgent or Stat
	From   time.Time // the first instant
	Until  time.Time // the first instant after
	After  Cursor    // the end of the page before
	Limit  int       // messages on a page, at most MaxHits

	// Budget ends a page early when it has taken so long; 0 is never. There may be
	// more then, however few were found.
	Budget time.Duration
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
// index of each, which takes about a second for a million messages: give it a
// budget where others wait for their turn.
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
	found, end, err := tx.searchIndex(&q, m, &r, limit+2)
	if err != nil {
		return nil, Cursor{}, false, err
	}
	fresh, err := tx.searchNew(&q, m, &r)
	if err != nil {
		return nil, Cursor{}, false, err
	}
	found = append(found, fresh...)
	slices.SortFunc(found, newestFirst)
	for i := range found {
		h := &found[i]
		if q.After.set && cmp.Or(cmp.Compare(h.moment, q.After.moment), cmp.Compare(h.ID, q.After.id)) >= 0 {
			continue
		}
		if h.moment <= end {
			break
		}
		if len(hits) == limit {
			return hits, next, true, nil
		}
		hits = append(hits, h.Message)
		next = Cursor{h.moment, h.ID, true}
	}
	if end != math.MinInt64 {
		return hits, Cursor{end + 1, math.MinInt64, true}, true, nil
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

// searchIndex looks up what is indexed, one shard after the other, and returns
// the newest limit hits in order. Where the budget ends before that, end is the
// moment down to which it has come.
func (tx *Tx) searchIndex(q *Search, m Matcher, r *searchRange, limit int) (found []hit, end int64, err error) {
	parts := q.parts(m, r)
	if len(parts) == 0 {
		err = tx.query(searchAll, func(st *sqlite3.Stmt) { found = append(found, scanHit(st)) }, r.low, r.high, r.from, r.until, limit)
		return found, math.MinInt64, err
	}
	shards, err := tx.shardsIn(r)
	if err != nil {
		return nil, 0, err
	}
	var start time.Time
	if q.Budget > 0 {
		start = time.Now()
	}
	for i := range shards {
		s := &shards[i]
		if len(found) == limit && found[limit-1].moment > s.high {
			break
		}
		if i > 0 && q.Budget > 0 && time.Since(start) > q.Budget && s.high+1 < r.high { // some way further than the page before
			return found, s.high, nil
		}
		if i == 0 && len(parts) > 1 {
			if err := tx.countParts(parts, shards[0].id); err != nil {
				return nil, 0, err
			}
		}
		more, err := tx.searchShard(q, m, parts, r, s.id, limit)
		if err != nil {
			return nil, 0, err
		}
		found = append(found, more...)
		slices.SortFunc(found, newestFirst)
		found = found[:min(len(found), limit)]
	}
	return found, math.MinInt64, nil
}

func newestFirst(a, b hit) int {
	return cmp.Or(cmp.Compare(b.moment, a.moment), cmp.Compare(b.ID, a.ID))
}

func scanHit(st *sqlite3.Stmt) hit { return hit{scanMessage(st), st.ColumnInt64(messageWidth)} }

// part is one of the conditions of a search, all of which must hold.
type part struct {
	in    func(shard int64) string // in FTS5's language
	term  *term                    // nil if it is none
	texts int                      // how many there were in a shard
}

// parts are what the index can look up for a search.
func (q *Search) parts(m Matcher, r *searchRange) (list []part) {
	tagged := func(tag string) {
		list = append(list, part{in: func(shard int64) string { return `tags : "` + inShard(shard, tag) + `"` }})
	}
	if r.conversation != 0 {
		tagged(conversationTag(r.conversation))
	}
	if q.Sender != "" {
		tagged(senderTag(q.Sender))
	}
	if q.Urgent > Routine { // the mark is a word of the text
		list = append(list, part{in: func(shard int64) string {
			e := `body : ("` + inShard(shard, "stat") + `"`
			if q.Urgent == Urgent {
				e += ` OR "` + inShard(shard, "urgent") + `"`
			}
			return e + ")"
		}})
	}
	for i := range m.terms {
		list = append(list, part{in: m.terms[i].expression, term: &m.terms[i]})
	}
	return list
}

const (
	enoughTexts = 1000 // beyond, a part is frequent, however frequent it is
	fewTexts    = 40   // are sooner read than the index of what is frequent
)

// countParts counts, up to enoughTexts, how many texts of a shard each part is in,
// and sorts by that.
func (tx *Tx) countParts(parts []part, shard int64) error {
	for i := range parts {
		p := &parts[i]
		tries := []string{p.in(shard)}
		if p.term != nil && p.term.gathers() { // the word alone, which costs less, may be frequent enough
			tries = []string{strings.TrimSuffix(tries[0], "*"), tries[0]}
		}
		for _, match := range tries {
			if _, err := tx.one(`SELECT count(*) FROM (SELECT 1 FROM search f WHERE f.search MATCH ? LIMIT ?)`,
				func(st *sqlite3.Stmt) { p.texts = st.ColumnInt(0) }, match, tx.s.enoughTexts); err != nil {
				return err
			}
			if p.texts == tx.s.enoughTexts {
				break
			}
		}
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(a.texts, b.texts) })
	return nil
}

// searchShard returns the newest hits of a shard, at most limit. Where one part is
// rare and another frequent, it reads the few texts that have the rare one.
func (tx *Tx) searchShard(q *Search, m Matcher, parts []part, r *searchRange, shard int64, limit int) (found []hit, err error) {
	if rare := &parts[0]; len(parts) > 1 && rare.texts <= fewTexts && parts[len(parts)-1].texts >= tx.s.enoughTexts {
		few := make([]int64, 0, fewTexts+1)
		if err := tx.query(`SELECT f.rowid FROM search f WHERE f.search MATCH ? AND f.rowid BETWEEN ? AND ? ORDER BY f.rowid DESC LIMIT ?`,
			func(st *sqlite3.Stmt) { few = append(few, st.ColumnInt64(0)) }, rare.in(shard), r.low, r.high, fewTexts+1); err != nil {
			return nil, err
		}
		if len(few) <= fewTexts {
			for _, moment := range few {
				if _, err := tx.one(searchOne, func(st *sqlite3.Stmt) {
					if m.Empty() || m.Spans(st.ColumnText(messageBody)) != nil {
						found = append(found, scanHit(st))
					}
				}, moment, r.from, r.until, r.conversation, q.Sender, q.Urgent); err != nil {
					return nil, err
				}
			}
			return found, nil
		}
	}
	match := make([]string, len(parts))
	for i := range parts {
		p := &parts[i]
		match[i] = p.in(shard)
		if len(parts) > 1 && p.texts >= tx.s.enoughTexts && p.term != nil && p.term.gathers() {
			if match[i], err = tx.spellOut(p.term, shard); err != nil {
				return nil, err
			}
		}
	}
	err = tx.query(searchMatch, func(st *sqlite3.Stmt) { found = append(found, scanHit(st)) },
		r.low, r.high, r.from, r.until, limit, strings.Join(match, " AND "), r.conversation, q.Sender, q.Urgent)
	return found, err
}

// maxSpelled bounds the words that a beginning is spelled out as.
const maxSpelled = 16

// gathers reports whether FTS5 gathers all texts with a term before it returns the
// first: it has no index of beginnings of that length.
func (t *term) gathers() bool {
	return t.prefix && utf8.RuneCountInString(t.words[len(t.words)-1]) > 4
}

// spellOut is expression for a term that gathers and is frequent: with the words of
// the shard that begin as its last one does, if they are few. FTS5 reads those side
// by side, and only as far as needed.
func (tx *Tx) spellOut(t *term, shard int64) (string, error) {
	last := inShard(shard, t.words[len(t.words)-1])
	var found []string
	for from := last; ; {
		word := ""
		if _, err := tx.one(`SELECT term FROM temp.search_words WHERE term >= ? LIMIT 1`,
			func(st *sqlite3.Stmt) { word = st.ColumnText(0) }, from); err != nil {
			return "", err
		}
		if !strings.HasPrefix(word, last) {
			break
		}
		if len(found) == maxSpelled {
			return t.expression(shard), nil
		}
		found = append(found, word)
		from = word + "\x01" // no word has it, so this is right behind
	}
	if len(found) == 0 {
		return t.expression(shard), nil
	}
	head := strings.Join(t.words[:len(t.words)-1], " ")
	for i, w := range found {
		_, w = cutShard(w)
		found[i] = `"` + inShard(shard, strings.TrimLeft(head+" "+w, " ")) + `"`
	}
	return "body : (" + strings.Join(found, " OR ") + ")", nil
}

const (
	searchMatch = `SELECT ` + messageColumns + `, i.moment FROM search f CROSS JOIN indexed i ON i.moment = f.rowid
		CROSS JOIN message m ON m.id = i.message CROSS JOIN conversation c ON c.id = m.conversation
		WHERE f.search MATCH ?6 AND f.rowid BETWEEN ?1 AND ?2 AND m.time >= ?3 AND m.time < ?4
		AND (?7 = 0 OR m.conversation = ?7) AND (?8 = '' OR m.sender = ?8) AND m.urgency >= ?9 ORDER BY f.rowid DESC LIMIT ?5`
	searchOne = `SELECT ` + messageColumns + `, i.moment FROM indexed i
		CROSS JOIN message m ON m.id = i.message CROSS JOIN conversation c ON c.id = m.conversation
		WHERE i.moment = ?1 AND m.time >= ?2 AND m.time < ?3 AND (?4 = 0 OR m.conversation = ?4) AND (?5 = '' OR m.sender = ?5) AND m.urgency >= ?6`
	searchAll = `SELECT ` + messageColumns + `, i.moment FROM indexed i
		CROSS JOIN message m ON m.id = i.message CROSS JOIN conversation c ON c.id = m.conversation
		WHERE i.moment BETWEEN ?1 AND ?2 AND m.time >= ?3 AND m.time < ?4 ORDER BY i.moment DESC LIMIT ?5`
)

// searchNew reads through what is not indexed yet.
func (tx *Tx) searchNew(q *Search, m Matcher, r *searchRange) (found []hit, err error) {
	err = tx.query(`SELECT `+messageColumns+` FROM unindexed u CROSS JOIN message m ON m.id = u.message CROSS JOIN conversation c ON c.id = m.conversation
		WHERE m.time >= ?1 AND m.time < ?2 AND (?3 = 0 OR m.conversation = ?3) AND (?4 = '' OR m.sender = ?4) AND m.urgency >= ?5`,
		func(st *sqlite3.Stmt) {
			if !m.Empty() && m.Spans(st.ColumnText(messageBody)) == nil {
				return
			}
			x := scanMessage(st)
			found = append(found, hit{x, momentOf(x.Time.UnixMicro())})
		}, r.from, r.until, r.conversation, q.Sender, q.Urgent)
	return found, err
}
