package link

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sotto/client/stanza"
	"sotto/client/wire"
)

const (
	ward    = "ward@rooms.example"
	members = `<feature var="muc_membersonly"/><feature var="muc_nonanonymous"/>`
)

// entering is the presence with which a desk enters a room.
func entering(occupant, id string) wire.Send {
	return wire.Send{ID: id, Stanza: stanza.JoinRoom(occupant, 0).With("id", id).Bytes()}
}

// asked waits for the link's question what a room is, and answers it.
func (s *testServer) asked(room, features string) {
	s.t.Helper()
	for {
		if e := s.stanza("iq"); e.Get("to") == room && e.Child(stanza.NSDiscoInfo, "query") != nil {
			s.deliver(`<iq xmlns="jabber:client" type="result" from="%s" id="%s"><query xmlns="%s"><feature var="%s"/>%s</query></iq>`,
				room, e.Get("id"), stanza.NSDiscoInfo, stanza.NSMUC, features)
			return
		}
	}
}

// entered waits for presence to a room and returns it.
func (s *testServer) entered(occupant string) *stanza.Element {
	s.t.Helper()
	for {
		if e := s.stanza("presence"); e.Get("to") != "" {
			if e.Get("to") != occupant {
				s.t.Fatalf("presence to %s, not to %s", e.Get("to"), occupant)
			}
			return e
		}
	}
}

// is delivers the presence of somebody in a room.
func (s *testServer) is(occupant, attrs, who string, codes ...int) {
	u := `<item affiliation="member" role="participant" jid="` + who + `"/>`
	for _, c := range codes {
		u += fmt.Sprintf(`<status code="%d"/>`, c)
	}
	s.deliver(`<presence xmlns="jabber:client" from="%s" %s><x xmlns="%s">%s</x></presence>`, occupant, attrs, stanza.NSMUCUser, u)
}

// fence is a message of a person, after which the link has taken all before it.
func (s *testServer) fence(l *Link, waiting, stat int) {
	s.t.Helper()
	s.deliver(`<message xmlns="jabber:client" id="fence-%d" from="bob@h.example/x"><body>x</body></message>`, waiting)
	status(s.t, l, fmt.Sprintf("%d waiting, %d stat", waiting, stat), func(st Status) bool {
		if st.Waiting > waiting || st.Stat > stat {
			s.t.Fatalf("%d waiting, %d stat; not %d, %d", st.Waiting, st.Stat, waiting, stat)
		}
		return st.Waiting == waiting && st.Stat == stat
	})
}

// lockedInRooms is a link whose desk has entered rooms and has gone.
func lockedInRooms(t *testing.T, s *testServer, rooms ...string) *Link {
	t.Helper()
	l := start(t, Config{PingEvery: 30 * time.Millisecond})
	d := attach(t, l, true)
	d.login(s.url)
	d.phase(wire.Online)
	await(t, s.online, "login")
	for _, r := range rooms {
		d.write(entering(r+"/ada", "join-"+r))
		s.entered(r + "/ada")
		s.is(r+"/ada", "", "ada@h.example/desk", stanza.StatusSelf)
		d.inbound()
	}
	d.close()
	status(t, l, "no desk", func(Status) bool { return true })
	for !await(t, s.other, "inactive").Is(stanza.NSCSI, "inactive") {
	}
	return l
}

// newSession cuts the link off and has it begin anew.
func (s *testServer) newSession() {
	s.t.Helper()
	s.cutAnd(func(sc *script) { sc.noResume = true })
	await(s.t, s.online, "another login")
}

// While no desk is there, the link enters the rooms again that a lost session has
// cost, and what others write there counts and rings.
func TestRoomsWhileLocked(t *testing.T) {
	s := newServer(t, script{}, nil)
	l := lockedInRooms(t, s, ward)
	s.newSession()
	s.asked(ward, members)
	e := s.entered(ward + "/ada")
	if j, ok := stanza.ReadRoomJoin(e); !ok || j.MaxStanzas != 0 {
		t.Errorf("entered with %s", e)
	}
	s.is(ward+"/Per", "", "per@h.example/x")
	s.is(ward+"/phone", "", "ada@h.example/phone")
	s.is(ward+"/ada", "", "ada@h.example/desk", stanza.StatusSelf)
	groupchat := func(nick, id, rest string) {
		s.deliver(`<message xmlns="jabber:client" type="groupchat" id="%s" from="%s%s">%s</message>`, id, ward, nick, rest)
	}
	delay := func(by string) string {
		return `<delay xmlns="urn:xmpp:delay" stamp="2026-11-21T19:02:00Z"` + by + `/>`
	}
	groupchat("/Per", "history", encrypted+urgent+delay(` from="`+ward+`"`))
	groupchat("/Per", "history of nobody", encrypted+urgent+delay(""))
	groupchat("/ada", "echo", encrypted+urgent)
	groupchat("/phone", "of the own telephone", encrypted+urgent)
	groupchat("/Per", "subject", `<subject>Bed 9</subject>`)
	groupchat("", "of the room", `<body>The configuration has changed</body>`+urgent)
	s.fence(l, 1, 0)
	groupchat("/Per", "live", encrypted+urgent)
	groupchat("/Per", "after a broken connection", encrypted+delay(` from="ada@h.example"`))
	groupchat("/nobody", "of nobody known", encrypted)
	s.fence(l, 5, 1)

	// The desk that comes enters by itself, and is asked for nothing by the link.
	d := attach(t, l, true)
	d.login(s.url)
	d.phase(wire.Online)
	d.write(entering(ward+"/ada", "again"))
	if e := s.entered(ward + "/ada"); e.Get("id") != "again" {
		t.Errorf("entered with %s", e)
	}
	s.newSession()
	d.write(msg("last"))
	for {
		e := await(t, s.stanzas, "stanza")
		if e.Get("to") == ward {
			t.Errorf("with a desk, the link asks a room: %s", e)
		}
		if e.Get("id") == "last" {
			break
		}
	}
	// It goes before it has entered anything in the new session.
	d.close()
	s.asked(ward, members)
	s.entered(ward + "/ada")
}

// Rooms that have not to be entered again are not.
func TestRoomsForgotten(t *testing.T) {
	gone := func(codes ...int) func(s *testServer, d *testDesk) {
		return func(s *testServer, d *testDesk) {
			s.is(ward+"/ada", `type="unavailable"`, "ada@h.example/desk", append(codes, stanza.StatusSelf)...)
		}
	}
	send := func(x string) func(s *testServer, d *testDesk) {
		return func(s *testServer, d *testDesk) { d.write(wire.Send{Stanza: []byte(x)}) }
	}
	for name, c := range map[string]struct {
		do    func(s *testServer, d *testDesk)
		stays bool
	}{
		"nothing":            {func(*testServer, *testDesk) {}, true},
		"left":               {send(`<presence xmlns="jabber:client" type="unavailable" to="` + ward + `/ada"/>`), false},
		"gone from all":      {send(`<presence xmlns="jabber:client" type="unavailable"/>`), false},
		"another left":       {send(`<presence xmlns="jabber:client" type="unavailable" to="bob@h.example"/>`), true},
		"no presence":        {send(`<iq xmlns="jabber:client" type="unavailable" id="x" to="` + ward + `/ada"/>`), true},
		"put out":            {gone(stanza.StatusKicked), false},
		"banned":             {gone(stanza.StatusBanned), false},
		"no member":          {gone(stanza.StatusUnaffiliated), false},
		"shut down":          {gone(stanza.StatusShutdown), true},
		"taken for gone":     {gone(stanza.StatusKicked, stanza.StatusFailed), true},
		"somebody else gone": {func(s *testServer, d *testDesk) { s.is(ward+"/Per", `type="unavailable"`, "per@h.example/x") }, true},
		"destroyed": {func(s *testServer, d *testDesk) {
			s.deliver(`<presence xmlns="jabber:client" type="unavailable" from="%s/ada"><x xmlns="%s"><destroy/><status code="110"/></x></presence>`, ward, stanza.NSMUCUser)
		}, false},
		"refused": {func(s *testServer, d *testDesk) {
			s.deliver(`<presence xmlns="jabber:client" type="error" id="join" from="%s/ada"><error type="auth"><registration-required xmlns="%s"/></error></presence>`, ward, stanza.NSStanzas)
		}, false},
		"refused for now": {func(s *testServer, d *testDesk) {
			s.deliver(`<presence xmlns="jabber:client" type="error" id="join" from="%s/ada"><error type="wait"><resource-constraint xmlns="%s"/></error></presence>`, ward, stanza.NSStanzas)
		}, true},
		"another refusal": {func(s *testServer, d *testDesk) {
			s.deliver(`<presence xmlns="jabber:client" type="error" id="other" from="%s/ada"><error type="auth"><forbidden xmlns="%s"/></error></presence>`, ward, stanza.NSStanzas)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, script{}, nil)
			l := start(t, Config{})
			d := attach(t, l, true)
			d.login(s.url)
			d.phase(wire.Online)
			await(t, s.online, "login")
			d.write(entering(ward+"/ada", "join"))
			s.entered(ward + "/ada")
			c.do(s, d)
			d.barrier()
			s.deliver(`<message xmlns="jabber:client" id="after" from="bob@h.example/x"><body>x</body></message>`)
			d.given("after")
			d.close()
			for !await(t, s.other, "inactive").Is(stanza.NSCSI, "inactive") {
			}
			s.newSession()
			// The question to a room follows the greeting; then what answers a ping.
			s.deliver(`<iq xmlns="jabber:client" type="get" id="ping" from="h.example"><ping xmlns="urn:xmpp:ping"/></iq>`)
			asked := false
			for e := s.stanza("iq"); e.Get("id") != "ping"; e = s.stanza("iq") {
				asked = asked || e.Get("to") == ward
			}
			if asked != c.stays {
				t.Errorf("asked %v, not %v", asked, c.stays)
			}
		})
	}
}

// What a room says it is decides whether it is entered: never is one made, or one
// entered that lets in strangers or hides who is there.
func TestRoomsAskedFirst(t *testing.T) {
	s := newServer(t, script{}, nil)
	const open, veiled, lost, taken, busy, anew = "open@rooms.example", "veiled@rooms.example", "lost@rooms.example", "taken@rooms.example", "busy@rooms.example", "anew@rooms.example"
	l := lockedInRooms(t, s, open, veiled, lost, taken, busy, anew)
	s.newSession()
	ids := map[string]string{}
	for len(ids) < 6 {
		if e := s.stanza("iq"); e.Child(stanza.NSDiscoInfo, "query") != nil {
			ids[e.Get("to")] = e.Get("id")
		}
	}
	answer := func(from, room, features string) {
		s.deliver(`<iq xmlns="jabber:client" type="result" from="%s" id="%s"><query xmlns="%s"><feature var="%s"/>%s</query></iq>`,
			from, ids[room], stanza.NSDiscoInfo, stanza.NSMUC, features)
	}
	refuse := func(kind, room, typ, condition, id string) {
		s.deliver(`<%s xmlns="jabber:client" type="error" from="%s" id="%s"><error type="%s"><%s xmlns="%s"/></error></%[1]s>`,
			kind, room, id, typ, condition, stanza.NSStanzas)
	}
	answer(open, open, `<feature var="muc_nonanonymous"/>`)
	answer(veiled, veiled, `<feature var="muc_membersonly"/>`)
	refuse("iq", lost, "cancel", "item-not-found", ids[lost])
	answer("eve@h.example", taken, members) // of somebody else
	answer(taken, open, members)            // to another question
	s.fence(l, 1, 0)
	answer(taken, taken, members)
	e := s.entered(taken + "/ada")
	refuse("presence", taken+"/ada", "cancel", "conflict", e.Get("id"))
	e = s.stanza("presence")
	if to := e.Get("to"); !strings.HasPrefix(to, taken+"/ada-") {
		t.Fatalf("with the nick taken, entered as %s", to)
	}
	s.is(e.Get("to"), "", "ada@h.example/desk", stanza.StatusSelf)
	s.deliver(`<message xmlns="jabber:client" type="groupchat" id="own" from="%s">%s</message>`, e.Get("to"), encrypted+urgent)

	answer(anew, anew, members)
	s.entered(anew + "/ada")
	s.is(anew+"/ada", "", "ada@h.example/desk", stanza.StatusSelf, stanza.StatusCreated)
	if e := s.entered(anew + "/ada"); e.Get("type") != "unavailable" {
		t.Errorf("a room was made: %s", e)
	}

	refuse("iq", busy, "cancel", "remote-server-timeout", ids[busy])
	s.asked(busy, members) // again, with a sign of life
	s.entered(busy + "/ada")
	s.fence(l, 2, 0)
	s.newSession()
	want := map[string]bool{taken: true, busy: true}
	s.deliver(`<iq xmlns="jabber:client" type="get" id="ping" from="h.example"><ping xmlns="urn:xmpp:ping"/></iq>`)
	for e := s.stanza("iq"); e.Get("id") != "ping"; e = s.stanza("iq") {
		if e.Child(stanza.NSDiscoInfo, "query") != nil {
			if !want[e.Get("to")] {
				t.Errorf("%s is asked again", e.Get("to"))
			}
			delete(want, e.Get("to"))
		}
	}
	if len(want) > 0 {
		t.Errorf("forgotten: %v", want)
	}
}

// A desk can't make the link remember without end.
func TestRoomsBounded(t *testing.T) {
	o := newOwner(New(Config{}))
	for i := range 2 * maxRooms {
		o.roomSent(stanza.JoinRoom(fmt.Sprintf("r%d@rooms.example/ada", i), 0))
		o.roomSent(stanza.JoinRoom("r0@rooms.example/other", 0))
	}
	o.roomSent(stanza.JoinRoom("r1@rooms.example/"+strings.Repeat("x", 5000), 0))
	o.roomSent(stanza.JoinRoom("r2@rooms.example", 0))
	if len(o.rooms) != maxRooms || o.rooms["r0@rooms.example"].occupant.Resourcepart() != "other" || o.rooms["r1@rooms.example"].occupant.Resourcepart() != "ada" {
		t.Errorf("%d rooms", len(o.rooms))
	}
	o.logoff()
	if len(o.rooms) != 0 {
		t.Error("after logging off there are rooms")
	}
}
