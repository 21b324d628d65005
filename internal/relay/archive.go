package relay

import (
	"bytes"
	"errors"
	"strconv"
	"time"

	"github.com/ncruces/go-sqlite3"
	"mellium.im/xmpp/jid"
	"sotto/client/stanza"
)

// The message archive (XEP-0313): each account has its own, and nobody reads
// another's.

const defaultPage = 50

// archive adds a message to an archive, a person's or a room's, and returns its id.
func (c *core) archive(account int64, peer, resource string, wire []byte, now time.Time) int64 {
	c.makeRoom(account, int64(len(wire)))
	c.book(account, peer, 1, int64(len(wire)))
	return c.store.putArchive(account, peer, resource, wire, now)
}

func (s *store) putArchive(account int64, peer, resource string, wire []byte, now time.Time) int64 {
	s.lastID = max(s.lastID+1, micros(now))
	s.exec(`INSERT INTO archive(id, account, time, peer, resource, stanza) VALUES(?,?,?,?,?,?)`,
		s.lastID, account, micros(now), peer, resource, wire)
	return s.lastID
}

// archiveFilter is what a query asks for. Zero fields do not restrict.
type archiveFilter struct {
	account        int64
	peer, resource string
	start, end     int64 // microseconds since 1970; ids are times
	after, before  int64 // ids, exclusive
	backwards      bool  // the last page instead of the first
	limit          int
	size           int // bytes; a page holds one message at least
}

type archived struct {
	id     int64
	time   time.Time
	stanza []byte
}

// where returns the condition of f and its arguments.
func (f *archiveFilter) where() (string, []any) {
	sql, args := `account=?`, []any{f.account}
	for _, t := range []struct {
		use  bool
		sql  string
		what any
	}{
		{f.peer != "", ` AND peer=?`, f.peer}, {f.resource != "", ` AND resource=?`, f.resource},
		{f.start != 0, ` AND id>=?`, f.start}, {f.end != 0, ` AND id<=?`, f.end},
		{f.after != 0, ` AND id>?`, f.after}, {f.before != 0, ` AND id<?`, f.before},
	} {
		if t.use {
			sql += t.sql
			args = append(args, t.what)
		}
	}
	return sql, args
}

// page returns at most f.limit messages of f.size bytes in ascending order, and
// whether these are all that match.
func (s *store) page(f archiveFilter) (rows []archived, complete bool) {
	where, args := f.where()
	order := ` ORDER BY id LIMIT ?`
	if f.backwards {
		order = ` ORDER BY id DESC LIMIT ?`
	}
	left, cut := f.size, false
	s.each(`SELECT id, time, stanza FROM archive WHERE `+where+order, func(st *sqlite3.Stmt) bool {
		if left -= len(st.ColumnRawBlob(2)); left < 0 && len(rows) > 0 {
			cut = true
			return false
		}
		rows = append(rows, archived{st.ColumnInt64(0), time.UnixMicro(st.ColumnInt64(1)), bytes.Clone(st.ColumnRawBlob(2))})
		return true
	}, append(args, f.limit+1)...)
	complete = len(rows) <= f.limit && !cut
	rows = rows[:min(len(rows), f.limit)]
	if f.backwards {
		for i, j := 0, len(rows)-1; i < j; i, j = i+1, j-1 {
			rows[i], rows[j] = rows[j], rows[i]
		}
	}
	return rows, complete
}

// box is an archive and its address: the asker's own, or that of a room that the
// asker is a member of.
type box struct {
	account int64
	address string
}

// archiveQuery answers requests about an archive that the asker may read.
func (c *core) archiveQuery(q *request, b box) {
	switch {
	case q.payload.Local == "prefs": // fixed: everything is archived, hints apart
		c.yes(q, stanza.New(nsMAM, "prefs", stanza.New(nsMAM, "always"), stanza.New(nsMAM, "never")).With("default", "always"))
		return
	case !q.set:
		field := func(name, typ string) *stanza.Element {
			return stanza.New(nsData, "field").With("type", typ).With("var", name)
		}
		c.yes(q, stanza.New(nsMAM, "query", stanza.New(nsData, "x",
			field("FORM_TYPE", "hidden").Add(stanza.TextElement(nsData, "value", nsMAM)),
			field("with", "jid-single"), field("start", "text-single"), field("end", "text-single")).With("type", "form")))
		return
	}
	f, err := c.readArchiveQuery(q, b)
	if err != nil {
		var cond archiveError
		errors.As(err, &cond)
		c.no(q, "cancel", string(cond), "")
		return
	}
	set := stanza.New(nsRSM, "set")
	fin := stanza.New(nsMAM, "fin", set)
	if f.limit == 0 { // only the count is asked for
		where, args := f.where()
		set.Add(stanza.TextElement(nsRSM, "count", strconv.FormatInt(c.store.number(`SELECT count(*) FROM archive WHERE `+where, args...), 10)))
		c.yes(q, fin)
		return
	}
	f.size = c.portion() - q.s.unackedBytes
	rows, complete := c.store.page(f)
	for _, r := range rows {
		c.send(q.s, archiveResult(q, b, r))
	}
	if complete {
		fin.Set("complete", "true")
	}
	if len(rows) > 0 {
		set.Add(stanza.TextElement(nsRSM, "first", archiveID(rows[0].id)), stanza.TextElement(nsRSM, "last", archiveID(rows[len(rows)-1].id)))
	}
	c.yes(q, fin)
}

// archiveResult wraps one archived message. Its bytes are put in as they are:
// they were written by us and declare their own namespace.
func archiveResult(q *request, from box, r archived) []byte {
	const end = "</forwarded></result></message>"
	b := stanza.New(stanza.NSClient, "message",
		stanza.New(nsMAM, "result",
			stanza.New(nsForward, "forwarded",
				stanza.New(nsDelay, "delay").With("stamp", stamp(r.time)))).
			With("queryid", q.payload.Get("queryid")).With("id", archiveID(r.id))).
		With("from", from.address).With("to", q.s.full).Bytes()
	return append(append(b[:len(b)-len(end)], r.stanza...), end...)
}

// archiveError is the condition that answers a query.
type archiveError string

func (e archiveError) Error() string { return string(e) }

// readArchiveQuery reads the form (XEP-0313 section 4.1) and the page (XEP-0059).
func (c *core) readArchiveQuery(q *request, b box) (f archiveFilter, err error) {
	f.account = b.account
	if form := q.payload.Child(nsData, "x"); form != nil {
		for e := range form.Elements() {
			v := e.Child(nsData, "value").Text()
			switch e.Get("var") {
			case "FORM_TYPE":
				if v != nsMAM {
					return f, archiveError("bad-request")
				}
			case "with":
				j, err := jid.Parse(v)
				if err != nil {
					return f, archiveError("bad-request")
				}
				f.peer, f.resource = j.Bare().String(), j.Resourcepart()
				if f.peer == b.address && b.account < 0 { // by nick, not by address
					f.peer = ""
				}
			case "start":
				if f.start, err = archiveTime(v); err != nil {
					return f, err
				}
			case "end":
				if f.end, err = archiveTime(v); err != nil {
					return f, err
				}
			default:
				return f, archiveError("feature-not-implemented")
			}
		}
	}
	f.limit = min(defaultPage, c.limits.Page)
	set := q.payload.Child(nsRSM, "set")
	if m := set.Child(nsRSM, "max"); m != nil {
		n, err := strconv.ParseUint(m.Text(), 10, 31)
		if err != nil {
			return f, archiveError("bad-request")
		}
		f.limit = min(int(n), c.limits.Page)
	}
	if set.Child(nsRSM, "index") != nil {
		return f, archiveError("feature-not-implemented")
	}
	if f.after, err = c.archivePoint(f.account, set.Child(nsRSM, "after").Text()); err != nil {
		return f, err
	}
	before := set.Child(nsRSM, "before")
	f.backwards = before != nil
	f.before, err = c.archivePoint(f.account, before.Text())
	return f, err
}

// archivePoint looks up an id that a page starts from; it has to be in the
// asker's own archive.
func (c *core) archivePoint(account int64, id string) (int64, error) {
	if id == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(id, 36, 64)
	if err != nil || n <= 0 || archiveID(n) != id || c.store.number(`SELECT count(*) FROM archive WHERE id=? AND account=?`, n, account) == 0 {
		return 0, archiveError("item-not-found")
	}
	return n, nil
}

func archiveTime(v string) (int64, error) {
	t, err := time.Parse(time.RFC3339, v)
	if err != nil || t.Year() < 1970 || t.Year() > 9999 {
		return 0, archiveError("bad-request")
	}
	return max(micros(t), 1), nil
}
