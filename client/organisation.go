package client

import (
	"errors"
	"time"

	"sotto/client/membership"
	"sotto/client/org/directory"
	"sotto/client/org/head"
	"sotto/client/org/policy"
	"sotto/client/text"
)

// Where this device belongs to an organisation, that one says by signed statements
// who may be talked to, which devices are theirs, and what every device has to do
// (package membership, docs/organisation.md). This file and those named
// organisation*.go follow it over the link, which carries statements and cannot change
// them, and hold to what it says. Without an organisation they do nothing.

// Organisation is how this device stands to its organisation, fit for a screen. It is
// zero in open mode.
type Organisation struct {
	Name     text.Safe
	Contact  text.Safe // the account that speaks for it
	Standing policy.Standing
	Left     time.Duration // how long Standing stays so
	Heard    time.Time     // since when the lease counts (membership.Membership.Heard)
	Policy   head.Mark     // the policy that is here
	People   int           // in the directory, those who have left included
	At       head.Mark     // the update of the directory that is here
	Partners []text.Safe   // organisations with which there is an agreement

	// Current is true once all that the newest head names was fetched in this session.
	Current bool

	// Withheld says what the organisation has signed and the relay does not show, in
	// words; "" if nothing is held back that is known of.
	Withheld text.Safe
	// Out says why this person may not talk to anybody now; "" if they may.
	Out text.Safe
}

// OrganisationChanged says that what Organisation returns has changed, or the
// directory, or the policy.
type OrganisationChanged struct{}

func (OrganisationChanged) event() {}

// Membership returns what is known of the organisation; nil in open mode.
func (c *Client) Membership() *membership.Membership { return c.member.Load() }

// belongs has this device follow the organisation that has let it in.
func (c *Client) belongs(m *membership.Membership) {
	c.member.Store(m)
	c.following = following{}
	c.signDevices()
	c.enlist()
	c.follow()
	c.events.put(OrganisationChanged{}, ConversationsChanged{})
}

// Organisation returns how this device stands to its organisation.
func (c *Client) Organisation() Organisation {
	m := c.Membership()
	if m == nil {
		return Organisation{}
	}
	d, now := m.Directory(), time.Now()
	o := Organisation{Name: text.Line(m.Organisation()), Contact: text.Line(m.Contact()), Heard: m.Heard(),
		Policy: m.Policy().At(), People: d.Len(), At: d.At()}
	o.Standing, o.Left = m.Stands(now)
	for _, p := range m.Partners() {
		o.Partners = append(o.Partners, text.Line(p.Name))
	}
	c.mu.Lock()
	o.Withheld, o.Current = c.withheld, c.followed
	c.mu.Unlock()
	if d.At().Serial > 0 {
		if err := d.Member(m.Address()); err != nil && !(errors.Is(err, directory.ErrStranger) && arriving(m, d)) {
			o.Out = lineOf("%v", membership.Yourself(err))
		}
	}
	return o
}

// arriving reports whether the directory that is here is from before this device was
// taken in, or still on its way: that somebody is not in it then says nothing of them.
func arriving(m *membership.Membership, d *directory.Directory) bool {
	h := m.Head()
	return h.Issued.Before(m.Added()) || d.At().Serial < h.Directory.Serial
}

// Directory returns the organisation's directory, which can be searched at any time
// and from any goroutine; nil in open mode.
func (c *Client) Directory() *directory.Directory { return c.Membership().Directory() }
