package store

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"

	"sotto/client/quote"
)

// Expired is a message whose time to live has ended, and what is known of it
// without its text.
type Expired struct {
	ID       int64
	Peer     string
	OriginID string
	Sender   string
	Outgoing bool
	Time     time.Time // of the message
	Due      time.Time // when its life ended
	ByPolicy bool      // it was older than the retention
}

// ending are the texts of a conversation whose time has ended, and the place where
// the first of them stands.
type ending struct {
	from   int64
	bodies []string
}

// expireBatch bounds the messages that expire in one transaction.
const expireBatch = 1000

// Expire removes what the messages say whose time to live has ended by now, or that
// are older than the retention: text,
// index, marks, reactions and the keys of attachments, and their words where they are
// quoted further down. Their lines stay, as gone. quoting are the messages that have
// quoted them. When it returns they are gone from the file and its WAL; an error says that
// some may not be, and what is returned with it is gone. Audit what it returns.
//
// Open does the same before it returns, so that what has expired meanwhile is
// never shown; see [Store.ExpiredAtOpen]. After that, call Expire at NextExpiry.
func (s *Store) Expire(ctx context.Context, now time.Time) (gone []Expired, quoting []int64, err error) {
	for {
		var (
			batch  []Expired
			quotes []int64
		)
		err := s.Update(ctx, func(tx *Tx) error {
			batch, quotes = nil, nil
			ends := make(map[string]*ending)
			keep, err := tx.Retention()
			if err != nil {
				return err
			}
			take := func(st *sqlite3.Stmt, due time.Time) {
				written := fromMicro(st.ColumnInt64(5))
				batch = append(batch, Expired{st.ColumnInt64(0), st.ColumnText(1), st.ColumnText(2), st.ColumnText(3), st.ColumnBool(4),
					written, due, keep > 0 && !due.Before(written.Add(keep))})
				e := ends[st.ColumnText(1)]
				if e == nil {
					e = &ending{from: math.MaxInt64}
					ends[st.ColumnText(1)] = e
				}
				e.from = min(e.from, st.ColumnInt64(7))
				e.bodies = append(e.bodies, st.ColumnText(8))
			}
			if err := tx.query(`SELECT m.id, c.peer, m.origin, m.sender, m.outgoing, m.time, m.expires, m.place, m.body
				FROM message m CROSS JOIN conversation c ON c.id = m.conversation
				WHERE m.expires > 0 AND m.expires <= ? ORDER BY m.expires LIMIT ?`, func(st *sqlite3.Stmt) {
				take(st, fromMicro(st.ColumnInt64(6)))
			}, now, expireBatch); err != nil {
				return err
			}
			if err := tx.outdated(now, expireBatch-len(batch), take); err != nil {
				return err
			}
			for i := range batch {
				if _, err := tx.forget(batch[i].ID, RanOut, "", batch[i].Due); err != nil {
					return err
				}
				// Nobody knows here whose log it belongs into: see TakeExpired.
				if err := tx.SetValue(expiredName(batch[i].ID), batch[i].note()); err != nil {
					return err
				}
			}
			for peer, e := range ends {
				ids, err := tx.removeQuotes(peer, e.from, e.bodies, quote.Expired)
				if err != nil {
					return err
				}
				quotes = append(quotes, ids...)
			}
			return nil
		})
		if err != nil {
			return gone, quoting, err
		}
		gone, quoting = append(gone, batch...), append(quoting, quotes...)
		if len(batch) < expireBatch {
			return gone, quoting, s.Purge(ctx)
		}
	}
}

const expiredPrefix = "audit.expired."

func expiredName(id int64) string { return expiredPrefix + strconv.FormatInt(id, 10) }

// note is what is kept of it for TakeExpired. An origin id is somebody else's, so what
// is ours stands before it, and no address is empty.
func (e *Expired) note() []byte {
	s := e.Peer + "\n" + e.OriginID
	if e.ByPolicy {
		s = "\n" + s
	}
	return []byte(s)
}

// TakeExpired returns messages that expired and were not returned before, at most
// limit: only what it takes to say so in the audit log. Call it in the transaction
// that does.
func (tx *Tx) TakeExpired(limit int) (list []Expired, err error) {
	var names []string
	err = tx.query(`SELECT name, value FROM value WHERE name > ? AND name < ? ORDER BY name LIMIT ?`, func(st *sqlite3.Stmt) {
		names = append(names, st.ColumnText(0))
		id, _ := strconv.ParseInt(strings.TrimPrefix(st.ColumnText(0), expiredPrefix), 10, 64)
		note, policy := strings.CutPrefix(st.ColumnText(1), "\n")
		peer, origin, _ := strings.Cut(note, "\n")
		list = append(list, Expired{ID: id, Peer: peer, OriginID: origin, ByPolicy: policy})
	}, expiredPrefix, expiredPrefix+"~", limit)
	for _, name := range names {
		if err == nil {
			err = tx.SetValue(name, nil)
		}
	}
	return list, err
}

// ExpiredAtOpen returns what expired when the database was opened.
func (s *Store) ExpiredAtOpen() []Expired { return s.expired }

// NextExpiry returns when the next message expires; zero if none will.
func (tx *Tx) NextExpiry() (at time.Time, err error) {
	if _, err = tx.one(`SELECT expires FROM message WHERE expires > 0 ORDER BY expires LIMIT 1`,
		func(st *sqlite3.Stmt) { at = fromMicro(st.ColumnInt64(0)) }); err != nil {
		return at, err
	}
	old, err := tx.nextOutdated()
	if at.IsZero() || !old.IsZero() && old.Before(at) {
		at = old
	}
	return at, err
}

// SetExpires says when the text of a message goes; zero for never.
func (tx *Tx) SetExpires(messageID int64, at time.Time) error {
	n, err := tx.change(`UPDATE message SET expires = ? WHERE id = ? AND gone = 0`, at, messageID)
	if err == nil && n == 0 {
		return ErrUnknown
	}
	return err
}

// MaxLifespan is the longest time to live of a conversation's messages.
const MaxLifespan = 100 * 365 * 24 * time.Hour

// SetLifespan says how long messages of a conversation live from the moment they
// are stored here, if they do not live shorter by themselves; 0 for ever. It holds
// for what is stored from then on.
func (tx *Tx) SetLifespan(peer string, d time.Duration) error {
	if peer == "" {
		return fmt.Errorf("storing a lifespan: %w", errNoPeer)
	}
	if d < 0 || d > MaxLifespan {
		return fmt.Errorf("storing a lifespan: %v is not between 0 and %v", d, MaxLifespan)
	}
	_, err := tx.change(`INSERT INTO conversation (peer, lifespan) VALUES (?, ?)
		ON CONFLICT DO UPDATE SET lifespan = excluded.lifespan`, peer, d.Microseconds())
	return err
}

// Lifespan returns what SetLifespan was told.
func (tx *Tx) Lifespan(peer string) (d time.Duration, err error) {
	_, err = tx.one(`SELECT lifespan FROM conversation WHERE peer = ?`,
		func(st *sqlite3.Stmt) { d = time.Duration(st.ColumnInt64(0)) * time.Microsecond }, peer)
	return d, err
}
