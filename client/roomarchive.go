package client

import (
	"crypto/rand"
	"time"

	"sotto/client/stanza"
	"sotto/client/store"
)

// roomArchive is how far a room's archive has been taken over; as archive is for
// the own one, and by the same rules.
type roomArchive struct {
	pager
	none   bool      // there is none
	done   bool      // nothing is missing but what comes live
	query  string    // the page under way
	after  string    // what it follows
	since  time.Time // instead of after, when the position was lost
	newest bool      // only the newest page is wanted: nothing was ever taken
	past   bool      // what cannot be read may be from before this device could
	syncAt time.Time // when to ask for what came live meanwhile; zero: nothing did
	base   int64     // the message that was stored last when catching up began
}

// roomStamp names the time of the archive's position.
func roomStamp(peer string) string { return valueArchive + "." + peer }

// catchUpRoom asks a room's archive for what is missing here.
func (c *Client) catchUpRoom(r *room) {
	a := &r.archive
	if a.query != "" {
		return
	}
	a.syncAt = time.Time{}
	if a.none {
		c.sayOnce(r.peer, "This room keeps no archive: what is written there while you are away does not reach you")
		c.roomCaughtUp(r)
		return
	}
	var caught []byte
	err := c.store.View(c.ctx, func(tx *store.Tx) (err error) {
		if a.after, err = tx.ArchivePosition(r.peer); err != nil {
			return err
		}
		if caught, err = tx.Value(roomStamp(r.peer)); err != nil {
			return err
		}
		if !a.done {
			a.base, err = tx.Newest()
		}
		return err
	})
	if err != nil {
		c.log.Error("read the archive position", "err", err)
		c.later(storeRetry, func() { c.catchUpRoomAgain(r) })
		return
	}
	// Who comes into a room can read nothing that was written there before.
	a.newest = a.after == "" && caught == nil
	a.past, a.since = a.newest, time.Time{}
	a.begin()
	c.roomPage(r)
}

func (c *Client) catchUpRoomAgain(r *room) {
	if c.here(r) && r.phase == inside {
		c.catchUpRoom(r)
	}
}

// roomPage asks for one page; see page.
func (c *Client) roomPage(r *room) {
	a := &r.archive
	a.query, a.pager.page = rand.Text(), pageSoFar{}
	q := stanza.MAMQuery{QueryID: a.query, After: a.after, Max: pageSize, Start: a.since}
	if a.newest {
		q.Last, q.Max = true, firstPage
	}
	c.askFor(pageTimeout, "set", r.peer, q.Element(), func(e *stanza.Element, err error) {
		if !c.here(r) {
			return
		}
		a.query = ""
		var fin stanza.MAMFin
		if err == nil {
			fin, err = stanza.ReadMAMFin(e)
		}
		switch cond := condition(err); {
		case a.after != "" && (cond == "item-not-found" || cond == "bad-request" || cond == "not-acceptable"):
			c.roomPositionLost(r)
		case cond == "feature-not-implemented" || cond == "service-unavailable":
			a.none = true
			c.catchUpRoom(r)
		case err != nil:
			c.log.Warn("archive page of a room", "room", r.peer, "err", err)
			c.later(pageRetry, func() { c.catchUpRoomAgain(r) })
		case a.newest:
			c.roomCaughtUp(r)
		default:
			what, last := a.next(fin, a.after)
			if what == allHere {
				c.roomCaughtUp(r)
				return
			}
			a.after = last
			c.behind(r.peer, last, a.pager.newest)
			if what == enough {
				c.leave(r.peer, &a.pager)
				c.roomCaughtUp(r)
				return
			}
			c.tellState()
			c.roomPage(r)
		}
	})
}

// roomPositionLost goes on by the archive's own time, as positionLost does.
func (c *Client) roomPositionLost(r *room) {
	a := &r.archive
	err := c.store.View(c.ctx, func(tx *store.Tx) error {
		b, err := tx.Value(roomStamp(r.peer))
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
	c.roomPage(r)
}

// roomCaughtUp marks the end of catching up in one room. What the archive did not
// show of our own messages goes out again.
func (c *Client) roomCaughtUp(r *room) {
	a := &r.archive
	first := !a.done
	a.done, a.past = true, false
	c.noneBehind(r.peer, &a.pager)
	c.standBefore(&a.pager, a.base)
	if !first {
		return
	}
	c.tellState()
	c.update("note that a room's archive was taken over", func(tx *store.Tx, _ *effects) error {
		known, err := tx.Value(roomStamp(r.peer))
		if err != nil || known != nil {
			return err
		}
		return tx.SetValue(roomStamp(r.peer), []byte{})
	})
	for _, o := range c.outs {
		if o.peer == r.peer && !o.settled.IsZero() {
			o.handed, o.settled = false, time.Time{}
		}
	}
	c.flush()
	c.fillNext()
}

// roomPosition is the last result of a room's archive in a transaction.
type roomPosition struct {
	id string
	at time.Time
}

// keepRoomPositions stores the positions that results have moved to.
func (c *Client) keepRoomPositions(tx *store.Tx, fx *effects) error {
	for peer, p := range fx.roomPositions {
		if b, err := p.at.MarshalBinary(); err == nil && !p.at.IsZero() {
			if err := tx.SetValue(roomStamp(peer), b); err != nil {
				return err
			}
		}
		if r := c.rooms[peer]; r != nil && r.archive.pages > 0 {
			if err := pending(tx, peer, p.id, p.at); err != nil {
				return err
			}
		}
		if err := tx.SetArchivePosition(peer, p.id); err != nil {
			return err
		}
	}
	return nil
}

// tendRooms does what is due in rooms: it asks archives for what came live, and
// sends again what a room did not show in time.
func (c *Client) tendRooms(now time.Time) {
	if !c.online {
		return
	}
	for _, r := range c.rooms {
		if a := &r.archive; r.phase == inside && a.done && !a.none && a.query == "" && !a.rests(now) && !a.syncAt.IsZero() && now.After(a.syncAt) {
			c.catchUpRoom(r)
		}
	}
	again := false
	for _, o := range c.outs {
		if !o.settled.IsZero() && now.Sub(o.settled) > echoPatience && c.roomReady(o.peer) {
			o.handed, o.settled, again = false, time.Time{}, true
		}
	}
	if again {
		c.flush()
	}
}

func soonerOf(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}
