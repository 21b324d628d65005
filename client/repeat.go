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
				if _, yes, err = tx.Confirms(o.Peer); err != nil {
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
