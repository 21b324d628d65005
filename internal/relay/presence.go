package relay

import (
	"strconv"

	"sotto/client/stanza"
)

// Presence (RFC 6121 sections 3 and 4). Everyone is subscribed to everyone.

// presence handles a presence stanza from s.
func (c *core) presence(s *session, p *stanza.Element) {
	if p.Get("to") != "" {
		c.directed(s, p)
		return
	}
	switch p.Get("type") {
	case "":
		c.becomeAvailable(s, p)
	case "unavailable":
		c.leaveRooms(s)
		c.withdraw(s, p)
	case "error", "probe":
	default:
		c.refuse(s, p, "modify", "bad-request", "")
	}
}

// becomeAvailable handles initial presence and its changes (sections 4.2, 4.4).
func (c *core) becomeAvailable(s *session, p *stanza.Element) {
	priority := 0
	if e := p.Child(stanza.NSClient, "priority"); e != nil {
		n, err := strconv.ParseInt(e.Text(), 10, 8)
		if err != nil {
			c.refuse(s, p, "modify", "bad-request", "a priority is a number from -128 to 127")
			return
		}
		priority = int(n)
	}
	initial := !s.available
	hadMail := s.available && s.priority >= 0
	s.available, s.priority, s.presence = true, priority, p.Bytes()
	c.broadcast(s, s.presence)
	if initial {
		for _, a := range c.accounts {
			c.showPresence(s, a)
		}
	}
	c.noteCaps(s, p)
	if !hadMail && priority >= 0 {
		c.openMailbox(s)
	}
}

// showPresence sends s the presence of everyone available in a (section 4.3).
func (c *core) showPresence(s *session, a *account) {
	for _, o := range a.sessions {
		if o != s && o.available && !apart(s, o) {
			c.sendTo(s, o.presence, s.full)
		}
	}
}

// apart reports whether one of two people blocks the other (XEP-0191).
func apart(s, o *session) bool {
	return s.account.blocking(o.account, o.full) || o.account.blocking(s.account, s.full)
}

// broadcast sends presence of s to everyone else who is available, and to the
// other sessions of its own account.
func (c *core) broadcast(s *session, data []byte) {
	for _, a := range c.accounts {
		for _, o := range a.sessions {
			if o != s && o.available && !apart(s, o) {
				c.sendTo(o, data, a.bare)
			}
		}
	}
}

// withdraw handles unavailable presence: the session stays, but is not there
// for others (section 4.5).
func (c *core) withdraw(s *session, p *stanza.Element) {
	if !s.available {
		return
	}
	s.available, s.mailPending = false, false
	s.presence, s.notify, s.caps, s.capsQuery = nil, nil, capsKey{}, ""
	c.broadcast(s, p.Bytes())
}

// leave tells others that s has ended.
func (c *core) leave(s *session) {
	c.leaveRooms(s)
	c.withdraw(s, stanza.New(stanza.NSClient, "presence").With("type", "unavailable").With("from", s.full))
}

// directed handles presence for one address (section 4.6) and subscriptions
// (section 3), which all exist already.
func (c *core) directed(s *session, p *stanza.Element) {
	to, ok := c.addressee(s, p)
	if ok && to.service == roomService {
		c.roomPresence(s, p, to)
		return
	}
	if !ok || to.account == nil || s.account.blocking(to.account, to.raw) || to.account.blocking(s.account, s.full) {
		return
	}
	switch p.Get("type") {
	case "", "unavailable", "error":
		data := p.Bytes()
		for _, o := range to.account.all() {
			if o.resource == to.resource || to.resource == "" && o.available && p.Get("type") != "error" {
				c.send(o, data)
			}
		}
	case "subscribe":
		c.send(s, stanza.New(stanza.NSClient, "presence").With("type", "subscribed").
			With("from", to.account.bare).With("to", s.account.bare).Bytes())
		c.showPresence(s, to.account)
	case "probe":
		c.showPresence(s, to.account)
	}
}
