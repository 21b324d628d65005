package relay

import (
	"bytes"
	"time"

	"github.com/ncruces/go-sqlite3"
	"sotto/client/stanza"
)

// The mailbox (XEP-0160): messages that no client has acknowledged yet.

// pumpSize is how many mailbox messages are on their way to a client at a time.
const pumpSize = 250

// mailFor puts l into the recipient's mailbox and returns the row, or nil if
// that is not needed, because somebody is there who cannot acknowledge.
func (c *core) mailFor(l *letter, archived int64, wire []byte, now time.Time) *mail {
	a := l.to.account
	for _, o := range l.recipients {
		if !o.sm && !o.mailPending {
			return nil
		}
	}
	m := &mail{}
	if archived != 0 {
		m.id = c.store.putMail(a.id, l.peer(), now, archived, nil)
	} else {
		m.id = c.store.putMail(a.id, l.peer(), now, 0, wire)
		m.own = int64(len(wire))
	}
	a.mail++
	a.held += m.own
	return m
}

// openMailbox starts to send s what waits for its account.
func (c *core) openMailbox(s *session) {
	s.mailCursor = 0
	c.pumpNow(s)
}

// pump sends s the next messages of the mailbox if it keeps up.
func (c *core) pump(s *session) {
	if s.conn == nil || s.conn.queue.idle() && len(s.unacked) <= 2*pumpSize && s.unackedBytes <= c.portion()/2 {
		c.pumpNow(s)
	}
}

// portion is how many bytes of what is stored a session is sent before it has
// to acknowledge some. It leaves room for what is live: who was sent large
// messages while away must not lose the session over getting them.
func (c *core) portion() int { return c.limits.UnackedBytes / 2 }

// pumpNow sends s the next messages of the mailbox.
func (c *core) pumpNow(s *session) {
	if !s.available || s.priority < 0 || s.account.mail == 0 || s.closed {
		s.mailPending = false
		return
	}
	s.mailPending = true
	if s.conn == nil {
		return
	}
	a := s.account
	c.forgetDelivered() // or they would be read again
	rows, more := c.store.mailbox(a.id, s.mailCursor, pumpSize, c.portion())
	used := s.unackedBytes
	for _, r := range rows {
		m := a.inFlight[r.id]
		switch {
		case m == nil:
			m = &mail{id: r.id}
			if r.archived == 0 {
				m.own = int64(len(r.stanza))
			}
		case m.live > 0 || s.holds(m):
			s.mailCursor = r.id
			continue // somebody is there to acknowledge it
		}
		el, err := stanza.Parse(r.stanza)
		if err != nil { // archived by us, so only a message that was pruned
			s.mailCursor = r.id
			c.settle(a, m)
			continue
		}
		if r.archived != 0 {
			el = withStanzaID(el, r.archived, a.bare)
		}
		el.Add(stanza.New(nsDelay, "delay").With("from", c.domain).With("stamp", stamp(r.time)))
		data := el.Bytes()
		if used > 0 && used+len(data) > c.portion() {
			return // and goes on when there is room
		}
		used += len(data)
		s.mailCursor = r.id
		c.sendMail(s, data, m)
		if s.closed || len(c.doomed) > 0 {
			return
		}
	}
	s.mailPending = more
}

// holds reports whether s has been sent m already.
func (s *session) holds(m *mail) bool {
	for _, o := range s.unacked {
		if o.mail == m {
			return true
		}
	}
	return false
}

// forgetDelivered deletes the mailbox rows of messages that have arrived. It
// can be late: after a crash they are sent again, and clients know them by id.
func (c *core) forgetDelivered() {
	for _, id := range c.delivered {
		c.store.exec(`DELETE FROM mailbox WHERE id=?`, id)
	}
	c.delivered = c.delivered[:0]
}

type mailRow struct {
	id, archived int64
	time         time.Time
	stanza       []byte
}

// putMail adds a row that points into the archive or holds data.
func (s *store) putMail(account int64, peer string, now time.Time, archived int64, data []byte) int64 {
	var ref any
	if archived != 0 {
		ref = archived
	}
	s.exec(`INSERT INTO mailbox(account, peer, time, archive, stanza) VALUES(?,?,?,?,?)`, account, peer, micros(now), ref, data)
	return s.db.LastInsertRowID()
}

// mailbox returns rows after the given one, oldest first, of size bytes or one
// row, and whether there may be more.
func (s *store) mailbox(account, after int64, limit, size int) (rows []mailRow, more bool) {
	s.each(`SELECT m.id, coalesce(m.archive, 0), m.time, coalesce(a.stanza, m.stanza)
		FROM mailbox m LEFT JOIN archive a ON a.id = m.archive
		WHERE m.account=? AND m.id>? ORDER BY m.id LIMIT ?`, func(st *sqlite3.Stmt) bool {
		if size -= len(st.ColumnRawBlob(3)); size < 0 && len(rows) > 0 {
			more = true
			return false
		}
		rows = append(rows, mailRow{st.ColumnInt64(0), st.ColumnInt64(1), time.UnixMicro(st.ColumnInt64(2)), bytes.Clone(st.ColumnRawBlob(3))})
		return true
	}, account, after, limit)
	return rows, more || len(rows) == limit
}
