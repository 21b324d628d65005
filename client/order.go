package client

import (
	"time"

	"sotto/client/store"
)

// The order of a conversation on the screen is that of the archive, as far as it
// is known, and within what one device wrote, that in which it encrypted; see
// client/store/place.go. No clock has a say: stamps of what is
// delivered again are coarse, or out of order, and local clocks are wrong.

// put stores a message where it belongs.
func (c *Client) put(tx *store.Tx, fx *effects, x *envelope, row *store.Message) (added bool, err error) {
	if x.fill != nil {
		added, reordered, err := tx.AddInGap(row, fx.filling(x.fill).gap)
		if added {
			fx.page(&x.fill.pager).fresh++
		}
		fx.reordered = fx.reordered || reordered
		fx.expires(row)
		return added, err
	}
	if x.origin == archived {
		base, pager := c.archive.base, &c.archive.pager
		if x.room != nil {
			base, pager = x.room.archive.base, &x.room.archive.pager
		}
		added, reordered, err := tx.AddArchived(row, base)
		if added {
			fx.page(pager).fresh++
		}
		fx.reordered = fx.reordered || reordered
		fx.expires(row)
		return added, err
	}
	added, reordered, err := tx.AddLive(row)
	fx.reordered = fx.reordered || reordered
	fx.expires(row)
	switch {
	case added && x.room != nil:
		if fx.roomsLive == nil {
			fx.roomsLive = make(map[*room]bool)
		}
		fx.roomsLive[x.room] = true
	case added:
		fx.live, fx.late = true, fx.late || !x.Delay.IsZero()
	}
	return added, err
}

// settle puts a message that is here already where the archive has it. What was
// written on this device keeps its place.
func (c *Client) settle(tx *store.Tx, fx *effects, x *envelope, old *store.Message) error {
	if x.origin != archived {
		return nil
	}
	keeps := old.Outgoing && old.Device == c.device.ID()
	if x.fill != nil {
		moved, err := tx.SettleInGap(old.ID, fx.filling(x.fill).gap, x.archiveID, keeps)
		fx.reordered = fx.reordered || moved
		return err
	}
	moved, err := tx.Settle(old.ID, x.archiveID, keeps)
	fx.reordered = fx.reordered || moved
	return err
}

// placed has the archive asked for what was stored without it.
func (c *Client) placed(fx *effects) {
	for r := range fx.roomsLive {
		r.archive.syncAt = soonerOf(r.archive.syncAt, time.Now().Add(syncLater))
	}
	if fx.reordered {
		c.archive.reordered = true
		if c.archive.done && c.archive.query == "" {
			c.archive.reordered = false
			c.events.put(Resync{})
		}
	}
	switch {
	case fx.late:
		c.syncBy(syncSoon)
	case fx.live:
		c.syncBy(syncLater)
	}
}
