package client

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"sotto/client/audit"
	"sotto/client/membership"
	"sotto/client/omemo"
	"sotto/client/org/directory"
	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/text"
)

// In an organisation the directory says which devices are whose, and nobody else:
// not the relay, by a device list or a bundle, and not the first contact. Whether
// something may be encrypted to a device is asked of the directory in memory each
// time, so that a device is out from the moment an update is in. What the store says
// of a device, signed or withdrawn, is what people are shown, and of messages that
// came from it.

// errNotSigned is what a bundle is refused with that is of no device in the directory.
var errNotSigned = errors.New("the organisation has not signed this device")

// mayEncrypt reports whether something may be encrypted to a device, as far as it is
// known: if its key is not yet, to the one that the directory names.
func (c *Client) mayEncrypt(who string, d *store.PeerDevice) bool {
	m := c.Membership()
	switch {
	case m == nil:
		return c.trusts(d.Trust)
	case d.Trust == store.Distrusted:
		return false
	case len(d.Fingerprint) == len(omemo.Fingerprint{}):
		return m.Vouched(who, d.ID, [32]byte(d.Fingerprint))
	}
	p, err := m.Find(who)
	return err == nil && p.State == directory.Active && p.Device(d.ID) != nil
}

// vouched reports whether a device with this key is in the directory, of somebody who
// may be talked to.
func (c *Client) vouched(a omemo.Address, key omemo.Fingerprint) bool {
	return c.mayTalk(a.JID) == nil && c.Membership().Vouched(a.JID, a.Device, key)
}

// barred reports whether nothing may be encrypted in a session, which is with this
// key, because the directory does not have it.
func (c *Client) barred(a omemo.Address, key omemo.Fingerprint) bool {
	return c.Membership() != nil && !c.vouched(a, key)
}

// barredIn is barred of whatever session there is with a device.
func (c *Client) barredIn(tx *store.Tx, a omemo.Address) (bool, error) {
	if c.Membership() == nil {
		return false, nil
	}
	has, key, err := c.device.HasSession(tx, a)
	return has && c.barred(a, key), err
}

// judgedIn are devices with the trust that counts in an organisation.
func (c *Client) judgedIn(who string, rows []store.PeerDevice) []store.PeerDevice {
	for i := range rows {
		switch d := &rows[i]; {
		case d.Trust == store.Distrusted:
		case c.mayEncrypt(who, d):
			d.Trust = store.Signed
		case d.Trust != store.Withdrawn:
			d.Trust = store.Undecided
		}
	}
	return rows
}

// freshInOrganisation takes over devices that have appeared in somebody's list: those
// of the directory with the key that it names, all others with a word to the person.
func (c *Client) freshInOrganisation(tx *store.Tx, fx *effects, who string, fresh []uint32) error {
	p, _ := c.Membership().Find(who)
	unsigned := 0
	for _, id := range fresh {
		if d := p.Device(id); d != nil {
			if err := tx.PutDevice(store.PeerDevice{Peer: who, ID: id, Fingerprint: d.Fingerprint[:], Trust: store.Signed, Active: true}); err != nil {
				return err
			}
			if err := c.forgetOther(tx, omemo.Address{JID: who, Device: id}, d.Fingerprint); err != nil {
				return err
			}
			if err := c.auditSigned(tx, who, id); err != nil {
				return err
			}
			continue
		}
		unsigned++
		fx.look = append(fx.look, omemo.Address{JID: who, Device: id})
	}
	if unsigned == 0 || c.mayTalk(who) != nil || !c.mayWarn(who) {
		return nil
	}
	return c.warn(tx, fx, who, c.unsignedWords(who, unsigned))
}

// signerOf names the organisation that signs somebody's devices.
func (c *Client) signerOf(who string) string {
	m := c.Membership()
	if p, err := m.Find(who); err == nil && p.Partner != "" {
		return p.Partner
	}
	return m.Organisation()
}

// unsignedWords says that somebody has devices that are not in the directory.
func (c *Client) unsignedWords(who string, n int) string {
	subject, it := c.short(who)+" has ", "it"
	if who == c.self {
		subject = "You have "
	}
	if n > 1 {
		it = "them"
	}
	return fmt.Sprintf("%s%s that %s has not signed. Nothing is sent to %s", subject, newDevices(n), c.signerOf(who), it)
}

// sawInOrganisation is sawDevice in an organisation: the key of a device is the one
// that the directory names, whatever else is shown.
func (c *Client) sawInOrganisation(tx *store.Tx, fx *effects, a omemo.Address, key omemo.Fingerprint) error {
	devices, err := tx.Devices(a.JID)
	if err != nil {
		return err
	}
	m := c.Membership()
	p, _ := m.Find(a.JID)
	listed := p.Device(a.Device)
	signed := listed != nil && listed.Fingerprint == key
	if fx.seen == nil {
		fx.seen = make(map[omemo.Address]omemo.Fingerprint)
	}
	fx.seen[a] = key
	d := store.PeerDevice{Peer: a.JID, ID: a.Device}
	i := slices.IndexFunc(devices, func(d store.PeerDevice) bool { return d.ID == a.Device })
	switch {
	case i >= 0:
		d = devices[i]
	case len(devices) >= store.MaxDevices:
		c.log.Warn("too many devices", "of", a.JID)
		return nil
	default:
		fx.relist = append(fx.relist, a.JID)
	}
	same := string(d.Fingerprint) == string(key[:])
	was := d.Trust
	switch {
	case d.Trust == store.Distrusted && same, d.Trust == store.Withdrawn && !signed && same:
		return nil
	case signed && (!same || d.Trust != store.Verified):
		if d.Trust = store.Signed; same && was == store.Signed {
			return nil
		}
	case signed:
		return nil
	case listed != nil: // another key in the place of the one that the organisation has signed
		if !c.mayWarn(a.JID) {
			return nil
		}
		return c.warn(tx, fx, a.JID, fmt.Sprintf("A device of %s shows another key than %s has signed. It may be somebody else's. Nothing is sent to it",
			c.short(a.JID), c.signerOf(a.JID)))
	default:
		d.Trust = store.Undecided
		if same && was == store.Undecided {
			return nil
		}
		if c.mayTalk(a.JID) == nil && (i < 0 || len(d.Fingerprint) > 0 || was != store.Undecided) && c.mayWarn(a.JID) {
			if err := c.warn(tx, fx, a.JID, c.unsignedWords(a.JID, 1)); err != nil {
				return err
			}
		}
	}
	d.Fingerprint = key[:]
	fx.events = append(fx.events, DevicesChanged{a.JID})
	if err := tx.PutDevice(d); err != nil || d.Trust != store.Signed {
		return err
	}
	if err := c.forgetOther(tx, a, key); err != nil {
		return err
	}
	return c.auditSigned(tx, a.JID, a.Device)
}

func (c *Client) auditSigned(tx *store.Tx, who string, id uint32) error {
	return c.audit(tx, audit.Event{Kind: audit.DeviceTrusted, Peer: audit.PersonOf(who), Device: id, Reason: audit.Signed})
}

// signDevices has what the organisation says hold for what was known before the device
// has joined.
func (c *Client) signDevices() {
	c.update("store what the directory says of devices", func(tx *store.Tx, fx *effects) error {
		f, err := c.decide(tx, c.Membership())
		if err != nil {
			return err
		}
		fx.after = append(fx.after, func() { c.obey(f) })
		people, err := tx.DevicePeers()
		if err != nil {
			return err
		}
		return c.signDevicesOf(tx, fx, people)
	})
}

// signDevicesOf has the store say of people's devices what the directory says.
func (c *Client) signDevicesOf(tx *store.Tx, fx *effects, people []string) error {
	m := c.Membership()
	for _, who := range people {
		devices, err := tx.Devices(who)
		if err != nil {
			return err
		}
		p, found := m.Find(who)
		changed := false
		for _, d := range devices {
			if d.Trust == store.Distrusted {
				continue
			}
			a := omemo.Address{JID: who, Device: d.ID}
			listed := p.Device(d.ID)
			switch {
			case listed != nil:
				same := string(d.Fingerprint) == string(listed.Fingerprint[:])
				if same && (d.Trust == store.Signed || d.Trust == store.Verified) {
					continue
				}
				d.Trust, d.Fingerprint = store.Signed, listed.Fingerprint[:]
				if err := c.forgetOther(tx, a, listed.Fingerprint); err != nil {
					return err
				}
				if err := c.auditSigned(tx, who, d.ID); err != nil {
					return err
				}
			case d.Trust == store.Signed:
				d.Trust = store.Withdrawn
				err := c.audit(tx, audit.Event{Kind: audit.DeviceDistrusted, Peer: audit.PersonOf(who), Device: d.ID, Reason: audit.Removed})
				if err != nil {
					return err
				}
				fx.after = append(fx.after, c.trustLost)
			case found == nil && (d.Trust == store.FirstUse || d.Trust == store.Verified):
				d.Trust = store.Undecided // from before the organisation, and not one of its devices
			default:
				continue
			}
			if err := tx.PutDevice(d); err != nil {
				return err
			}
			changed = true
		}
		if changed {
			fx.events = append(fx.events, DevicesChanged{who})
			fx.flush = true
		}
	}
	fx.after = append(fx.after, func() { clear(c.seen) })
	return nil
}

// mayTrust is asked before the person decides about a device. In an organisation they
// can refuse one, and take that back; what is not signed stays out.
func (c *Client) mayTrust(who string, fp omemo.Fingerprint, trust store.Trust) (store.Trust, error) {
	m := c.Membership()
	if m == nil || trust == store.Distrusted {
		return trust, nil
	}
	p, _ := m.Find(who)
	signed := slices.ContainsFunc(p.Devices, func(d directory.Device) bool { return d.Fingerprint == fp })
	switch {
	case signed && trust != store.Verified:
		return store.Signed, nil
	case signed || trust == store.Undecided:
		return trust, nil
	}
	return trust, fmt.Errorf("this device is not one that %s has signed, so nothing is sent to it. Ask %s, or have it join: sotto join", c.signerOf(who), m.Contact())
}

// securityIn says who could read what is sent to somebody, in an organisation.
func (c *Client) securityIn(who string, rows []store.PeerDevice) Security {
	var s Security
	for i := range rows {
		d := &rows[i]
		if !d.Active || who == c.self && d.ID == c.device.ID() {
			continue
		}
		s.Devices++
		switch d.Trust {
		case store.Signed:
			s.Trusted++
			s.Verified++
		case store.Undecided:
			s.Undecided++
		}
	}
	name := c.signerOf(who)
	switch err := c.mayTalk(who); {
	case err != nil:
		s.Trusted, s.Verified = 0, 0
		s.Warn, s.Words, s.Short = true, lineOf("%v", err), c.barredShort(err)
	case s.Undecided > 0:
		s.Warn, s.Words, s.Short = true, lineOf("%s", c.unsignedWords(who, s.Undecided)), lineOf("%s unsigned", count(s.Undecided, "device"))
	case who == c.self && s.Devices == 0:
		s.Words = lineOf("your own address: you have no other device to send notes to")
	case s.Devices == 0:
		s.Words = lineOf("no device of %s seen yet", c.short(who))
	case s.Trusted == 0:
		s.Warn, s.Words, s.Short = true, lineOf("no device of %s is signed by %s: nothing can be sent", c.short(who), name), lineOf("no signed device")
	default:
		s.Words = lineOf("encrypted, %s signed by %s", count(s.Trusted, "device"), name)
	}
	return s
}

// barredShort says in a few words why somebody cannot be written to.
func (c *Client) barredShort(err error) text.Safe {
	name := c.Membership().Organisation()
	switch {
	case errors.Is(err, membership.ErrOut):
		return lineOf("you are not in %s now", name)
	case errors.Is(err, directory.ErrSuspended):
		return lineOf("suspended: nothing can be sent")
	case errors.Is(err, directory.ErrRemoved):
		return lineOf("has left: nothing can be sent")
	case errors.Is(err, directory.ErrStranger):
		return lineOf("not in %s: nothing can be sent", name)
	}
	return lineOf("nothing can be sent")
}

// roomSecurityIn says it of a room.
func (c *Client) roomSecurityIn(s *Security, rs *readership) {
	name := c.Membership().Organisation()
	switch {
	case len(rs.outside) > 0 && rs.total == 0:
		s.Warn, s.Words, s.Short = true, lineOf("nobody else here belongs to %s: nothing can be sent", name), lineOf("nothing can be sent")
	case len(rs.outside) > 0:
		s.Warn, s.Words, s.Short = true, lineOf("%s cannot read here: not of %s", c.people(rs.outside), name), lineOf("not everybody can read here: /members")
	case s.Undecided > 0:
		s.Warn, s.Words, s.Short = true, lineOf("%s here that %s has not signed. Nothing is sent to it: /members", newDevices(s.Undecided), name), lineOf("%s unsigned: /members", count(s.Undecided, "device"))
	case rs.total == 0:
		s.Words = lineOf("nobody else is in this room yet: /invite NAME")
	case s.Trusted == 0:
		s.Words = lineOf("no device of anybody in this room is known yet")
	default:
		s.Words = lineOf("encrypted, %s, %s signed by %s", manyPeople(rs.total), count(s.Trusted, "device"), name)
	}
}

// directoryChanged does what a change of a directory leads to, in its transaction.
func (c *Client) directoryChanged(tx *store.Tx, fx *effects, b *book, changes []directory.Change) error {
	if len(changes) == 0 {
		return nil
	}
	err := c.audit(tx, audit.Event{Kind: audit.DirectoryChanged, Serial: b.dir.At().Serial, Count: uint32(len(changes)), By: audit.PersonOf(b.account)})
	if err != nil {
		return err
	}
	people := make([]string, 0, len(changes))
	for i := range changes {
		people = append(people, changes[i].After.Address)
	}
	return c.peopleChanged(tx, fx, people)
}

// partnersChanged does what a change of the agreements leads to.
func (c *Client) partnersChanged(tx *store.Tx, fx *effects, before []membership.Partner) error {
	var people []string
	for _, p := range before {
		for _, e := range p.Directory.All() {
			people = append(people, e.Address)
		}
	}
	return c.peopleChanged(tx, fx, people)
}

// peopleChanged does what is to be done where it may have changed who may be talked
// to, and with which devices.
func (c *Client) peopleChanged(tx *store.Tx, fx *effects, people []string) error {
	known, err := tx.DevicePeers()
	if err != nil {
		return err
	}
	if len(people) > len(known) {
		slices.Sort(people)
		known = slices.DeleteFunc(known, func(who string) bool { _, found := slices.BinarySearch(people, who); return !found })
		people = known
	}
	if err := c.signDevicesOf(tx, fx, people); err != nil {
		return err
	}
	if err := c.giveUpOutsiders(tx, fx); err != nil {
		return err
	}
	if err := c.nameContacts(tx, fx); err != nil {
		return err
	}
	fx.events = append(fx.events, OrganisationChanged{})
	fx.list, fx.flush = true, true
	fx.after = append(fx.after, c.releaseHeld, func() {
		for _, p := range c.peers { // keys that were refused may be signed now
			maps.DeleteFunc(p.failed, func(_ uint32, err error) bool { return errors.Is(err, errNotSigned) })
		}
		for _, r := range c.rooms {
			c.expelFrom(r)
		}
	})
	return nil
}

// signedName returns what the directory calls somebody: before the name that the relay
// keeps, which could give one colleague another's.
func (c *Client) signedName(who, name string) string {
	if m := c.Membership(); m != nil {
		if p, err := m.Find(who); err == nil {
			return p.Name
		}
	}
	return name
}

// nameContacts calls contacts what the directory calls them.
func (c *Client) nameContacts(tx *store.Tx, fx *effects) error {
	contacts, err := tx.Contacts()
	if err != nil {
		return err
	}
	for _, who := range contacts {
		row, err := tx.Conversation(who)
		if err != nil {
			return err
		}
		if row == nil {
			continue
		}
		name := c.signedName(who, row.Name)
		if name == row.Name {
			continue
		}
		if err := tx.PutContact(who, name, row.Group); err != nil {
			return err
		}
		fx.after = append(fx.after, func() {
			c.mu.Lock()
			c.names[who] = name
			c.mu.Unlock()
		})
	}
	return nil
}

// expelFrom has a room that we run drop who has left the organisation.
func (c *Client) expelFrom(r *room) {
	m := c.Membership()
	if m == nil || !c.here(r) || r.phase != inside || !r.listed {
		return
	}
	if role := r.roles[c.self]; role != stanza.Owner && role != stanza.Admin {
		return
	}
	for who := range r.members {
		p, err := m.Find(who)
		if err != nil || p.Partner != "" || p.State != directory.Removed || r.expelled[who] {
			continue
		}
		if r.expelled == nil {
			r.expelled = make(map[string]bool)
		}
		r.expelled[who] = true
		c.expel(r, who)
	}
}
