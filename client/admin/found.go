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
	"sotto/client/org/invitation"
	"sotto/client/org/policy"
	"sotto/client/org/signer"
	"sotto/client/stanza"
	"sotto/client/store"
)

// RoleOrganisation is the role of the organisation's own account in its directory.
const RoleOrganisation = "organisation"

// Founding says what to found.
type Founding struct {
	Name    string // a domain name
	Contact string // the bare address of this account
	Relay   string // where people are to join; "" where the address tells (XEP-0156)
	Policy  string // lines of settings; "" for FirstPolicy

	Device directory.Device // this one, which is the first in the directory

	// Also, unless nil, is run in the transaction that founds, with what devices are
	// to trust.
	Also func(tx *store.Tx, anchor org.Anchor) error

	Audit func(*store.Tx, audit.Event) error // see SetAudit; may be nil
}

// ErrFounded says that there is an organisation already.
var ErrFounded = errors.New("an organisation has been founded with this profile already. Look at it with: sotto org status")

// Found makes the organisation's key, its first policy, a directory with its own
// account in it, and the first head.
func Found(ctx context.Context, st *store.Store, f Founding) (*Organisation, error) {
	if !org.ValidName(f.Name) {
		return nil, fmt.Errorf("%q cannot be the name of an organisation. It is a domain name of its own, in lower case, such as hospital.example", f.Name)
	}
	if !org.ValidAddress(f.Contact) {
		return nil, fmt.Errorf("%q is not an address", f.Contact)
	}
	key, err := signer.Generate(f.Name)
	if err != nil {
		return nil, fmt.Errorf("make the organisation's key: %w", err)
	}
	o := newOrganisation(st)
	o.name, o.contact, o.relay, o.key = f.Name, f.Contact, f.Relay, key
	o.anchor, o.keys = org.NewAnchor(key.Public(), 0), []org.Key{key.Public()}
	o.book, o.staff = invitation.NewBook(o.anchor), directory.New(f.Name, directory.Staff)
	o.audit = f.Audit
	o.resetPartners()
	err = o.change(ctx, "found the organisation", func(c *change) error {
		if b, err := c.Value(valueFounding); err != nil {
			return err
		} else if b != nil {
			return ErrFounded
		}
		var w org.Writer
		w.Line("name", o.name)
		w.Line("contact", o.contact)
		w.Optional("relay", o.relay)
		if err := c.SetValue(valueFounding, []byte(w.String())); err != nil {
			return err
		}
		if err := c.keepKey(); err != nil {
			return err
		}
		if err := c.keepBook(); err != nil {
			return err
		}
		body := f.Policy
		if body == "" {
			body = FirstPolicy()
		}
		if err := c.setPolicy(body); err != nil {
			return err
		}
		device := f.Device
		device.Added = c.now
		err := c.staffed(directory.Entry{Address: o.contact, Name: o.name, Roles: []string{RoleOrganisation},
			State: directory.Active, Devices: []directory.Device{device}})
		if err != nil {
			return err
		}
		if err := c.know(o.contact, &device); err != nil {
			return err
		}
		if err := c.act(audit.Event{Reason: audit.Founded}); err != nil || f.Also == nil {
			return err
		}
		return f.Also(c.Tx, o.anchor)
	})
	if err != nil {
		return nil, err
	}
	return o, nil
}

// keepKey stores the private key and what is public about it.
func (c *change) keepKey() error {
	err := c.o.key.WithSeed(func(seed *memguard.LockedBuffer) error {
		b := slices.Clone(seed.Bytes())
		defer clear(b)
		return c.SetValue(valueSeed, b)
	})
	if err != nil {
		return err
	}
	b, err := c.o.anchor.MarshalText()
	if err != nil {
		return err
	}
	if err := c.SetValue(valueAnchor, b); err != nil {
		return err
	}
	var w org.Writer
	for _, k := range c.o.keys {
		w.Line("key", k.String())
	}
	return c.SetValue(valueKeys, []byte(w.String()))
}

// know keeps a device for good, so that what it signs can be verified after it has
// left the directory.
func (c *change) know(address string, d *directory.Device) error {
	return c.PutKnownDevice(store.KnownDevice{Address: address, ID: d.ID, Key: d.Signing.String(), Added: c.now})
}

// FirstPolicy returns the settings that an organisation begins with. Every other
// one is in it, too, as a comment with its help.
func FirstPolicy() string {
	return policy.Template(map[string]policy.Value{
		"lock-after":    policy.Time(2 * time.Minute),
		"logoff-after":  policy.Time(15 * time.Minute),
		"lease":         policy.Time(policy.DefaultLease),
		"pin-length":    policy.Number(8),
		"destroy-after": policy.Number(10),
		"trust":         policy.Is("directory"),
		"forwarding":    policy.Is("organisation"),
		"legacy":        policy.Bool(false),
	})
}

// SetPolicy puts settings in force, as an administrator has written them, under the
// next serial. The error names the line that is wrong.
func (o *Organisation) SetPolicy(ctx context.Context, body string) (*policy.Policy, error) {
	err := o.change(ctx, "change the policy", func(c *change) error { return c.setPolicy(body) })
	if err != nil {
		return nil, err
	}
	return o.Policy(), nil
}

// ErrSamePolicy is returned where a policy would be the one in force.
var ErrSamePolicy = errors.New("this is the policy in force: nothing would change")

func (c *change) setPolicy(body string) error {
	serial := c.o.policy.At().Serial + 1
	p, err := policy.New(c.o.name, serial, c.now, body)
	if err != nil {
		return err
	}
	if c.o.policy != nil && p.Body == c.o.policy.Body {
		return ErrSamePolicy
	}
	b, err := p.Sign(c.o.key)
	if err != nil {
		return err
	}
	c.touched, c.dirty = true, true
	if c.o.policy, err = c.o.policy.Follow(b, c.o.anchor.Key); err != nil {
		return err
	}
	if err := c.act(audit.Event{Reason: audit.PolicySet, Serial: serial}); err != nil {
		return err
	}
	return c.PutItem(stanza.NodePolicy, stanza.ItemCurrent, b)
}

// CheckPolicy reads settings and says what would change.
func (o *Organisation) CheckPolicy(body string) (diff []string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p, err := policy.New(o.name, o.policy.At().Serial+1, o.time(), body)
	if err != nil {
		return nil, err
	}
	return policy.Diff(o.policy, p), nil
}
