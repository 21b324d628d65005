package relay

import (
	"strconv"

	"sotto/client/stanza"
)

// Routing of messages (RFC 6121 sections 5.2 and 8.5).

// message routes a message from s.
func (c *core) message(s *session, m *stanza.Element) {
	to, ok := c.addressee(s, m)
	if !ok {
		return
	}
	typ := messageType(m)
	private := sanitise(m)
	switch {
	case to.service == roomService:
		c.roomMessage(s, m, to)
		return
	case to.account == nil:
		c.refuse(s, m, "cancel", "service-unavailable", "")
		return
	case typ == "groupchat":
		c.refuse(s, m, "cancel", "service-unavailable", "this is not a room")
		return
	case typ == "error": // goes to the session that caused it, or nowhere
		if o := to.account.sessions[to.resource]; o != nil && !to.account.blocking(s.account, s.full) {
			c.send(o, m.Bytes())
		}
		return
	case s.account.blocking(to.account, to.raw):
		c.refuseBlocked(s, m)
		return
	case to.account.blocking(s.account, s.full):
		c.refuse(s, m, "cancel", "service-unavailable", "")
		return
	}
	m.Set("to", to.raw)
	l := &letter{from: s, to: to, m: m, typ: typ, private: private}
	l.recipients = c.recipients(to, typ)
	l.keep, l.wait = keeping(m, typ)
	c.deliver(l)
}

// letter is a message being delivered.
type letter struct {
	from       *session
	to         address
	m          *stanza.Element
	typ        string
	private    bool // no carbons (XEP-0280 section 6.1)
	keep       bool // goes into archives
	wait       bool // goes into the mailbox if need be
	recipients []*session
	room       string          // the room that sends it, instead of a person
	sent       *stanza.Element // as the sender's other devices see it
}

// peer is whom l is from, as archives and mailboxes have it.
func (l *letter) peer() string {
	if l.room != "" {
		return l.room
	}
	return l.from.account.bare
}

// mailboxFull reports whether l cannot wait: because too much does, or because
// too much of it is from this sender, who may not keep out all others.
func (c *core) mailboxFull(l *letter) bool {
	a := l.to.account
	if a.mail >= int64(c.limits.Mailbox) || !l.keep && a.held >= int64(c.limits.MailboxBytes) {
		return true
	}
	return a.mail >= int64(c.limits.MailboxShare) &&
		c.store.number(`SELECT count(*) FROM mailbox WHERE account=? AND peer=?`, a.id, l.peer()) >= int64(c.limits.MailboxShare)
}

// deliver stores l and hands it to its recipients.
func (c *core) deliver(l *letter) {
	a := l.to.account
	if l.wait && len(l.recipients) == 0 && c.mailboxFull(l) {
		c.refuse(l.from, l.m, "wait", "resource-constraint", "too many messages are waiting for this person")
		return
	}
	if !l.wait && len(l.recipients) == 0 {
		if l.typ != "headline" && !transient(l.m) {
			c.refuse(l.from, l.m, "cancel", "service-unavailable", "")
		}
		return
	}
	wire := l.m.Bytes()
	now := c.now()
	l.sent = l.m
	var id int64
	if l.keep {
		own := c.archive(l.from.account.id, l.to.account.bare, l.to.resource, wire, now)
		id = own
		l.sent = withStanzaID(l.m, own, l.from.account.bare)
		if a != l.from.account {
			id = c.archive(a.id, l.from.account.bare, l.from.resource, wire, now)
		}
		l.m = withStanzaID(l.m, id, a.bare)
		wire = l.m.Bytes()
	}
	var row *mail
	if l.wait {
		row = c.mailFor(l, id, wire, now)
	}
	for _, o := range l.recipients {
		if row != nil && o.mailPending {
			continue // it gets this after what it still has to get
		}
		c.sendMail(o, wire, row)
	}
	c.carbonCopies(l)
}

// recipients returns the sessions that a message goes to (RFC 6121 section
// 8.5): the resource it names, or else every available one with a priority that
// is not negative. A resource that is gone makes no difference to a message
// from a person: it reaches the others.
func (c *core) recipients(to address, typ string) []*session {
	if to.resource != "" {
		if o := to.account.sessions[to.resource]; o != nil {
			return []*session{o}
		}
		if typ == "headline" {
			return nil
		}
	}
	var all []*session
	for _, o := range to.account.all() {
		if o.available && o.priority >= 0 {
			all = append(all, o)
		}
	}
	return all
}

// messageType returns the type of m; unknown ones count as normal (RFC 6121
// section 5.2.2).
func messageType(m *stanza.Element) string {
	switch t := m.Get("type"); t {
	case "chat", "error", "groupchat", "headline":
		return t
	}
	return "normal"
}

// sanitise removes from a client's message what only a relay may say: ids of
// archives, delays, carbons, archive results. It reports whether the sender
// wants no copies.
func sanitise(m *stanza.Element) (private bool) {
	kept := m.Children[:0]
	for _, e := range m.Children {
		switch {
		case e.Is(nsStanzaID, "stanza-id"), e.Is(nsMAM, "result"), e.Is(nsDelay, "delay"):
			continue
		case e.Space == nsCarbons:
			private = private || e.Local == "private"
			continue
		case e.Is(nsHints, "no-copy"):
			private = true
		}
		kept = append(kept, e)
	}
	clear(m.Children[len(kept):])
	m.Children = kept
	return private
}

// keeping says whether a message is for the archive (XEP-0313 section 5.1.1)
// and for the mailbox (XEP-0160), after the sender's hints (XEP-0334).
func keeping(m *stanza.Element, typ string) (archive, mailbox bool) {
	if typ != "chat" && typ != "normal" || m.Child(nsHints, "no-store") != nil {
		return false, false
	}
	content := false
	for e := range m.Elements() {
		switch {
		case e.Is(stanza.NSClient, "body"), e.Local == "encrypted",
			e.Is(nsHints, "store"), e.Is(nsReceipts, "received"),
			e.Space == nsMarkers && e.Local != "markable", e.Is(nsConference, "x"), e.Is(nsCorrect, "replace"),
			e.Local == "retract", e.Local == "reactions", e.Local == "apply-to":
			content = true
		}
	}
	return content && m.Child(nsHints, "no-permanent-store") == nil, content
}

// transient reports whether nobody minds that m is lost.
func transient(m *stanza.Element) bool {
	for e := range m.Elements() {
		switch e.Space {
		case nsChatStates, nsHints:
			return true
		}
	}
	return len(m.Children) == 0
}

// withStanzaID returns a copy of m with the id it has in an archive (XEP-0359).
func withStanzaID(m *stanza.Element, id int64, by string) *stanza.Element {
	n := *m
	n.Children = append(append(make([]*stanza.Element, 0, len(m.Children)+1), m.Children...),
		stanza.New(nsStanzaID, "stanza-id").With("by", by).With("id", archiveID(id)))
	return &n
}

// archiveID is an archive id as clients see it.
func archiveID(id int64) string { return strconv.FormatInt(id, 36) }
