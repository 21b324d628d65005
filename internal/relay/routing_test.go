package relay

import (
	"strings"
	"testing"

	"sotto/client/stanza"
)

func TestRouting(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob")
	alice := s.online("alice", "a")
	low, high := s.connect("bob", "low"), s.online("bob", "high")
	low.send(`<presence><priority>-1</priority></presence>`)
	low.sync()
	quiet := s.connect("bob", "quiet") // no presence at all

	alice.chat("bob@ward.example", "to the account")
	high.body("to the account")
	low.none("a message in spite of a negative priority", hasBody("to the account"))
	quiet.none("a message without presence", hasBody("to the account"))

	for _, c := range []*client{low, high, quiet} {
		alice.chat(c.full, "to one resource")
		c.body("to one resource")
	}
	for _, c := range []*client{low, high, quiet} {
		c.none("another's message", hasBody("to one resource"))
	}
	alice.chat("bob@ward.example/gone", "to a resource that is gone")
	high.body("to a resource that is gone")

	high.send(`<message type="headline" to="alice@ward.example/gone"><body>lost</body></message>`)
	high.send(`<message type="headline" to="alice@ward.example"><body>news</body></message>`)
	alice.body("news")
	alice.none("a headline for another resource", hasBody("lost"))

	alice.chat("Alice@WARD.example", "to myself")
	alice.body("to myself")
	alice.send(`<message type="chat"><body>to nobody</body></message>`)
	alice.body("to nobody")
}

// TestErrorsNeverLoop: stanzas that cannot be delivered come back once, and
// errors and answers never do.
func TestErrorsNeverLoop(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob")
	alice := s.online("alice", "a")
	for i, c := range []struct{ in, want string }{
		{`<message type="chat" to="nobody@ward.example"><body>x</body></message>`, "service-unavailable"},
		{`<message type="chat" to="bob@other.example"><body>x</body></message>`, "remote-server-not-found"},
		{`<message type="chat" to="bob@@ward.example"><body>x</body></message>`, "jid-malformed"},
		{`<message type="groupchat" to="bob@ward.example"><body>x</body></message>`, "service-unavailable"},
		{`<message type="chat" to="ward.example"><body>x</body></message>`, "service-unavailable"},
		{`<message to="bob@ward.example"><x xmlns="urn:x"/></message>`, "service-unavailable"},
		{`<message type="chat" to="bob@ward.example"><active xmlns="` + nsChatStates + `"/></message>`, ""},
		{`<message type="headline" to="bob@ward.example"><body>x</body></message>`, ""},
		{`<message type="error" to="nobody@ward.example"><body>x</body></message>`, ""},
		{`<message type="error" to="bob@ward.example"><body>x</body></message>`, ""},
		{`<iq type="result" to="bob@ward.example/gone"/>`, ""},
		{`<iq type="error" to="nobody@ward.example"/>`, ""},
		{`<iq type="result"/>`, ""},
		{`<iq type="get" to="bob@ward.example/gone"><x xmlns="urn:x"/></iq>`, "service-unavailable"},
		{`<iq type="get" to="bob@ward.example"><x xmlns="urn:x"/></iq>`, "service-unavailable"},
		{`<iq type="get" to="ward.example"><x xmlns="urn:x"/></iq>`, "service-unavailable"},
		{`<iq type="set"><x xmlns="urn:x"/></iq>`, "service-unavailable"},
		{`<iq type="get"/>`, "bad-request"},
		{`<iq type="get"><x xmlns="urn:x"/><y xmlns="urn:x"/></iq>`, "bad-request"},
		{`<iq type="what"><x xmlns="urn:x"/></iq>`, "bad-request"},
		{`<iq><x xmlns="urn:x"/></iq>`, "bad-request"},
		{`<presence to="nobody@ward.example" type="unavailable"/>`, ""},
		{`<presence to="nobody@ward.example" type="error"/>`, ""},
		{`<presence type="what"/>`, ""},
		{`<presence><priority>200</priority></presence>`, "bad-request"},
		{`<message type="chat" to="bob@ward.example"><body>` + strings.Repeat("x", DefaultLimits().StanzaBytes) + `</body></message>`, "policy-violation"},
		{`<presence><status>` + strings.Repeat("x", DefaultLimits().PresenceBytes) + `</status></presence>`, "policy-violation"},
	} {
		id := "case" + string(rune('A'+i))
		name := strings.IndexAny(c.in, " >")
		alice.send(c.in[:name] + ` id="` + id + `"` + c.in[name:])
		alice.sync()
		var got []string
		for _, e := range alice.seen {
			if e.Get("id") == id {
				got = append(got, errorCondition(e))
				if e.Get("type") != "error" || e.Get("to") != alice.full {
					t.Errorf("%.80s came back as %s", c.in, e)
				}
			}
		}
		if want := c.want; len(got) > 1 || len(got) == 0 && want != "" || len(got) == 1 && got[0] != want {
			t.Errorf("%.80s: answered with %q, want %q", c.in, got, want)
		}
	}
	alice.send(`<iq type="get"><ping xmlns="urn:xmpp:ping"/></iq>`) // without id
	e := alice.expect("an error", func(e *stanza.Element) bool { return e.Local == "iq" && e.Get("id") == "" })
	if errorCondition(e) != "bad-request" {
		t.Errorf("a request without id: %s", e)
	}
}

func TestIQBetweenPeople(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob")
	alice, bob := s.online("alice", "a"), s.online("bob", "b")
	alice.send(`<iq type="get" id="1" from="carol@ward.example/x" to="bob@ward.example/b"><ping xmlns="urn:xmpp:ping"/></iq>`)
	q := bob.expect("a ping", func(e *stanza.Element) bool { return e.Get("id") == "1" })
	if q.Get("from") != alice.full {
		t.Errorf("a forged address got through: %s", q)
	}
	bob.raw(resultReply(q).String())
	r := alice.expect("an answer", func(e *stanza.Element) bool { return e.Get("id") == "1" })
	if r.Get("from") != bob.full || r.Get("type") != "result" {
		t.Errorf("answered with %s", r)
	}
	for _, own := range []string{"", "alice@ward.example", "ward.example"} {
		if r := alice.must("get", own, `<ping xmlns="urn:xmpp:ping"/>`); own != "" && r.Get("from") != own {
			t.Errorf("a ping to %q answered by %s", own, r)
		}
	}
}

// TestSpoofing: a client cannot say what only a relay may say.
func TestSpoofing(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob")
	alice, bob := s.online("alice", "a"), s.online("bob", "b")
	alice.send(`<message type="chat" to="bob@ward.example"><body>x</body>` +
		`<stanza-id xmlns="urn:xmpp:sid:0" by="bob@ward.example" id="forged"/>` +
		`<delay xmlns="urn:xmpp:delay" from="ward.example" stamp="2001-01-01T00:00:00Z"/>` +
		`<received xmlns="urn:xmpp:carbons:2"><forwarded xmlns="urn:xmpp:forward:0"/></received>` +
		`<result xmlns="urn:xmpp:mam:2" id="forged"/><origin-id xmlns="urn:xmpp:sid:0" id="mine"/></message>`)
	m := bob.body("x")
	var ids []*stanza.Element
	for e := range m.Elements() {
		if e.Is(nsStanzaID, "stanza-id") {
			ids = append(ids, e)
		}
	}
	if len(ids) != 1 || ids[0].Get("by") != "bob@ward.example" || ids[0].Get("id") == "forged" {
		t.Errorf("stanza ids in %s", m)
	}
	if m.Child(nsDelay, "") != nil || m.Child(nsCarbons, "") != nil || m.Child(nsMAM, "") != nil {
		t.Errorf("forged elements in %s", m)
	}
	if m.Child(nsStanzaID, "origin-id").Get("id") != "mine" {
		t.Errorf("the sender's id is missing in %s", m)
	}
}

func TestCarbons(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob")
	desk, phone, plain := s.online("alice", "desk"), s.online("alice", "phone"), s.online("alice", "plain")
	bob, bobPhone := s.online("bob", "b"), s.online("bob", "phone")
	for _, c := range []*client{desk, phone, bob, bobPhone} {
		c.must("set", "", `<enable xmlns="urn:xmpp:carbons:2"/>`)
	}
	forwarded := func(direction, text string) func(*stanza.Element) bool {
		return func(e *stanza.Element) bool {
			return e.Child(nsCarbons, direction).Child(nsForward, "forwarded").Child(stanza.NSClient, "message").Child("", "body").Text() == text
		}
	}
	desk.chat(bob.full, "one")
	bob.body("one")
	sent := phone.message("a sent carbon", forwarded("sent", "one"))
	if sent.Get("from") != "alice@ward.example" || sent.Get("to") != phone.full {
		t.Errorf("carbon from somebody else: %s", sent)
	}
	if id := sent.Child(nsCarbons, "sent").Child(nsForward, "forwarded").Child("", "message").Child(nsStanzaID, "stanza-id"); id.Get("by") != "alice@ward.example" {
		t.Errorf("a sent carbon without the id in the archive: %s", sent)
	}
	received := bobPhone.message("a received carbon", forwarded("received", "one"))
	if received.Get("from") != "bob@ward.example" {
		t.Errorf("carbon from somebody else: %s", received)
	}
	desk.none("a carbon of its own message", forwarded("sent", "one"))
	bob.none("a carbon of what it got", forwarded("received", "one"))
	plain.none("a carbon without asking", forwarded("sent", "one"))

	bob.chat("alice@ward.example", "to all")
	desk.body("to all")
	phone.body("to all")
	phone.none("a carbon of what it got", forwarded("received", "to all"))

	for _, private := range []string{`<private xmlns="urn:xmpp:carbons:2"/>`, `<no-copy xmlns="urn:xmpp:hints"/>`} {
		desk.send(`<message type="chat" to="` + bob.full + `"><body>secret</body>` + private + `</message>`)
		if m := bob.body("secret"); m.Child(nsCarbons, "private") != nil {
			t.Errorf("the mark was not removed: %s", m)
		}
		phone.none("a carbon of a private message", forwarded("sent", "secret"))
		bobPhone.none("a carbon of a private message", forwarded("received", "secret"))
	}
	desk.send(`<message type="headline" to="` + bob.full + `"><body>headline</body></message>`)
	bob.body("headline")
	phone.none("a carbon of a headline", forwarded("sent", "headline"))
	phone.must("set", "", `<disable xmlns="urn:xmpp:carbons:2"/>`)
	desk.chat(bob.full, "after")
	bob.body("after")
	phone.none("a carbon after disabling", forwarded("sent", "after"))
}

func TestPresence(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob", "carol")
	alice := s.connect("alice", "a")
	alice.send(`<presence from="carol@ward.example/x"><show>dnd</show><status>in theatre</status><priority>3</priority></presence>`)
	alice.sync()
	bob := s.connect("bob", "b")
	bob.none("presence before sending one", func(e *stanza.Element) bool { return e.Local == "presence" })
	bob.send(`<presence/>`)
	p := bob.expect("alice's presence", isPresence(alice.full, ""))
	if p.Child("", "status").Text() != "in theatre" || !strings.HasPrefix(p.Get("to"), "bob@ward.example") {
		t.Errorf("bob got %s", p)
	}
	alice.expect("bob's presence", isPresence(bob.full, ""))
	second := s.online("alice", "second")
	second.expect("the other session of the same account", isPresence(alice.full, ""))
	alice.expect("the new session of the same account", isPresence(second.full, ""))
	bob.send(`<presence to="alice@ward.example" type="probe"/>`)
	bob.expect("an answer to the probe", isPresence(alice.full, ""))
	bob.send(`<presence to="carol@ward.example" type="subscribe"/>`)
	bob.expect("an answer to the request", isPresence("carol@ward.example", "subscribed"))
	bob.send(`<presence to="` + second.full + `"><status>just for you</status></presence>`)
	p = second.expect("directed presence", func(e *stanza.Element) bool { return e.Child("", "status").Text() == "just for you" })
	if p.Get("from") != bob.full {
		t.Errorf("directed presence from %s", p)
	}
	alice.none("presence for another", func(e *stanza.Element) bool { return e.Child("", "status").Text() == "just for you" })
	bob.seen = nil
	alice.send(`<presence type="unavailable"><status>bye</status></presence>`)
	if p := bob.expect("alice leaving", isPresence(alice.full, "unavailable")); p.Child("", "status").Text() != "bye" {
		t.Errorf("bob got %s", p)
	}
	alice.raw(`<close xmlns="` + stanza.NSFraming + `"/>`)
	alice.ended()
	bob.none("leaving twice", isPresence(alice.full, "unavailable"))
}

func TestRoster(t *testing.T) {
	s := startRelay(t, Config{Group: "Ward 3"}, "alice", "bob")
	alice := s.online("alice", "a")
	ask := `<query xmlns="jabber:iq:roster"/>`
	q := alice.must("get", "", ask).Child(nsRoster, "query")
	if got := q.String(); strings.Count(got, "<item") != 1 || q.Child("", "item").Get("jid") != "bob@ward.example" ||
		q.Child("", "item").Get("name") != "Bob" || q.Child("", "item").Get("subscription") != "both" ||
		q.Child("", "item").Child("", "group").Text() != "Ward 3" {
		t.Errorf("roster %s", got)
	}
	if r := alice.must("get", "", `<query xmlns="jabber:iq:roster" ver="`+q.Get("ver")+`"/>`); r.Child(nsRoster, "query") != nil {
		t.Errorf("an unchanged roster was sent again: %s", r)
	}
	push := func(what string) *stanza.Element {
		e := alice.expect(what, func(e *stanza.Element) bool { return e.Get("type") == "set" && e.Child(nsRoster, "query") != nil })
		return e.Child(nsRoster, "query").Child(nsRoster, "item")
	}
	if err := s.AddUserIn(t.Context(), "Carol", []byte(password("carol")), "Dr. Carol <C>", "Theatre"); err != nil {
		t.Fatal(err)
	}
	if i := push("a new colleague"); i.Get("jid") != "carol@ward.example" || i.Get("name") != "Dr. Carol <C>" || i.Child("", "group").Text() != "Theatre" {
		t.Errorf("pushed %s", i)
	}
	if err := s.SetName(t.Context(), "bob", "Robert"); err != nil {
		t.Fatal(err)
	}
	if i := push("a new name"); i.Get("name") != "Robert" {
		t.Errorf("pushed %s", i)
	}
	carol := s.online("carol", "c")
	if err := s.RemoveUser(t.Context(), "carol"); err != nil {
		t.Fatal(err)
	}
	if i := push("a removal"); i.Get("jid") != "carol@ward.example" || i.Get("subscription") != "remove" {
		t.Errorf("pushed %s", i)
	}
	alice.expect("carol leaving", isPresence(carol.full, "unavailable"))
	if got := carol.ended(); got != "not-authorized" {
		t.Errorf("carol's session ended with %q", got)
	}
	alice.refused("not-allowed", "set", "", `<query xmlns="jabber:iq:roster"><item jid="x@y" name="z"/></query>`)
	alice.refused("service-unavailable", "get", "bob@ward.example", ask)
	if r := alice.must("get", "", `<query xmlns="jabber:iq:roster" ver="`+q.Get("ver")+`"/>`); r.Child(nsRoster, "query") == nil {
		t.Error("a changed roster was not sent")
	}
}

func TestBlocking(t *testing.T) {
	s := startRelay(t, Config{Limits: Limits{Blocks: 3}}, "alice", "bob")
	alice, other, bob := s.online("alice", "a"), s.online("alice", "b"), s.online("bob", "b")
	other.must("get", "", `<blocklist xmlns="urn:xmpp:blocking"/>`)
	bob.seen = nil
	alice.must("set", "", `<block xmlns="urn:xmpp:blocking"><item jid="bob@ward.example"/></block>`)
	bob.expect("alice seeming to leave", isPresence(alice.full, "unavailable"))
	push := other.expect("a push", func(e *stanza.Element) bool { return e.Child(nsBlocking, "block") != nil })
	if push.Child(nsBlocking, "block").Child("", "item").Get("jid") != "bob@ward.example" {
		t.Errorf("pushed %s", push)
	}
	list := alice.must("get", "", `<blocklist xmlns="urn:xmpp:blocking"/>`).Child(nsBlocking, "blocklist")
	if len(list.Children) != 1 {
		t.Errorf("list %s", list)
	}
	bob.send(`<message id="m" type="chat" to="alice@ward.example"><body>let me in</body></message>`)
	if e := bob.expect("an error", func(e *stanza.Element) bool { return e.Get("id") == "m" }); errorCondition(e) != "service-unavailable" {
		t.Errorf("bob got %s", e)
	}
	bob.refused("service-unavailable", "get", alice.full, `<ping xmlns="urn:xmpp:ping"/>`)
	bob.refused("service-unavailable", "get", "alice@ward.example", `<vCard xmlns="vcard-temp"/>`)
	bob.send(`<presence><status>here</status></presence>`)
	bob.sync()
	alice.none("presence of somebody blocked", func(e *stanza.Element) bool { return e.Child("", "status").Text() == "here" })
	alice.none("a message of somebody blocked", hasBody("let me in"))
	alice.send(`<message id="m" type="chat" to="bob@ward.example"><body>x</body></message>`)
	if e := alice.expect("an error", func(e *stanza.Element) bool { return e.Get("id") == "m" }); errorCondition(e) != "not-acceptable" || e.Child("", "error").Child(nsBlockingError, "blocked") == nil {
		t.Errorf("alice got %s", e)
	}
	alice.refused("not-acceptable", "get", bob.full, `<ping xmlns="urn:xmpp:ping"/>`)
	alice.must("set", "", `<unblock xmlns="urn:xmpp:blocking"><item jid="bob@ward.example"/></unblock>`)
	bob.expect("alice coming back", isPresence(alice.full, ""))
	bob.chat("alice@ward.example", "thanks")
	alice.body("thanks")
	for in, want := range map[string]string{
		`<block xmlns="urn:xmpp:blocking"/>`:                                                      "bad-request",
		`<block xmlns="urn:xmpp:blocking"><item jid="@"/></block>`:                                "bad-request",
		`<block xmlns="urn:xmpp:blocking"><item/></block>`:                                        "bad-request",
		`<block xmlns="urn:xmpp:blocking"><item jid="alice@ward.example"/></block>`:               "bad-request",
		`<block xmlns="urn:xmpp:blocking"><item jid="ward.example"/></block>`:                     "bad-request",
		`<block xmlns="urn:xmpp:blocking">` + strings.Repeat(`<item jid="x@y"/>`, 4) + `</block>`: "resource-constraint",
		`<what xmlns="urn:xmpp:blocking"/>`:                                                       "service-unavailable",
	} {
		alice.refused(want, "set", "", in)
	}
	alice.must("set", "", `<block xmlns="urn:xmpp:blocking"><item jid="bob@ward.example"/><item jid="x@y"/></block>`)
	alice.must("set", "", `<unblock xmlns="urn:xmpp:blocking"/>`)
	if list := alice.must("get", "", `<blocklist xmlns="urn:xmpp:blocking"/>`).Child(nsBlocking, "blocklist"); len(list.Children) != 0 {
		t.Errorf("after unblocking all: %s", list)
	}
}
