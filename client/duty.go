package client

import (
	"slices"
	"time"

	"sotto/client/membership"
	"sotto/client/org"
	"sotto/client/org/order"
	"sotto/client/store"
	"sotto/client/wire"
)

// The link obeys orders while no desk is there (wire.Duty), and a gate wipes (Warrant).
// What they need for that they are told here, whenever it has changed.

// delegateEvery is how old a delegation gets. It holds for a week: a device that is
// locked for longer acknowledges again when it is unlocked.
const delegateEvery = 12 * time.Hour

// Warrant says by whose word this device is to be wiped, and which device that is.
type Warrant struct {
	Anchor []byte // the text of an org.Anchor
	Self   order.Self
	Since  time.Time // when the organisation has taken it in
}

// duty is what the link was told last.
type duty struct {
	key         []byte // the link's; nil: it was not asked yet, or has not answered
	delegation  []byte
	delegatedAt time.Time
	told        dutyMark
	due         bool // what is known of orders has changed
}

// dutyMark tells whether something has changed.
type dutyMark struct {
	organisation string
	head, keys   uint64
	roles        string
}

// enlist asks the link for its key.
func (c *Client) enlist() {
	if c.Membership() != nil {
		c.out.send(wire.Enlist{})
	}
}

// onEnlisted takes the link's key, and the head that it has followed.
func (c *Client) onEnlisted(e wire.Enlisted) {
	m, d := c.Membership(), &c.orders.duty
	if m == nil {
		return
	}
	d.key, d.delegation = e.Key, nil
	followed := false // while no desk was there
	if len(e.Head) > 0 {
		var refused error
		if c.take("keep the head", func(tx *store.Tx, _ *effects) error { return m.Follow(tx, e.Head) }, &refused) && refused == nil {
			followed = c.online && len(m.Ledger().Missing(m.Head().Orders)) == 0
			c.events.put(OrganisationChanged{})
			c.complete(func(error) {}) // the lease counts from it only if nothing that it names is missing here
		} else if refused != nil {
			c.log.Info("the link's head", "err", refused)
		}
	}
	d.due = true
	c.tellDuty()
	if followed {
		c.haveHeard()
	}
}

// tellDuty tells what has changed.
func (c *Client) tellDuty() {
	m, d := c.Membership(), &c.orders.duty
	if m == nil {
		return
	}
	self := m.Self()
	mark := dutyMark{m.Organisation(), m.Head().Number, m.Anchor().Number, ""}
	for _, r := range self.Roles {
		mark.roles += r + " "
	}
	anchor, err := m.Anchor().MarshalText()
	if err != nil {
		c.log.Error("organisation", "err", err)
		return
	}
	if was := d.told; c.cfg.OnWarrant != nil && (was.organisation != mark.organisation || was.keys != mark.keys || was.roles != mark.roles) {
		c.cfg.OnWarrant(Warrant{Anchor: anchor, Self: self, Since: m.Added()})
	}
	fresh := time.Since(d.delegatedAt) < delegateEvery && d.delegation != nil
	if mark == d.told && !d.due && fresh {
		return
	}
	d.told = mark
	if d.key == nil {
		return
	}
	if !fresh && !c.delegate(m) {
		return
	}
	ledger, err := m.Ledger().MarshalText()
	if err != nil {
		c.log.Error("organisation", "err", err)
		return
	}
	d.due = false
	c.out.send(wire.Duty{
		Contact: m.Contact(), Anchor: anchor, Head: m.HeadNote(), Address: self.Address, Device: self.Device,
		Roles: self.Roles[:min(len(self.Roles), wire.MaxRoles)], Ledger: ledger, Delegation: d.delegation,
	})
}

// delegate signs that the link's key may acknowledge orders for this device.
func (c *Client) delegate(m *membership.Membership) bool {
	d, self := &c.orders.duty, m.Self()
	now := time.Now().UTC().Truncate(time.Second)
	return c.update("let the link acknowledge", func(tx *store.Tx, _ *effects) error {
		to, err := org.NewKey(org.DeviceName(self.Device), d.key)
		if err != nil {
			return err
		}
		key, err := membership.DeviceKey(tx, self.Device)
		if err != nil {
			return err
		}
		x := order.Delegation{Device: order.Target{Person: self.Address, Device: self.Device}, To: to, Issued: now, Expires: now.Add(order.MaxDelegation)}
		note, err := x.Sign(m.Organisation(), key)
		if err == nil {
			d.delegation, d.delegatedAt = slices.Clone(note), now
		}
		return err
	})
}
