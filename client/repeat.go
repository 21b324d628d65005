package client

import (
	"time"

	"sotto/client/store"
	"sotto/client/wire"
)

// What a relay had taken, and nobody has confirmed, is repeated if it is not older,
// and when a client of its recipient appears, so long after that.
const (
	repeatYoungerThan = 2 * time.Minute
	repeatAfter       = 3 * time.Second
)

// repeat gives the link once more what the relay had taken shortly before and nobody
// has confirmed: to everybody, when a session begins, before anything that is new; or
// to one peer, when a client of theirs has come online. What a relay loses although it
// has acknowledged it, it loses with the session of one of the two. Whoever has it
// drops it. Waiting for resendAfter would cost time, and what is written meanwhile
// would stand before it wherever it comes in another session of OMEMO, between which
// nothing tells the order.
//
// It does not count as sending again, which goes on as it would.
func (c *Client) repeat(now time.Time, peer string) {
	var again []store.Out
	err := c.store.View(c.ctx, func(tx *store.Tx) error {
		again = nil
		list, err := tx.Unconfirmed()
		if err != nil {
			return err
		}
		confirms := make(map[string]bool)
		for _, o := range list {
			if peer != "" && o.Peer != peer {
				continue
			}
			if _, given := c.window.given[o.OriginID]; given || c.rooms[o.Peer] != nil || o.Stanza == nil {
				continue
			}
			if age := now.Sub(o.Sent); age < 0 || age > repeatYoungerThan {
				continue
			}
			yes, asked := confirms[o.Peer]
			if !asked {
				if _, yes, err = c.confirms(tx, o.Peer); err != nil {
					return err
				}
				confirms[o.Peer] = yes
			}
			if yes && len(again) < maxGiven/2 {
				again = append(again, o)
			}
		}
		return nil
	})
	if err != nil {
		c.log.Error("read what is not confirmed", "err", err)
		return
	}
	for _, o := range again {
		c.log.Info("repeated what is not confirmed", "id", o.OriginID)
		c.give(wire.Send{ID: o.OriginID, Stanza: o.Stanza})
	}
}

// confirms reports whether a peer is known to confirm what reaches them, and the id of
// the last message that they have confirmed, 0 if there is none. Known are who has
// confirmed something, and who marks what they write as sotto does: a client that asks
// for both receipts and markers sends them, too. Without the second, all of a first
// conversation could be lost by a relay before anything of it is confirmed, and would
// never be repeated.
func (c *Client) confirms(tx *store.Tx, peer string) (last int64, yes bool, err error) {
	if last, yes, err = tx.Confirms(peer); yes || err != nil || c.marking[peer] {
		return last, yes || c.marking[peer], err
	}
	v, err := tx.Value(markingName(peer))
	return 0, len(v) > 0, err
}

// noteMarking notes that who wrote a message to oneself alone will confirm messages.
func (c *Client) noteMarking(tx *store.Tx, fx *effects, x *envelope) error {
	if !x.Asks || !x.Markable || x.outgoing || x.origin == carbon || c.marking[x.peer] {
		return nil
	}
	if err := tx.SetValue(markingName(x.peer), []byte{1}); err != nil {
		return err
	}
	fx.after = append(fx.after, func() { c.marking[x.peer] = true })
	return nil
}

// markingName names the note that somebody's messages ask for receipts and markers.
func markingName(peer string) string { return "marking." + peer }
