package client

import "time"

// How the search index is brought into order (see store.Tidy): when nothing has
// come for a while, some milliseconds of each second.
const (
	tidyAfter = 10 * time.Second
	tidyTurn  = 30 * time.Millisecond
)

// tidying says when to do so.
type tidying struct {
	due  bool      // something was stored since it was in order
	idle time.Time // since when nothing was
}

// stirred notes that something was stored.
func (t *tidying) stirred() { t.due, t.idle = true, time.Time{} }

// tidy brings the search index further into order while nobody waits.
func (c *Client) tidy(now time.Time) {
	t := &c.tidying
	switch {
	case !t.due || len(c.backlog) > 0 || c.archive.query != "":
		return
	case t.idle.IsZero():
		t.idle = now
		return
	case now.Sub(t.idle) < tidyAfter:
		return
	}
	for start := time.Now(); time.Since(start) < tidyTurn; {
		more, err := c.store.Tidy(c.ctx)
		if err != nil {
			if c.ctx.Err() == nil {
				c.log.Error("tidy the search index", "err", err)
			}
			t.due = false
			return
		}
		if t.due = more; !more {
			return
		}
	}
}
