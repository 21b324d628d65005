package relay

import (
	"slices"
	"time"

	"sotto/client/stanza"
)

// Entering, being in and leaving a room (XEP-0045 section 7).

// roomPresence handles presence that is sent to a room.
func (c *core) roomPresence(s *session, p *stanza.Element, to address) {
	if to.local == "" {
		c.refuse(s, p, "cancel", "service-unavailable", "")
		return
	}
	r := c.findRoom(to.local)
	switch p.Get("type") {
	case "":
	case "unavailable":
		if r != nil {
			c.leaveRoom(s, r, shown(p))
		}
		return
	case "error":
		return
	default:
		c.refuse(s, p, "modify", "bad-request", "")
		return
	}
	join, enters := stanza.ReadRoomJoin(p)
	if to.resource == "" || len(to.resource) > maxNick {
		c.refuse(s, p, "modify", "jid-malformed", "a nick is needed, of at most 128 bytes")
		return
	}
	if r != nil {
		if o, t := r.seat(s); t != nil && !enters {
			c.changePresence(r, o, t, p, to.resource)
			return
		}
	}
	if !enters { // somebody who believes to be in
		u := stanza.RoomUser{Items: []stanza.RoomItem{{Affiliation: stanza.None, Role: stanza.NoRole, Reason: "you are not in this room"}},
			Status: []int{stanza.StatusSelf, stanza.StatusKicked, stanza.StatusFailed}}
		c.send(s, stanza.New(stanza.NSClient, "presence", u.Element()).With("type", "unavailable").With("from", to.raw).With("to", s.full).Bytes())
		return
	}
	c.enter(s, p, to, r, join)
}

// enter lets s into a room, which is made if need be.
func (c *core) enter(s *session, p *stanza.Element, to address, r *room, join stanza.RoomJoin) {
	a := s.account
	l := none
	if r != nil {
		l = r.levels[a.id]
	}
	switch {
	case r != nil && l == outcast:
		c.refuse(s, p, "auth", "forbidden", "")
		return
	case r != nil && l == none:
		c.refuse(s, p, "auth", "registration-required", "this room is for its members")
		return
	case !s.rooms[r] && len(s.rooms) >= c.limits.Joined:
		c.refuse(s, p, "wait", "resource-constraint", "this session is in as many rooms as the relay allows")
		return
	}
	nick := to.resource
	if r == nil || r.occupants[a.id] == nil {
		if c.taken(r, a, nick) {
			c.refuse(s, p, "cancel", "conflict", "somebody else is called that")
			return
		}
	}
	status := []int{stanza.StatusNonAnonymous, stanza.StatusSelf, stanza.StatusLogged}
	if r == nil {
		if r = c.makeRoomFor(s, p, to.local); r == nil {
			return
		}
		status = append(status, stanza.StatusCreated)
	}
	for _, o := range r.occupants {
		if o.account != a {
			c.sendTo(s, r.presence(o, nil).Bytes(), s.full)
		}
	}
	o := r.occupants[a.id]
	came := o == nil
	if came {
		o = &occupant{account: a, nick: nick, id: r.occupantID(a)}
		r.occupants[a.id] = o
	} else if o.nick != nick {
		status = append(status, stanza.StatusNick)
	}
	if _, t := r.seat(s); t != nil {
		t.shown = shown(p)
	} else {
		o.seats = append(o.seats, &seat{s, shown(p)})
	}
	if s.rooms == nil {
		s.rooms = map[*room]bool{}
	}
	s.rooms[r] = true
	if came {
		data := r.presence(o, nil).Bytes()
		for _, x := range r.everyone() {
			if x.account != a {
				c.sendTo(x, data, x.full)
			}
		}
	}
	slices.Sort(status)
	own := r.presence(o, status)
	if id := p.Get("id"); id != "" {
		own.Set("id", id)
	}
	c.sendTo(s, own.Bytes(), s.full)
	c.history(s, r, join)
	c.send(s, r.subjectMessage(s))
}

// taken reports whether a may not be called nick in r, which may be nil: because
// somebody in it is, or because it is the name of somebody else on this relay.
func (c *core) taken(r *room, a *account, nick string) bool {
	if r != nil {
		for _, o := range r.occupants {
			if o.account != a && sameName(o.nick, nick) {
				return true
			}
		}
	}
	if sameName(nick, a.name) || sameName(nick, a.title()) {
		return false
	}
	for _, other := range c.accounts {
		if other != a && (sameName(nick, other.name) || sameName(nick, other.title())) {
			return true
		}
	}
	return false
}

// shown returns what a room passes on of a person's presence.
func shown(p *stanza.Element) (kept []*stanza.Element) {
	for e := range p.Elements() {
		switch {
		case e.Is(stanza.NSClient, "show"), e.Is(stanza.NSClient, "status"), e.Is(stanza.NSClient, "priority"), e.Is(nsCaps, "c"):
			kept = append(kept, e)
		}
	}
	return kept
}

// item says what somebody is to r and in it.
func (r *room) item(o *occupant) stanza.RoomItem {
	l := r.levels[o.account.id]
	i := stanza.RoomItem{Affiliation: levelNames[l], Role: l.role()}
	i.JID = o.account.jid
	if n := len(o.seats); n > 0 {
		i.JID = o.seats[n-1].session.jid
	}
	return i
}

// presence is that of o, without "to".
func (r *room) presence(o *occupant, status []int) *stanza.Element {
	p := stanza.New(stanza.NSClient, "presence").With("from", r.bare+"/"+o.nick)
	if n := len(o.seats); n > 0 {
		p.Add(o.seats[n-1].shown...)
	}
	return p.Add(stanza.OccupantID(o.id), stanza.RoomUser{Items: []stanza.RoomItem{r.item(o)}, Status: status}.Element())
}

// announce sends everyone in r what build makes; its argument says whether it is
// for o's own devices.
func (c *core) announce(r *room, o *occupant, build func(own bool) *stanza.Element) {
	others, own := build(false).Bytes(), build(true).Bytes()
	for _, x := range r.everyone() {
		data := others
		if x.account == o.account {
			data = own
		}
		c.sendTo(x, data, x.full)
	}
}

// showAgain tells everyone in r about o as it is now.
func (c *core) showAgain(r *room, o *occupant) {
	c.announce(r, o, func(own bool) *stanza.Element {
		if own {
			return r.presence(o, []int{stanza.StatusSelf})
		}
		return r.presence(o, nil)
	})
}

// changePresence handles presence of somebody who is in r: another status, or
// another nick (section 7.6).
func (c *core) changePresence(r *room, o *occupant, t *seat, p *stanza.Element, nick string) {
	t.shown = shown(p)
	i := slices.Index(o.seats, t)
	o.seats = append(slices.Delete(o.seats, i, i+1), t) // the one that spoke last counts
	if nick == o.nick {
		c.showAgain(r, o)
		return
	}
	if c.taken(r, o.account, nick) {
		c.refuse(t.session, p, "cancel", "conflict", "somebody else is called that")
		return
	}
	c.announce(r, o, func(own bool) *stanza.Element {
		item := r.item(o)
		item.Nick = nick
		u := stanza.RoomUser{Items: []stanza.RoomItem{item}, Status: []int{stanza.StatusRenamed}}
		if own {
			u.Status = []int{stanza.StatusSelf, stanza.StatusRenamed}
		}
		return stanza.New(stanza.NSClient, "presence", stanza.OccupantID(o.id), u.Element()).With("type", "unavailable").With("from", r.bare+"/"+o.nick)
	})
	o.nick = nick
	c.showAgain(r, o)
}

// leaveRoom takes s out of r (section 7.14).
func (c *core) leaveRoom(s *session, r *room, said []*stanza.Element) {
	o, t := r.seat(s)
	if t == nil {
		return
	}
	i := slices.Index(o.seats, t)
	item := r.item(o)
	o.seats = slices.Delete(o.seats, i, i+1)
	delete(s.rooms, r)
	item.Role = stanza.NoRole
	gone := func(status ...int) []byte {
		return stanza.New(stanza.NSClient, "presence", said...).With("type", "unavailable").With("from", r.bare+"/"+o.nick).
			Add(stanza.OccupantID(o.id), stanza.RoomUser{Items: []stanza.RoomItem{item}, Status: status}.Element()).Bytes()
	}
	c.sendTo(s, gone(stanza.StatusSelf), s.full)
	if len(o.seats) > 0 {
		if i == len(o.seats) { // it was the one that others saw
			c.showAgain(r, o)
		}
		return
	}
	delete(r.occupants, o.account.id)
	data := gone()
	for _, x := range r.everyone() {
		c.sendTo(x, data, x.full)
	}
}

// leaveRooms takes s out of all rooms.
func (c *core) leaveRooms(s *session) {
	for r := range s.rooms {
		c.leaveRoom(s, r, nil)
	}
}

// removal says how and why somebody is put out of a room.
type removal struct {
	code   int
	level  level
	actor  string // nick
	reason string
}

// remove puts o out of r with all devices.
func (c *core) remove(r *room, o *occupant, why removal) {
	item := r.item(o)
	item.Affiliation, item.Role, item.Actor, item.Reason = levelNames[why.level], stanza.NoRole, why.actor, why.reason
	c.announce(r, o, func(own bool) *stanza.Element {
		u := stanza.RoomUser{Items: []stanza.RoomItem{item}, Status: []int{why.code}}
		if own {
			u.Status = []int{stanza.StatusSelf, why.code}
		}
		return stanza.New(stanza.NSClient, "presence", stanza.OccupantID(o.id), u.Element()).With("type", "unavailable").With("from", r.bare+"/"+o.nick)
	})
	for _, t := range o.seats {
		delete(t.session.rooms, r)
	}
	o.seats = nil
	delete(r.occupants, o.account.id)
}

const defaultHistory = 20

// history sends who enters what was said last (section 7.2.14), as much as was
// asked for and the relay allows.
func (c *core) history(s *session, r *room, join stanza.RoomJoin) {
	n := defaultHistory
	if join.MaxStanzas >= 0 {
		n = join.MaxStanzas
	}
	size := c.portion() - s.unackedBytes
	if join.MaxChars >= 0 {
		size = min(size, join.MaxChars)
	}
	if n = min(n, c.limits.History); n <= 0 || size <= 0 {
		return
	}
	f := archiveFilter{account: -r.id, backwards: true, limit: n, size: size}
	since := join.Since
	if join.Seconds >= 0 {
		if t := c.now().Add(-time.Duration(join.Seconds) * time.Second); t.After(since) {
			since = t
		}
	}
	if !since.IsZero() {
		f.start = max(micros(since), 1)
	}
	rows, _ := c.store.page(f)
	for _, row := range rows {
		m, err := stanza.Parse(row.stanza)
		if err != nil || join.MaxChars >= 0 && len(row.stanza) > join.MaxChars {
			continue
		}
		m = withStanzaID(withoutItem(m), row.id, r.bare)
		m.Add(stanza.New(nsDelay, "delay").With("from", r.bare).With("stamp", stamp(row.time)))
		c.send(s, m.With("to", s.full).Bytes())
	}
}

// withoutItem returns m without what only the archive says of its sender.
func withoutItem(m *stanza.Element) *stanza.Element {
	n := *m
	n.Children = slices.DeleteFunc(slices.Clone(m.Children), func(e *stanza.Element) bool { return e.Is(stanza.NSMUCUser, "x") })
	return &n
}
