package client

import (
	"sotto/client/store"
)

// unprotected deals with a text that came without encryption. The relay, and whoever
// is on the way, could have written it. It is shown, and marked; but where its sender
// has keys that are known here, what is written there is not acted on: it is not STAT,
// and rings nowhere, or a relay could have people run. It says so, and the person once.
func (c *Client) unprotected(tx *store.Tx, fx *effects, x *envelope, row *store.Message) error {
	keys, err := hasKeys(tx, x.sender)
	if err != nil || !keys {
		return err
	}
	row.Urgency = store.Routine
	c.log.Warn("message not encrypted, of somebody who encrypts", "from", x.sender)
	if !x.outgoing && x.origin == live {
		peer, who := x.peer, c.short(x.sender)
		fx.after = append(fx.after, func() {
			c.sayOnce(peer, "A message of %s came without encryption, which %s otherwise uses. Anybody on its way may have written it", who, who)
		})
	}
	return nil
}

// hasKeys reports whether the keys of a device of somebody have been seen.
func hasKeys(tx *store.Tx, who string) (bool, error) {
	devices, err := tx.Devices(who)
	for i := range devices {
		if devices[i].Fingerprint != nil {
			return true, err
		}
	}
	return false, err
}
