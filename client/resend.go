package client

import (
	"time"

	"sotto/client/store"
	"sotto/client/wire"
)

// resendAfter is how long a message that the relay has waits to be confirmed,
// each time, until it is sent again: relays lose what they had acknowledged when
// a node of theirs dies, or when a stream is resumed while they are busy. It is
// the same stanza each time, so that whoever has it drops it, confirms it once
// more, and knows by its place in the ratchet where it belongs.
var resendAfter = [...]time.Duration{20 * time.Second, 2 * time.Minute, 10 * time.Minute}

// resendEvery bounds how often the outbox is looked at for this.
const resendEvery = 2 * time.Second

// got notes in the outbox how far an own message has come.
func (c *Client) got(tx *store.Tx, fx *effects, id int64, s store.State) error {
	fx.sent = true
	if s == store.Sent {
		return tx.SentOut(id, time.Now())
	}
	return tx.RemoveOut(id)
}

// resendBy has the outbox looked at within d.
func (c *Client) resendBy(d time.Duration) {
	if at := time.Now().Add(d); c.resendAt.IsZero() || at.Before(c.resendAt) {
		c.resendAt = at
	}
}

// resend sends again what was not confirmed in time by somebody who confirms
// messages, and either is there now or has confirmed a later one.
func (c *Client) resend(now time.Time) {
	if c.resendAt.IsZero() || now.Before(c.resendAt) || !c.online || !c.archiveDone {
		return
	}
	c.resendAt = time.Time{}
	// Nothing can be confirmed to who is not there to hear it.
	if wait := c.onlineAt.Add(c.resendAfter[0]).Sub(now); wait > 0 {
		c.resendBy(wait)
		return
	}
	var again []store.Out
	next := time.Duration(0)
	c.update("send again", func(tx *store.Tx, _ *effects) error {
		again, next = nil, 0
		list, err := tx.Unconfirmed()
		if err != nil {
			return err
		}
		last, confirms := make(map[string]int64), make(map[string]bool)
		for _, o := range list {
			id, asked := last[o.Peer]
			if !asked {
				if id, confirms[o.Peer], err = tx.Confirms(o.Peer); err != nil {
					return err
				}
				last[o.Peer] = id
			}
			if o.Tries > len(c.resendAfter) {
				if err := tx.RemoveOut(o.MessageID); err != nil {
					return err
				}
				continue
			}
			if !confirms[o.Peer] || id < o.MessageID && !c.there(o.Peer) {
				continue // until a receipt or a presence comes
			}
			wait := o.Sent.Add(c.resendAfter[max(o.Tries, 1)-1]).Sub(now)
			if wait > c.resendAfter[len(c.resendAfter)-1] {
				wait = 0 // the clock was wrong
			}
			switch {
			case wait > 0:
				if next == 0 || wait < next {
					next = wait
				}
				continue
			case o.Stanza == nil:
				continue
			}
			if err := tx.SentOut(o.MessageID, now); err != nil {
				return err
			}
			again = append(again, o)
		}
		return nil
	})
	for _, o := range again {
		c.log.Info("sent again", "try", o.Tries+1)
		c.out.send(wire.Send{ID: o.OriginID, Stanza: o.Stanza})
	}
	switch {
	case len(again) > 0:
		c.resendBy(c.resendAfter[0])
	case next > 0:
		c.resendBy(max(next, resendEvery))
	}
}

// there reports whether somebody can be expected to answer.
func (c *Client) there(peer string) bool {
	p := c.Presence(peer)
	return p.Available && rank(p.Show) <= rank("dnd")
}
