package client

import (
	"slices"

	"sotto/client/audit"
	"sotto/client/omemo"
	"sotto/client/store"
)

// deviceList takes over a device list. The devices of the first contact are
// trusted on first use; those that come later are not, until somebody compares.
func (c *Client) deviceList(tx *store.Tx, fx *effects, who string, ids []uint32) error {
	if fx.listed == nil {
		fx.listed = make(map[string]bool)
	}
	fx.listed[who] = true
	if who == c.self {
		fx.ownGone = fx.ownGone || !slices.Contains(ids, c.device.ID())
		ids = slices.DeleteFunc(slices.Clone(ids), func(id uint32) bool { return id == c.device.ID() })
	}
	before, err := tx.Devices(who)
	if err != nil {
		return err
	}
	if sameActive(before, ids) {
		return c.noteOwnList(tx, who)
	}
	met, err := c.met(tx, who, before)
	if err != nil {
		return err
	}
	fresh, err := tx.SetActiveDevices(who, ids)
	if err != nil {
		return err
	}
	fx.events = append(fx.events, DevicesChanged{who})
	fx.flush = true
	if c.Membership() != nil {
		if err := c.freshInOrganisation(tx, fx, who, fresh); err != nil {
			return err
		}
		return c.noteOwnList(tx, who)
	}
	for _, id := range fresh {
		a := omemo.Address{JID: who, Device: id}
		if err := c.audit(tx, audit.Event{Kind: audit.DeviceNew, Peer: audit.PersonOf(who), Device: id}); err != nil {
			return err
		}
		if met {
			fx.look = append(fx.look, a)
			continue
		}
		if err := tx.PutDevice(store.PeerDevice{Peer: who, ID: id, Trust: store.FirstUse, Active: true}); err != nil {
			return err
		}
	}
	if met && len(fresh) > 0 {
		if err := c.warnNew(tx, fx, who, len(fresh)); err != nil {
			return err
		}
	}
	return c.noteOwnList(tx, who)
}

func sameActive(before []store.PeerDevice, ids []uint32) bool {
	n := 0
	for i := range before {
		if before[i].Active {
			if !slices.Contains(ids, before[i].ID) {
				return false
			}
			n++
		}
	}
	return n == len(ids)
}

// valueOwnList notes that the own device list was seen: own devices that come
// later were not there when this one was set up.
const valueOwnList = "omemo.ownlist"

func (c *Client) noteOwnList(tx *store.Tx, who string) error {
	if who != c.self {
		return nil
	}
	return tx.SetValue(valueOwnList, []byte{1})
}

// met reports whether the first contact with a person's devices is over: the
// key of one of them is known. With the own devices it is over as soon as their
// list was seen once, or a relay could slip one in.
func (c *Client) met(tx *store.Tx, who string, devices []store.PeerDevice) (bool, error) {
	if who == c.self {
		seen, err := tx.Value(valueOwnList)
		return seen != nil, err
	}
	return slices.ContainsFunc(devices, func(d store.PeerDevice) bool { return d.Fingerprint != nil }), nil
}
