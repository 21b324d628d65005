package relay

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"sotto/client/stanza"
)

func TestBindConflict(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob")
	bob := s.online("bob", "b")
	first := s.online("alice", "desk")
	second := s.online("alice", "desk")
	if got := first.ended(); got != "conflict" {
		t.Errorf("the older session ended with %q", got)
	}
	bob.chat("alice@ward.example/desk", "hi")
	second.body("hi")
	if second.full != "alice@ward.example/desk" {
		t.Errorf("bound %s", second.full)
	}
	second.refused("not-allowed", "set", "", `<bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/>`)
	other := s.connect("alice", "")
	if !strings.HasPrefix(other.full, "alice@ward.example/") || len(other.full) < 30 {
		t.Errorf("a resource made up by the relay: %s", other.full)
	}
}

func TestBindLimits(t *testing.T) {
	s := startRelay(t, Config{Limits: Limits{Resources: 2}}, "alice")
	a, _ := s.connect("alice", "1"), s.connect("alice", "2")
	c := s.login("alice")
	bind := `<bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><resource>%s</resource></bind>`
	c.refused("resource-constraint", "set", "", fmt.Sprintf(bind, "3"))
	c.refused("bad-request", "set", "", fmt.Sprintf(bind, strings.Repeat("x", 300)))
	a.enable(true)
	a.ws.CloseNow()
	eventually(t, "the first to be detached", func() bool { return s.detached("alice") == 1 })
	c.must("set", "", fmt.Sprintf(bind, "3")) // in the place of the detached one
}

func TestUnbound(t *testing.T) {
	s := startRelay(t, Config{}, "alice")
	for in, want := range map[string]string{
		`<message xmlns="jabber:client" to="alice@ward.example"><body>x</body></message>`: "not-authorized",
		`<presence xmlns="jabber:client"/>`:                                               "not-authorized",
		`<close xmlns="urn:ietf:params:xml:ns:xmpp-framing"/>`:                            "",
		`<x/>`: "not-authorized",
		`<x>`:  "not-well-formed",
	} {
		c := s.login("alice")
		c.raw(in)
		if got := c.ended(); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func TestStreamErrors(t *testing.T) {
	s := startRelay(t, Config{}, "alice")
	for in, want := range map[string]string{
		`<!DOCTYPE x><x/>`:                          "restricted-xml",
		`<message>`:                                 "not-well-formed",
		`<x xmlns="jabber:client"/>`:                "unsupported-stanza-type",
		`<message xmlns="jabber:server"/>`:          "unsupported-stanza-type",
		strings.Repeat("<a>", 100):                  "policy-violation",
		`<a xmlns="urn:xmpp:sm:3" h="0"/>`:          "",
		`<close xmlns="` + stanza.NSFraming + `"/>`: "",
	} {
		c := s.connect("alice", "a")
		c.raw(in)
		c.raw(`<close xmlns="` + stanza.NSFraming + `"/>`)
		if got := c.ended(); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

// detached counts the sessions of a user without a connection.
func (s *server) detached(user string) (n int) {
	s.do(s.t.Context(), func(c *core) error {
		for _, x := range c.accounts[user].sessions {
			if x.conn == nil {
				n++
			}
		}
		return nil
	})
	return n
}

// enable turns on stream management and returns the id to resume with.
func (c *client) enable(resume bool) string {
	c.t.Helper()
	c.sync()
	c.raw(`<enable xmlns="urn:xmpp:sm:3" resume="` + strconv.FormatBool(resume) + `"/>`)
	e := c.expect("enabled", func(e *stanza.Element) bool { return e.Is(stanza.NSSM, "enabled") })
	c.handled = 0
	return e.Get("id")
}

// ack acknowledges h stanzas.
func (c *client) ack(h int) { c.raw(`<a xmlns="urn:xmpp:sm:3" h="` + strconv.Itoa(h) + `"/>`) }

// count asks how many stanzas the relay has handled.
func (c *client) count() string {
	c.t.Helper()
	c.raw(`<r xmlns="urn:xmpp:sm:3"/>`)
	return c.expect("a count", func(e *stanza.Element) bool { return e.Is(stanza.NSSM, "a") }).Get("h")
}

// resume logs in and resumes; the answer is resumed or failed.
func (s *server) resume(user, id string, h int) (*client, *stanza.Element) {
	s.t.Helper()
	c := s.login(user)
	c.raw(`<resume xmlns="urn:xmpp:sm:3" previd="` + id + `" h="` + strconv.Itoa(h) + `"/>`)
	return c, c.expect("resumed", func(e *stanza.Element) bool { return e.Space == stanza.NSSM })
}

// TestResume cuts the connection again and again while messages cross.
func TestResume(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob")
	alice, bob := s.online("alice", "a"), s.online("bob", "b")
	id := bob.enable(true)
	if id == "" {
		t.Fatal("no id to resume with")
	}
	sent, got := 0, 0
	for range 20 {
		for range 5 {
			sent++
			alice.chat("bob@ward.example", "m"+strconv.Itoa(sent))
		}
		alice.sync()
		bob.ws.CloseNow() // whatever bob has not read is lost to him
		for range 5 {
			sent++
			alice.chat("bob@ward.example", "m"+strconv.Itoa(sent))
		}
		alice.sync()
		// He read some of them; the others come again.
		h := bob.handled
		for e := range bob.in {
			if e.Space == stanza.NSClient {
				h++
			}
			bob.seen = append(bob.seen, e)
		}
		for _, e := range bob.seen {
			if e.Child("", "body") != nil {
				got++
				if want := "m" + strconv.Itoa(got); e.Child("", "body").Text() != want {
					t.Fatalf("got %s, want %s", e, want)
				}
			}
		}
		full, bare := bob.full, bob.bare
		var answer *stanza.Element
		bob, answer = s.resume("bob", id, h)
		if answer.Local != "resumed" || answer.Get("previd") != id {
			t.Fatalf("resuming: %s", answer)
		}
		bob.full, bob.bare, bob.handled = full, bare, h
	}
	for got < sent {
		got++
		bob.body("m" + strconv.Itoa(got))
	}
	bob.none("a message twice", func(e *stanza.Element) bool { return e.Local == "message" })
}

func TestCounting(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob")
	alice := s.online("alice", "a")
	if got := alice.seen; len(got) > 0 && got[0].Is(stanza.NSSM, "a") {
		t.Error("counted before it was enabled")
	}
	id := alice.enable(true)
	for range 3 {
		alice.chat("bob@ward.example", "x")
	}
	alice.raw(`<active xmlns="urn:xmpp:csi:0"/>`) // no stanza
	if got := alice.count(); got != "3" {
		t.Errorf("3 stanzas were counted as %s", got)
	}
	alice.ws.CloseNow()
	c, answer := s.resume("alice", id, 0)
	if answer.Get("h") != "3" {
		t.Errorf("after resuming: %s", answer)
	}
	c.raw(`<enable xmlns="urn:xmpp:sm:3"/>`)
	c.expect("a refusal", func(e *stanza.Element) bool { return e.Is(stanza.NSSM, "failed") })
	c.ack(1)
	if got := c.ended(); got != "undefined-condition" {
		t.Errorf("acknowledging what was never sent: %q", got)
	}
	if _, answer := s.resume("alice", id, 0); answer.Local != "failed" {
		t.Errorf("resuming after that: %s", answer)
	}
}

func TestResumeRefused(t *testing.T) {
	s := startRelay(t, Config{Limits: Limits{Resume: 100 * time.Millisecond}}, "alice", "bob")
	alice, bob := s.online("alice", "a"), s.online("bob", "b")
	id := alice.enable(true)
	mallory, answer := s.resume("bob", id, 0)
	if answer.Child(stanza.NSStanzas, "item-not-found") == nil {
		t.Errorf("resuming another's session: %s", answer)
	}
	mallory.must("set", "", `<bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/>`) // may go on
	c := s.login("alice")
	c.raw(`<resume xmlns="urn:xmpp:sm:3" previd="` + id + `" h="7"/>`)
	if got := c.ended(); got != "undefined-condition" {
		t.Errorf("resuming with a count too high: %q", got)
	}
	alice = s.online("alice", "a")
	id = alice.enable(true)
	bob.sync()
	bob.seen = nil
	alice.ws.CloseNow()
	bob.expect("alice leaving for good", isPresence("alice@ward.example/a", "unavailable"))
	if _, answer := s.resume("alice", id, 0); answer.Child(stanza.NSStanzas, "item-not-found") == nil {
		t.Errorf("resuming too late: %s", answer)
	}
}

// TestResumeWhileConnected: the new connection wins.
func TestResumeWhileConnected(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob")
	alice, bob := s.online("alice", "a"), s.online("bob", "b")
	id := alice.enable(true)
	again, answer := s.resume("alice", id, 0)
	if answer.Local != "resumed" {
		t.Fatalf("%s", answer)
	}
	if got := alice.ended(); got != "conflict" {
		t.Errorf("the old connection ended with %q", got)
	}
	bob.chat("alice@ward.example/a", "still there?")
	again.body("still there?")
	bob.none("alice leaving", isPresence("alice@ward.example/a", "unavailable"))
}

// TestDetachedSessionHoldsNothingBack: a new session gets what a detached one
// has not acknowledged, and a late resumption does no harm.
func TestDetachedSessionHoldsNothingBack(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob")
	alice, old := s.online("alice", "a"), s.online("bob", "old")
	id := old.enable(true)
	alice.chat("bob@ward.example", "1")
	old.body("1")
	old.ws.CloseNow()
	eventually(t, "the detachment", func() bool { return s.detached("bob") == 1 })
	alice.chat("bob@ward.example", "2")
	alice.sync()
	fresh := s.connect("bob", "fresh")
	fresh.enable(true)
	fresh.send(`<presence/>`)
	fresh.body("1")
	fresh.body("2")
	fresh.ack(fresh.handled)
	fresh.sync()
	old, answer := s.resume("bob", id, 0)
	if answer.Local != "resumed" {
		t.Fatal(answer)
	}
	old.body("1")
	old.body("2")
	old.ack(3) // alice's messages and the presence of the fresh session
	old.sync()
	alice.chat("bob@ward.example", "3")
	old.body("3")
	fresh.body("3")
	s.do(t.Context(), func(c *core) error {
		if got := c.accounts["bob"].mail; got != 1 {
			t.Errorf("%d messages wait by the books", got)
		}
		return nil
	})
}

// TestDeadSession: what a dead session has not acknowledged reaches another
// one, or waits.
func TestDeadSession(t *testing.T) {
	s := startRelay(t, Config{Limits: Limits{Resume: 50 * time.Millisecond}}, "alice", "bob")
	alice := s.online("alice", "a")
	one, two := s.online("bob", "1"), s.online("bob", "2")
	one.enable(true)
	alice.chat("bob@ward.example/1", "for the first")
	one.body("for the first") // and no acknowledgement
	one.ws.CloseNow()
	if m := two.body("for the first"); m.Child(nsDelay, "delay") == nil {
		t.Errorf("passed on without a time: %s", m)
	}
	two.enable(true)
	alice.chat("bob@ward.example", "acknowledged")
	alice.chat("bob@ward.example", "not acknowledged")
	two.body("acknowledged")
	two.body("not acknowledged")
	two.ack(1)
	alice.send(`<iq type="get" id="q" to="bob@ward.example/2"><ping xmlns="urn:xmpp:ping"/></iq>`)
	two.expect("a ping", func(e *stanza.Element) bool { return e.Get("id") == "q" })
	two.ws.CloseNow()
	r := alice.expect("an answer to the ping", func(e *stanza.Element) bool { return e.Get("id") == "q" })
	if errorCondition(r) != "service-unavailable" {
		t.Errorf("a ping to a session that died: %s", r)
	}
	three := s.online("bob", "3")
	three.body("not acknowledged")
	three.none("what was acknowledged", hasBody("acknowledged"))
	three.none("what was passed on already", hasBody("for the first"))
	four := s.online("bob", "4")
	four.none("anything delivered to another", func(e *stanza.Element) bool { return e.Local == "message" })
}

// TestNobodyComesIntoAClosingRelay: Close waits for those who are connected, so nobody
// joins them once it has begun to, and finds the store closed.
func TestNobodyComesIntoAClosingRelay(t *testing.T) {
	s := startRelay(t, Config{})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/ws", nil))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "closing") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
