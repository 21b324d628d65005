package client

import (
	"crypto/rand"
	"time"

	"sotto/client/stanza"
	"sotto/client/store"
)

// archive is how far the own archive (XEP-0313) has been taken over.
//
// The position, the id of the last result that was stored, moves only with
// results, each in the transaction that stores it. The ids that live messages
// carry do not move it: servers archive and deliver side by side, and a server
// that does not strip such ids lets any sender choose them. What came live is
// therefore taken from the archive once more, some minutes later or in the next
// session; most of it turns out to be here.
type archive struct {
	pager
	done   bool      // nothing is missing but what comes live
	none   bool      // there is no archive
	query  string    // the page under way
	after  string    // what it follows
	since  time.Time // instead of after, when the position was lost
	newest bool      // only the newest page is wanted: nothing was ever taken
	past   bool      // what cannot be read may be from before this device
	syncAt time.Time // when to ask for what came live meanwhile; zero: nothing did

	base      int64 // the message that was stored last when the session began
	reordered bool  // the screen is to read again
}

const (
	pageSize      = 250
	firstPage     = 100
	pageRetry     = 30 * time.Second
	archiveMargin = 10 * time.Minute       // stamps of an archive may be so much out of order
	syncSoon      = 200 * time.Millisecond // after something that may be out of order
	syncLater     = 5 * time.Minute        // after something live

	valueArchive = "archive.time"   // the archive's stamp of the position
	valueCaught  = "archive.caught" // set once everything was taken over
)

// catchUp asks the archive for what is missing here.
func (c *Client) catchUp() {
	a := &c.archive
	var caught []byte
	err := c.store.View(c.ctx, func(tx *store.Tx) (err error) {
		if a.after, err = tx.ArchivePosition(c.self); err != nil {
			return err
		}
		if caught, err = tx.Value(valueCaught); err != nil {
			return err
		}
		if !a.done {
			a.base, err = tx.Newest()
		}
		return err
	})
	if err != nil {
		c.log.Error("read the archive position", "err", err)
		c.later(storeRetry, c.catchUp)
		return
	}
	// A new device can read nothing of the past. The newest page is enough to
	// say so, and to find the place to go on from. An archive that was empty
	// when it was last looked at, however, is wanted from its beginning.
	a.newest = a.after == "" && caught == nil
	a.past, a.since, a.syncAt = a.newest, time.Time{}, time.Time{}
	a.begin()
	c.page()
}

// syncBy has the archive asked within d for what came live.
func (c *Client) syncBy(d time.Duration) {
	at := time.Now().Add(d)
	if a := &c.archive; a.syncAt.IsZero() || at.Before(a.syncAt) {
		a.syncAt = at
	}
}

// syncArchive asks the archive when that is due.
func (c *Client) syncArchive(now time.Time) {
	if a := &c.archive; c.online && a.done && !a.none && a.query == "" && !a.rests(now) && !a.syncAt.IsZero() && now.After(a.syncAt) {
		c.catchUp()
	}
}

// page asks for one page. Its messages come before the reply, each in the
// transaction that also moves the archive position.
func (c *Client) page() {
	a := &c.archive
	a.query, a.pager.page = rand.Text(), pageSoFar{}
	q := stanza.MAMQuery{QueryID: a.query, After: a.after, Max: pageSize, Start: a.since}
	if a.newest {
		q.Last, q.Max = true, firstPage
	}
	c.askFor(pageTimeout, "set", "", q.Element(), func(e *stanza.Element, err error) {
		a.query = ""
		var fin stanza.MAMFin
		if err == nil {
			fin, err = stanza.ReadMAMFin(e)
		}
		switch cond := condition(err); {
		case a.after != "" && (cond == "item-not-found" || cond == "bad-request" || cond == "not-acceptable"):
			c.positionLost()
		case cond == "feature-not-implemented" || cond == "service-unavailable":
			a.none = true
			c.sayOnce("", "This relay keeps no archive: what was sent while no device of yours was online may be missing. Ask its administrator for message archiving (XEP-0313)")
			c.caughtUp()
		case err != nil:
			c.log.Warn("archive page", "err", err)
			c.later(pageRetry, c.page)
		case a.newest:
			c.caughtUp()
		default:
			what, last := a.next(fin, a.after)
			if what == allHere {
				c.caughtUp()
				return
			}
			a.after = last
			c.behind(c.self, last, a.pager.newest)
			if what == enough {
				c.leave(c.self, &a.pager)
				c.caughtUp()
				return
			}
			c.tellState()
			c.page()
		}
	})
}

// positionLost goes on by the archive's own time when it does not know the
// message that was the position; or with all that it has, if there is no time.
func (c *Client) positionLost() {
	a := &c.archive
	err := c.store.View(c.ctx, func(tx *store.Tx) error {
		b, err := tx.Value(valueArchive)
		if err != nil {
			return err
		}
		var t time.Time
		if t.UnmarshalBinary(b) == nil {
			a.since, a.lost = t.Add(-archiveMargin), &lost{a.after, t, a.base}
		}
		return nil
	})
	if err != nil {
		c.log.Error("read the archive position", "err", err)
	}
	a.after, a.past = "", true
	c.page()
}

// keepPosition stores the position that results have moved to.
func (c *Client) keepPosition(tx *store.Tx, fx *effects) error {
	if fx.position == "" {
		return nil
	}
	if !fx.stamp.IsZero() {
		b, err := fx.stamp.MarshalBinary()
		if err == nil {
			err = tx.SetValue(valueArchive, b)
		}
		if err != nil {
			return err
		}
	}
	if c.archive.pages > 0 {
		if err := pending(tx, c.self, fx.position, fx.stamp); err != nil {
			return err
		}
	}
	return tx.SetArchivePosition(c.self, fx.position)
}

// caughtUp marks the end of catching up: answers that were put off go out, and
// so does what waits to be sent.
func (c *Client) caughtUp() {
	a := &c.archive
	first := !a.done
	a.done, a.past, c.archiveDone, c.sendBy = true, false, true, time.Time{}
	if a.reordered {
		a.reordered = false
		c.events.put(Resync{})
	}
	c.refill()
	c.noneBehind(c.self, &a.pager)
	c.standBefore(&a.pager, a.base)
	if !first {
		return
	}
	c.update("note that the archive was taken over", func(tx *store.Tx, _ *effects) error {
		return tx.SetValue(valueCaught, []byte{1})
	})
	c.sendAnswers()
	c.sendRecallAnswers()
	c.tellState() // first: who is told that it is done finds it so
	c.events.put(CaughtUp{})
	c.flush()
	c.fillNext()
}
