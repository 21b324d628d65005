package client

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client/omemo"
	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/wire"
)

const eve = "eve@elsewhere.example"

// journal is a log that can be looked at.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// besieged is a client whose relay is hostile, and Ada, who writes to it.
type besieged struct {
	*double
	t    *testing.T
	c    *Client
	ada  *remote
	fake *remote // a device of the relay's own
	log  *journal
	rand *rand.Rand

	said map[string]bool // what Ada wrote
	n    int
	mine string // stanza id of a message to her that the relay has
	seen map[string]bool
}

func besiege(t *testing.T, seed uint64) *besieged {
	t.Helper()
	b := &besieged{double: newDouble(t), t: t, log: &journal{}, rand: rand.New(rand.NewPCG(seed, seed)), said: make(map[string]bool), seen: make(map[string]bool)}
	b.roster = append(b.roster, stanza.New(stanza.NSRoster, "item").With("jid", ada).With("name", "Okafor, Ada").With("subscription", "both"))
	c, err := New(Config{Account: Account{Address: me, Password: memguard.NewBufferFromBytes([]byte("pw"))}, Store: memoryStore(t),
		Link: b.attach(1), Logger: slog.New(slog.NewTextHandler(b.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	b.c = c
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { c.Run(ctx); close(ended) }()
	t.Cleanup(func() { cancel(); from(t, ended, "end of Run") })
	caught(t, c)
	b.published(c)
	b.ada, b.fake = newRemote(t, b.double, ada), newRemote(t, nil, ada)
	b.ada.start(b.double, c)
	b.deliver(b.true())
	b.sent(func(e *stanza.Element) bool { _, err := b.ada.read(e); return err == nil })
	if _, err := c.Send(context.Background(), ada, "mine"); err != nil {
		t.Fatal(err)
	}
	e := b.sent(hasPayload)
	if _, err := b.ada.read(e); err != nil {
		t.Fatal(err)
	}
	b.mine = e.Get("id")
	b.settledWith()
	return b
}

// true is a message that Ada wrote.
func (b *besieged) true() *stanza.Element {
	b.n++
	body := fmt.Sprintf("true %d", b.n)
	b.said[body] = true
	return b.ada.write(b.c, fmt.Sprint("t", b.n), body)
}

// settledWith waits until the client has taken everything that it was given.
func (b *besieged) settledWith() {
	b.t.Helper()
	eventually(b.t, "everything is stored and acknowledged", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.stored == b.seq
	})
}

// raw delivers bytes that need be no stanza.
func (b *besieged) raw(x []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seq++
	b.out.send(wire.Inbound{Seq: b.seq, Stanza: x})
}

func carbonOf(from, what string, inner *stanza.Element) *stanza.Element {
	return stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSCarbons, what, stanza.New(stanza.NSForward, "forwarded", inner))).
		With("from", from).With("to", me+"/test")
}

func listFrom(from string, ids ...uint32) *stanza.Element {
	return stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSPubSubEvent, "event", stanza.New(stanza.NSPubSubEvent, "items",
		stanza.New(stanza.NSPubSubEvent, "item", stanza.DeviceList(ids)).With("id", "current")).With("node", stanza.NodeDevices))).With("from", from)
}

func forgery(to string) *stanza.Element { return stanza.NewChat(to, "forged", stanza.Body("forged")) }

// attacks are what the relay does, with what must be in the log or on the screen
// because of it. "" is for what a relay may do, or anybody's network does by itself: the
// order changes, something is lost and comes again, an answer or a confirmation comes
// that belongs to nothing. There is nothing to tell of then. What holds is what check
// looks at after each of them: what is shown, once each, and with no control in it.
var attacks = []struct {
	name, trace string
	do          func(b *besieged)
}{
	{"replays", "message repeated", func(b *besieged) {
		e := b.true()
		b.deliver(e)
		b.deliver(e)
		b.deliver(delayed(e, "2026-11-21T19:02:00Z"))
		b.deliver(carbonOf(me, "received", e))
		b.deliver(copied(e).With("id", "another").Add(stanza.New(stanza.NSStanzaID, "origin-id").With("id", "another")))
		again := copied(e).With("id", "yet another")
		for _, x := range again.Children {
			if x.Is(stanza.NSStanzaID, "origin-id") {
				x.Set("id", "yet another")
			}
		}
		b.deliver(again)
	}},
	{"reorders", "", func(b *besieged) {
		list := []*stanza.Element{b.true(), b.true(), b.true(), b.true()}
		b.rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		for _, e := range list {
			b.deliver(e)
		}
	}},
	{"drops", "", func(b *besieged) { b.true(); b.deliver(b.true()) }},
	{"gives a message another sender", "message not decrypted", func(b *besieged) {
		e := b.true()
		for _, from := range []string{eve + "/phone", "mercy.example", "lind@mercy.example/x", ada + ".example/x", "@", ""} {
			x := copied(e).With("from", from)
			if from == "" {
				x.Del("from")
			}
			b.deliver(x)
		}
		b.deliver(copied(e).With("from", me+"/other"))
		b.deliver(e)
	}},
	{"gives a first message another sender", "under two names", func(b *besieged) {
		r := newRemote(b.t, nil, ada)
		r.start(b.double, b.c)
		b.n++
		body := fmt.Sprintf("true %d", b.n)
		b.said[body] = true
		e := r.write(b.c, fmt.Sprint("t", b.n), body)
		b.deliver(e)
		b.deliver(copied(e).With("from", eve+"/phone"))
		b.n++
		b.said[fmt.Sprintf("true %d", b.n)] = true
		e = r.write(b.c, fmt.Sprint("t", b.n), fmt.Sprintf("true %d", b.n))
		b.deliver(copied(e).With("from", eve+"/phone"))
	}},
	{"alters what is encrypted", "message not decrypted", func(b *besieged) {
		for i := range 6 {
			e := copied(b.true())
			enc := e.Child(stanza.NSOmemo, "encrypted")
			h := enc.Child("", "header")
			switch i {
			case 0:
				enc.Child("", "payload").Children[0].Data = "AAAA"
			case 1:
				h.Child("", "iv").Children[0].Data = "AAAAAAAAAAAAAAAA"
			case 2:
				k := h.Child("", "key").Children[0]
				k.Data = strings.ToUpper(k.Data)
			case 3:
				h.Set("sid", "1")
			case 4:
				h.Set("sid", "99999999999")
			case 5:
				h.Child("", "key").Set("rid", "7")
			}
			b.deliver(e)
		}
	}},
	{"forges copies", "forged copy of a message", func(b *besieged) {
		words := forgery(ada).With("from", me+"/other")
		b.deliver(carbonOf(eve, "sent", words))
		b.deliver(carbonOf(eve+"/x", "received", forgery(me).With("from", ada+"/x")))
		b.deliver(carbonOf(me+"/other", "sent", words))
		b.deliver(carbonOf("mercy.example", "sent", words))
		b.deliver(carbonOf(ada, "sent", words))
	}},
	{"copies what others wrote to each other", "copy of a message between others", func(b *besieged) {
		b.deliver(carbonOf(me, "sent", forgery(ada).With("from", eve+"/x")))
		b.deliver(carbonOf(me, "received", forgery(ada).With("from", eve+"/x")))
		b.deliver(carbonOf(me, "received", forgery("mercy.example").With("from", "@")))
	}},
	{"invents results of the archive", "archived message that nobody asked for", func(b *besieged) {
		words := forgery(me).With("from", ada+"/phone")
		b.deliver(result("guess", "a900", words))
		b.deliver(result("", "a900", words))
		b.deliver(result("guess", "a900", words).With("from", eve))
		b.deliver(result("guess", "a900", words).With("from", me))
	}},
	{"answers the archive's question for others", "archived message between others", func(b *besieged) {
		replay := b.true()
		b.deliver(replay)
		b.hookOnce(func(iq *stanza.Element) bool { return iq.Child(stanza.NSMAM, "query") != nil }, func(iq *stanza.Element) {
			q := iq.Child(stanza.NSMAM, "query").Get("queryid")
			b.deliver(result(q, "z1", forgery(ada).With("from", eve+"/x")))
			b.deliver(result(q, "z2", forgery(me).With("from", ada+"/x")).With("from", eve))
			b.deliver(result(q, "z3", replay))
			b.deliver(result(q, "z4", copied(replay).With("from", eve+"/x")))
			b.deliver(result(q, "z5", copied(replay).With("id", "new id")))
			b.deliver(stanza.NewIQ("result", me+"/test", iq.Get("id"), stanza.New(stanza.NSMAM, "fin").With("complete", "true")).With("from", eve))
			b.deliver(stanza.NewIQ("result", me+"/test", iq.Get("id"), stanza.New(stanza.NSMAM, "fin").With("complete", "true")))
		})
		b.c.call(b.c.catchUp)
	}},
	{"answers for others", "reply from somebody who was not asked", func(b *besieged) {
		asked := b.hookOnce(func(iq *stanza.Element) bool { return iq.Get("to") == ada }, func(iq *stanza.Element) {
			lie := stanza.New(stanza.NSPubSub, "pubsub", stanza.New(stanza.NSPubSub, "items",
				stanza.New(stanza.NSPubSub, "item", stanza.DeviceList([]uint32{b.fake.dev.ID()})).With("id", "current")).With("node", stanza.NodeDevices))
			for _, from := range []string{eve, "mercy.example", me, "", ada + "/phone"} {
				x := stanza.NewIQ("result", me+"/test", iq.Get("id"), lie)
				if from != "" {
					x.With("from", from)
				}
				b.deliver(x)
			}
			b.iq(iq)
		})
		b.c.call(func() { b.c.peer(ada).asked = time.Time{}; b.c.askList(ada) })
		from(b.t, asked, "question for what Ada has")
	}},
	{"answers what nobody asked", "", func(b *besieged) {
		b.deliver(stanza.NewIQ("result", me+"/test", "guess", stanza.New(stanza.NSRoster, "query",
			stanza.New(stanza.NSRoster, "item").With("jid", eve).With("name", "forged").With("subscription", "both"))).With("from", me))
		b.deliver(stanza.NewIQ("error", me+"/test", "guess", nil))
	}},
	{"pushes a roster as somebody else", "roster push from somebody else", func(b *besieged) {
		b.deliver(stanza.NewIQ("set", me+"/test", "push", stanza.New(stanza.NSRoster, "query",
			stanza.New(stanza.NSRoster, "item").With("jid", eve).With("name", "forged"))).With("from", eve))
	}},
	{"sends device lists as somebody else", "device list from a client", func(b *besieged) {
		b.deliver(listFrom(ada+"/phone", b.fake.dev.ID()))
		b.deliver(listFrom(me+"/other", b.fake.dev.ID()))
	}},
	{"invents people with devices", "device list of somebody unknown", func(b *besieged) {
		for i := range 20 {
			b.deliver(listFrom(fmt.Sprintf("p%d@invented.example", i), 7))
		}
	}},
	{"swaps a device list", "okafor has a new device", func(b *besieged) {
		b.mu.Lock()
		b.fake.do(func(tx *store.Tx) error {
			bundle, err := b.fake.dev.Bundle(tx)
			b.nodes[ada+" "+stanza.NodeBundle(b.fake.dev.ID())] = bundle.Element()
			return err
		})
		b.mu.Unlock()
		b.deliver(listFrom(ada, b.fake.dev.ID(), b.ada.dev.ID()))
		b.settledWith()
		b.writesTo("for Ada alone")
	}},
	{"gives a device another key", "has changed its key", func(b *besieged) {
		b.mu.Lock()
		good := b.nodes[ada+" "+stanza.NodeBundle(b.ada.dev.ID())]
		b.fake.do(func(tx *store.Tx) error {
			bundle, err := b.fake.dev.Bundle(tx)
			b.nodes[ada+" "+stanza.NodeBundle(b.ada.dev.ID())] = bundle.Element()
			return err
		})
		b.mu.Unlock()
		inRun(b.t, b.c, func() { b.c.askBundle(omemo.Address{JID: ada, Device: b.ada.dev.ID()}, toLook) })
		eventually(b.t, "the other key is seen", func() bool { return b.trustOf(b.ada.dev.ID()) == store.Undecided })
		if m, err := b.c.Send(ctx, ada, "not to this key"); err != nil {
			b.t.Error(err)
		} else {
			eventually(b.t, "nobody is left to encrypt to", func() bool { return b.state(m.ID) == store.Failed })
		}
		b.mu.Lock()
		b.nodes[ada+" "+stanza.NodeBundle(b.ada.dev.ID())] = good
		b.mu.Unlock()
		b.c.call(func() { b.c.askBundle(omemo.Address{JID: ada, Device: b.ada.dev.ID()}, toLook) })
		eventually(b.t, "the true key is back", func() bool { return b.trustOf(b.ada.dev.ID()) == store.FirstUse })
		b.writesTo("to the true key again")
	}},
	{"confirms as somebody else", "confirmation ignored", func(b *besieged) {
		for _, what := range []*stanza.Element{stanza.Received(b.mine), stanza.Displayed(b.mine)} {
			for _, from := range []string{eve + "/x", "mercy.example", ada, me + "/other", ada + ".example/x"} {
				b.deliver(stanza.NewChat(me, "r", what).With("from", from))
				b.deliver(carbonOf(me, "received", stanza.NewChat(me, "r", what).With("from", from)))
			}
			b.deliver(carbonOf(eve, "received", stanza.NewChat(me, "r", what).With("from", ada+"/x")))
			b.deliver(result("guess", "a900", stanza.NewChat(me, "r", what).With("from", ada+"/x")))
		}
		b.deliver(stanza.NewChat(me, "r", stanza.Received("t1"), stanza.Displayed("t1")).With("from", ada+"/x"))
		b.deliver(stanza.NewChat(me, "r", stanza.Received("nothing"), stanza.Displayed("nothing")).With("from", ada+"/x"))
	}},
	{"bounces as somebody else", "", func(b *besieged) {
		for _, from := range []string{eve, "mercy.example", me, ada + ".example"} {
			b.deliver(stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSClient, "error", stanza.New(stanza.NSStanzas, "gone"))).
				With("type", "error").With("from", from).With("id", b.mine).With("to", me))
		}
	}},
	{"sends what is too large, too deep, or no XML", "stanza refused", func(b *besieged) {
		b.raw(fmt.Appendf(nil, `<message xmlns="jabber:client" from="%s/x"><body>%s</body></message>`, ada, strings.Repeat("x", 1<<20)))
		b.raw([]byte(`<message xmlns="jabber:client">` + strings.Repeat("<x>", 20000) + strings.Repeat("</x>", 20000) + `</message>`))
		b.raw([]byte(`<message xmlns="jabber:client">` + strings.Repeat("<x/>", 200000) + `</message>`))
		b.raw([]byte(`<!DOCTYPE x [<!ENTITY a "b">]><message xmlns="jabber:client"><body>&a;</body></message>`))
		b.raw([]byte("\x00\xff<<<"))
		b.raw(nil)
	}},
	{"puts hostile words into everything", "", func(b *besieged) {
		const w = "\x1b]52;c;aGk=\x07\u202e\u009b2J"
		b.deliver(stanza.NewChat(me, "w"+w, stanza.TextElement(stanza.NSClient, "subject", w)).With("from", ada+"/"+"x"))
		b.deliver(stanza.New(stanza.NSClient, "presence", stanza.TextElement(stanza.NSClient, "status", "away\u202e")).With("from", ada+"/x"))
		b.out.send(wire.State{Phase: wire.Online, Address: me + "/test", Session: sessionNow(b.t, b.c), Words: w})
	}},
	{"says things out of turn", "", func(b *besieged) {
		b.out.send(wire.Settled{ID: "unknown"})
		b.out.send(wire.PasswordChanged{Words: "x"})
		b.out.send(wire.Withdrawn{ID: b.mine, Back: true})
		b.out.send(wire.Withdrawn{ID: "unknown", Back: true})
		var p wire.Pending
		for i := range wire.MaxPending {
			p.IDs = append(p.IDs, fmt.Sprint(i))
		}
		b.out.send(p)
		b.out.send(wire.Pending{})
	}},
}

// hookOnce has f answer the next request that is wanted.
func (b *besieged) hookOnce(want func(*stanza.Element) bool, f func(*stanza.Element)) <-chan struct{} {
	done := make(chan struct{})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hook = func(iq *stanza.Element) *stanza.Element {
		if !want(iq) {
			return nil
		}
		b.mu.Lock()
		b.hook = nil
		b.mu.Unlock()
		go func() { f(iq); close(done) }()
		return &stanza.Element{}
	}
	return done
}

// writesTo sends a message, which Ada must read and nobody else.
func (b *besieged) writesTo(body string) {
	b.t.Helper()
	if _, err := b.c.Send(ctx, ada, body); err != nil {
		b.t.Error(err)
		return
	}
	e := b.sent(hasPayload)
	if got, err := b.ada.read(e); err != nil || got != body {
		b.t.Errorf("Ada reads %q, %v", got, err)
	}
	if got, err := b.fake.read(e); err == nil {
		b.t.Errorf("the relay reads %q", got)
	}
}

func (b *besieged) trustOf(device uint32) store.Trust {
	list, err := b.c.Devices(ctx, ada)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, d := range list {
		if d.ID == device {
			return d.Trust
		}
	}
	return store.Distrusted
}

func (b *besieged) state(id int64) store.State {
	for _, m := range messages(b.t, b.c, ada) {
		if m.ID == id {
			return m.State
		}
	}
	return 0
}

// sessionNow is the session that the client is in.
func sessionNow(t testing.TB, c *Client) uint64 {
	return ofRun(t, c, func() uint64 { return c.session })
}

// notices are what is said on the screen, but not in a conversation.
func (b *besieged) notices() {
	for _, n := range notices(b.t, b.c) {
		b.seen[n] = true
	}
}

// check looks at everything that is shown.
func (b *besieged) check() {
	b.t.Helper()
	rows, err := b.c.Conversations(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	count := make(map[string]int)
	for _, r := range rows {
		for _, m := range messages(b.t, b.c, r.Peer) {
			body := m.Body.String()
			switch {
			case m.Kind == store.Notice:
				b.seen[body] = true
			case m.Outgoing:
				if !m.Encrypted || r.Peer != ada {
					b.t.Errorf("an own message that was never written: %q to %s", body, r.Peer)
				}
			case !m.Encrypted || r.Peer != ada || !b.said[body]:
				b.t.Errorf("forged: %q from %s, encrypted %v", body, r.Peer, m.Encrypted)
			default:
				if count[body]++; count[body] > 1 {
					b.t.Errorf("%q is there %d times", body, count[body])
				}
			}
			if strings.ContainsAny(body+m.Sender.String(), "\x1b\u202e\u009b") {
				b.t.Errorf("%q acts on the terminal", body)
			}
		}
	}
	// A link that gave it back has it again soon.
	eventually(b.t, "the message that she has not confirmed is sent, and no more", func() bool {
		for _, m := range messages(b.t, b.c, ada) {
			if m.Body.String() == "mine" && m.State != store.Sent {
				return false
			}
		}
		return true
	})
	if s := b.c.State(); strings.ContainsAny(s.Words.String(), "\x1b\u202e\u009b") {
		b.t.Errorf("the state says %q", s.Words)
	}
}

// traced reports whether something is in the log or was shown.
func (b *besieged) traced(what string) bool {
	if strings.Contains(b.log.String(), what) {
		return true
	}
	for s := range b.seen {
		if strings.Contains(strings.ToLower(s), strings.ToLower(what)) {
			return true
		}
	}
	return false
}

// TestHostileRelay has a relay do each of its worst: nothing forged and nothing
// twice is shown, nothing goes to a device of its own, and each attempt that could
// deceive somebody leaves a trace.
func TestHostileRelay(t *testing.T) {
	for i, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			b := besiege(t, uint64(i))
			a.do(b)
			b.settledWith()
			b.notices()
			b.check()
			if !b.traced(a.trace) {
				t.Errorf("no trace of it; the log is\n%s", b.log)
			}
			b.deliver(b.true())
			b.settledWith()
			last := messages(t, b.c, ada)
			if got := last[len(last)-1].Body.String(); got != fmt.Sprintf("true %d", b.n) {
				t.Errorf("afterwards a true message is shown as %q", got)
			}
		})
	}
}

// TestHostileRelayAtLength mixes all of it in any order, several times.
func TestHostileRelayAtLength(t *testing.T) {
	b := besiege(t, 99)
	for range 3 {
		for _, i := range b.rand.Perm(len(attacks)) {
			attacks[i].do(b)
			b.settledWith()
			b.notices()
		}
	}
	b.check()
	for _, a := range attacks {
		if !b.traced(a.trace) {
			t.Errorf("no trace of what %s", a.name)
		}
	}
}
