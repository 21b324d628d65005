package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client/audit"
	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/head"
	"sotto/client/org/invitation"
	"sotto/client/org/policy"
)

// DefaultInvitation is how long an invitation is good where nobody says.
const DefaultInvitation = 7 * 24 * time.Hour

// forgetAfter is how long an invitation that has expired is remembered, so that who
// comes with it is told so.
const forgetAfter = 30 * 24 * time.Hour

// Invite says whom to invite.
type Invite struct {
	Person  invitation.Person
	For     time.Duration // how long it is good; 0 is DefaultInvitation
	Another bool          // for one more device of somebody who is in: Person has only the Address then
	Anew    bool          // with a new password for the account, which locks its other devices out
}

// Invited is an invitation that was issued. Clear forgets what is secret in it.
type Invited struct {
	Code    invitation.Code
	PIN     *memguard.LockedBuffer // as invitation.ParsePIN reads it
	Keys    *invitation.Keys       // whose Password the account is to get
	Person  invitation.Person
	Expires time.Time

	// HasPassword says that the code carries the password that the account has: there
	// is nothing to be set at the relay.
	HasPassword bool
}

// Clear forgets what is secret.
func (i *Invited) Clear() {
	i.Code.Clear()
	i.PIN.Destroy()
	i.Keys.Destroy()
}

// Invite issues an invitation, and stores it before it returns. Open ones for the
// same address become void: only the newest is good.
func (o *Organisation) Invite(ctx context.Context, v Invite) (*Invited, error) {
	life := v.For
	if life == 0 {
		life = DefaultInvitation
	}
	done := new(Invited)
	err := o.change(ctx, "invite "+v.Person.Address, func(c *change) error {
		e, known := o.staff.Entry(v.Person.Address)
		in := known && e.State != directory.Removed
		switch {
		case v.Person.Address == o.contact:
			return errors.New("this is the organisation's own account")
		case v.Another && !in:
			return fmt.Errorf("%w. Invite the person first", directory.ErrStranger)
		case v.Another && e.State == directory.Suspended, in && e.State == directory.Suspended:
			return fmt.Errorf("%s %w. Let them in again first: sotto org restore %s", e.Name, directory.ErrSuspended, e.Address)
		case v.Another && len(e.Devices) >= directory.MaxDevices:
			return fmt.Errorf("%s has %d devices, which is the most. Remove one first: sotto org remove-device %s", e.Name, len(e.Devices), e.Address)
		case !v.Another && in && len(e.Devices) > 0:
			return fmt.Errorf("%s (%s) is in already. Another device is invited with --device", e.Address, e.Name)
		case v.Another:
			v.Person = invitation.Person{Address: e.Address, Name: e.Name, Roles: e.Roles, Department: e.Department}
		case slices.Contains(v.Person.Roles, RoleOrganisation):
			return fmt.Errorf("the role %q is that of the organisation's own account", RoleOrganisation)
		}
		c.touched = true
		if v.Anew {
			o.book.ForgetPassword(v.Person.Address)
		}
		o.book.Forget(c.now.Add(-forgetAfter))
		for _, old := range o.book.All() {
			if old.For.Address == v.Person.Address && old.Open(c.now) {
				o.book.Withdraw(old.ID)
			}
		}
		relay, terms := o.terms()
		code, pin, keys, err := o.book.Issue(v.Person, o.contact, relay, terms, c.now, c.now.Add(life))
		if err != nil {
			return err
		}
		*done = Invited{Code: code, PIN: pin, Keys: keys, Person: v.Person, Expires: c.now.Add(life), HasPassword: o.book.HasPassword(v.Person.Address)}
		if err := c.act(audit.Event{Reason: audit.Invited, Peer: audit.PersonOf(v.Person.Address)}); err != nil {
			return err
		}
		return c.keepBook()
	})
	if err != nil {
		if done.PIN != nil {
			done.Clear()
		}
		return nil, err
	}
	return done, nil
}

// terms are what the policy has to say before a device can know it: the relay to go to,
// and the rest. The relay is the organisation's own, if the policy lets people connect
// to it, or else the first that it does.
func (o *Organisation) terms() (relay string, t invitation.Terms) {
	t.PINLength = o.policy.Value("pin-length").Int()
	t.PINMixed = o.policy.Value("pin-characters").Text() == "mixed"
	t.SetPins(o.policy.Value("relay-pins").List())
	relay = o.relay
	allowed := slices.DeleteFunc(slices.Clone(o.policy.Value("relays").List()), func(r string) bool {
		return r == "" || !invitation.ValidRelay(r)
	})
	if len(allowed) > 0 {
		t.OnlyRelay = true
		if !slices.Contains(allowed, relay) {
			relay = allowed[0]
		}
	}
	return relay, t
}

// Withdraw makes an open invitation void. False means that there is none of this id.
func (o *Organisation) Withdraw(ctx context.Context, id string) (found bool, err error) {
	err = o.change(ctx, "withdraw the invitation", func(c *change) error {
		c.touched = true
		for _, i := range o.book.All() {
			if i.ID != id {
				continue
			}
			if err := c.act(audit.Event{Reason: audit.Altered, Peer: audit.PersonOf(i.For.Address)}); err != nil {
				return err
			}
		}
		if found = o.book.Withdraw(id); !found {
			return nil
		}
		return c.keepBook()
	})
	return found, err
}

// entry returns an entry that is to change.
func (c *change) entry(address string) (directory.Entry, error) {
	e, ok := c.o.staff.Entry(address)
	switch {
	case !ok:
		return e, stranger(address)
	case address == c.o.contact:
		return e, errors.New("this is the organisation's own account, which stays as it is")
	}
	return e, nil
}

// Change changes somebody's entry. What fn gets is a copy; address and state and
// devices stay as they are.
func (o *Organisation) Change(ctx context.Context, address string, fn func(*directory.Entry)) (directory.Entry, error) {
	return o.edit(ctx, "change the entry", address, audit.Event{Reason: audit.Altered}, func(_ *change, e *directory.Entry) error {
		devices, state := e.Devices, e.State
		if state == directory.Removed {
			return fmt.Errorf("%s %w", e.Name, directory.ErrRemoved)
		}
		fn(e)
		e.Address, e.Devices, e.State = address, devices, state
		if slices.Contains(e.Roles, RoleOrganisation) {
			return fmt.Errorf("the role %q is that of the organisation's own account", RoleOrganisation)
		}
		return nil
	})
}

func (o *Organisation) edit(ctx context.Context, doing, address string, done audit.Event, fn func(*change, *directory.Entry) error) (e directory.Entry, err error) {
	err = o.change(ctx, doing, func(c *change) error {
		if e, err = c.entry(address); err != nil {
			return err
		}
		if err := fn(c, &e); err != nil {
			return err
		}
		c.also = append(c.also, address)
		done.Peer = audit.PersonOf(address)
		if err := c.act(done); err != nil {
			return err
		}
		return c.staffed(e)
	})
	return e, err
}

// Suspend keeps somebody out for a while: their devices stay in the directory, and
// get nothing.
func (o *Organisation) Suspend(ctx context.Context, address string) (directory.Entry, error) {
	return o.edit(ctx, "suspend", address, audit.Event{Reason: audit.Altered}, func(_ *change, e *directory.Entry) error {
		if e.State == directory.Removed {
			return fmt.Errorf("%s %w", e.Name, directory.ErrRemoved)
		}
		e.State = directory.Suspended
		return nil
	})
}

// Restore lets somebody in again who was suspended.
func (o *Organisation) Restore(ctx context.Context, address string) (directory.Entry, error) {
	return o.edit(ctx, "restore", address, audit.Event{Reason: audit.Altered}, func(_ *change, e *directory.Entry) error {
		if e.State == directory.Removed {
			return fmt.Errorf("%s %w, and has no device any more. Invite them again: sotto org invite %s", e.Name, directory.ErrRemoved, address)
		}
		e.State = directory.Active
		return nil
	})
}

// Remove takes somebody and all their devices out of the directory. Invitations that
// are open for them become void.
func (o *Organisation) Remove(ctx context.Context, address string) (directory.Entry, error) {
	return o.edit(ctx, "remove", address, audit.Event{Reason: audit.Removed}, func(c *change, e *directory.Entry) error {
		e.State, e.Devices = directory.Removed, nil
		c.touched = true
		o.book.ForgetPassword(address)
		for _, i := range o.book.All() {
			if i.For.Address == address {
				o.book.Withdraw(i.ID)
			}
		}
		return c.keepBook()
	})
}

// RemoveDevice takes one device of somebody out of the directory.
func (o *Organisation) RemoveDevice(ctx context.Context, address string, id uint32) (directory.Entry, error) {
	return o.edit(ctx, "remove the device", address, audit.Event{Reason: audit.Removed, Device: id}, func(_ *change, e *directory.Entry) error {
		if e.Device(id) == nil {
			return noDevice(e, id)
		}
		e.Devices = slices.DeleteFunc(e.Devices, func(d directory.Device) bool { return d.ID == id })
		return nil
	})
}

func stranger(address string) error {
	return fmt.Errorf("%s %w. See who is: sotto org people", address, directory.ErrStranger)
}

func noDevice(e *directory.Entry, id uint32) error {
	return fmt.Errorf("%s has no device %d in the directory. See: sotto org people --devices", e.Name, id)
}

// Knows returns nil if somebody's entry can be changed, and has the device unless that
// is 0.
func (o *Organisation) Knows(ctx context.Context, address string, device uint32) error {
	return o.view(ctx, func() error {
		e, err := (&change{o: o}).entry(address)
		if err == nil && device != 0 && e.Device(device) == nil {
			err = noDevice(&e, device)
		}
		return err
	})
}

// Name returns the organisation's name.
func (o *Organisation) Name() string { return o.name }

// Contact returns the address of its account.
func (o *Organisation) Contact() string { return o.contact }

// Relay returns where people are told to join; "" where their address tells.
func (o *Organisation) Relay() string { return o.relay }

// Anchor returns what devices trust.
func (o *Organisation) Anchor() org.Anchor {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.anchor
}

// Policy returns the policy in force.
func (o *Organisation) Policy() *policy.Policy {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.policy
}

// Head returns the newest head.
func (o *Organisation) Head() head.Head {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.head
}

// Directory returns the directory, which is not to be changed.
func (o *Organisation) Directory() *directory.Directory {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.staff
}

// Invitations returns all invitations that are remembered.
func (o *Organisation) Invitations() []invitation.Invitation {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.book.All()
}
