package client

import (
	"context"

	"sotto/client/store"
)

// announce runs a transaction of a person's action that gives Run something to do,
// and tells of it, in this order, before Run can tell of what it has made of it: a
// screen that hears last that a message is queued would go on to show it so.
func (c *Client) announce(ctx context.Context, fn func(tx *store.Tx) error, events func() []Event) error {
	c.announcing.Lock()
	defer c.announcing.Unlock()
	if err := c.store.Update(ctx, fn); err != nil {
		return err
	}
	c.events.put(events()...)
	return nil
}

// announced waits until what Run has just read is told of. Whoever is about to tell
// has the store behind them, or waits for no more than that.
func (c *Client) announced() {
	c.announcing.Lock()
	defer c.announcing.Unlock()
}
