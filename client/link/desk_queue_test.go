package link

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"sotto/client/stanza"
	"sotto/client/wire"
	"sotto/internal/frame"
)

const encrypted = `<encrypted xmlns="eu.siacs.conversations.axolotl"><header sid="1"/><payload>AA==</payload></encrypted>`

func TestClientState(t *testing.T) {
	s := newServer(t, script{}, nil)
	l := start(t, Config{})
	d := attach(t, l, true)
	d.login(s.url)
	await(t, s.online, "login")
	state := func() string {
		t.Helper()
		for {
			if e := await(t, s.other, "client state"); e.Space == stanza.NSCSI {
				return e.Local
			}
		}
	}
	d.phase(wire.Online)
	s.set(func(sc *script) { sc.deaf = true })
	d.write(msg("m1"))
	for !await(t, s.other, "<r/> after a message").Is(stanza.NSSM, "r") {
	}
	d.close()
	if got := state(); got != "inactive" {
		t.Errorf("without a desk: %s", got)
	}
	// Whatever is still awaited, the relay is asked for something now: Prosody
	// would keep back what it had not yet written.
	if e := await(t, s.other, "<r/>"); !e.Is(stanza.NSSM, "r") {
		t.Errorf("after inactive came %s", e)
	}
	s.set(func(sc *script) { sc.deaf = false })
	s.cut() // what the relay was told is lost with the stream
	if got := state(); got != "inactive" {
		t.Errorf("after resumption: %s", got)
	}
	d = attach(t, l, true)
	d.login(s.url)
	if got := state(); got != "active" {
		t.Errorf("with a desk: %s", got)
	}
}

func TestLockedQueue(t *testing.T) {
	s := newServer(t, script{}, nil)
	l := start(t, Config{})
	d := attach(t, l, false)
	d.login(s.url)
	await(t, s.online, "login")
	d.phase(wire.Online)
	s.set(func(sc *script) { sc.deaf = true })
	d.write(msg("unacknowledged"))
	s.stanza("message")
	s.deliver(`<message xmlns="jabber:client" id="unstored" from="bob@h.example/x"><body>x</body></message>`)
	d.inbound()
	d.close()
	status(t, l, "what was not stored", func(s Status) bool { return s.Waiting == 1 })

	stat := `<headers xmlns="http://jabber.org/protocol/shim"><header name="Urgency">high</header></headers>`
	copied := `<%s xmlns="urn:xmpp:carbons:2"><forwarded xmlns="urn:xmpp:forward:0"><message xmlns="jabber:client" from="%s"><body>x</body></message></forwarded></%[1]s>`
	for _, x := range []string{
		`<presence xmlns="jabber:client" from="bob@h.example/x"/>`,
		`<message xmlns="jabber:client" id="a" from="bob@h.example/x">` + encrypted + `</message>`,
		`<message xmlns="jabber:client" id="b" from="bob@h.example/x">` + encrypted + stat + `</message>`,
		`<message xmlns="jabber:client" id="receipt" from="bob@h.example/x"><received xmlns="urn:xmpp:receipts" id="z"/></message>`,
		`<message xmlns="jabber:client" id="own" from="ada@h.example">` + fmt.Sprintf(copied, "sent", "ada@h.example/phone") + `</message>`,
		`<message xmlns="jabber:client" id="copy" from="ada@h.example">` + fmt.Sprintf(copied, "received", "bob@h.example/x") + `</message>`,
		`<message xmlns="jabber:client" id="forged" from="eve@evil.example">` + fmt.Sprintf(copied, "received", "bob@h.example/x") + `</message>`,
		`<message xmlns="jabber:client" id="key" from="bob@h.example/x"><encrypted xmlns="eu.siacs.conversations.axolotl"><header sid="1"/></encrypted></message>`,
		`<message xmlns="jabber:client" id="bounce" type="error" from="bob@h.example/x"><body>x</body></message>`,
		`<iq xmlns="jabber:client" type="result" id="nobody"/>`,
	} {
		s.deliver("%s", x)
	}
	s.raw(`<r xmlns="%s"/>`, stanza.NSSM)
	if h := await(t, s.answers, "<a/>"); h != 0 {
		t.Errorf("h=%d with nothing stored", h)
	}
	st := status(t, l, "waiting messages", func(s Status) bool { return s.Waiting == 4 })
	if st.Stat != 1 || st.Since.IsZero() {
		t.Errorf("%+v", st)
	}

	d = attach(t, l, false)
	d.login(s.url)
	var order []string
	for len(order) < 11 {
		switch m := d.next("messages on attach", func(wire.Message) bool { return true }).(type) {
		case wire.State:
			if len(order) == 0 {
				order = append(order, "state")
			}
		case wire.Pending:
			order = append(order, "pending "+strings.Join(m.IDs, " "))
		case wire.Inbound:
			e, _ := stanza.Parse(m.Stanza)
			order = append(order, e.Get("id"))
		}
	}
	want := []string{"state", "pending unacknowledged", "unstored", "a", "b", "receipt", "own", "copy", "forged", "key", "bounce"}
	if !slices.Equal(order, want) {
		t.Errorf("on attach came %q, not %q", order, want)
	}
	status(t, l, "nothing waiting", func(s Status) bool { return s.Waiting == 0 && s.Stat == 0 && s.Since.IsZero() })
	if _, logins, _ := s.counts(); logins != 1 {
		t.Errorf("%d logins", logins)
	}
	s.set(func(sc *script) { sc.deaf = false })
	d.write(wire.Stored{Seq: 1 << 60})
	for h := uint32(0); h != 11; {
		if h = await(t, s.answers, "<a/> for all"); h > 11 {
			t.Fatalf("h=%d of 11", h)
		}
	}
}

func TestSettledWhileLocked(t *testing.T) {
	s := newServer(t, script{}, nil)
	l := start(t, Config{})
	d := attach(t, l, true)
	d.login(s.url)
	await(t, s.online, "login")
	d.phase(wire.Online)
	s.set(func(sc *script) { sc.deaf = true })
	d.write(msg("m1"))
	s.stanza("message")
	d.close()
	for await(t, s.other, "inactive").Space != stanza.NSCSI {
	}
	s.mu.Lock()
	h := s.recv
	s.mu.Unlock()
	s.raw(`<a xmlns="%s" h="%d"/>`, stanza.NSSM, h)
	s.deliver(`<message xmlns="jabber:client" id="x"><body>x</body></message>`)
	status(t, l, "the message after it", func(s Status) bool { return s.Waiting == 1 })
	d = attach(t, l, true)
	d.login(s.url)
	p := d.next("Pending", func(m wire.Message) bool { _, ok := m.(wire.Pending); return ok }).(wire.Pending)
	if len(p.IDs) != 0 {
		t.Errorf("pending %q", p.IDs)
	}
	if m := d.next("Settled before stanzas", func(m wire.Message) bool {
		_, a := m.(wire.Settled)
		_, b := m.(wire.Inbound)
		return a || b
	}); m != wire.Message(wire.Settled{ID: "m1"}) {
		t.Errorf("first came %+v", m)
	}
}

func TestLockedQueueOverflow(t *testing.T) {
	s := newServer(t, script{}, nil)
	l := start(t, Config{})
	d := attach(t, l, true)
	d.login(s.url)
	await(t, s.online, "login")
	d.phase(wire.Online)
	d.close()
	for await(t, s.other, "inactive").Space != stanza.NSCSI {
	}
	const sent = maxHeld + 50
	for i := range sent {
		s.deliver(`<message xmlns="jabber:client" id="%d" from="bob@h.example/x"><body>x</body></message>`, i)
	}
	status(t, l, "all counted", func(s Status) bool { return s.Waiting == sent })
	d = attach(t, l, true)
	d.login(s.url)
	for i := range maxHeld {
		if _, e := d.inbound(); e.Get("id") != fmt.Sprint(i) {
			t.Fatalf("%s came at place %d", e.Get("id"), i)
		}
	}
	s.deliver(`<message xmlns="jabber:client" id="live"><body>x</body></message>`)
	if _, e := d.inbound(); e.Get("id") != "live" {
		t.Errorf("after the held ones came %s", e.Get("id"))
	}
	for h := uint32(0); h != sent+1; {
		s.raw(`<r xmlns="%s"/>`, stanza.NSSM)
		if h = await(t, s.answers, "<a/>"); h > sent+1 {
			t.Fatalf("h=%d", h)
		}
	}
}

func TestSlowDesk(t *testing.T) {
	s := newServer(t, script{}, nil)
	l := start(t, Config{})
	ours, theirs := net.Pipe()
	l.Attach(theirs)
	conn := frame.NewConn(ours)
	if err := wire.Write(conn, account1(s.url)); err != nil {
		t.Fatal(err)
	}
	for online := false; !online; {
		m, err := wire.Read(conn)
		if err != nil {
			t.Fatal(err)
		}
		st, ok := m.(wire.State)
		online = ok && st.Phase == wire.Online
	}
	const n = maxAhead + 500
	go func() {
		for i := range n {
			s.deliver(`<message xmlns="jabber:client" id="%d"><body>%s</body></message>`, i, strings.Repeat("x", 20<<10))
		}
	}()
	s.stanza("presence")
	conn.Close()
	d := attach(t, l, true)
	d.login(s.url)
	seen := map[string]bool{}
	for len(seen) < maxHeldBytes/(21<<10)/2 {
		_, e := d.inbound()
		if seen[e.Get("id")] {
			t.Fatalf("%s came twice", e.Get("id"))
		}
		seen[e.Get("id")] = true
	}
}

func TestInboxBounds(t *testing.T) {
	var in inbox
	news := stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSPubSubEvent, "event"))
	for i := range maxAhead {
		if in.room(nil, 0) != (i < maxHeld) || in.room(news, 0) != (i < maxHeld/2) || in.full() {
			t.Fatalf("with %d stanzas: room %v, full %v", i, in.room(nil, 0), in.full())
		}
		in.keep(&held{})
	}
	if !in.full() {
		t.Error("never full")
	}
	in = inbox{}
	in.keep(&held{raw: make([]byte, maxHeldBytes-10)})
	if !in.room(nil, 10) || in.room(nil, 11) {
		t.Error("bytes are not counted")
	}
	in.detach() // it was no message
	if in.bytes != 0 || len(in.items) != 0 {
		t.Errorf("%d bytes in %d stanzas after detaching", in.bytes, len(in.items))
	}
	in.keep(&held{raw: make([]byte, maxAheadBytes), message: true})
	in.stored(1 << 62)
	if !in.full() {
		t.Error("what was never given was taken for stored")
	}
	in.next = 1
	in.stored(1 << 62)
	if in.full() || in.bytes != 0 {
		t.Error("still full when all is stored")
	}
}

func TestOutboxIsBounded(t *testing.T) {
	s := newServer(t, script{deaf: true}, nil)
	d := attach(t, start(t, Config{PingTimeout: time.Hour}), true)
	d.login(s.url)
	await(t, s.online, "login")
	d.phase(wire.Online)
	for i := range maxOut + 100 {
		d.write(msg(fmt.Sprint(i)))
	}
	d.barrier()
	for range maxOut - 2 { // carbons and presence take two places
		s.stanza("message")
	}
	s.set(func(sc *script) { sc.deaf = false })
	s.mu.Lock()
	h := s.recv
	s.mu.Unlock()
	s.raw(`<a xmlns="%s" h="%d"/>`, stanza.NSSM, h)
	// Once there is room, the desk is told what is held, so that it can send the rest.
	d.next("Pending after an overflow", func(m wire.Message) bool { p, ok := m.(wire.Pending); return ok && len(p.IDs) == 0 })
}
