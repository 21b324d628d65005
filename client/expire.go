package client

import (
	"time"

	"sotto/client/store"
)

// maxExpiredEvents is how many messages a screen is told of one by one when their
// time has ended at once.
const maxExpiredEvents = 100

// expireAgain is how long Run relies on what it was told of times that end.
const expireAgain = 5 * time.Second

// expireFirst finds out when the next message's time ends. What had ended before,
// the store removed when it was opened.
func (c *Client) expireFirst() {
	c.auditExpired()
	if gone := c.store.ExpiredAtOpen(); len(gone) > 0 {
		c.log.Info("messages expired while nothing ran", "messages", len(gone))
	}
	c.expireAt = time.Now()
}

// expireBy has Run look at that moment.
func (c *Client) expireBy(at time.Time) {
	if !at.IsZero() {
		c.expireAt = soonerOf(c.expireAt, at)
	}
}

// expire removes what the messages say whose time has ended, and has the screens
// drop it.
func (c *Client) expire(now time.Time) {
	// Whoever stores what expires says so; but the clock may have been set, too.
	if again := now.After(c.expireLook.Add(expireAgain)) || now.Before(c.expireLook); !again && (c.expireAt.IsZero() || now.Before(c.expireAt)) {
		return
	}
	c.expireLook = now
	gone, quoting, err := c.store.Expire(c.ctx, now)
	if err == nil {
		err = c.store.View(c.ctx, func(tx *store.Tx) (err error) {
			c.expireAt, err = tx.NextExpiry()
			return err
		})
	}
	if err != nil {
		if c.ctx.Err() != nil {
			return
		}
		c.log.Error("expire", "err", err)
		c.sayOnce("", "Messages whose time has ended could not be removed yet: %v. It is tried again", err)
		c.expireAt = now.Add(storeRetry)
	}
	if len(gone) == 0 {
		return
	}
	c.log.Info("messages expired", "messages", len(gone))
	c.auditExpired()
	ids := quoting
	for i := range gone {
		ids = append(ids, gone[i].ID)
	}
	c.tellGone(ids)
	c.flush() // what had not left yet does not go out
}

// tellGone has the screens drop what has expired, and where it was quoted.
func (c *Client) tellGone(ids []int64) {
	if len(ids) > maxExpiredEvents {
		c.events.put(Resync{})
		return
	}
	var fx effects
	err := c.store.View(c.ctx, func(tx *store.Tx) error {
		for _, id := range ids {
			row, err := tx.Message(id)
			if err != nil || row == nil {
				return err
			}
			m, err := messageOf(tx, row)
			if err != nil {
				return err
			}
			fx.events = append(fx.events, MessageChanged{m})
		}
		return nil
	})
	if err != nil {
		c.log.Error("read what has expired", "err", err)
		fx.events = []Event{Resync{}}
	}
	c.events.put(append(fx.events, ConversationsChanged{})...)
}
