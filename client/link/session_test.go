package link

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sotto/client/stanza"
	"sotto/client/wire"
)

// Twenty cuts in a conversation that goes both ways: every message arrives once

// at the relay and once at the desk, in order.

func TestResumeExactlyOverCuts(t *testing.T) {
	s := newServer(t, script{}, nil)
	d := attach(t, start(t, Config{}), true)
	d.login(s.url)
	await(t, s.online, "login")
	const each, rounds = 12, 20
	over := make(chan struct{})
	go func() {
		defer close(over)
		for r := range rounds {
			for i := range each {
				d.write(msg(fmt.Sprint("out-", r*each+i)))
				s.deliver(`<message xmlns="jabber:client" from="bob@h.example/x" id="in-%d"><body>x</body></message>`, r*each+i)
			}
			s.cut()
			select {
			case <-s.online:
			case <-time.After(patience):
				t.Error("not online again")
				return
			}
		}
	}()
	in := 0
	settled := map[string]int{}
	for in < each*rounds || len(settled) < each*rounds {
		switch m := d.next("stanzas", func(wire.Message) bool { return true }).(type) {
		case wire.Inbound:
			e, _ := stanza.Parse(m.Stanza)
			if want := fmt.Sprint("in-", in); e.Get("id") != want {
				t.Fatalf("the desk got %s, not %s", e.Get("id"), want)
			}
			in++
		case wire.Settled:
			if settled[m.ID]++; settled[m.ID] > 1 {
				t.Fatalf("%s was settled twice", m.ID)
			}
		case wire.State:
			if m.Session > 1 {
				t.Fatal("a session was lost")
			}
		}
	}
	for i := range each * rounds {
		if e := s.stanza("message"); e.Get("id") != fmt.Sprint("out-", i) {
			t.Fatalf("the relay got %s at place %d", e.Get("id"), i)
		}
	}
	if len(s.stanzas) > 0 {
		t.Errorf("the relay got %d more stanzas", len(s.stanzas))
	}
	await(t, over, "end of the cuts") // all may have come before the last one
	if _, _, resumes := s.counts(); resumes != rounds {
		t.Errorf("%d resumptions, not %d", resumes, rounds)
	}
}

func TestResumeRefused(t *testing.T) {
	s := newServer(t, script{}, nil)
	d := attach(t, start(t, Config{}), true)
	d.login(s.url)
	await(t, s.online, "login")
	d.phase(wire.Online)
	s.stanza("presence")
	s.set(func(sc *script) { sc.noResume, sc.deaf = true, true })
	d.write(msg("m1"))
	d.write(wire.Send{ID: "q1", Stanza: []byte(`<iq xmlns="jabber:client" type="get" id="q1"><query xmlns="jabber:iq:roster"/></iq>`)})
	d.write(msg("m2"))
	for range 2 {
		s.stanza("message")
	}
	s.cutAnd(func(sc *script) { sc.deaf = false })
	await(t, s.online, "second login")
	var got []string
	for len(got) < 4 {
		e := await(t, s.stanzas, "stanza")
		got = append(got, e.Local+" "+e.Get("id"))
	}
	got[0], got[1], _ = strings.Cut(strings.Join(got[:2], ","), ",")
	if !strings.HasPrefix(got[0], "iq link-") || got[1] != "presence " || got[2] != "message m1" || got[3] != "message m2" {
		t.Errorf("the new session began with %q", got)
	}
	d.next("the second session", func(m wire.Message) bool { st, ok := m.(wire.State); return ok && st.Session == 2 })
	d.settled("m1")
	d.settled("m2")
	select {
	case e := <-s.stanzas:
		t.Errorf("sent again: %s", e)
	default:
	}
}

// TestOvertaken gives way to another client with this device's name, but not to an own
// connection that the relay comes to late.
func TestOvertaken(t *testing.T) {
	conflict := func(p *peer) {
		p.write(`<stream:error xmlns:stream="%s"><conflict xmlns="%s"/></stream:error>`, stanza.NSStream, stanza.NSStreams)
	}
	s := newServer(t, script{}, nil)
	d := attach(t, start(t, Config{}), true)
	d.login(s.url)
	await(t, s.online, "login")
	d.phase(wire.Online)
	s.cut()
	p := await(t, s.online, "after a cut")
	d.phase(wire.Online)
	conflict(p)
	await(t, s.online, "the place taken back")
	d.next("the second session", func(m wire.Message) bool {
		st, ok := m.(wire.State)
		return ok && st.Phase == wire.Online && st.Session == 2
	})

	f := streamFailure("h.example", "conflict")
	for since, want := range map[time.Duration]course{0: soon, ghostFor + time.Second: never} {
		if got := (&owner{brokeAt: time.Now().Add(-since)}).overtaken(f); got.course != want {
			t.Errorf("%v after a connection broke: course %d", since, got.course)
		}
	}
	if got := new(owner).overtaken(f); got.course != never {
		t.Errorf("nothing ever broke, and the course is %d", got.course)
	}
}

// Acknowledged to the relay is only what the desk has stored.

func TestAcknowledgesOnlyStored(t *testing.T) {
	s := newServer(t, script{}, nil)
	d := attach(t, start(t, Config{}), false)
	d.login(s.url)
	await(t, s.online, "login")
	h := func() uint32 {
		s.raw(`<r xmlns="%s"/>`, stanza.NSSM)
		return await(t, s.answers, "<a/>")
	}
	s.deliver(`<iq xmlns="jabber:client" type="get" id="p" from="h.example"><ping xmlns="urn:xmpp:ping"/></iq>`)
	for i := range 3 {
		s.deliver(`<message xmlns="jabber:client" id="%d"><body>x</body></message>`, i)
	}
	var given [3]wire.Inbound
	for i := range given {
		given[i], _ = d.inbound()
	}
	if n := h(); n != 1 {
		t.Errorf("h=%d before anything was stored", n)
	}
	d.write(wire.Stored{Seq: given[1].Seq})
	if n := await(t, s.answers, "unasked <a/>"); n != 3 {
		t.Errorf("h=%d after two were stored", n)
	}
	d.write(wire.Stored{Seq: 1 << 60}) // more than there is counts as all
	if n := await(t, s.answers, "unasked <a/>"); n != 4 {
		t.Errorf("h=%d after all were stored", n)
	}
}

func TestCountWrapsAround(t *testing.T) {
	o := outbox{acked: 1<<32 - 2}
	for range 4 {
		o.push(outgoing{b: []byte("x")})
		o.took()
	}
	if done, err := o.ack(1); err != nil || len(done) != 3 || o.sent != 1 || o.flying != 1 {
		t.Errorf("%d done, %v, %d left", len(done), err, o.sent)
	}
	for _, h := range []uint32{0, 3, 1 << 31, 1<<32 - 1} {
		if _, err := o.ack(h); err == nil {
			t.Errorf("h=%d was believed", h)
		}
	}
	in := inbox{handled: 1<<32 - 1, total: 1<<32 - 1}
	e := stanza.New(stanza.NSClient, "message").With("id", "a")
	in.hold(e, &held{message: true})
	in.handle()
	if in.handled != 1<<32-1 || in.total != 1 {
		t.Errorf("handled %d of %d", in.handled, in.total)
	}
	in.resumed(1<<32 - 1)
	if known, err := in.known(e); !known || err != nil {
		t.Errorf("%v %v", known, err)
	}
	in.next = 1
	in.stored(1)
	if in.handled != 1 {
		t.Errorf("handled %d", in.handled)
	}
	if known, err := in.known(stanza.New(stanza.NSClient, "presence")); !known || err != nil || in.resent != 0 {
		t.Errorf("%v %v %d", known, err, in.resent)
	}
	if known, _ := in.known(e); known {
		t.Error("a new stanza was taken for a known one")
	}
}

// What was delivered to the desk but not stored comes again after a resumption;

// a relay that resends something else has lost track.

// Elements that mean nothing are left alone, whatever they hold.

func TestAnswersRequests(t *testing.T) {
	s := newServer(t, script{}, nil)
	d := attach(t, start(t, Config{}), true)
	d.login(s.url)
	await(t, s.online, "login")
	ver, _ := stanza.CapsVer(info)
	ask := func(typ, from, payload string) *stanza.Element {
		t.Helper()
		s.deliver(`<iq xmlns="jabber:client" type="%s" id="q7" from="%s">%s</iq>`, typ, from, payload)
		for {
			if e := s.stanza("iq"); e.Get("id") == "q7" {
				if e.Get("to") != from {
					t.Errorf("answered to %q, not %q", e.Get("to"), from)
				}
				return e
			}
		}
	}
	if e := ask("get", "bob@h.example/x", `<ping xmlns="urn:xmpp:ping"/>`); e.Get("type") != "result" {
		t.Errorf("ping: %s", e)
	}
	for _, node := range []string{"", ` node="` + capsNode + `#` + ver + `"`} {
		e := ask("get", "bob@h.example/x", `<query xmlns="http://jabber.org/protocol/disco#info"`+node+`/>`)
		i, err := stanza.ReadInfo(e)
		if v, _ := stanza.CapsVer(i); err != nil || v != ver || !i.Has("eu.siacs.conversations.axolotl.devicelist+notify") {
			t.Errorf("disco: %s %v", e, err)
		}
	}
	unknown := ask("get", "bob@h.example/x", `<query xmlns="http://jabber.org/protocol/disco#info" node="x"/>`)
	if stanza.ReadError(unknown) == nil {
		t.Errorf("disco of an unknown node: %s", unknown)
	}
	if e := ask("set", "bob@h.example/x", `<query xmlns="jabber:iq:version"/>`); stanza.ReadError(e).Error() != (&stanza.StanzaError{Condition: "service-unavailable"}).Error() {
		t.Errorf("unknown: %s", e)
	}
	// A roster push from a stranger is refused and goes no further; the relay's own is passed on.
	push := `<query xmlns="jabber:iq:roster"><item jid="%s" subscription="both"/></query>`
	if e := ask("set", "eve@evil.example/x", fmt.Sprintf(push, "eve@evil.example")); stanza.ReadError(e) == nil {
		t.Errorf("push of a stranger: %s", e)
	}
	if e := ask("set", "ada@h.example", fmt.Sprintf(push, "bob@h.example")); e.Get("type") != "result" {
		t.Errorf("push: %s", e)
	}
	if _, e := d.inbound(); e.Child(stanza.NSRoster, "query").Child("", "item").Get("jid") != "bob@h.example" {
		t.Errorf("the desk got %s", e)
	}
}

// What is acknowledged while no desk is there is told to the next.

// A relay that does not read holds nobody up, and gets everything in the end.

func TestSlowRelay(t *testing.T) {
	var hold = make(chan struct{})
	s := newServer(t, script{}, nil)
	s.set(func(sc *script) { sc.noSM, sc.noCSI = true, true })
	l := start(t, Config{PingTimeout: time.Hour})
	d := attach(t, l, true)
	d.login(s.url)
	p := await(t, s.online, "login")
	d.phase(wire.Online)
	p.s.mu.Lock() // the server's reader waits for this before each stanza
	go func() { <-hold; p.s.mu.Unlock() }()
	big := stanza.NewChat("bob@h.example", "big", stanza.Body(strings.Repeat("x", 100<<10))).Bytes()
	const n = 150 // more than any buffer on the way holds
	for i := range n {
		d.write(wire.Send{ID: fmt.Sprint(i), Stanza: []byte(strings.Replace(string(big), "big", fmt.Sprint(i), 2))})
	}
	d.barrier()
	d.close()
	d = attach(t, l, true) // the link is as quick as ever
	d.login(s.url)
	pending := d.next("Pending", func(m wire.Message) bool { _, ok := m.(wire.Pending); return ok }).(wire.Pending)
	if len(pending.IDs) != n {
		t.Errorf("%d pending, not %d", len(pending.IDs), n)
	}
	close(hold)
	for i := range n {
		if e := s.stanza("message"); e.Get("id") != fmt.Sprint(i) {
			t.Fatalf("%s came at place %d", e.Get("id"), i)
		}
	}
	d.settled(fmt.Sprint(n - 1)) // without stream management, a ping tells
}

// A desk that does not read makes the relay wait, not the link grow; the next one

// gets what was held, each once.

func TestKeepalive(t *testing.T) {
	for _, noSM := range []bool{false, true} {
		s := newServer(t, script{noSM: noSM}, nil)
		d := attach(t, start(t, Config{PingEvery: 20 * time.Millisecond, PingTimeout: time.Second}), true)
		d.login(s.url)
		await(t, s.online, "login")
		d.phase(wire.Online)
		d.next("a sign of life", func(m wire.Message) bool { st, ok := m.(wire.State); return ok && st.RTT > 0 })
		s.set(func(sc *script) { sc.deaf = true })
		d.words("does not answer any more")
		s.set(func(sc *script) { sc.deaf = false })
		await(t, s.online, "another connection")
	}
}

func TestWithoutStreamManagement(t *testing.T) {
	s := newServer(t, script{noSM: true}, nil)
	d := attach(t, start(t, Config{}), true)
	d.login(s.url)
	await(t, s.online, "login")
	d.write(msg("m1"))
	d.settled("m1")
	s.set(func(sc *script) { sc.deaf = true })
	d.write(msg("m2"))
	for s.stanza("message").Get("id") != "m2" {
	}
	s.cutAnd(func(sc *script) { sc.deaf = false })
	await(t, s.online, "another login")
	if e := s.stanza("message"); e.Get("id") != "m2" {
		t.Errorf("sent again: %s", e)
	}
	d.settled("m2")
}

func TestLogoff(t *testing.T) {
	s := newServer(t, script{}, nil)
	l := start(t, Config{})
	d := attach(t, l, true)
	d.login(s.url)
	await(t, s.online, "login")
	d.phase(wire.Online)
	d.write(wire.Logoff{})
	if st := d.phase(wire.Offline); st.Words != "Logged off." {
		t.Errorf("%+v", st)
	}
	for !await(t, s.other, "<close/>").Is(stanza.NSFraming, "close") {
	}
	d.login(s.url)
	if st := d.phase(wire.Online); st.Session != 2 {
		t.Errorf("%+v", st)
	}
}

func TestAnotherAccountEndsTheFirst(t *testing.T) {
	s := newServer(t, script{}, nil)
	d := attach(t, start(t, Config{}), true)
	d.login(s.url)
	await(t, s.online, "login")
	d.phase(wire.Online)
	m := account1(s.url)
	m.Address = "eve@h.example"
	d.write(m)
	for !await(t, s.other, "<close/>").Is(stanza.NSFraming, "close") {
	}
	d.phase(wire.Refused)
}
