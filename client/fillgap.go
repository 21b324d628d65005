package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"sotto/client/stanza"
	"sotto/client/store"
)

// A gap is looked into once in each session, when everything behind it was taken
// over, and whenever the person asks for it: the relay may have been restored, or
// have been repaired. One gap at a time, the newest first.
//
// Where the archive knows what came last before the gap, it is asked for what
// follows, until it comes to what is behind the gap: then nothing is missing any
// more. Where it does not, it is asked by the time; what it has then follows the
// gap's beginning, or not: what is before that stays a gap.

// filling is a gap that an archive is asked for.
type filling struct {
	pager
	store.Gap        // as it was when filling began
	room      *room  // nil: it is in the own archive
	query     string // the page under way
	after     string // what it follows
	byTime    bool   // the archive does not know what came before the gap
	so        filled
	came      int // how many messages that were not here
	done      []func(n int, err error)
}

// filled is how far a gap is filled.
type filled struct {
	gap     int64 // what results fill: all of it, or what lies behind the first of them
	begun   bool  // something of it came
	reached bool  // what stands behind it came, too
	full    bool  // there is no room for one more gap
	last    string
	at      time.Time
}

// filling returns what a transaction has filled so far.
func (fx *effects) filling(f *filling) *filled {
	if fx.fill == nil {
		x := f.so
		x.last = ""
		fx.fill = &x
	}
	return fx.fill
}

// tookFilled takes over what a transaction has filled.
func (c *Client) tookFilled(fx *effects) {
	if fx.fill != nil && c.filling != nil {
		c.filling.so = *fx.fill
		c.lookedInto[fx.fill.gap] = true
	}
}

// inGap notes a result of a gap; false if it is none, or one too many.
func (c *Client) inGap(tx *store.Tx, fx *effects, f *filling, r stanza.MAMResult) (bool, error) {
	x := fx.filling(f)
	if x.reached || x.full {
		return false, nil
	}
	if ok, err := c.result(tx, fx, f.Archive, &f.pager, r); !ok || err != nil {
		return false, err
	}
	if r.ID == f.Before || !f.Until.IsZero() && r.Time.After(f.Until.Add(archiveMargin)) {
		x.reached = true
		return false, nil
	}
	at := r.Time
	switch {
	case at.IsZero() || at.Before(f.Since):
		at = f.Since
	case at.After(f.Until):
		at = f.Until
	}
	if f.byTime && !x.begun && r.ID != f.After && (r.Time.IsZero() || r.Time.After(f.Since)) {
		rest, err := tx.SplitGap(x.gap, r.ID, at)
		if errors.Is(err, store.ErrTooManyGaps) {
			x.full = true
			return false, nil
		}
		if err != nil {
			return false, err
		}
		x.gap = rest
	}
	x.begun, x.last, x.at = true, r.ID, at
	return true, nil
}

// keepFilled stores how far a gap is filled, with what fills it.
func keepFilled(tx *store.Tx, fx *effects) error {
	x := fx.fill
	if x == nil || x.last == "" {
		return nil
	}
	fx.events = append(fx.events, GapsChanged{})
	err := tx.FillGap(x.gap, x.last, x.at)
	if errors.Is(err, store.ErrUnknown) { // two became one meanwhile
		return nil
	}
	return err
}

// standBefore has what was here before a loss stand before the gap that it left.
func (c *Client) standBefore(p *pager, newest int64) {
	if p.gap == 0 || p.rests(time.Now()) {
		return
	}
	gap := p.gap
	p.gap = 0
	c.update("put messages before a gap", func(tx *store.Tx, fx *effects) error {
		moved, err := tx.StandBefore(gap, newest)
		fx.reordered = moved
		return err
	})
}

// fillNext looks into the next gap of this session.
func (c *Client) fillNext() {
	if c.filling != nil || !c.online {
		return
	}
	var next *filling
	err := c.store.View(c.ctx, func(tx *store.Tx) error {
		find := func(archive string, r *room) error {
			gaps, err := tx.Gaps(archive)
			for i := len(gaps) - 1; i >= 0 && next == nil; i-- {
				if g := gaps[i]; g.Before != "" && !c.lookedInto[g.ID] {
					next = &filling{Gap: g, room: r}
				}
			}
			return err
		}
		if c.archive.done && !c.archive.none {
			if err := find(c.self, nil); err != nil {
				return err
			}
		}
		for _, r := range c.rooms {
			if next == nil && c.fillable(r) {
				if err := find(r.peer, r); err != nil {
					return err
				}
			}
		}
		return nil
	})
	switch {
	case err != nil:
		c.log.Error("look for gaps", "err", err)
	case next != nil:
		c.fillGap(next)
	}
}

func (c *Client) fillable(r *room) bool {
	return r.phase == inside && r.archive.done && !r.archive.none
}

// fillGap begins to look into a gap.
func (c *Client) fillGap(f *filling) {
	f.after, f.byTime = f.After, f.After == ""
	f.so = filled{gap: f.Gap.ID}
	f.begin()
	c.filling = f
	c.lookedInto[f.Gap.ID] = true
	c.gapPage(f)
}

// gapPage asks for one page; see page.
func (c *Client) gapPage(f *filling) {
	f.query, f.page = rand.Text(), pageSoFar{}
	q := stanza.MAMQuery{QueryID: f.query, After: f.after, Max: pageSize}
	if f.byTime && f.after == "" && !f.Since.IsZero() {
		q.Start = f.Since.Add(-archiveMargin)
	}
	if !f.Until.IsZero() {
		q.End = f.Until.Add(archiveMargin)
	}
	to := ""
	if f.room != nil {
		to = f.room.peer
	}
	c.askFor(pageTimeout, "set", to, q.Element(), func(e *stanza.Element, err error) {
		f.query = ""
		if c.filling != f {
			return
		}
		if f.room != nil && !c.here(f.room) {
			c.gapDone(f, errOffline)
			return
		}
		var fin stanza.MAMFin
		if err == nil {
			fin, err = stanza.ReadMAMFin(e)
		}
		f.came += f.page.fresh
		switch cond := condition(err); {
		case !f.byTime && !f.so.begun && (cond == "item-not-found" || cond == "bad-request" || cond == "not-acceptable"):
			f.after, f.byTime = "", true
			c.gapPage(f)
		case err != nil:
			c.log.Warn("page of a gap", "of", f.Archive, "err", err)
			c.gapDone(f, err)
		case f.so.reached || f.so.full:
			c.gapDone(f, nil)
		default:
			switch what, last := f.next(fin, f.after); what {
			case allHere:
				f.so.reached = true
				c.gapDone(f, nil)
			case enough:
				c.leave(f.Archive, &f.pager)
				f.restUntil = time.Time{}
				c.gapDone(f, nil)
			default:
				f.after = last
				c.tellState()
				c.gapPage(f)
			}
		}
	})
}

// gapDone ends looking into a gap.
func (c *Client) gapDone(f *filling, err error) {
	c.filling = nil
	if f.so.reached && (f.so.begun || !f.byTime) {
		c.update("note that a gap is filled", func(tx *store.Tx, fx *effects) error {
			fx.events = append(fx.events, GapsChanged{})
			return tx.CloseGap(f.so.gap)
		})
	}
	c.log.Info("looked into a gap", "of", f.Archive, "new", f.came, "err", err)
	for _, done := range f.done {
		done(f.came, err)
	}
	c.tellState()
	c.fillNext()
}

// ErrGapStays says that the relay still has not got what may be missing in a gap.
var ErrGapStays = errors.New("the relay still does not have them")

// FillGap asks the relay once more for what may be missing in a gap,
// and waits for the end of that. It returns how many messages came.
// An error, in words, says why nothing did: ErrGapStays is one. A gap that is
// pending is only asked for: what comes is told by events.
func (c *Client) FillGap(ctx context.Context, gap int64) (n int, err error) {
	err = c.do(ctx, func(done chan<- error) {
		c.fillAsked(gap, func(found int, err error) {
			n = found
			done <- err
		})
	})
	if err != nil {
		return 0, fmt.Errorf("fetch what is missing: %w", err)
	}
	return n, nil
}

func (c *Client) fillAsked(id int64, done func(int, error)) {
	var g *store.Gap
	err := c.store.View(c.ctx, func(tx *store.Tx) (err error) {
		g, err = tx.Gap(id)
		return err
	})
	f := &filling{done: []func(int, error){func(n int, err error) {
		if err == nil && n == 0 {
			err = ErrGapStays
			c.store.View(c.ctx, func(tx *store.Tx) error {
				if g, gerr := tx.Gap(id); gerr == nil && g == nil {
					err = nil // nothing was missing
				}
				return nil
			})
		}
		done(n, err)
	}}}
	switch {
	case err != nil:
		done(0, err)
		return
	case g == nil:
		done(0, nil) // it was filled meanwhile
		return
	case !c.online:
		done(0, errOffline)
		return
	case g.Archive != c.self:
		r := c.rooms[g.Archive]
		if r == nil || r.phase != inside {
			done(0, errNotIn)
			return
		}
		f.room = r
	}
	switch p := c.filling; {
	case g.Before == "" && f.room == nil:
		c.archive.restUntil = time.Time{}
		if c.archive.done && c.archive.query == "" {
			c.catchUp()
		}
		done(0, nil)
	case g.Before == "":
		f.room.archive.restUntil = time.Time{}
		if f.room.archive.done {
			c.catchUpRoom(f.room)
		}
		done(0, nil)
	case p != nil && (p.Gap.ID == id || p.so.gap == id):
		p.done = append(p.done, f.done...)
	case p != nil:
		p.done = append(p.done, func(int, error) { c.fillAsked(id, done) })
	case f.room != nil && !c.fillable(f.room) || f.room == nil && !c.archive.done:
		done(0, errNoAnswer)
	default:
		f.Gap = *g
		c.fillGap(f)
	}
}
