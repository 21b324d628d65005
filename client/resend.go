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

// Of somebody who has never confirmed anything it is not known whether their app
// does so at all (XEP-0184 leaves that to it), nor what it makes of a repeat it has
// the key of no more. A message to them goes out again once, when a client of
// theirs comes online in the middle of our session: what a relay loses, it loses
// with a client's stream. Whoever is there and says nothing for long is told of as
// such, since "sent" is all that is known then; and in the end it is left at that.
const unconfirmedFor = 7 * 24 * time.Hour

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

// appear notes that a client of somebody has come online, other than those that a
// session begins with.
func (c *Client) appear(peer string) {
	now := time.Now()
	age := now.Sub(c.onlineAt)
	if age > repeatAfter && len(c.appeared) < maxPresences {
		c.later(repeatAfter, func() { c.repeat(time.Now(), peer) })
	}
	if age > c.resendAfter[0] && len(c.appeared) < maxPresences {
		c.appeared[peer] = now
	}
}

// resend sends again what was not confirmed in time by somebody who confirms
// messages, and either is there now or has confirmed a later one; and says what
// nobody seems to confirm.
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
	c.update("send again", func(tx *store.Tx, fx *effects) error {
		again, next = nil, 0
		list, err := tx.Unconfirmed()
		if err != nil {
			return err
		}
		last, confirms := make(map[string]int64), make(map[string]bool)
		for _, o := range list {
			id, asked := last[o.Peer]
			if !asked {
				if id, confirms[o.Peer], err = c.confirms(tx, o.Peer); err != nil {
					return err
				}
				last[o.Peer] = id
			}
			if o.Tries > len(c.resendAfter) {
				if err := c.doubt(tx, fx, o.MessageID, "no device of "+c.short(o.Peer)+" has confirmed it. It may not have arrived: ask"); err != nil {
					return err
				}
				if err := tx.RemoveOut(o.MessageID); err != nil {
					return err
				}
				continue
			}
			wait := o.Sent.Add(c.resendAfter[max(o.Tries, 1)-1]).Sub(now)
			if !confirms[o.Peer] {
				at := c.appeared[o.Peer]
				switch {
				case o.Tries < 2 && o.Peer != c.self && at.After(o.Sent):
					wait = at.Add(c.resendAfter[0]).Sub(now)
				case now.Sub(o.Sent) > unconfirmedFor:
					if err := tx.RemoveOut(o.MessageID); err != nil {
						return err
					}
					continue
				case o.Peer == c.self || !c.there(o.Peer):
					continue
				default:
					if wait = o.Sent.Add(c.resendAfter[min(1, len(c.resendAfter)-1)]).Sub(now); wait > 0 {
						next = soonest(next, wait)
						continue
					}
					if err := c.doubt(tx, fx, o.MessageID, "the app of "+c.short(o.Peer)+" has not confirmed it, and may never do so"); err != nil {
						return err
					}
					continue
				}
			} else if id < o.MessageID && !c.there(o.Peer) {
				continue // until a receipt or a presence comes
			}
			if wait > c.resendAfter[len(c.resendAfter)-1] {
				wait = 0 // the clock was wrong
			}
			switch {
			case wait > 0:
				next = soonest(next, wait)
				continue
			case o.Stanza == nil:
				continue
			case len(c.window.given)+len(again) >= maxGiven/2:
				next = soonest(next, resendEvery)
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
		c.give(wire.Send{ID: o.OriginID, Stanza: o.Stanza})
	}
	switch {
	case len(again) > 0:
		c.resendBy(c.resendAfter[0])
	case next > 0:
		c.resendBy(max(next, resendEvery))
	}
}

// soonest is the smaller of two waits, of which next may be none (0).
func soonest(next, wait time.Duration) time.Duration {
	if next == 0 {
		return wait
	}
	return min(next, wait)
}

// doubt says of a message that the relay has why more is not known of it.
func (c *Client) doubt(tx *store.Tx, fx *effects, id int64, why string) error {
	known, err := tx.Value(whyName(id))
	if err != nil || string(known) == why {
		return err
	}
	return fx.changed(tx, id, why)
}

// there reports whether somebody can be expected to answer.
func (c *Client) there(peer string) bool {
	p := c.Presence(peer)
	return p.Available && rank(p.Show) <= rank("dnd")
}
