package client

import (
	"slices"
	"time"

	"sotto/client/omemo"
	"sotto/client/stanza"
	"sotto/client/store"
)

// why a bundle is asked for.
type purpose int

const (
	toSend   purpose = iota // start a session if the device is trusted
	toLook                  // only to show the fingerprint
	toRepair                // start a session anew and say so to the device
)

// askBundle asks for a device's bundle.
func (c *Client) askBundle(a omemo.Address, what purpose) {
	p := c.peer(a.JID)
	if p.fetching[a.Device] || !c.online || a.JID == c.self && a.Device == c.device.ID() {
		return
	}
	p.fetching[a.Device] = true
	to := a.JID
	if to == c.self {
		to = ""
	}
	node := stanza.NodeBundle(a.Device)
	c.ask("get", to, stanza.ItemsRequest(node), func(e *stanza.Element, err error) {
		delete(p.fetching, a.Device)
		var b omemo.Bundle
		if err == nil {
			b, err = bundleIn(e, node)
		}
		if err == nil {
			err = c.gotBundle(a, b, what)
		}
		if err != nil {
			c.log.Info("bundle", "of", a.String(), "err", err)
			p.failed[a.Device] = err
			if passing(err) && p.retry.IsZero() {
				p.retry = time.Now().Add(peerRetry)
			}
		}
		c.kick()
	})
}

// gotBundle notes the key in a bundle and starts a session with it if asked to.
func (c *Client) gotBundle(a omemo.Address, b omemo.Bundle, what purpose) error {
	var failed error
	var repaired *stanza.Element
	key := omemo.Fingerprint(b.IdentityKey[1:])
	ok := c.update("start a session", func(tx *store.Tx, fx *effects) error {
		failed, repaired = nil, nil
		if err := c.sawDevice(tx, fx, a, key); err != nil {
			return err
		}
		trust, err := trustIn(tx, a)
		if err != nil {
			return err
		}
		trusted := c.trusts(trust)
		if c.Membership() != nil {
			if trusted = c.vouched(a, key); !trusted {
				if what != toLook {
					failed = errNotSigned
				}
				return nil
			}
		}
		if what == toLook || trust == store.Distrusted || what == toSend && !trusted {
			return nil
		}
		if failed = c.device.StartSession(tx, a, b); failed != nil || what != toRepair {
			return nil
		}
		repaired, failed = c.device.EncryptKey(tx, []omemo.Address{a})
		return nil
	})
	if !ok {
		return errNoAnswer
	}
	if repaired != nil {
		c.sendKey(a.JID, repaired)
	}
	return failed
}

// bundleIn reads the bundle in an answer.
func bundleIn(e *stanza.Element, node string) (omemo.Bundle, error) {
	items, _ := stanza.ReadItems(e, node)
	var last *stanza.Element
	for _, it := range items {
		if last = it.Payload; it.ID == "current" {
			break
		}
	}
	return stanza.ReadBundle(last)
}

// repair starts a session with a device anew, at most once an hour: the device
// must be one of those its owner lists.
func (c *Client) repair(a omemo.Address) {
	if last, ok := c.repaired[a]; ok && time.Since(last) < repairEvery {
		return
	}
	listed := false
	err := c.store.View(c.ctx, func(tx *store.Tx) error {
		devices, err := tx.Devices(a.JID)
		listed = slices.ContainsFunc(devices, func(d store.PeerDevice) bool { return d.ID == a.Device && d.Active })
		return err
	})
	if err != nil || !listed {
		c.askList(a.JID)
		return
	}
	if len(c.repaired) > 10000 {
		clear(c.repaired)
	}
	c.repaired[a] = time.Now()
	c.askBundle(a, toRepair)
}

// forgetOther drops sessions with a device that belong to another key than the
// one that was compared.
func (c *Client) forgetOther(tx *store.Tx, a omemo.Address, key omemo.Fingerprint) error {
	has, with, err := c.device.HasSession(tx, a)
	if err != nil || !has || with == key {
		return err
	}
	return c.device.Forget(tx, a)
}
