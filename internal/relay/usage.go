package relay

import (
	"time"

	"github.com/ncruces/go-sqlite3"
)

// How much archives take, and what goes first when there is no room left.
//
// An archive is bounded in messages and in bytes. When it is full, the oldest
// messages of whatever conversation takes most of it go, so that a colleague who
// writes a lot pushes out what that colleague wrote, and nobody else's words.

// usage counts messages and their bytes.
type usage struct{ messages, bytes int64 }

// share names a conversation in an archive; without a peer it is the whole.
type share struct {
	account int64
	peer    string
}

// books keeps the sums of archives in use, and what the present batch changes.
type books struct {
	totals  map[int64]usage
	changes map[share]usage
}

const bookedArchives = 16384 // sums kept in memory; others are read again

func newBooks() books { return books{map[int64]usage{}, map[share]usage{}} }

// total returns how much an archive takes.
func (c *core) total(account int64) usage {
	u, ok := c.books.totals[account]
	if !ok {
		c.store.each(`SELECT messages, bytes FROM archive_use WHERE account=? AND peer=''`, func(st *sqlite3.Stmt) bool {
			u = usage{st.ColumnInt64(0), st.ColumnInt64(1)}
			return false
		}, account)
		c.books.totals[account] = u
	}
	return u
}

// book adds to what a conversation takes of an archive.
func (c *core) book(account int64, peer string, messages, bytes int64) {
	u := c.total(account)
	c.books.totals[account] = usage{u.messages + messages, u.bytes + bytes}
	for _, s := range []share{{account, ""}, {account, peer}} {
		u := c.books.changes[s]
		c.books.changes[s] = usage{u.messages + messages, u.bytes + bytes}
	}
}

// writeBooks stores what the batch has changed.
func (c *core) writeBooks() {
	for s, u := range c.books.changes {
		c.store.exec(`INSERT INTO archive_use VALUES(?,?,?,?) ON CONFLICT DO UPDATE
			SET messages=messages+excluded.messages, bytes=bytes+excluded.bytes`, s.account, s.peer, u.messages, u.bytes)
	}
	clear(c.books.changes)
	if len(c.books.totals) > bookedArchives {
		clear(c.books.totals)
	}
}

// archiveBounds returns how large an archive may become.
func (c *core) archiveBounds(account int64) usage {
	if account < 0 {
		return usage{int64(c.limits.RoomArchive), int64(c.limits.RoomArchiveBytes)}
	}
	return usage{int64(c.limits.Archive), int64(c.limits.ArchiveBytes)}
}

// makeRoom deletes from an archive until a message of size bytes fits.
func (c *core) makeRoom(account, size int64) {
	most := c.archiveBounds(account)
	for {
		u := c.total(account)
		var order string
		switch {
		case u.bytes+size > most.bytes:
			order = `bytes`
		case u.messages+1 > most.messages:
			order = `messages`
		default:
			return
		}
		c.writeBooks()
		peer, found := "", false
		c.store.each(`SELECT peer FROM archive_use WHERE account=? AND peer<>'' AND messages>0 ORDER BY `+order+` DESC LIMIT 1`,
			func(st *sqlite3.Stmt) bool { peer, found = st.ColumnText(0), true; return false }, account)
		if !found || c.prune(account, peer, max(most.messages/100, 1), max(most.bytes/100, size)) == 0 {
			return
		}
	}
}

// prune deletes the oldest messages of a conversation, up to the first of the
// two bounds, and returns how many.
func (c *core) prune(account int64, peer string, messages, bytes int64) int64 {
	var last, n, freed int64
	c.store.each(`SELECT id, length(stanza) FROM archive WHERE account=? AND peer=? ORDER BY id LIMIT ?`, func(st *sqlite3.Stmt) bool {
		last = st.ColumnInt64(0)
		n++
		freed += st.ColumnInt64(1)
		return freed < bytes
	}, account, peer, messages)
	if n > 0 {
		c.store.exec(`DELETE FROM archive WHERE account=? AND peer=? AND id<=?`, account, peer, last)
		c.book(account, peer, -n, -freed)
	}
	return n
}

const sweepSize = 2000 // rows deleted at a time, so that nobody waits for it

// sweep deletes some of what is older than it shall be kept, and some of what
// belonged to rooms that are gone.
func (c *core) sweep(now time.Time) {
	if c.cfg.Keep > 0 {
		c.sweepArchive(`SELECT id, account, peer, length(stanza) FROM archive WHERE id<? ORDER BY id LIMIT ?`, micros(now.Add(-c.cfg.Keep)))
		c.sweepMailbox(micros(now.Add(-c.cfg.Keep)))
	}
	if account := c.store.number(`SELECT account FROM garbage LIMIT 1`); account != 0 {
		if c.sweepArchive(`SELECT id, account, peer, length(stanza) FROM archive WHERE account=? LIMIT ?`, account) < sweepSize {
			c.store.exec(`DELETE FROM archive_use WHERE account=?`, account)
			c.store.exec(`DELETE FROM garbage WHERE account=?`, account)
			delete(c.books.totals, account)
			for s := range c.books.changes {
				if s.account == account {
					delete(c.books.changes, s)
				}
			}
		}
	}
}

// sweepArchive deletes what a query names and returns how many that were.
func (c *core) sweepArchive(sql string, arg int64) int {
	type row struct {
		id, account, size int64
		peer              string
	}
	var rows []row
	c.store.each(sql, func(st *sqlite3.Stmt) bool {
		rows = append(rows, row{st.ColumnInt64(0), st.ColumnInt64(1), st.ColumnInt64(3), st.ColumnText(2)})
		return true
	}, arg, sweepSize)
	for _, r := range rows {
		c.store.exec(`DELETE FROM archive WHERE id=?`, r.id)
		c.book(r.account, r.peer, -1, -r.size)
	}
	return len(rows)
}

// sweepMailbox deletes messages that waited for too long.
func (c *core) sweepMailbox(before int64) {
	type row struct{ id, account, size int64 }
	var rows []row
	c.store.each(`SELECT id, account, coalesce(length(stanza), 0) FROM mailbox WHERE time<? ORDER BY id LIMIT ?`, func(st *sqlite3.Stmt) bool {
		rows = append(rows, row{st.ColumnInt64(0), st.ColumnInt64(1), st.ColumnInt64(2)})
		return true
	}, before, sweepSize)
	for _, r := range rows {
		a := c.byID[r.account]
		switch {
		case a == nil:
			c.store.exec(`DELETE FROM mailbox WHERE id=?`, r.id)
		case a.inFlight[r.id] == nil:
			c.settle(a, &mail{id: r.id, own: r.size})
		}
	}
}
