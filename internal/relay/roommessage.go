package relay

import (
	"slices"
	"strconv"
	"time"

	"mellium.im/xmpp/jid"
	"sotto/client/stanza"
)

// What is said in rooms: messages, subjects, invitations, and what is taken back.

// roomMessage handles a message that is sent to a room.
func (c *core) roomMessage(s *session, m *stanza.Element, to address) {
	if m.Get("type") == "error" {
		return
	}
	if to.local == "" {
		c.refuse(s, m, "cancel", "service-unavailable", "")
		return
	}
	r := c.findRoom(to.local)
	if r == nil || !r.public && r.levels[s.account.id] < member && m.Child(stanza.NSMUCUser, "x").Child(stanza.NSMUCUser, "decline") == nil {
		c.refuse(s, m, "cancel", "item-not-found", "")
		return
	}
	o, t := r.seat(s)
	x := m.Child(stanza.NSMUCUser, "x")
	switch groupchat := m.Get("type") == "groupchat"; {
	case to.resource != "" && groupchat:
		c.refuse(s, m, "modify", "bad-request", "write to the room, not to one in it")
	case to.resource != "":
		c.refuse(s, m, "auth", "forbidden", "rooms pass on no private messages: write to the person's own address")
	case x.Child(stanza.NSMUCUser, "invite") != nil && !groupchat:
		c.invite(s, m, r, x)
	case x.Child(stanza.NSMUCUser, "decline") != nil && !groupchat:
		c.decline(s, m, r, x.Child(stanza.NSMUCUser, "decline"))
	case t == nil:
		c.refuse(s, m, "modify", "not-acceptable", "you are not in this room")
	case !groupchat:
		c.refuse(s, m, "modify", "bad-request", "messages to a room are of the type groupchat")
	default:
		c.say(r, o, s, m)
	}
}

// say sends a message of o to everyone in r.
func (c *core) say(r *room, o *occupant, s *session, m *stanza.Element) {
	text, isSubject := stanza.ReadRoomSubject(m)
	if isSubject && !c.mayChangeSubject(r, o, s, m, text) {
		return
	}
	now := c.now()
	m.Del("to")
	m.Set("from", r.bare+"/"+o.nick)
	m.Children = slices.DeleteFunc(m.Children, func(e *stanza.Element) bool {
		return e.Is(stanza.NSOccupantID, "occupant-id") || e.Space == stanza.NSMUCUser || e.Space == stanza.NSMUC || e.Local == "error" ||
			e.Is(stanza.NSRetract, "retracted") || e.Is(stanza.NSRetract, "retract") && e.Child(stanza.NSModerate, "") != nil
	})
	m.Add(stanza.OccupantID(o.id))
	if isSubject {
		r.subject = subject{text, o.nick, micros(now)}
		c.store.saveRoom(r)
	}
	if keep, _ := keeping(m, "normal"); keep {
		if id, ok := stanza.ReadRetract(m); ok {
			c.bury(r, id, o.account.bare, stanza.Tombstone{ID: m.Get("id"), Time: now})
		}
		id := c.keepSaid(r, o.account, o.nick, m, now)
		m = withStanzaID(m, id, r.bare)
	}
	c.tell(r, m)
}

// keepSaid puts a message into the archive of r, with the address of who sent
// it: who reads it later may find nobody of that nick (XEP-0313 section 6.1.2).
func (c *core) keepSaid(r *room, by *account, nick string, m *stanza.Element, now time.Time) int64 {
	l := r.levels[by.id]
	item := stanza.RoomItem{Affiliation: levelNames[l], Role: l.role(), JID: by.jid}
	kept := *m
	kept.Children = append(slices.Clone(m.Children), stanza.RoomUser{Items: []stanza.RoomItem{item}}.Element())
	return c.archive(-r.id, by.bare, nick, kept.Bytes(), now)
}

// tell sends everyone in r a message, which has no "to".
func (c *core) tell(r *room, m *stanza.Element) {
	data := m.Bytes()
	for _, x := range r.everyone() {
		c.sendTo(x, data, x.full)
	}
}

func (c *core) mayChangeSubject(r *room, o *occupant, s *session, m *stanza.Element, text string) bool {
	switch {
	case !r.topics && r.levels[o.account.id] < admin:
		c.refuse(s, m, "auth", "forbidden", "only those who run this room change its topic")
	case len(text) > maxRoomSubject:
		c.refuse(s, m, "modify", "not-acceptable", "this topic is too long")
	default:
		return true
	}
	return false
}

// subjectMessage tells s of the subject, which may be empty (section 7.2.15).
func (r *room) subjectMessage(s *session) []byte {
	m := stanza.New(stanza.NSClient, "message", stanza.TextElement(stanza.NSClient, "subject", r.subject.text)).
		With("type", "groupchat").With("from", r.bare).With("to", s.full)
	if r.subject.time != 0 {
		m.Set("from", r.bare+"/"+r.subject.from)
		m.Add(stanza.New(nsDelay, "delay").With("from", r.bare).With("stamp", stamp(time.UnixMicro(r.subject.time))))
	}
	return m.Bytes()
}

// invite passes invitations on (section 7.8.2), and makes who is invited a
// member if the sender may do so.
func (c *core) invite(s *session, m *stanza.Element, r *room, x *stanza.Element) {
	l := r.levels[s.account.id]
	if l < admin && !(l == member && r.invites) {
		c.refuse(s, m, "auth", "forbidden", "only those who run this room invite people to it")
		return
	}
	var guests []*account
	var reasons []string
	for e := range x.Elements() {
		if !e.Is(stanza.NSMUCUser, "invite") {
			continue
		}
		a := c.person(e.Get("to"))
		switch {
		case a == nil:
			c.refuse(s, m, "cancel", "item-not-found", "there is nobody of that address here")
			return
		case r.levels[a.id] == outcast:
			c.refuse(s, m, "auth", "forbidden", "this person was banned from the room")
			return
		case len(guests) == maxItems:
			c.refuse(s, m, "modify", "policy-violation", "too many people at once")
			return
		}
		guests = append(guests, a)
		reasons = append(reasons, clip(e.Child(stanza.NSMUCUser, "reason").Text(), maxReason))
	}
	if len(r.levels)+len(guests) > c.limits.Members {
		c.refuse(s, m, "wait", "resource-constraint", "this room has as many members as the relay allows")
		return
	}
	for i, a := range guests {
		if r.levels[a.id] == none {
			c.setLevel(r, a.id, member)
			c.noteAbsent(r, a, "")
		}
		if a.blocking(s.account, s.full) || a.blocks[r.bare] {
			continue // and nobody learns of it
		}
		invite := stanza.New(stanza.NSMUCUser, "invite").With("from", s.account.bare)
		if reasons[i] != "" {
			invite.Add(stanza.TextElement(stanza.NSMUCUser, "reason", reasons[i]))
		}
		c.deposit(a, r.bare, stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSMUCUser, "x", invite),
			stanza.DirectInvite(r.bare, reasons[i])).With("id", randomID()))
	}
}

// decline passes on that somebody does not come.
func (c *core) decline(s *session, m *stanza.Element, r *room, e *stanza.Element) {
	a := c.person(e.Get("to"))
	if a == nil || r.levels[s.account.id] < member || r.levels[a.id] < member {
		c.refuse(s, m, "cancel", "item-not-found", "")
		return
	}
	if a.blocking(s.account, s.full) || a.blocks[r.bare] {
		return
	}
	decline := stanza.New(stanza.NSMUCUser, "decline").With("from", s.account.bare)
	if reason := clip(e.Child(stanza.NSMUCUser, "reason").Text(), maxReason); reason != "" {
		decline.Add(stanza.TextElement(stanza.NSMUCUser, "reason", reason))
	}
	c.deposit(a, r.bare, stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSMUCUser, "x", decline)).With("id", randomID()))
}

// person returns the local account with an address, or nil.
func (c *core) person(address string) *account {
	j, err := jid.Parse(address)
	if err != nil || j.Domainpart() != c.domain {
		return nil
	}
	return c.accounts[j.Localpart()]
}

// clip cuts a text to at most n bytes, between characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}

// deposit gives a person a message from a room, which waits if need be.
func (c *core) deposit(a *account, room string, m *stanza.Element) {
	m.With("from", room).With("to", a.bare)
	l := &letter{to: address{account: a, raw: a.bare}, m: m, typ: "normal", room: room, keep: true, wait: true}
	l.recipients = c.recipients(l.to, l.typ)
	if len(l.recipients) == 0 && c.mailboxFull(l) {
		return
	}
	now := c.now()
	id := c.archive(a.id, room, "", m.Bytes(), now)
	wire := withStanzaID(m, id, a.bare).Bytes()
	row := c.mailFor(l, id, wire, now)
	for _, o := range l.recipients {
		if row == nil || !o.mailPending {
			c.sendMail(o, wire, row)
		}
	}
}

// moderate takes back somebody's message (XEP-0425).
func (c *core) moderate(q *request, r *room) {
	id, reason, ok := stanza.ReadModerateRequest(q.payload)
	o := r.occupants[q.s.account.id]
	switch {
	case !ok || len(reason) > maxReason:
		c.no(q, "modify", "bad-request", "")
		return
	case r.levels[q.s.account.id] < admin || o == nil:
		c.no(q, "auth", "forbidden", "only those who run this room and are in it take back messages of others")
		return
	}
	now := c.now()
	m := stanza.Moderation{ID: id, By: r.bare + "/" + o.nick, OccupantID: o.id, Reason: reason}
	if !c.bury(r, id, "", stanza.Tombstone{Time: now, Moderated: true, By: m.By, Reason: reason}) {
		c.no(q, "cancel", "item-not-found", "")
		return
	}
	said := stanza.New(stanza.NSClient, "message", m.Element(), stanza.StoreHint()).
		With("type", "groupchat").With("from", r.bare).With("id", randomID())
	c.tell(r, withStanzaID(said, c.keepSaid(r, o.account, "", said, now), r.bare))
	c.yes(q)
}

// bury replaces a message in the archive of r by a tombstone, if it is there
// and, unless by is empty, from this person.
func (c *core) bury(r *room, id, by string, t stanza.Tombstone) bool {
	n, err := strconv.ParseInt(id, 36, 64)
	if err != nil || archiveID(n) != id {
		return false
	}
	old := c.store.blob(`SELECT stanza FROM archive WHERE id=? AND account=? AND (?='' OR peer=?)`, n, -r.id, by, by)
	m, err := stanza.Parse(old)
	if err != nil {
		return false
	}
	m.Children = slices.DeleteFunc(m.Children, func(e *stanza.Element) bool {
		return !e.Is(stanza.NSOccupantID, "occupant-id") && !e.Is(stanza.NSMUCUser, "x")
	})
	wire := m.Add(t.Element()).Bytes()
	c.store.exec(`UPDATE archive SET stanza=? WHERE id=?`, wire, n)
	c.book(-r.id, string(c.store.blob(`SELECT peer FROM archive WHERE id=?`, n)), 0, int64(len(wire)-len(old)))
	return true
}
