package client

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sotto/client/omemo"
	"sotto/client/store"
	"sotto/client/text"
)

// Who can read a room is what its relay says it is, and each member's devices are
// what their relay says they are. Neither is trusted: whoever and whatever appears
// is pointed out, and nothing is encrypted to it until the person was shown it.

// Reader is somebody who could read a room, and was not shown yet.
type Reader struct {
	Address string
	Name    text.Safe
	Known   bool // the person was shown; the devices are new
	Devices []uint32
}

// NewReaders is the error of a message to a room that people or devices could read
// of whom the person was not shown that they can. Show them, then call
// AcceptReaders, then send again.
type NewReaders struct {
	Peer    string // the room
	First   bool   // the person was never shown who reads there
	Readers []Reader
}

func (n *NewReaders) Error() string {
	people, devices := 0, 0
	for _, r := range n.Readers {
		if r.Known {
			devices += len(r.Devices)
		} else {
			people++
		}
	}
	who := ""
	switch {
	case people == 1 && devices == 0:
		who = n.Readers[0].Name.String() + " can"
	case people == 0 && devices == 1:
		who = "a new device of " + n.Readers[0].Name.String() + " can"
	case people == 0:
		who = fmt.Sprintf("%d new devices can", devices)
	case devices == 0:
		who = fmt.Sprintf("%d people can", people)
	default:
		who = fmt.Sprintf("%s and %s can", count(people, "new person"), count(devices, "new device"))
		if people > 1 {
			who = fmt.Sprintf("%d new people and %s can", people, count(devices, "new device"))
		}
	}
	if n.First {
		return who + " read what you write here"
	}
	return who + " read here now and could not before"
}

// readership is who can read a room.
type readership struct {
	people   []string               // members whom the person was shown
	accepted map[omemo.Address]bool // their devices that may be encrypted to
	shown    []omemo.Address        // what the person was shown, of who still belongs to it
	settles  bool                   // shown has devices in place of who was shown without any
	fresh    []Reader
	devices  []store.PeerDevice // active ones of all members but ourselves
	total    int                // members but ourselves
	outside  []string           // and but those whom the organisation does not let read
}

// noDevice stands for somebody who was shown before any device of theirs was known.
const noDevice = 0

// readers finds out who can read a room, by what is stored. The own devices are
// not in it: a new one of those is compared before anything is sent to it.
func (c *Client) readers(tx *store.Tx, peer string) (rs readership, err error) {
	members, err := tx.Members(peer)
	if err != nil {
		return rs, err
	}
	rs.accepted = make(map[omemo.Address]bool)
	for _, m := range members {
		if m.Address == c.self {
			continue
		}
		if c.mayTalk(m.Address) != nil {
			rs.outside = append(rs.outside, m.Address)
			continue
		}
		rs.total++
		if err := c.readersOf(tx, &rs, peer, m.Address); err != nil {
			return rs, err
		}
	}
	return rs, nil
}

// readersOf adds one member.
func (c *Client) readersOf(tx *store.Tx, rs *readership, peer, who string) error {
	devices, err := tx.Devices(who)
	if err != nil {
		return err
	}
	all := []omemo.Address{{JID: who, Device: noDevice}}
	for i := range devices {
		all = append(all, omemo.Address{JID: who, Device: devices[i].ID})
	}
	unknown, err := tx.NewReaders(peer, all)
	if err != nil {
		return err
	}
	known := slices.DeleteFunc(all, func(a omemo.Address) bool { return slices.Contains(unknown, a) })
	early := slices.Contains(known, omemo.Address{JID: who, Device: noDevice})
	var mine []omemo.Address
	var fresh []uint32
	for i := range devices {
		d := &devices[i]
		if !d.Active {
			continue
		}
		rs.devices = append(rs.devices, c.judged(who, []store.PeerDevice{*d})...)
		if !c.mayEncrypt(who, d) {
			continue
		}
		a := omemo.Address{JID: who, Device: d.ID}
		if early || slices.Contains(known, a) {
			mine = append(mine, a)
		} else {
			fresh = append(fresh, d.ID)
		}
	}
	if len(known) == 0 || len(fresh) > 0 {
		rs.fresh = append(rs.fresh, Reader{Address: who, Name: c.nameFor(who), Known: len(known) > 0, Devices: fresh})
	}
	if len(known) == 0 {
		return nil
	}
	rs.people = append(rs.people, who)
	for _, a := range mine {
		rs.accepted[a] = true
	}
	switch {
	case early && len(mine) > 0:
		rs.settles = true
		rs.shown = append(rs.shown, mine...)
	default:
		rs.shown = append(rs.shown, known...)
	}
	return nil
}

// only returns those of the devices that may be encrypted to.
func (rs *readership) only(list []omemo.Address) []omemo.Address {
	return slices.DeleteFunc(slices.Clone(list), func(a omemo.Address) bool { return !rs.accepted[a] })
}

// newReaders returns the error for a room that somebody can read who was not
// shown; nil if there is nobody like that.
func (c *Client) newReaders(tx *store.Tx, peer string) (*NewReaders, readership, error) {
	rs, err := c.readers(tx, peer)
	if err != nil || len(rs.fresh) == 0 {
		return nil, rs, err
	}
	shown, err := tx.Shown(peer)
	return &NewReaders{Peer: peer, First: !shown, Readers: rs.fresh}, rs, err
}

// maySend is asked before a message is stored. An error means that it must not be:
// *NewReaders where peer is a room that others can read than the person was shown.
// For a room, it returns whom the message is for.
func (c *Client) maySend(tx *store.Tx, peer string) (people []string, err error) {
	r, err := tx.Room(peer)
	if err != nil {
		return nil, err
	}
	if r == nil {
		if err := c.onlyInvited(tx, peer); err != nil {
			return nil, err
		}
		return nil, c.declineOutsider(peer)
	}
	if !r.Joined {
		return nil, declined{errNotIn}
	}
	fresh, rs, err := c.newReaders(tx, peer)
	switch {
	case err != nil:
		return nil, err
	case fresh != nil:
		return nil, declined{fresh}
	case rs.total == 0:
		return nil, declined{errNoPeople}
	}
	return rs.people, nil
}

// declined is an error for the person, and not of the store.
type declined struct{ error }

func (r declined) Unwrap() error { return r.error }

// AcceptReaders notes that the person was shown the people and devices that n
// names, and wants to write to them. Whoever has appeared since is not among them.
func (c *Client) AcceptReaders(ctx context.Context, n *NewReaders) error {
	err := c.store.Update(ctx, func(tx *store.Tx) error {
		rs, err := c.readers(tx, n.Peer)
		if err != nil {
			return err
		}
		shown := rs.shown
		for _, r := range rs.fresh {
			i := slices.IndexFunc(n.Readers, func(x Reader) bool { return x.Address == r.Address })
			if i < 0 {
				continue
			}
			listed := n.Readers[i].Devices
			if len(listed) == 0 && !r.Known {
				shown = append(shown, omemo.Address{JID: r.Address, Device: noDevice})
			}
			for _, id := range r.Devices {
				if slices.Contains(listed, id) {
					shown = append(shown, omemo.Address{JID: r.Address, Device: id})
				}
			}
		}
		return tx.MarkShown(n.Peer, shown, time.Now())
	})
	if err != nil {
		return fmt.Errorf("keep who can read: %w", err)
	}
	c.events.put(DevicesChanged{n.Peer})
	c.kick()
	return nil
}

// accept notes that the person wants somebody, whom they have just invited, to
// read a room.
func (c *Client) accept(tx *store.Tx, peer, who string) error {
	rs, err := c.readers(tx, peer)
	if err != nil {
		return err
	}
	shown := rs.shown
	for _, r := range rs.fresh {
		if r.Address != who || r.Known {
			continue
		}
		if len(r.Devices) == 0 {
			shown = append(shown, omemo.Address{JID: who, Device: noDevice})
		}
		for _, id := range r.Devices {
			shown = append(shown, omemo.Address{JID: who, Device: id})
		}
	}
	return tx.MarkShown(peer, shown, time.Now())
}

// nameFor is what a person is called on a line of their own.
func (c *Client) nameFor(who string) text.Safe {
	c.mu.Lock()
	name := c.names[who]
	c.mu.Unlock()
	if name == "" {
		name = c.signedName(who, "")
	}
	return nameOf(name, who)
}

// roomSecurity says who could read what is written to a room.
func (c *Client) roomSecurity(tx *store.Tx, peer string) (Security, error) {
	fresh, rs, err := c.newReaders(tx, peer)
	if err != nil {
		return Security{}, err
	}
	s := Security{Room: true, People: rs.total, Devices: len(rs.devices)}
	for i := range rs.devices {
		switch rs.devices[i].Trust {
		case store.Verified, store.Signed:
			s.Trusted++
			s.Verified++
		case store.FirstUse:
			s.Trusted++
		case store.Undecided:
			s.Undecided++
		}
	}
	if fresh != nil {
		s.New = fresh
	}
	switch {
	case c.Membership() != nil && fresh == nil:
		c.roomSecurityIn(&s, &rs)
	case fresh != nil && fresh.First:
		s.Words = lineOf("%s: /members", fresh.Error())
	case fresh != nil:
		s.Warn, s.Words = true, lineOf("%s: /members", fresh.Error())
	case s.Undecided > 0:
		s.Warn, s.Words = true, lineOf("%s here. Nothing is sent to it until you compare: /members", newDevices(s.Undecided))
	case rs.total == 0:
		s.Words = lineOf("nobody else is in this room yet: /invite NAME")
	case s.Trusted == 0:
		s.Words = lineOf("no device of anybody in this room is known yet")
	case s.Verified == s.Trusted:
		s.Words = lineOf("encrypted, %s, %s compared", manyPeople(rs.total), count(s.Trusted, "device"))
	default:
		s.Words = lineOf("encrypted, %s, %d of %d devices compared", manyPeople(rs.total), s.Verified, s.Trusted)
	}
	return s, nil
}

func manyPeople(n int) string {
	if n == 1 {
		return "1 other person"
	}
	return fmt.Sprintf("%d others", n)
}
