package client

import (
	"errors"
	"fmt"

	"sotto/client/audit"
	"sotto/client/org"
	"sotto/client/stanza"
	"sotto/client/store"
)

// fetchPolicy fetches the policy that the head names.
func (c *Client) fetchPolicy(done func(error)) {
	m := c.Membership()
	if m.PolicyCurrent() || m.Head().Policy.Serial == 0 {
		done(nil)
		return
	}
	c.fetchItem(stanza.NodePolicy, stanza.ItemCurrent, func(note []byte, err error) {
		if err == nil && note == nil {
			err = fmt.Errorf("the policy: %w", errWithheld)
		}
		if err != nil {
			done(err)
			return
		}
		before := m.Policy().At()
		var refused error
		ok := c.take("keep the policy", func(tx *store.Tx, fx *effects) error {
			if err := m.SetPolicy(tx, note); err != nil {
				return err
			}
			at := m.Policy().At()
			if at == before {
				return nil
			}
			f, err := c.decide(tx, m)
			if err != nil {
				return err
			}
			fx.after = append(fx.after, func() { c.obey(f) })
			return c.audit(tx, audit.Event{Kind: audit.PolicyApplied, Serial: at.Serial, Ref: audit.IDOf(at.Hash.String())})
		}, &refused)
		switch {
		case !ok:
			done(errNotStored)
			return
		case refused != nil:
			c.refused("the policy", refused)
			done(refused)
			return
		}
		if m.Policy().At() != before {
			c.events.put(OrganisationChanged{})
		}
		if want, here := m.Head().Policy, m.Policy().At(); here.Serial <= want.Serial {
			if err := want.Against("policy", here); err != nil {
				if !errors.Is(err, org.ErrGap) {
					c.refused("the policy", err)
				}
				done(err)
				return
			}
		}
		done(nil)
	})
}

// fetchDirectory fetches the directory that the head names.
func (c *Client) fetchDirectory(done func(error)) {
	m := c.Membership()
	b := &book{what: "the directory", account: m.Contact(), updates: stanza.NodeDirectory, snapshot: stanza.NodeSnapshot,
		organisation: m.Organisation(), key: m.Anchor().Key, dir: m.Directory(), apply: m.ApplyDirectory, load: m.ReadSnapshot}
	c.bring(b, m.Head().Directory, func(err error) {
		if isRefusal(err) && !errors.Is(err, org.ErrGap) {
			c.refused("the directory", err)
		}
		done(err)
	})
}
