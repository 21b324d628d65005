package relay

import (
	"maps"
	"slices"
	"strconv"

	"github.com/ncruces/go-sqlite3"
	"mellium.im/xmpp/jid"
	"sotto/client/stanza"
)

// What people ask of rooms and of the service: who belongs to them, how they
// are set up, and what they can do.

const maxItems = 200 // of one request that changes a room

var roomServiceFeatures = []string{nsDiscoInfo, nsDiscoItems, nsPing, stanza.NSMUC}

var roomFeatures = []string{
	nsDiscoInfo, nsDiscoItems, stanza.NSMUC, nsMAM, nsStanzaID, nsRegister,
	stanza.NSOccupantID, stanza.FeatureSelfPing, stanza.FeatureStableID,
	stanza.NSModerate, stanza.NSRetract, stanza.NSRetract + "#tombstone",
	"muc_membersonly", "muc_nonanonymous", "muc_persistent", "muc_unmoderated", "muc_unsecured",
}

// roomIQ answers a request to the service, a room, or somebody in one.
func (c *core) roomIQ(q *request, to address) {
	p := q.payload
	disco := !q.set && (p.Is(nsDiscoInfo, "query") || p.Is(nsDiscoItems, "query"))
	if to.local == "" {
		switch {
		case disco && p.Get("node") == "":
			c.discoRooms(q)
		case p.Is(nsPing, "ping") && !q.set:
			c.yes(q)
		default:
			c.no(q, "cancel", "service-unavailable", "")
		}
		return
	}
	r := c.findRoom(to.local)
	l := none
	if r != nil {
		l = r.levels[q.s.account.id]
	}
	if to.resource != "" {
		c.occupantIQ(q, r, to.resource)
		return
	}
	if r == nil || l < member && !(r.public && disco) { // not even that it is there
		c.no(q, "cancel", "item-not-found", "")
		return
	}
	switch {
	case disco:
		c.discoRoom(q, r)
	case p.Is(stanza.NSMUCAdmin, "query"):
		c.people(q, r)
	case p.Is(stanza.NSMUCOwner, "query"):
		c.own(q, r)
	case p.Is(nsMAM, "query"), p.Is(nsMAM, "prefs") && !q.set:
		c.archiveQuery(q, box{-r.id, r.bare})
	case p.Is(stanza.NSModerate, "moderate") && q.set:
		c.moderate(q, r)
	case p.Is(nsRegister, "query"):
		c.membership(q, r)
	case p.Is(nsPing, "ping") && !q.set:
		c.yes(q)
	default:
		c.no(q, "cancel", "service-unavailable", "")
	}
}

// occupantIQ answers a ping of oneself in a room (XEP-0410). Nothing else is
// passed on: people know each other's addresses.
func (c *core) occupantIQ(q *request, r *room, nick string) {
	var o *occupant
	if r != nil {
		o, _ = r.seat(q.s)
	}
	switch {
	case o == nil:
		c.no(q, "cancel", "not-acceptable", "you are not in this room")
	case r.called(nick) == nil:
		c.no(q, "cancel", "item-not-found", "")
	case o.nick == nick && q.payload.Is(nsPing, "ping") && !q.set:
		c.yes(q)
	default:
		c.no(q, "cancel", "service-unavailable", "ask the person's own address")
	}
}

// discoRooms says what the service is, and which rooms there are for who asks.
func (c *core) discoRooms(q *request) {
	answer := stanza.New(q.payload.Space, "query")
	if q.payload.Space == nsDiscoInfo {
		answer.Add(identity("conference", "text", "Rooms"))
		for _, f := range roomServiceFeatures {
			answer.Add(feature(f))
		}
		c.yes(q, answer)
		return
	}
	c.store.each(`SELECT name, title FROM rooms WHERE public<>0 OR id IN (SELECT room FROM affiliations WHERE account=? AND level>0) ORDER BY name LIMIT ?`,
		func(st *sqlite3.Stmt) bool {
			name, title := st.ColumnText(0), st.ColumnText(1)
			if title == "" {
				title = name
			}
			answer.Add(stanza.New(nsDiscoItems, "item").With("jid", name+"@"+c.roomService).With("name", title))
			return true
		}, q.s.account.id, roomsListed)
	c.yes(q, answer)
}

const roomsListed = 1000

func (c *core) discoRoom(q *request, r *room) {
	answer := stanza.New(q.payload.Space, "query")
	if node := q.payload.Get("node"); node != "" {
		if node != "x-roomuser-item" { // section 7.12; no nick is reserved
			c.no(q, "cancel", "item-not-found", "")
			return
		}
		c.yes(q, answer.With("node", node))
		return
	}
	if q.payload.Space == nsDiscoItems { // who is in is for those who are
		c.yes(q, answer)
		return
	}
	answer.Add(identity("conference", "text", r.label()))
	for _, f := range roomFeatures {
		answer.Add(feature(f))
	}
	if r.public {
		answer.Add(feature("muc_public"))
	} else {
		answer.Add(feature("muc_hidden"))
	}
	fields := []stanza.FormField{{Var: "muc#roominfo_description", Label: "Description", Values: []string{r.about}}}
	if r.levels[q.s.account.id] >= member {
		fields = append(fields,
			stanza.FormField{Var: "muc#roominfo_subject", Label: "Topic", Values: []string{r.subject.text}},
			stanza.FormField{Var: "muc#roominfo_occupants", Label: "People in the room", Values: []string{strconv.Itoa(len(r.occupants))}})
	}
	fields = append(fields, stanza.FormField{Var: fieldTopics, Type: "boolean", Values: []string{strconv.Itoa(flag(r.topics))}},
		stanza.FormField{Var: fieldInvites, Type: "boolean", Values: []string{strconv.Itoa(flag(r.invites))}})
	c.yes(q, answer.Add(stanza.DataForm{Type: "result", FormType: stanza.FormRoomInfo, Fields: fields}.Element()))
}

// people answers who belongs to a room, and changes it (sections 8 to 10). Every
// member may know: one who writes has to know who reads.
func (c *core) people(q *request, r *room) {
	items, err := stanza.ReadRoomItems(q.payload)
	if err != nil || len(items) == 0 || len(items) > maxItems {
		c.no(q, "modify", "bad-request", "")
		return
	}
	if q.set {
		c.changePeople(q, r, items)
		return
	}
	i := items[0]
	l, known := readLevel(i.Affiliation)
	switch {
	case i.Affiliation != "" && (!known || l == none) || i.Affiliation == "" && i.Role == "":
		c.no(q, "modify", "bad-request", "")
		return
	case l == outcast && r.levels[q.s.account.id] < admin:
		c.no(q, "auth", "forbidden", "")
		return
	}
	var list []stanza.RoomItem
	if i.Affiliation == "" {
		for _, o := range r.occupants {
			if x := r.item(o); x.Role == i.Role {
				x.Nick = o.nick
				list = append(list, x)
			}
		}
	} else {
		for _, id := range slices.Sorted(maps.Keys(r.levels)) {
			if a := c.byID[id]; a != nil && r.levels[id] == l {
				list = append(list, c.memberItem(r, a))
			}
		}
	}
	c.yes(q, stanza.RoomItemsResult(list))
}

// memberItem says what a is to r, in or not.
func (c *core) memberItem(r *room, a *account) stanza.RoomItem {
	x := stanza.RoomItem{Affiliation: levelNames[r.levels[a.id]], JID: a.jid}
	if o := r.occupants[a.id]; o != nil {
		x.Nick, x.Role = o.nick, r.levels[a.id].role()
	}
	return x
}

// change is one thing that is being done to a person of a room.
type change struct {
	account *account
	level   level
	kick    bool
	reason  string
}

// changePeople makes all of the changes that a request asks for, or none.
func (c *core) changePeople(q *request, r *room, items []stanza.RoomItem) {
	me := q.s.account
	mine := r.levels[me.id]
	after := maps.Clone(r.levels)
	var changes []change
	for _, i := range items {
		ch := change{reason: clip(i.Reason, maxReason)}
		if i.JID.Equal(jid.JID{}) {
			if o := r.called(i.Nick); o != nil {
				ch.account = o.account
			}
		} else {
			ch.account = c.person(i.JID.String())
		}
		if ch.account == nil {
			c.no(q, "cancel", "item-not-found", "there is nobody of that address or nick here")
			return
		}
		theirs := after[ch.account.id]
		switch {
		case i.Affiliation == "" && i.Role == stanza.NoRole:
			if mine < admin || ch.account != me && theirs >= mine {
				c.no(q, "cancel", "not-allowed", "only those who run this room put people out, and nobody above them")
				return
			}
			ch.kick = true
		case i.Affiliation == "":
			if theirs.role() != i.Role {
				c.no(q, "cancel", "not-allowed", "what people may do here follows from their affiliation")
				return
			}
			continue
		default:
			l, ok := readLevel(i.Affiliation)
			leaves := ch.account == me && l == none
			if !ok || !leaves && mine < owner && (mine < admin || theirs >= admin || l >= admin) {
				c.no(q, "auth", "forbidden", "only those who run this room say who belongs to it")
				return
			}
			if ch.level = l; l == theirs {
				continue
			}
			after[ch.account.id] = l
		}
		changes = append(changes, ch)
	}
	owners, count := 0, 0
	for _, l := range after {
		if l == owner {
			owners++
		}
		if l != none {
			count++
		}
	}
	switch {
	case owners == 0:
		c.no(q, "cancel", "conflict", "a room needs an owner: name another one first")
		return
	case count > max(c.limits.Members, len(r.levels)):
		c.no(q, "wait", "resource-constraint", "this room has as many members as the relay allows")
		return
	}
	actor := ""
	if o := r.occupants[me.id]; o != nil {
		actor = o.nick
	}
	c.yes(q)
	for _, ch := range changes {
		c.makeChange(r, ch, actor)
	}
}

func (c *core) makeChange(r *room, ch change, actor string) {
	o := r.occupants[ch.account.id]
	if ch.kick {
		if o != nil {
			c.remove(r, o, removal{stanza.StatusKicked, r.levels[ch.account.id], actor, ch.reason})
		}
		return
	}
	c.setLevel(r, ch.account.id, ch.level)
	switch {
	case o == nil:
		c.noteAbsent(r, ch.account, ch.reason)
	case ch.level == outcast:
		c.remove(r, o, removal{stanza.StatusBanned, outcast, actor, ch.reason})
	case ch.level == none:
		c.remove(r, o, removal{stanza.StatusUnaffiliated, none, actor, ch.reason})
	default:
		c.showAgain(r, o)
	}
}

// noteAbsent tells everyone in r what somebody who is not there is to it now
// (section 9.3): who writes next has to know who will be able to read.
func (c *core) noteAbsent(r *room, a *account, reason string) {
	item := stanza.RoomItem{Affiliation: levelNames[r.levels[a.id]], Role: stanza.NoRole, JID: a.jid, Reason: reason}
	c.tell(r, stanza.New(stanza.NSClient, "message", stanza.RoomUser{Items: []stanza.RoomItem{item}}.Element()).
		With("from", r.bare).With("id", randomID()))
}

// membership answers XEP-0077 (section 7.10): one may give up being a member.
func (c *core) membership(q *request, r *room) {
	switch {
	case !q.set:
		c.yes(q, stanza.New(nsRegister, "query", stanza.New(nsRegister, "registered")))
	case q.payload.Child(nsRegister, "remove") == nil:
		c.no(q, "cancel", "not-allowed", "people are invited to rooms by those who run them")
	default:
		c.changePeople(q, r, []stanza.RoomItem{{Affiliation: stanza.None, JID: q.s.account.jid}})
	}
}

// own answers an owner: the configuration of a room, and its end.
func (c *core) own(q *request, r *room) {
	if r.levels[q.s.account.id] < owner {
		c.no(q, "auth", "forbidden", "only an owner does that")
		return
	}
	d := q.payload.Child(stanza.NSMUCOwner, "destroy")
	x := q.payload.Child(nsData, "x")
	switch {
	case !q.set:
		c.yes(q, stanza.New(stanza.NSMUCOwner, "query", r.form().Element()))
	case d != nil:
		c.yes(q)
		c.destroy(r, clip(d.Child(stanza.NSMUCOwner, "reason").Text(), maxReason), d.Get("jid"))
	case x.Get("type") == "cancel":
		c.yes(q)
		if r.fresh { // section 10.1.3
			c.destroy(r, "", "")
		}
	default:
		c.configure(q, r, x)
	}
}

// destroy ends r for everybody (section 10.9).
func (c *core) destroy(r *room, reason, alternate string) {
	u := stanza.RoomUser{Items: []stanza.RoomItem{{Affiliation: stanza.None, Role: stanza.NoRole}}, Destroyed: true, Reason: reason}
	if j, err := jid.Parse(alternate); err == nil && alternate != "" {
		u.Alternate = j
	}
	for _, o := range r.occupants {
		for _, t := range o.seats {
			c.send(t.session, stanza.New(stanza.NSClient, "presence", u.Element()).
				With("type", "unavailable").With("from", r.bare+"/"+o.nick).With("to", t.session.full).Bytes())
		}
	}
	c.closeRoom(r)
	c.store.removeRoom(r.id)
}
