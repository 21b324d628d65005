package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"sotto/client/stanza"
)

// TestSlowReader: who does not read is cut off, and nobody else notices.
func TestSlowReader(t *testing.T) {
	limits := Limits{QueueBytes: 2 << 20, BytesPerSecond: 1 << 30, ByteBurst: 1 << 30, StanzaBurst: 10000}
	s := startRelay(t, Config{Limits: limits}, "alice", "bob", "carol")
	alice, carol := s.online("alice", "a"), s.online("carol", "c")
	big := strings.Repeat("x", 100<<10)
	sessions := func() (n int) {
		s.do(t.Context(), func(c *core) error { n = len(c.accounts["bob"].sessions); return nil })
		return n
	}
	flood := func(bob *client) (n int) {
		bob.hold.Lock()
		for ; n < 1000 && sessions() > 0; n++ { // until the sockets' own buffers are full as well
			alice.send(fmt.Sprintf(`<message type="chat" to="bob@ward.example" id="%d"><body>%s</body></message>`, n, big))
			alice.chat("carol@ward.example", fmt.Sprint("carol", n))
			carol.body(fmt.Sprint("carol", n)) // at once
		}
		if sessions() > 0 {
			t.Fatalf("still connected after %d unread messages of 100 kB", n)
		}
		bob.hold.Unlock()
		bob.ended()
		return n
	}
	flood(s.online("bob", "no acknowledgements"))

	bob := s.online("bob", "acknowledgements")
	bob.seen = nil
	bob.enable(true)
	n := flood(bob)
	bob = s.online("bob", "again")
	for i := range n { // nothing is lost
		bob.message("what was queued", func(e *stanza.Element) bool { return e.Get("id") == fmt.Sprint(i) })
	}
}

// TestUnacknowledged: a client that never acknowledges loses its session, but
// no message.
func TestUnacknowledged(t *testing.T) {
	s := startRelay(t, Config{Limits: Limits{UnackedStanzas: 50}}, "alice", "bob")
	alice, bob := s.online("alice", "a"), s.online("bob", "b")
	bob.enable(false)
	for i := range 60 {
		alice.chat("bob@ward.example", fmt.Sprint(i))
	}
	if got := bob.ended(); got != "resource-constraint" {
		t.Errorf("ended with %q", got)
	}
	bob = s.online("bob", "b")
	for i := range 60 {
		bob.body(fmt.Sprint(i))
	}
}

// TestAsksForAcknowledgement: it asks when it has sent something, and not all the time.
func TestAsksForAcknowledgement(t *testing.T) {
	s := startRelay(t, Config{}, "alice", "bob")
	alice, bob := s.online("alice", "a"), s.online("bob", "b")
	isR := func(e *stanza.Element) bool { return e.Is(stanza.NSSM, "r") }
	bob.enable(true)
	alice.chat("bob@ward.example", "1")
	bob.expect("a request", isR)
	alice.chat("bob@ward.example", "2")
	bob.body("2")
	bob.ack(0) // nothing handled yet: no reason to ask again at once
	bob.none("another request", isR)
	bob.ack(2)
	alice.chat("bob@ward.example", "3")
	bob.expect("another request", isR)
}

// TestRate: a flood is read slowly, not refused, and others are not held up.
func TestRate(t *testing.T) {
	s := startRelay(t, Config{Limits: Limits{StanzasPerSecond: 100, StanzaBurst: 20}}, "alice", "bob")
	alice, bob := s.online("alice", "a"), s.online("bob", "b")
	start := time.Now()
	for i := range 60 {
		alice.chat("bob@ward.example", fmt.Sprint(i))
	}
	bob.must("get", "", `<ping xmlns="urn:xmpp:ping"/>`)
	for i := range 60 {
		bob.body(fmt.Sprint(i))
	}
	// 60 and what login took, less 20, at 100 a second: a lower bound, so that a
	// busy machine cannot fail it.
	if d := time.Since(start); d < 300*time.Millisecond {
		t.Errorf("60 stanzas in %v", d)
	}
}

// TestPresenceRate: presence goes to everyone, so it has a rate of its own.
func TestPresenceRate(t *testing.T) {
	s := startRelay(t, Config{Limits: Limits{PresencesPerSecond: 50, PresenceBurst: 5}}, "alice", "bob")
	alice, bob := s.online("alice", "a"), s.online("bob", "b")
	start := time.Now()
	for i := range 25 {
		alice.send(`<presence><status>` + fmt.Sprint(i) + `</status></presence>`)
	}
	alice.chat("bob@ward.example", "after it")
	bob.body("after it")
	if d := time.Since(start); d < 300*time.Millisecond { // 25 and one, less 5, at 50 a second
		t.Errorf("25 presences in %v", d)
	}
}

func TestConnectionLimit(t *testing.T) {
	s := startRelay(t, Config{Limits: Limits{Connections: 2}}, "alice")
	s.dial()
	s.dial()
	_, r, err := websocket.Dial(t.Context(), "ws://"+s.addr+"/ws", &websocket.DialOptions{Subprotocols: []string{"xmpp"}})
	if err == nil || r == nil || r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" {
		t.Errorf("a third connection: %v", err)
	}
}

func TestUserManagement(t *testing.T) {
	s := startRelay(t, Config{Limits: Limits{Users: 2}}, "alice")
	ctx := t.Context()
	pw := []byte("a good password")
	for name, want := range map[string]error{"alice": ErrUserExists, "Alice": ErrUserExists, "a b": nil, "": nil, "a@b": nil, "a/b": nil} {
		err := s.AddUser(ctx, name, pw, "")
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("adding %q: %v", name, err)
		}
	}
	if err := s.AddUser(ctx, "bob", pw, strings.Repeat("x", 1000)); err == nil {
		t.Error("a display name without bounds")
	}
	if err := s.AddUser(ctx, "bob", pw, ""); err != nil {
		t.Error(err)
	}
	if err := s.AddUser(ctx, "carol", pw, ""); err == nil {
		t.Error("more users than allowed")
	}
	for _, err := range []error{s.RemoveUser(ctx, "nobody"), s.SetName(ctx, "nobody", "x"), s.SetPassword(ctx, "nobody", pw)} {
		if !errors.Is(err, ErrUserUnknown) {
			t.Errorf("somebody unknown: %v", err)
		}
	}
	users, err := s.Users(ctx)
	if err != nil || fmt.Sprint(users) != "[{alice@ward.example Alice  false} {bob@ward.example bob  false}]" {
		t.Errorf("users %v, %v", users, err)
	}
	for _, cfg := range []Config{{}, {Domain: "a b"}, {Domain: "x.example", Iterations: 100}} {
		if r, err := New(cfg); err == nil {
			r.Close()
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

func TestHostMeta(t *testing.T) {
	s := startRelay(t, Config{})
	get := func(path string) string {
		r, err := http.Get("http://" + s.addr + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	want := "ws://" + s.addr + "/ws"
	if got := get("/.well-known/host-meta.json"); got != `{"links":[{"rel":"urn:xmpp:alt-connections:websocket","href":"`+want+`"}]}`+"\n" {
		t.Errorf("JSON: %s", got)
	}
	if got := get("/.well-known/host-meta"); !strings.Contains(got, `<Link rel="urn:xmpp:alt-connections:websocket" href="`+want+`"/>`) {
		t.Errorf("XML: %s", got)
	}
	if got := get("/"); !strings.Contains(got, "404") {
		t.Errorf("elsewhere: %s", got)
	}
}

func TestShutdown(t *testing.T) {
	s := startRelay(t, Config{}, "alice")
	alice := s.online("alice", "a")
	go s.Close()
	if got := alice.ended(); got != "system-shutdown" {
		t.Errorf("ended with %q", got)
	}
	s.Close()
	if err := s.AddUser(context.Background(), "bob", []byte("a good password"), ""); !errors.Is(err, ErrClosed) {
		t.Errorf("after closing: %v", err)
	}
}

func TestQueue(t *testing.T) {
	q := newQueue(3, 10)
	if !q.push(frame{data: []byte("1234")}, frame{data: []byte("5678")}) || !q.push(frame{data: []byte("90")}) {
		t.Fatal("refused what there is room for")
	}
	if items, closed := q.take(); len(items) != 3 || closed || q.idle() {
		t.Error("wrong items")
	}
	for _, n := range []int{4, 4, 2} {
		q.wrote(frame{data: make([]byte, n)})
	}
	if !q.idle() || !q.push(frame{data: []byte("0123456789")}) {
		t.Error("room was not given back")
	}
	q.take() // being written still counts
	if q.push(frame{data: []byte("x")}) {
		t.Error("more bytes than allowed")
	}
	q.wrote(frame{data: make([]byte, 10)})
	if q.push(frame{data: []byte("x")}) {
		t.Error("something follows a gap")
	}
	q = newQueue(3, 10)
	if !q.push(frame{data: []byte("1")}, frame{data: []byte("2")}, frame{data: []byte("3")}) || q.push(frame{}) {
		t.Error("wrong bound of items")
	}
	if items, closed := q.take(); len(items) != 3 || !closed {
		t.Error("closing loses what waits")
	}
}
