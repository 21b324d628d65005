package client

import (
	"slices"
	"strings"
	"time"

	"sotto/client/membership"
	"sotto/client/org/directory"
	"sotto/client/text"
)

// Person is somebody in the organisation's directory, fit for a screen.
type Person struct {
	Address    string
	Name       text.Safe
	Roles      []text.Safe
	Department text.Safe
	Partner    text.Safe // the organisation, if it is another
	State      string    // "active", "suspended" or "left"
	Devices    int       // that the organisation vouches for
	Why        text.Safe // why there can be no conversation; "" if there can
}

// About is what a person does and where: "physician, on-call · Cardiology" in the
// parts that are joined on a screen.
func (p Person) About() (parts []string) {
	roles := make([]string, len(p.Roles))
	for i, r := range p.Roles {
		roles[i] = r.String()
	}
	for _, s := range []string{strings.Join(roles, ", "), p.Department.String(), p.Partner.String()} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	if p.State != stateWords[directory.Active] {
		parts = append(parts, p.State)
	}
	return parts
}

// stateWords are the states of people in words.
var stateWords = map[directory.State]string{directory.Active: "active", directory.Suspended: "suspended", directory.Removed: "left"}

// People returns up to most people of the directory, and of what partners show, of
// whom name, address, roles or department have a word that begins with each word of
// query; those found by their names first. Who has left is not among them. It needs
// no network, and takes a few milliseconds with 10,000 people. In open mode there is
// nobody.
func (c *Client) People(query string, most int) []Person {
	m := c.Membership()
	if m == nil {
		return nil
	}
	now := time.Now()
	var list []Person
	for _, e := range m.Directory().Search(query, most) {
		list = append(list, personOf(m, membership.Person{Entry: e}, now))
	}
	for _, partner := range m.Partners() {
		for _, e := range partner.Directory.Search(query, most-len(list)) {
			list = append(list, personOf(m, membership.Person{Entry: e, Partner: partner.Name}, now))
		}
	}
	return slices.DeleteFunc(list, func(p Person) bool { return p.Address == c.self })
}

// Person returns who has an address, by the directory; false if nobody has.
func (c *Client) Person(address string) (Person, bool) {
	m := c.Membership()
	p, err := m.Find(address)
	if err != nil {
		return Person{}, false
	}
	return personOf(m, p, time.Now()), true
}

// MayTalk returns nil if there can be a conversation with somebody, and else why not.
func (c *Client) MayTalk(address string) error {
	m := c.Membership()
	if err := m.MayTalk(address, time.Now()); err != nil {
		return err
	}
	return nobodyReads(m, address)
}

func personOf(m *membership.Membership, p membership.Person, now time.Time) Person {
	x := Person{Address: p.Address, Name: text.Line(p.Name), Department: text.Line(p.Department), Partner: text.Line(p.Partner),
		State: stateWords[p.State], Devices: len(p.Devices)}
	for _, r := range p.Roles {
		x.Roles = append(x.Roles, text.Line(r))
	}
	err := m.MayTalk(p.Address, now)
	if err == nil {
		err = nobodyReads(m, p.Address)
	}
	if err != nil {
		x.Why = lineOf("%v", err)
	}
	return x
}
