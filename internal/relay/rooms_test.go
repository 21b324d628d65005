package relay

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sotto/client/stanza"
)

const ward3 = "ward3@rooms.ward.example"

// enter joins a room and returns one's own presence in it.
func (c *client) enter(room, nick, more string) *stanza.Element {
	c.t.Helper()
	c.send(`<presence to="` + room + `/` + nick + `" id="join"><x xmlns="` + stanza.NSMUC + `">` + more + `</x></presence>`)
	e := c.expect("presence of oneself in "+room, func(e *stanza.Element) bool {
		u, ok := stanza.ReadRoomUser(e)
		return e.Local == "presence" && (e.Get("type") == "error" || ok && u.Has(stanza.StatusSelf)) && strings.HasPrefix(e.Get("from"), room)
	})
	if e.Get("type") != "error" {
		c.message("the topic of "+room, func(e *stanza.Element) bool {
			_, ok := stanza.ReadRoomSubject(e)
			return ok && strings.HasPrefix(e.Get("from"), room)
		})
	}
	return e
}

// roomPresence returns the next presence of a nick in a room.
func (c *client) roomPresence(from, typ string) (*stanza.Element, stanza.RoomUser) {
	c.t.Helper()
	e := c.expect("presence "+typ+" of "+from, func(e *stanza.Element) bool {
		return e.Local == "presence" && e.Get("from") == from && e.Get("type") == typ
	})
	u, _ := stanza.ReadRoomUser(e)
	return e, u
}

func affil(affiliation, jid string) string {
	return `<query xmlns="` + stanza.NSMUCAdmin + `"><item affiliation="` + affiliation + `" jid="` + jid + `"/></query>`
}

func list(affiliation string) string {
	return `<query xmlns="` + stanza.NSMUCAdmin + `"><item affiliation="` + affiliation + `"/></query>`
}

func (c *client) people(room, affiliation string) string {
	c.t.Helper()
	items, err := stanza.ReadRoomItems(c.must("get", room, list(affiliation)).Child("", "query"))
	if err != nil {
		c.t.Fatal(err)
	}
	var all []string
	for _, i := range items {
		all = append(all, i.JID.Localpart())
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func (c *client) groupchat(room, id, text string) {
	c.t.Helper()
	c.send(`<message type="groupchat" id="` + id + `" to="` + room + `"><body>` + text + `</body></message>`)
}

// newRoom makes a room with alice as its owner and the others as members, and
// returns them in it.
func newRoom(s *server, users ...string) []*client {
	s.t.Helper()
	var all []*client
	for i, u := range users {
		c := s.online(u, "x")
		if i > 0 {
			all[0].must("set", ward3, affil("member", c.bare))
		}
		if e := c.enter(ward3, u, ""); e.Get("type") == "error" {
			s.t.Fatalf("%s: %s", u, e)
		}
		all = append(all, c)
	}
	for _, c := range all {
		c.sync()
		c.seen = nil
	}
	return all
}

func TestRoomLife(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob", "carol")
	alice, bob, carol := s.online("alice", "a"), s.online("bob", "b"), s.online("carol", "c")

	// Where rooms are.
	items := alice.must("get", domain, `<query xmlns="`+nsDiscoItems+`"/>`)
	if !strings.Contains(items.String(), `jid="rooms.ward.example"`) || !strings.Contains(items.String(), `jid="upload.ward.example"`) {
		t.Errorf("services: %s", items)
	}
	if info := alice.must("get", "rooms.ward.example", `<query xmlns="`+nsDiscoInfo+`"/>`); !strings.Contains(info.String(), stanza.NSMUC) {
		t.Errorf("the service: %s", info)
	}

	// A room is made, and is its members' only.
	e := alice.enter(ward3, "Alice", `<history maxstanzas="0"/>`)
	u, _ := stanza.ReadRoomUser(e)
	if i := u.Item(); !slices.Equal(u.Status, []int{100, 110, 170, 201}) || i.Affiliation != stanza.Owner || i.Role != stanza.Moderator || i.JID.String() != alice.full || e.Get("id") != "join" {
		t.Errorf("made: %s", e)
	}
	form, err := stanza.ReadRoomConfig(alice.must("get", ward3, `<query xmlns="`+stanza.NSMUCOwner+`"/>`))
	if err != nil {
		t.Fatal(err)
	}
	answer, missing := form.Answer(stanza.Field{Var: fieldTitle, Value: "Ward 3"}, stanza.Field{Var: "muc#roomconfig_membersonly", Value: "true"})
	if missing != nil {
		t.Error(missing)
	}
	alice.must("set", ward3, stanza.RoomConfig(answer).String())
	for _, bad := range [][2]string{{"muc#roomconfig_membersonly", "0"}, {"muc#roomconfig_whois", "moderators"}, {"muc#roomconfig_passwordprotectedroom", "1"}, {"muc#roomconfig_other", "1"}, {fieldTitle, strings.Repeat("x", 257)}} {
		alice.refused("not-acceptable", "set", ward3, `<query xmlns="`+stanza.NSMUCOwner+`">`+form2(bad[0], bad[1])+`</query>`)
	}
	if e := bob.enter(ward3, "Bob", ""); errorCondition(e) != "registration-required" {
		t.Errorf("a stranger: %s", e)
	}
	bob.refused("item-not-found", "get", ward3, `<query xmlns="`+nsDiscoInfo+`"/>`)
	bob.refused("item-not-found", "get", ward3, list("member"))
	bob.refused("item-not-found", "set", ward3, `<query xmlns="`+nsMAM+`"/>`)
	if rooms := bob.must("get", "rooms.ward.example", `<query xmlns="`+nsDiscoItems+`"/>`); strings.Contains(rooms.String(), ward3) {
		t.Errorf("a hidden room is shown: %s", rooms)
	}

	// Bob is invited, and comes.
	alice.send(`<message to="` + ward3 + `" id="i"><x xmlns="` + stanza.NSMUCUser + `"><invite to="bob@ward.example"><reason>nights</reason></invite></x></message>`)
	inv, ok := stanza.ReadInvitation(bob.message("an invitation", func(e *stanza.Element) bool { return e.Get("from") == ward3 }))
	if !ok || inv.Direct || inv.From.String() != "alice@ward.example" || inv.Reason != "nights" {
		t.Errorf("invited: %+v", inv)
	}
	note := alice.message("word of a new member", func(e *stanza.Element) bool {
		return e.Get("from") == ward3 && e.Child(stanza.NSMUCUser, "x") != nil && e.Get("type") == ""
	})
	if u, _ := stanza.ReadRoomUser(note); u.Item().Affiliation != stanza.Member || u.Item().JID.String() != bob.bare {
		t.Errorf("word of a new member: %s", note)
	}
	e = bob.enter(ward3, "Bob", "")
	if u, _ := stanza.ReadRoomUser(e); u.Has(stanza.StatusCreated) || u.Item().Affiliation != stanza.Member || u.Item().Role != stanza.Participant {
		t.Errorf("bob comes: %s", e)
	}
	if e, u := alice.roomPresence(ward3+"/Bob", ""); u.Item().JID.String() != bob.full || u.Has(110) || stanza.ReadOccupantID(e) == "" {
		t.Errorf("alice sees %s", e)
	}
	if _, u := bob.roomPresence(ward3+"/Alice", ""); u.Item().JID.String() != alice.full {
		t.Errorf("bob sees %+v", u)
	}
	if got := bob.people(ward3, "member") + "," + bob.people(ward3, "owner"); got != "bob,alice" {
		t.Errorf("a member sees %q", got)
	}
	bob.refused("forbidden", "get", ward3, list("outcast"))
	if rooms := bob.must("get", "rooms.ward.example", `<query xmlns="`+nsDiscoItems+`"/>`); !strings.Contains(rooms.String(), `name="Ward 3"`) {
		t.Errorf("rooms of bob: %s", rooms)
	}
	info, err := stanza.ReadRoomInfo(bob.must("get", ward3, `<query xmlns="`+nsDiscoInfo+`"/>`))
	if err != nil || info.Name != "Ward 3" || !info.MembersOnly || !info.NonAnonymous || !info.Persistent || !info.Hidden || !info.Archive ||
		!info.OccupantIDs || !info.Moderation || !info.SelfPing || !info.StableIDs || info.Occupants != 2 {
		t.Errorf("the room: %+v, %v", info, err)
	}

	// What is said.
	bob.send(`<message type="groupchat" id="m1" to="` + ward3 + `" from="alice@ward.example/a"><body>hello</body><occupant-id xmlns="urn:xmpp:occupant-id:0" id="forged"/>
		<stanza-id xmlns="urn:xmpp:sid:0" by="` + ward3 + `" id="forged"/><x xmlns="` + stanza.NSMUCUser + `"><item affiliation="owner" jid="alice@ward.example"/></x></message>`)
	var ids []string
	for _, c := range []*client{alice, bob} {
		m := c.body("hello")
		if m.Get("from") != ward3+"/Bob" || m.Get("id") != "m1" || m.Get("type") != "groupchat" || strings.Contains(m.String(), "forged") || strings.Contains(m.String(), "owner") || m.Get("to") != c.full {
			t.Errorf("said: %s", m)
		}
		ids = append(ids, m.Child(nsStanzaID, "stanza-id").Get("id")+" "+stanza.ReadOccupantID(m))
	}
	if ids[0] != ids[1] || strings.HasPrefix(ids[0], " ") || strings.HasSuffix(ids[0], " ") {
		t.Errorf("ids %q", ids)
	}
	carol.groupchat(ward3, "spoof", "from outside")
	if e := carol.message("a refusal", func(e *stanza.Element) bool { return e.Get("id") == "spoof" }); errorCondition(e) != "item-not-found" {
		t.Errorf("a stranger speaks: %s", e)
	}

	// The topic.
	bob.send(`<message type="groupchat" id="s" to="` + ward3 + `"><subject>night of the 22nd</subject></message>`)
	alice.message("the topic", func(e *stanza.Element) bool {
		text, ok := stanza.ReadRoomSubject(e)
		return ok && text == "night of the 22nd" && e.Get("from") == ward3+"/Bob"
	})
	alice.must("set", ward3, `<query xmlns="`+stanza.NSMUCOwner+`">`+form2(fieldTopics, "0")+`</query>`)
	bob.message("word of the configuration", func(e *stanza.Element) bool { u, _ := stanza.ReadRoomUser(e); return u.Has(stanza.StatusConfigured) })
	bob.send(`<message type="groupchat" id="s2" to="` + ward3 + `"><subject>mine</subject></message>`)
	if e := bob.message("a refusal", func(e *stanza.Element) bool { return e.Get("id") == "s2" && e.Get("type") == "error" }); errorCondition(e) != "forbidden" {
		t.Errorf("%s", e)
	}

	// Leaving and coming back.
	bob.send(`<presence type="unavailable" to="` + ward3 + `/Bob"><status>tea</status></presence>`)
	if e, u := bob.roomPresence(ward3+"/Bob", "unavailable"); !u.Has(110) || u.Item().Role != stanza.NoRole {
		t.Errorf("%s", e)
	}
	if e, u := alice.roomPresence(ward3+"/Bob", "unavailable"); u.Has(110) || e.Child("", "status").Text() != "tea" {
		t.Errorf("%s", e)
	}
	alice.groupchat(ward3, "m2", "anybody?")
	alice.body("anybody?")
	bob.enter(ward3, "Bob", "")
	if m := bob.body("anybody?"); m.Child(nsDelay, "delay") == nil || m.Child(stanza.NSMUCUser, "x") != nil || m.Child(nsStanzaID, "stanza-id") == nil {
		t.Errorf("history: %s", m)
	}
	bob.body("hello")

	// The end.
	bob.refused("forbidden", "set", ward3, `<query xmlns="`+stanza.NSMUCOwner+`"><destroy/></query>`)
	alice.must("set", ward3, `<query xmlns="`+stanza.NSMUCOwner+`"><destroy><reason>closed</reason></destroy></query>`)
	if e, u := bob.roomPresence(ward3+"/Bob", "unavailable"); !u.Destroyed || u.Reason != "closed" {
		t.Errorf("%s", e)
	}
	alice.refused("item-not-found", "get", ward3, `<query xmlns="`+nsDiscoInfo+`"/>`)
	eventually(t, "the archive of the room to go", func() bool {
		var left int64
		s.do(t.Context(), func(c *core) error {
			left = c.store.number(`SELECT count(*) FROM archive WHERE account<0`) + c.store.number(`SELECT count(*) FROM garbage`)
			return nil
		})
		return left == 0
	})
	if e := alice.enter(ward3, "Alice", ""); !strings.Contains(e.String(), `code="201"`) {
		t.Errorf("made again: %s", e)
	}
}

// form2 is a submitted room configuration.
func form2(pairs ...string) string { return form(stanza.FormRoomConfig, pairs...) }

func TestRoomRights(t *testing.T) {
	s := startRelay(t, Config{Limits: Limits{Members: 4}}, "alice", "bob", "carol", "dave", "erin")
	in := newRoom(s, "alice", "bob", "carol")
	alice, bob, carol := in[0], in[1], in[2]
	dave := s.online("dave", "d")
	// Members change nobody but themselves.
	for _, q := range []string{affil("owner", "bob@ward.example"), affil("member", "dave@ward.example"), affil("none", "carol@ward.example"), affil("outcast", "alice@ward.example")} {
		bob.refused("forbidden", "set", ward3, q)
	}
	bob.refused("not-allowed", "set", ward3, `<query xmlns="`+stanza.NSMUCAdmin+`"><item nick="carol" role="none"/></query>`)
	bob.refused("forbidden", "get", ward3, `<query xmlns="`+stanza.NSMUCOwner+`"/>`)
	bob.refused("forbidden", "set", ward3, `<query xmlns="`+stanza.NSMUCOwner+`">`+form2(fieldPublic, "1")+`</query>`)
	bob.send(`<message to="` + ward3 + `" id="i"><x xmlns="` + stanza.NSMUCUser + `"><invite to="dave@ward.example"/></x></message>`)
	if e := bob.message("a refusal", func(e *stanza.Element) bool { return e.Get("id") == "i" }); errorCondition(e) != "forbidden" {
		t.Errorf("a member invites: %s", e)
	}
	dave.none("an invitation", func(e *stanza.Element) bool { return e.Local == "message" })
	// Nor do strangers, whatever address they claim.
	dave.send(`<iq type="set" id="forged" from="alice@ward.example/x" to="` + ward3 + `">` + affil("owner", "dave@ward.example") + `</iq>`)
	if e := dave.expect("a refusal", func(e *stanza.Element) bool { return e.Get("id") == "forged" }); errorCondition(e) != "item-not-found" {
		t.Errorf("a stranger: %s", e)
	}
	// An admin does, below owners.
	alice.must("set", ward3, affil("admin", bob.bare))
	if e, u := carol.roomPresence(ward3+"/bob", ""); u.Item().Affiliation != stanza.Admin || u.Item().Role != stanza.Moderator {
		t.Errorf("carol sees %s", e)
	}
	for _, q := range []string{affil("owner", "bob@ward.example"), affil("none", "alice@ward.example"), affil("admin", "carol@ward.example")} {
		bob.refused("forbidden", "set", ward3, q)
	}
	bob.refused("not-allowed", "set", ward3, `<query xmlns="`+stanza.NSMUCAdmin+`"><item nick="alice" role="none"/></query>`)
	bob.must("set", ward3, affil("member", dave.bare))
	if _, u := dave.roomUser(dave.enter(ward3, "dave", "")); u.Item().Affiliation != stanza.Member {
		t.Errorf("dave: %+v", u)
	}
	bob.refused("resource-constraint", "set", ward3, affil("member", "erin@ward.example"))
	bob.refused("item-not-found", "set", ward3, affil("member", "nobody@ward.example"))
	bob.refused("item-not-found", "set", ward3, affil("member", "x@elsewhere.example"))
	bob.refused("bad-request", "set", ward3, affil("member", "@"))
	bob.refused("bad-request", "set", ward3, `<query xmlns="`+stanza.NSMUCAdmin+`">`+strings.Repeat(`<item affiliation="member" jid="dave@ward.example"/>`, maxItems+1)+`</query>`)
	// Kicked, removed, banned.
	bob.must("set", ward3, `<query xmlns="`+stanza.NSMUCAdmin+`"><item nick="dave" role="none"><reason>r</reason></item></query>`)
	if e, u := dave.roomPresence(ward3+"/dave", "unavailable"); !u.Has(stanza.StatusKicked) || !u.Has(110) || u.Item().Actor != "bob" || u.Item().Reason != "r" || u.Item().Affiliation != stanza.Member {
		t.Errorf("kicked: %s", e)
	}
	dave.enter(ward3, "dave", "")
	bob.must("set", ward3, affil("none", dave.bare))
	if e, u := dave.roomPresence(ward3+"/dave", "unavailable"); !u.Has(stanza.StatusUnaffiliated) || u.Item().Affiliation != stanza.None {
		t.Errorf("removed: %s", e)
	}
	if e := dave.enter(ward3, "dave", ""); errorCondition(e) != "registration-required" {
		t.Errorf("came back: %s", e)
	}
	dave.refused("item-not-found", "set", ward3, `<query xmlns="`+nsMAM+`"/>`)
	alice.must("set", ward3, affil("outcast", carol.bare))
	if _, u := carol.roomPresence(ward3+"/carol", "unavailable"); !u.Has(stanza.StatusBanned) {
		t.Errorf("banned: %+v", u)
	}
	if e := carol.enter(ward3, "carol", ""); errorCondition(e) != "forbidden" {
		t.Errorf("came back: %s", e)
	}
	if got := bob.people(ward3, "outcast"); got != "carol" {
		t.Errorf("banned: %q", got)
	}
	carol.refused("item-not-found", "get", ward3, list("member"))
	// A room keeps an owner; anybody may leave for good.
	alice.refused("conflict", "set", ward3, affil("none", alice.bare))
	alice.refused("conflict", "set", ward3, affil("member", alice.bare))
	bob.must("set", ward3, `<query xmlns="jabber:iq:register"><remove/></query>`)
	if _, u := bob.roomPresence(ward3+"/bob", "unavailable"); !u.Has(stanza.StatusUnaffiliated) {
		t.Errorf("left for good: %+v", u)
	}
	if got := alice.people(ward3, "admin"); got != "" {
		t.Errorf("admins: %q", got)
	}
}

func (c *client) roomUser(e *stanza.Element) (*stanza.Element, stanza.RoomUser) {
	u, _ := stanza.ReadRoomUser(e)
	return e, u
}

func TestRoomDevicesAndNicks(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob", "carol")
	in := newRoom(s, "alice", "bob")
	alice, bob := in[0], in[1]
	phone := s.online("bob", "phone")
	e := phone.enter(ward3, "bobby", `<history maxstanzas="0"/>`)
	if u, _ := stanza.ReadRoomUser(e); e.Get("from") != ward3+"/bob" || !u.Has(stanza.StatusNick) || u.Item().JID.String() != phone.full {
		t.Errorf("a second device: %s", e)
	}
	alice.none("presence for a second device", func(e *stanza.Element) bool { return e.Get("from") == ward3+"/bob" })
	alice.groupchat(ward3, "m", "both")
	bob.body("both")
	phone.body("both")
	phone.groupchat(ward3, "m", "from the phone")
	if m := bob.body("from the phone"); m.Get("from") != ward3+"/bob" {
		t.Errorf("%s", m)
	}
	// Nicks: one each, and nobody else's name.
	for _, nick := range []string{"alice", "ALICE", "carol", "Carol", " carol "} {
		bob.send(`<presence to="` + ward3 + `/` + nick + `"/>`)
		if e := bob.expect("a refusal of "+nick, func(e *stanza.Element) bool { return e.Local == "presence" && e.Get("type") == "error" }); errorCondition(e) != "conflict" && errorCondition(e) != "jid-malformed" {
			t.Errorf("%q: %s", nick, e)
		}
	}
	bob.send(`<presence to="` + ward3 + `/Registrar"/>`)
	if _, u := phone.roomPresence(ward3+"/bob", "unavailable"); !u.Has(stanza.StatusRenamed) || !u.Has(110) || u.Item().Nick != "Registrar" {
		t.Errorf("renamed: %+v", u)
	}
	if _, u := alice.roomPresence(ward3+"/Registrar", ""); u.Item().JID.String() != bob.full {
		t.Errorf("renamed: %+v", u)
	}
	// The one that others saw leaves: they see the other.
	bob.send(`<presence type="unavailable"/>`)
	if _, u := alice.roomPresence(ward3+"/Registrar", ""); u.Item().JID.String() != phone.full {
		t.Errorf("the other device: %+v", u)
	}
	phone.ws.CloseNow()
	alice.roomPresence(ward3+"/Registrar", "unavailable")
	// Is one still in? (XEP-0410)
	ping := `<ping xmlns="urn:xmpp:ping"/>`
	alice.must("get", ward3+"/alice", ping)
	alice.refused("item-not-found", "get", ward3+"/gone", ping)
	bob.refused("not-acceptable", "get", ward3+"/Registrar", ping)
	bob.refused("not-acceptable", "get", "nowhere@rooms.ward.example/bob", ping)
	bob.sync()
	alice.sync()
	bob.seen, alice.seen = nil, nil
	bob.send(`<presence to="` + ward3 + `/bob"/>`)
	if e, u := bob.roomPresence(ward3+"/bob", "unavailable"); !u.Has(stanza.StatusFailed) {
		t.Errorf("who believes to be in: %s", e)
	}
	alice.none("presence of who is not in", func(e *stanza.Element) bool { return e.Get("from") == ward3+"/bob" })
}

func TestRoomArchive(t *testing.T) {
	s := startRelay(t, Config{Limits: Limits{Page: 10}}, "alice", "bob", "carol")
	in := newRoom(s, "alice", "bob")
	alice, bob, carol := in[0], in[1], s.online("carol", "c")
	for i := range 12 {
		alice.groupchat(ward3, fmt.Sprint("m", i), fmt.Sprint(i))
	}
	alice.send(`<message type="groupchat" id="typing" to="` + ward3 + `"><composing xmlns="` + nsChatStates + `"/></message>`)
	alice.send(`<message type="groupchat" id="private" to="` + ward3 + `"><body>not kept</body><no-store xmlns="` + nsHints + `"/></message>`)
	if m := bob.body("not kept"); m.Child(nsStanzaID, "stanza-id") != nil {
		t.Errorf("%s", m)
	}
	bob.send(`<presence type="unavailable"/>`)
	bob.sync()
	bob.seen = nil
	// Members read, in or not, page by page; the sender's address is with it.
	p := bob.queryAt(ward3, "")
	if p.String() != "0 1 2 3 4 5 6 7 8 9" || p.complete() {
		t.Errorf("first page %s", p)
	}
	p = bob.queryAt(ward3, "<after>"+p.ids[9]+"</after>")
	if p.String() != "10 11" || !p.complete() {
		t.Errorf("second page %s", p)
	}
	if u, _ := stanza.ReadRoomUser(p.stanzas[0]); u.Item().JID.String() != "alice@ward.example" || p.stanzas[0].Get("from") != ward3+"/alice" {
		t.Errorf("archived %s", p.stanzas[0])
	}
	if p := bob.queryAt(ward3, "<max>2</max>", "with", "bob@ward.example"); p.String() != "" {
		t.Errorf("of bob: %s", p)
	}
	if p := bob.queryAt(ward3, "<max>2</max>", "with", ward3+"/alice"); p.String() != "0 1" {
		t.Errorf("of alice's nick: %s", p)
	}
	// Nobody else does, by no way.
	carol.refused("item-not-found", "set", ward3, `<query xmlns="`+nsMAM+`"/>`)
	carol.refused("item-not-found", "get", ward3, `<query xmlns="`+nsMAM+`"/>`)
	carol.send(`<presence to="` + ward3 + `/c"><x xmlns="` + stanza.NSMUC + `"><history maxstanzas="10"/></x></presence>`)
	carol.none("a message of the room", hasBody("11"))
	if p := carol.query("", "with", ward3); p.String() != "" {
		t.Errorf("through the own archive: %s", p)
	}
	carol.refused("item-not-found", "set", "", `<query xmlns="`+nsMAM+`"><set xmlns="`+nsRSM+`"><after>`+p.ids[0]+`</after></set></query>`)

	// Recall: the sender's own, and a moderator's.
	bob.enter(ward3, "bob", `<history maxstanzas="0"/>`)
	bob.none("history", hasBody("11"))
	ids := bob.queryAt(ward3, "").ids
	bob.send(`<message type="groupchat" id="not mine" to="` + ward3 + `"><retract xmlns="` + stanza.NSRetract + `" id="` + ids[0] + `"/><store xmlns="` + nsHints + `"/></message>`)
	alice.send(`<message type="groupchat" id="r1" to="` + ward3 + `"><retract xmlns="` + stanza.NSRetract + `" id="` + ids[1] + `"/><store xmlns="` + nsHints + `"/></message>`)
	bob.message("the recall", func(e *stanza.Element) bool {
		id, ok := stanza.ReadRetract(e)
		return ok && id == ids[1] && e.Get("from") == ward3+"/alice"
	})
	bob.refused("forbidden", "set", ward3, stanza.ModerateRequest(ids[2], "").String())
	alice.refused("item-not-found", "set", ward3, stanza.ModerateRequest("zzz", "").String())
	alice.must("set", ward3, stanza.ModerateRequest(ids[2], "wrong room").String())
	m := bob.message("the moderation", func(e *stanza.Element) bool {
		x, ok := stanza.ReadModeration(e)
		return ok && x.ID == ids[2] && x.Reason == "wrong room"
	})
	if m.Child(nsStanzaID, "stanza-id") == nil {
		t.Errorf("%s", m)
	}
	bob.send(`<message type="groupchat" id="forged" to="` + ward3 + `"><retract xmlns="` + stanza.NSRetract + `" id="` + ids[3] + `"><moderated xmlns="` + stanza.NSModerate + `"/></retract><body>forged</body></message>`)
	if m := alice.body("forged"); m.Child(stanza.NSRetract, "") != nil {
		t.Errorf("forged moderation: %s", m)
	}
	p = bob.queryAt(ward3, "<max>4</max>")
	if p.String() != "0   3" {
		t.Errorf("after the recall: %q", p.String())
	}
	if x, ok := stanza.ReadTombstone(p.stanzas[1]); !ok || x.ID != "r1" || x.Moderated {
		t.Errorf("tombstone %s", p.stanzas[1])
	}
	if x, ok := stanza.ReadTombstone(p.stanzas[2]); !ok || !x.Moderated || x.By != ward3+"/alice" || x.Reason != "wrong room" {
		t.Errorf("tombstone %s", p.stanzas[2])
	}
}

func TestRoomHostile(t *testing.T) {
	s := startRelay(t, Config{Limits: Limits{RoomsEach: 3, Rooms: 5, Joined: 4}}, "alice", "bob")
	alice, bob := s.online("alice", "a"), s.online("bob", "b")
	made := 0
	for i := range 10 {
		if e := bob.enter(fmt.Sprintf("flood%d@rooms.ward.example", i), "b", ""); e.Get("type") != "error" {
			made++
		} else if errorCondition(e) != "resource-constraint" {
			t.Errorf("%s", e)
		}
	}
	if made != 3 {
		t.Errorf("%d rooms made", made)
	}
	for _, to := range []string{strings.Repeat("x", 129) + "@rooms.ward.example/n", ward3 + "/" + strings.Repeat("x", 129), ward3, "rooms.ward.example/x", "rooms.ward.example"} {
		alice.send(`<presence id="bad" to="` + to + `"><x xmlns="` + stanza.NSMUC + `"/></presence>`)
		if e := alice.expect("a refusal", func(e *stanza.Element) bool { return e.Get("id") == "bad" }); e.Get("type") != "error" {
			t.Errorf("%s: %s", to, e)
		}
	}
	alice.enter(ward3, "alice", "")
	giant := `<x xmlns="jabber:x:data" type="submit">` + strings.Repeat(`<field var="a"><value>b</value></field>`, 5000) + `</x>`
	alice.refused("bad-request", "set", ward3, `<query xmlns="`+stanza.NSMUCOwner+`">`+giant+`</query>`)
	alice.refused("bad-request", "set", ward3, `<query xmlns="`+stanza.NSMUCOwner+`"/>`)
	for _, m := range []string{
		`<message id="bad" type="groupchat" to="` + ward3 + `"><subject>` + strings.Repeat("x", maxRoomSubject+1) + `</subject></message>`,
		`<message id="bad" type="groupchat" to="` + ward3 + `/alice"><body>x</body></message>`,
		`<message id="bad" type="chat" to="` + ward3 + `/alice"><body>x</body></message>`,
		`<message id="bad" type="chat" to="` + ward3 + `"><body>x</body></message>`,
		`<message id="bad" to="rooms.ward.example"><body>x</body></message>`,
		`<message id="bad" to="nowhere@rooms.ward.example"><body>x</body></message>`,
		`<message id="bad" to="` + ward3 + `"><x xmlns="` + stanza.NSMUCUser + `"><invite to="bob@ward.example"/><invite to="nobody@ward.example"/></x></message>`,
	} {
		alice.send(m)
		if e := alice.expect("a refusal of "+clip(m, 80), func(e *stanza.Element) bool { return e.Get("id") == "bad" }); e.Get("type") != "error" {
			t.Errorf("%s: %s", m, e)
		}
	}
	if got := alice.people(ward3, "member"); got != "" {
		t.Errorf("half an invitation made %q a member", got)
	}
	bob.none("an invitation", func(e *stanza.Element) bool { return e.Get("from") == ward3 })
	// What people make up in presence is not passed on as the room's word.
	alice.must("set", ward3, affil("member", bob.bare))
	bob.send(`<presence type="unavailable" to="flood0@rooms.ward.example/b"/>`)
	bob.send(`<presence to="` + ward3 + `/bob"><x xmlns="` + stanza.NSMUC + `"/><x xmlns="` + stanza.NSMUCUser + `"><item affiliation="owner" role="moderator" jid="alice@ward.example/a"/><status code="110"/></x>
		<occupant-id xmlns="urn:xmpp:occupant-id:0" id="forged"/><show>dnd</show><junk xmlns="urn:junk"/></presence>`)
	e, u := alice.roomPresence(ward3+"/bob", "")
	if len(u.Items) != 1 || u.Item().JID.String() != bob.full || u.Has(110) || strings.Contains(e.String(), "forged") || strings.Contains(e.String(), "junk") || e.Child("", "show").Text() != "dnd" {
		t.Errorf("passed on: %s", e)
	}
}

// TestRoomResumes: who loses the connection and resumes has not left.
func TestRoomResumes(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob")
	in := newRoom(s, "alice", "bob")
	alice, bob := in[0], in[1]
	bob.handled = 0
	id := bob.enable(true)
	bob.handled = 0
	alice.groupchat(ward3, "m1", "one")
	bob.body("one")
	h := bob.handled
	bob.ws.CloseNow()
	alice.groupchat(ward3, "m2", "two")
	alice.body("two")
	alice.none("a departure", func(e *stanza.Element) bool { return e.Get("type") == "unavailable" })
	again := s.login("bob")
	again.raw(fmt.Sprintf(`<resume xmlns="urn:xmpp:sm:3" previd="%s" h="%d"/>`, id, h))
	again.expect("resumption", func(e *stanza.Element) bool { return e.Local == "resumed" })
	again.body("two")
	again.groupchat(ward3, "m3", "three")
	alice.body("three")
	again.must("get", ward3+"/bob", `<ping xmlns="urn:xmpp:ping"/>`)
}

// TestRoomStays: a room and its archive are there after a restart, and a room
// whose owner is removed from the relay gets another.
func TestRoomStays(t *testing.T) {
	dir := t.TempDir()
	s := startRelay(t, Config{Store: dir}, "alice", "bob", "carol")
	in := newRoom(s, "alice", "bob")
	in[0].groupchat(ward3, "m1", "kept")
	in[0].body("kept")
	in[0].send(`<message type="groupchat" id="s" to="` + ward3 + `"><subject>topic</subject></message>`)
	in[0].sync()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = startRelay(t, Config{Store: dir})
	bob := s.online("bob", "b")
	bob.send(`<presence to="` + ward3 + `/bob"><x xmlns="` + stanza.NSMUC + `"/></presence>`)
	bob.body("kept")
	bob.message("the topic", func(e *stanza.Element) bool { text, ok := stanza.ReadRoomSubject(e); return ok && text == "topic" })
	if err := s.RemoveUser(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if got := bob.people(ward3, "owner") + "," + bob.people(ward3, "member"); got != "bob," {
		t.Errorf("owners and members: %q", got)
	}
	bob.must("get", ward3, `<query xmlns="`+stanza.NSMUCOwner+`"/>`)
	if err := s.RemoveUser(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the room to go", func() bool {
		var left int64
		s.do(t.Context(), func(c *core) error {
			left = c.store.number(`SELECT count(*) FROM rooms`) + c.store.number(`SELECT count(*) FROM affiliations`) + c.store.number(`SELECT count(*) FROM archive`)
			return nil
		})
		return left == 0
	})
}

// TestBookmarks: what a client keeps about its rooms is its own (XEP-0402).
func TestBookmarks(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob")
	alice, bob := s.online("alice", "a"), s.online("bob", "b")
	for _, room := range []string{"one@rooms.ward.example", "two@rooms.ward.example"} {
		alice.must("set", "", `<pubsub xmlns="`+nsPubSub+`"><publish node="`+stanza.NSBookmarks+`"><item id="`+room+`"><conference xmlns="`+stanza.NSBookmarks+`" autojoin="true"/></item></publish>`+
			options("pubsub#persist_items", "true", "pubsub#max_items", "max", "pubsub#send_last_published_item", "never", "pubsub#access_model", "whitelist")+`</pubsub>`)
	}
	items, ok := stanza.ReadItems(alice.must("get", "", getItems(stanza.NSBookmarks)), stanza.NSBookmarks)
	if all := stanza.ReadBookmarks(items); !ok || len(all) != 2 || !all[0].Autojoin {
		t.Errorf("%+v", all)
	}
	bob.refused("forbidden", "get", "alice@ward.example", getItems(stanza.NSBookmarks))
}
