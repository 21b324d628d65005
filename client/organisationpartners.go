package client

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"

	"sotto/client/membership"
	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/invitation"
	"sotto/client/stanza"
	"sotto/client/store"
)

// fetchPartners fetches agreements with partners, and what those show of their
// directories. What a partner's relay does not show is no failure of the own one.
func (c *Client) fetchPartners(done func(error)) {
	m := c.Membership()
	c.ask("get", c.askTo(m.Contact()), stanza.ItemsRequest(stanza.NodePartners), func(e *stanza.Element, err error) {
		if condition(err) != "" {
			err = nil // there are none
		}
		if err != nil {
			done(err)
			return
		}
		items, _ := stanza.ReadItems(e, stanza.NodePartners)
		c.takePartners(m, items)
		c.complete(func(error) {})
		current := m.PartnersCurrent()
		if c.following.looking {
			done(current)
			return
		}
		c.followPartners(m, m.Partners(), func() { done(current) })
	})
}

// followPartners fetches what partners show of their directories, one after the other.
func (c *Client) followPartners(m *membership.Membership, left []membership.Partner, done func()) {
	c.following.partnersAt = time.Now().Add(followPartnersEvery)
	var next func()
	next = func() {
		if len(left) == 0 || !c.online {
			done()
			return
		}
		p := left[0]
		left = left[1:]
		c.followPartner(m, p, next)
	}
	next()
}

// lookAtPartners fetches what partners show to whom this person is open. Nobody tells
// of a change there, as the own organisation does. It goes on beside rounds, which a
// partner that does not answer is not to hold up.
func (c *Client) lookAtPartners(now time.Time) {
	m, f := c.Membership(), &c.following
	if f.busy || f.looking || !c.online || f.partnersAt.IsZero() || now.Before(f.partnersAt) {
		return
	}
	f.partnersAt = now.Add(followPartnersEvery)
	open := m.Opened(now)
	list := slices.DeleteFunc(m.Partners(), func(p membership.Partner) bool { return !slices.Contains(open, p.Name) })
	if len(list) == 0 {
		return
	}
	f.looking = true
	c.followPartners(m, list, func() { f.looking = false })
}

// takePartners takes agreements and ends of agreements in.
func (c *Client) takePartners(m *membership.Membership, items []stanza.Item) {
	f := &c.following
	if f.partners == nil {
		f.partners = make(map[[sha256.Size]byte]bool)
	}
	if len(items) > maxPartners {
		items = items[:maxPartners]
	}
	ends := func(i stanza.Item) int { // after what they end
		if strings.HasSuffix(i.ID, stanza.PartnerEndItem("")) {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(items, func(a, b stanza.Item) int { return ends(a) - ends(b) })
	for _, item := range items {
		note, contact, err := stanza.ReadPartnerNote(item.Payload)
		if err != nil {
			c.refused("an agreement with a partner", err)
			continue
		}
		sum := sha256.Sum256(append([]byte(contact+"\n"), note...))
		if f.partners[sum] {
			continue
		}
		var refused error
		if !c.take("keep an agreement", func(tx *store.Tx, fx *effects) error {
			before := m.Partners()
			if err := m.ApplyPartner(tx, note, contact); err != nil {
				return err
			}
			fx.events = append(fx.events, OrganisationChanged{})
			return c.partnersChanged(tx, fx, before)
		}, &refused) {
			return
		}
		f.partners[sum] = refused == nil || errors.Is(refused, org.ErrRollback) // another may be taken once more is here
		switch {
		case refused == nil:
		case errors.Is(refused, org.ErrRollback): // it was ended, or replaced, and is still shown
			c.log.Info("agreement ignored", "err", refused)
		default:
			c.refused("an agreement with a partner", refused)
		}
	}
}

// followPartner fetches what a partner shows of its directory.
func (c *Client) followPartner(m *membership.Membership, p membership.Partner, done func()) {
	account := p.Contact
	if account == "" {
		account = invitation.DefaultContact("@" + p.Name)
	}
	own := m.Organisation()
	what := "the directory of " + p.Name
	end := func(err error) {
		switch {
		case err == nil:
		case isRefusal(err) && !errors.Is(err, org.ErrGap):
			c.refused(what, err)
		default:
			c.log.Info("a partner's directory could not be had", "partner", p.Name, "err", err)
		}
		done()
	}
	c.fetchItemOf(account, stanza.NodeFor(own, stanza.NodeHead), stanza.ItemCurrent, func(note []byte, err error) {
		if err == nil && note == nil {
			err = errWithheld
		}
		if err != nil {
			end(err)
			return
		}
		var refused error
		if !c.take("keep a partner's head", func(tx *store.Tx, _ *effects) error { return m.FollowPartner(tx, p.Name, note) }, &refused) || refused != nil {
			end(refused)
			return
		}
		b := &book{what: what, account: account, updates: stanza.NodeFor(own, stanza.NodeDirectory), snapshot: stanza.NodeFor(own, stanza.NodeSnapshot),
			organisation: p.Name, key: p.Key, dir: p.Directory}
		b.apply = func(tx *store.Tx, updates ...[]byte) (changes []directory.Change, err error) {
			return m.ApplyPartnerDirectory(tx, p.Name, updates...)
		}
		b.load = func(parts [][]byte) (func(*store.Tx) error, []directory.Change, error) {
			return m.ReadPartnerSnapshot(p.Name, parts)
		}
		for _, now := range m.Partners() {
			if now.Name == p.Name {
				c.bring(b, now.Head.Directory, end)
				return
			}
		}
		end(nil)
	})
}
