package link

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sotto/client/stanza"
	"sotto/client/wire"
)

func presence(from, rest string) string {
	return `<presence xmlns="jabber:client" from="` + from + `"` + rest
}

func (p *presences) take(t *testing.T, s string) {
	t.Helper()
	e, err := stanza.Parse([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	p.note(e, []byte(s))
}

func TestPresencesKept(t *testing.T) {
	var p presences
	p.take(t, presence("bob@h.example/x", `/>`))
	p.take(t, presence("Bob@H.example/x", `><show>away</show></presence>`))
	p.take(t, presence("bob@h.example/y", `/>`))
	p.take(t, presence("bobby@h.example/x", `/>`))
	for _, s := range []string{
		presence("eve@h.example/x", ` type="subscribe"/>`), presence("eve@h.example/x", ` type="error"/>`),
		presence("@", `/>`), presence("", `/>`), `<presence xmlns="jabber:client"/>`,
	} {
		p.take(t, s)
	}
	if list := p.all(); len(list) != 3 || !strings.Contains(string(list[0]), "away") {
		t.Fatalf("kept %q", list)
	}
	p.take(t, presence("bob@h.example", ` type="unavailable"/>`))
	if list := p.all(); len(list) != 1 || !strings.Contains(string(list[0]), "bobby") {
		t.Fatalf("after bob went: %q", list)
	}
	// One that is too large to keep does not leave the old one standing.
	p.take(t, presence("bobby@h.example/x", `><status>`+strings.Repeat("x", maxPresence)+`</status></presence>`))
	if list := p.all(); len(list) != 0 || p.bytes != 0 {
		t.Fatalf("%d bytes in %q", p.bytes, list)
	}

	for i := range maxPresences + 10 {
		p.take(t, presence(fmt.Sprintf("u%d@h.example/x", i), `/>`))
	}
	if len(p.newest) != maxPresences {
		t.Errorf("%d presences", len(p.newest))
	}
	p.take(t, presence("u3@h.example/x", `><show>dnd</show></presence>`)) // known ones go on to change
	if !strings.Contains(string(p.newest["u3@h.example/x"]), "dnd") {
		t.Error("a change was lost")
	}
	p = presences{}
	for i := range maxPresences {
		p.take(t, presence(fmt.Sprintf("u%d@h.example/x", i), `><status>`+strings.Repeat("x", 4000)+`</status></presence>`))
	}
	if p.bytes > maxPresenceBytes || len(p.newest) < maxPresenceBytes/4200 {
		t.Errorf("%d bytes in %d presences", p.bytes, len(p.newest))
	}
	for i := range maxPresences {
		p.take(t, presence(fmt.Sprintf("u%d@h.example/x", i), ` type="unavailable"/>`))
	}
	if p.bytes != 0 {
		t.Errorf("%d bytes of nobody", p.bytes)
	}

	o := newOwner(New(Config{}))
	o.present.take(t, presence("bob@h.example/x", `/>`))
	o.logoff()
	if list := o.present.all(); len(list) != 0 {
		t.Errorf("after logging off: %q", list)
	}
}

// given returns what a desk is given until it has seen the stanza with the id last.
func (d *testDesk) given(last string) (list []string, seq uint64) {
	d.t.Helper()
	phase := ""
	for {
		switch m := d.next("stanza "+last, func(wire.Message) bool { return true }).(type) {
		case wire.State:
			if p := fmt.Sprint("phase ", m.Phase); p != phase { // else another round trip
				phase = p
				list = append(list, p)
			}
		case wire.Inbound:
			if m.Seq <= seq {
				d.t.Errorf("seq %d after %d", m.Seq, seq)
			}
			seq = m.Seq
			e, err := stanza.Parse(m.Stanza)
			if err != nil {
				d.t.Fatal(err)
			}
			list = append(list, strings.Trim(e.Get("id")+" "+e.Get("from"), " "))
			if e.Get("id") == last {
				return list, seq
			}
		}
	}
}

// A new desk is given the newest presences before anything live, and storing
// them acknowledges nothing twice.
func TestPresenceForANewDesk(t *testing.T) {
	s := newServer(t, script{}, nil)
	l := start(t, Config{})
	d := attach(t, l, true)
	d.login(s.url)
	await(t, s.online, "login")
	body := `<message xmlns="jabber:client" id="%s" from="bob@h.example/x"><body>x</body></message>`
	for _, x := range []string{presence("bob@h.example/x", `/>`), presence("eve@h.example/x", `/>`), presence("mia@h.example/x", `/>`)} {
		s.deliver("%s", x)
	}
	s.deliver(body, "seen")
	d.given("seen")
	s.acknowledged(4)
	d.close()
	s.deliver("%s", presence("bob@h.example/x", ` type="unavailable"/>`))
	s.deliver("%s", presence("mia@h.example/x", `><show>dnd</show></presence>`))
	s.deliver("%s", presence("zoe@h.example/x", ` id="zoe"/>`))
	s.deliver(body, "held")
	status(t, l, "the message", func(s Status) bool { return s.Waiting == 1 })
	s.acknowledged(7)

	d = attach(t, l, false)
	d.login(s.url)
	d.next("mia", func(m wire.Message) bool {
		in, ok := m.(wire.Inbound)
		return ok && strings.Contains(string(in.Stanza), "mia@h.example/x") && strings.Contains(string(in.Stanza), "dnd")
	})
	d.close()
	status(t, l, "the message again", func(s Status) bool { return s.Waiting == 1 })
	d = attach(t, l, false)
	d.login(s.url)
	d.given("zoe")
	d.write(account1(s.url)) // a desk that logs in twice is told twice
	// What comes before the link has taken that is older than what it tells then.
	list, _ := d.given("zoe")
	s.deliver(body, "live")
	live, seq := d.given("live")
	want := []string{"phase 2", "held bob@h.example/x", "eve@h.example/x", "mia@h.example/x", "zoe zoe@h.example/x"}
	if !slices.Equal(list, want) || !slices.Equal(live, []string{"live bob@h.example/x"}) && !slices.Equal(live, []string{"phase 2", "live bob@h.example/x"}) {
		t.Errorf("given %q, then %q; not %q", list, live, want)
	}
	d.write(wire.Stored{Seq: seq - 2}) // up to mia: only what was held is new
	d.barrier()
	s.acknowledged(8)
	d.write(wire.Stored{Seq: seq})
	s.acknowledged(9)
}

// acknowledged waits until the link has acknowledged n stanzas, and no more.
func (s *testServer) acknowledged(n uint32) {
	s.t.Helper()
	late := time.Now().Add(patience)
	for again := 0; again < 3; { // an answer that was on its way may be old
		s.raw(`<r xmlns="%s"/>`, stanza.NSSM)
		switch h := await(s.t, s.answers, "<a/>"); {
		case h == n:
			again++
		case h > n || time.Now().After(late):
			s.t.Fatalf("h=%d, not %d", h, n)
		}
	}
}

// switched is a Dial that can be turned off.
type switched struct {
	mu  sync.Mutex
	off bool
}

func (s *switched) turn(off bool) {
	s.mu.Lock()
	s.off = off
	s.mu.Unlock()
}

func (s *switched) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.off {
		return nil, syscall.ENETUNREACH
	}
	return (&net.Dialer{}).DialContext(ctx, network, addr)
}

// A desk that comes while the link is offline gets the presences once the
// session goes on, since until then it has none to put them into; and none of an
// old session's if it does not.
func TestPresenceWaitsForTheSession(t *testing.T) {
	for _, lost := range []bool{false, true} {
		s := newServer(t, script{}, nil)
		var wifi switched
		l := start(t, Config{Dial: wifi.dial})
		d := attach(t, l, true)
		d.login(s.url)
		await(t, s.online, "login")
		s.deliver("%s", presence("bob@h.example/x", `/>`))
		d.inbound()
		d.close()
		wifi.turn(true)
		s.set(func(sc *script) { sc.noResume = lost })
		s.cut()
		status(t, l, "offline", func(s Status) bool { return s.State.Phase == wire.Offline })
		d = attach(t, l, true)
		d.login(s.url)
		d.words("no way to")
		wifi.turn(false)
		check := func(id string) {
			t.Helper()
			d.phase(wire.Online)
			s.deliver(`<message xmlns="jabber:client" id="%s"><body>x</body></message>`, id)
			list, _ := d.given(id)
			if slices.Contains(list, "bob@h.example/x") == lost {
				t.Errorf("session lost %v: before %s came %q", lost, id, list)
			}
		}
		await(t, s.online, "another login")
		check("last")
		d.close()
		d = attach(t, l, true)
		d.login(s.url)
		check("later")
	}
}

// Locking, unlocking and cuts with presence all around: every message comes, the
// relay is told exactly what came, and all of it in the end.
func TestAcknowledgesExactlyOverLocks(t *testing.T) {
	s := newServer(t, script{}, nil)
	l := start(t, Config{})
	const rounds, each = 15, 6
	seen := map[string]bool{}
	var d *testDesk
	sent := uint32(0)
	for r := range rounds {
		d = attach(t, l, r%3 != 1) // every third desk goes without storing anything
		d.login(s.url)
		if r == 0 {
			await(t, s.online, "login")
		}
		for i := range each {
			s.deliver("%s", presence(fmt.Sprintf("u%d@h.example/x", (r+i)%7), `><status>`+fmt.Sprint(r)+`</status></presence>`))
			s.deliver(`<message xmlns="jabber:client" id="%d" from="bob@h.example/x"><body>x</body></message>`, r*each+i)
			sent += 2
			if i == each/2 && r%2 == 1 {
				s.cut()
				await(t, s.online, "resumption")
			}
		}
		list, _ := d.given(fmt.Sprint(r*each + each - 1))
		for _, x := range list {
			seen[x] = true
		}
		if r < rounds-1 {
			d.close()
		}
	}
	for i := range rounds * each {
		if !seen[fmt.Sprint(i)+" bob@h.example/x"] {
			t.Errorf("message %d never came", i)
		}
	}
	d.write(wire.Stored{Seq: 1 << 60})
	s.acknowledged(sent)
	if _, logins, resumes := s.counts(); logins-resumes != 1 {
		t.Errorf("%d sessions", logins-resumes)
	}
}

// What comes from the relay between a login and the first words to the desk is
// given after the presences that came before it.
func TestPresencesBeforeWhatIsLive(t *testing.T) {
	o := newOwner(New(Config{}))
	o.present.take(t, presence("bob@h.example/x", `/>`))
	o.in.hold(stanza.New(stanza.NSClient, "message"), &held{raw: []byte("held"), message: true})
	o.desk = &desk{ready: true, state: true, blind: true}
	o.phase = wire.Online
	o.in.reserve()
	o.in.hold(stanza.New(stanza.NSClient, "message"), &held{raw: []byte("live"), message: true})
	var got []string
	for m, told := o.nextForDesk(); m != nil; m, told = o.nextForDesk() {
		told()
		if in, ok := m.(wire.Inbound); ok {
			got = append(got, string(in.Stanza[:4]))
		}
	}
	if want := []string{"held", "<pre", "live"}; !slices.Equal(got, want) {
		t.Errorf("given %q, not %q", got, want)
	}
}

// A stream that breaks before a new desk has heard that it is online does not
// bring the order of what the desk is given into disorder.
func TestBreakBeforeADeskIsTold(t *testing.T) {
	o := newOwner(New(Config{}))
	o.present.take(t, presence("bob@h.example/x", `/>`))
	o.desk = &desk{ready: true, state: true, blind: true}
	o.in.reserve()
	o.in.hold(stanza.New(stanza.NSClient, "message"), &held{raw: []byte("live1"), message: true})
	o.phase = wire.Connecting
	var got []string
	last := uint64(0)
	give := func() {
		for m, told := o.nextForDesk(); m != nil; m, told = o.nextForDesk() {
			told()
			if in, ok := m.(wire.Inbound); ok {
				if in.Seq <= last {
					t.Errorf("seq %d after %d", in.Seq, last)
				}
				last = in.Seq
				got = append(got, string(in.Stanza[:5]))
			}
		}
	}
	give()
	o.phase, o.desk.state = wire.Online, true
	give()
	if want := []string{"live1", "<pres"}; !slices.Equal(got, want) {
		t.Errorf("given %q, not %q", got, want)
	}
}
