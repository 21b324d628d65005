package client

import (
	"context"
	"fmt"
	"hash/maphash"
	"time"

	"sotto/client/stanza"
	"sotto/client/store"
)

// What an archive may do before it is left alone. An honest one ends; a hostile one
// could page for ever, in circles, or backwards.
const (
	maxPages     = 4000             // of one catching up: a million messages
	maxBarren    = 400              // pages in a row with nothing that is not here already
	maxBackwards = 3                // pages in a row that are older than the one before
	maxResults   = 4 * pageSize     // on one page, where pageSize was asked for
	archiveRests = 30 * time.Minute // before one that was left alone is asked again
)

// pager follows an archive from page to page, and says when enough is enough.
type pager struct {
	pages, barren, backwards int
	seen                     map[uint64]bool // where pages have ended
	seed                     maphash.Seed
	newest                   time.Time // stamp of the newest result so far
	count                    int       // results of this catching up
	restUntil                time.Time // it was left alone; zero: it was not
	lost                     *lost     // its position is, and no result has come since
	gap                      int64     // what that has left; 0: nothing

	page pageSoFar
}

// pageSoFar is what a page under way has brought.
type pageSoFar struct {
	results, fresh int // fresh was not here
	last           string
	newest         time.Time
	found          bool // where it goes on after a loss
	gap            int64
}

// begin is called when catching up begins.
func (p *pager) begin() { *p = pager{restUntil: p.restUntil} }

// rests reports whether the archive is to be left alone now.
func (p *pager) rests(now time.Time) bool { return now.Before(p.restUntil) }

// took notes what a transaction has taken from the page under way.
func (p *pager) took(x pageSoFar) {
	p.page.results += x.results
	p.page.fresh += x.fresh
	p.count += x.results
	if x.last != "" {
		p.page.last = x.last
	}
	if x.newest.After(p.page.newest) {
		p.page.newest = x.newest
	}
	if x.found {
		p.lost, p.gap = nil, x.gap
	}
}

// full reports whether a page has brought more than it may.
func (p *pager) full(more int) bool { return p.page.results+more >= maxResults }

// verdict is what to do after a page.
type verdict int

const (
	goOn verdict = iota
	allHere
	enough // it leads nowhere
)

// next takes the end of a page, and says what to do, and after which result the
// next page begins. The relay's word for that counts only where it showed none:
// it could name one further on, and hide what is between.
func (p *pager) next(fin stanza.MAMFin, after string) (verdict, string) {
	page := p.page
	p.page = pageSoFar{}
	if page.last == "" {
		page.last = fin.Last
	}
	switch {
	case fin.Complete:
		p.advance(page.newest)
		return allHere, after
	case page.last == "" || page.results == 0 && page.last == after:
		return allHere, after
	}
	if p.seen == nil {
		p.seen, p.seed = make(map[uint64]bool), maphash.MakeSeed()
		p.seen[maphash.String(p.seed, after)] = true
	}
	end := maphash.String(p.seed, page.last)
	known := p.seen[end]
	p.seen[end] = true
	p.pages++
	p.barren++
	if page.fresh > 0 {
		p.barren = 0
	}
	p.backwards++
	if page.newest.IsZero() || !page.newest.Add(archiveMargin).Before(p.newest) {
		p.backwards = 0
	}
	p.advance(page.newest)
	if known || p.pages >= maxPages || p.barren >= maxBarren || p.backwards >= maxBackwards {
		return enough, page.last
	}
	return goOn, page.last
}

func (p *pager) advance(t time.Time) {
	if t.After(p.newest) {
		p.newest = t
	}
}

// lost is a position that an archive does not know any more.
type lost struct {
	after  string
	since  time.Time // its stamp
	newest int64     // the message that was stored last when the archive was asked
}

// gapBefore notes a gap where an archive that has forgotten the position goes on
// later than that was. Call it with the first result after the loss.
// It returns the gap's id; 0 if there is none.
func gapBefore(tx *store.Tx, archive string, l *lost, r stanza.MAMResult) (id int64, err error) {
	if l.since.IsZero() || r.Time.IsZero() || !r.Time.After(l.since) {
		return 0, nil
	}
	return tx.AddGap(store.Gap{Archive: archive, After: l.after, Before: r.ID, Since: l.since, Until: r.Time, Newest: l.newest})
}

// pending notes, or moves, the gap between what was taken from an archive so far
// and what came live. It is closed when everything was taken.
func pending(tx *store.Tx, archive, after string, at time.Time) error {
	gaps, err := tx.Gaps(archive)
	if err != nil {
		return err
	}
	for _, g := range gaps {
		if g.Before == "" {
			if at.IsZero() {
				at = g.Since
			}
			return tx.FillGap(g.ID, after, at)
		}
	}
	if at.IsZero() {
		return nil
	}
	_, err = tx.AddGap(store.Gap{Archive: archive, After: after, Since: at})
	return err
}

// noPending closes that gap.
func noPending(tx *store.Tx, archive string) (closed bool, err error) {
	gaps, err := tx.Gaps(archive)
	for _, g := range gaps {
		if err == nil && g.Before == "" {
			closed = true
			err = tx.CloseGap(g.ID)
		}
	}
	return closed, err
}

// Gap is a time in a conversation of which messages may be missing.
type Gap struct {
	ID           int64
	Since, Until time.Time // Until is zero where it reaches to what came live
	After        int64     // id of the last message before it; 0 if it is at the beginning, or pending
}

// Pending reports whether the archive is still being taken over there.
func (g Gap) Pending() bool { return g.Until.IsZero() }

// CatchUp is how far archives have been taken over.
type CatchUp struct {
	Active bool
	Count  int       // messages taken so far
	At     time.Time // when the last of them was sent; zero if unknown
}

// progress sums up what is being taken over.
func (c *Client) progress() CatchUp {
	var p CatchUp
	add := func(x *pager) {
		p.Active = true
		p.Count += x.count
		if p.At.IsZero() || !x.newest.IsZero() && x.newest.Before(p.At) {
			p.At = x.newest
		}
	}
	if a := &c.archive; !a.done && a.pages > 0 {
		add(&a.pager)
	}
	for _, r := range c.rooms {
		if a := &r.archive; r.phase == inside && !a.done && a.pages > 0 {
			add(&a.pager)
		}
	}
	return p
}

// leave leaves an archive alone that leads nowhere.
func (c *Client) leave(archive string, p *pager) {
	c.log.Warn("archive without an end", "of", archive, "pages", p.pages, "nothing new on", p.barren, "backwards", p.backwards)
	p.restUntil = time.Now().Add(archiveRests)
	where := "The relay's archive"
	peer := ""
	if archive != c.self {
		where, peer = "The archive of this room", archive
	}
	c.sayOnce(peer, "%s goes on without an end or in circles, and was left. Messages may be missing: it is asked again later. Tell the relay's administrator", where)
}

// result notes a result of an archive; false if it is one too many.
func (c *Client) result(tx *store.Tx, fx *effects, archive string, p *pager, r stanza.MAMResult) (bool, error) {
	x := fx.page(p)
	if p.full(x.results) {
		c.log.Warn("more archived messages than were asked for", "of", archive)
		return false, nil
	}
	x.results++
	x.last = r.ID
	if r.Time.After(x.newest) {
		x.newest = r.Time
	}
	if p.lost == nil || x.found {
		return true, nil
	}
	x.found = true
	id, err := gapBefore(tx, archive, p.lost, r)
	if x.gap = id; id != 0 {
		fx.events = append(fx.events, GapsChanged{})
	}
	return true, err
}

// page is what a transaction has taken of a page.
func (fx *effects) page(p *pager) *pageSoFar {
	if fx.pages == nil {
		fx.pages = make(map[*pager]*pageSoFar)
	}
	x := fx.pages[p]
	if x == nil {
		x = new(pageSoFar)
		fx.pages[p] = x
	}
	return x
}

func (c *Client) tookPages(fx *effects) {
	for p, x := range fx.pages {
		p.took(*x)
	}
}

// behind notes that there is more in an archive.
func (c *Client) behind(archive, after string, at time.Time) {
	c.update("note how far an archive is taken over", func(tx *store.Tx, fx *effects) error {
		fx.events = append(fx.events, GapsChanged{})
		return pending(tx, archive, after, at)
	})
}

// noneBehind notes that nothing of an archive is missing at its end, unless it was
// left alone.
func (c *Client) noneBehind(archive string, p *pager) {
	if p.rests(time.Now()) {
		return
	}
	c.update("note that an archive was taken over", func(tx *store.Tx, fx *effects) error {
		closed, err := noPending(tx, archive)
		if closed {
			fx.events = append(fx.events, GapsChanged{})
		}
		return err
	})
}

// Gaps returns the times of which messages may be missing in a conversation, the
// oldest first.
func (c *Client) Gaps(ctx context.Context, peer string) ([]Gap, error) {
	var list []Gap
	err := c.store.View(ctx, func(tx *store.Tx) error {
		archive := c.self
		if r, err := tx.Room(peer); err != nil {
			return err
		} else if r != nil {
			archive = peer
		}
		rows, err := tx.Gaps(archive)
		list = make([]Gap, len(rows))
		for i, g := range rows {
			list[i] = Gap{ID: g.ID, Since: g.Since, Until: g.Until}
			if err == nil && g.Before != "" {
				list[i].After, err = tx.GapEdge(g.ID, peer)
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read what is missing: %w", err)
	}
	return list, nil
}

// GapsChanged says that it became known that messages are missing, or that they
// are not any more.
type GapsChanged struct{}

func (GapsChanged) event() {}
