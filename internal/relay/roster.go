package relay

import (
	"crypto/sha256"
	"encoding/base64"

	"sotto/client/stanza"
)

// The roster (RFC 6121 section 2). It is the same for everyone: all local
// people, each subscribed to each, kept by whoever runs the relay.

// title is what others see as the name of a.
func (a *account) title() string {
	if a.display != "" {
		return a.display
	}
	return a.name
}

func (c *core) rosterItem(a *account) *stanza.Element {
	team := a.team
	if team == "" {
		team = c.cfg.Group
	}
	return stanza.New(nsRoster, "item", stanza.TextElement(nsRoster, "group", team)).
		With("jid", a.bare).With("name", a.title()).With("subscription", "both")
}

// roster answers a request for the roster. Changing it is not for clients.
func (c *core) roster(q *request) {
	if q.set {
		c.no(q, "cancel", "not-allowed", "the roster is kept by whoever runs the relay")
		return
	}
	q.s.interested = true
	ver := c.rosterVer()
	if q.payload.Get("ver") == ver {
		c.yes(q)
		return
	}
	query := stanza.New(nsRoster, "query").With("ver", ver)
	for _, a := range c.sorted() {
		if a != q.s.account {
			query.Add(c.rosterItem(a))
		}
	}
	c.yes(q, query)
}

// rosterVer names the state of the roster (section 2.6).
func (c *core) rosterVer() string {
	if c.rosterVersion == "" {
		h := sha256.New()
		for _, a := range c.sorted() {
			h.Write(append(c.rosterItem(a).Bytes(), '\n'))
		}
		c.rosterVersion = base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:12])
	}
	return c.rosterVersion
}

// pushRoster tells everyone who asked for the roster that a came, changed or went.
func (c *core) pushRoster(a *account, removed bool) {
	c.rosterVersion = ""
	item := c.rosterItem(a)
	if removed {
		item = stanza.New(nsRoster, "item").With("jid", a.bare).With("subscription", "remove")
	}
	for _, o := range c.accounts {
		if o == a {
			continue
		}
		for _, s := range o.sessions {
			if s.interested {
				push := stanza.New(stanza.NSClient, "iq", stanza.New(nsRoster, "query", item)).
					With("type", "set").With("id", randomID()).With("to", s.full)
				c.send(s, push.Bytes())
			}
		}
	}
}
