package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"sotto/client/stanza"
	"sotto/client/wire"
	"sotto/internal/frame"
)

// route is a Dial that leads where it is told.
type route struct {
	mu   sync.Mutex
	addr string
	err  error // instead, if it is set and a name was asked for
}

func (r *route) set(addr string, err error) {
	r.mu.Lock()
	r.addr, r.err = addr, err
	r.mu.Unlock()
}

func (r *route) dial(ctx context.Context, network, asked string) (net.Conn, error) {
	r.mu.Lock()
	addr, err := r.addr, r.err
	r.mu.Unlock()
	if host, _, _ := net.SplitHostPort(asked); err != nil && net.ParseIP(host) == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	return (&net.Dialer{}).DialContext(ctx, network, addr)
}

// Whatever a guest network shows before one has signed in, the link is back by
// itself soon after, and says meanwhile what to do.
func TestCaptivePortal(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	s := newServer(t, script{}, &tls.Config{Certificates: []tls.Certificate{ca.server(-1, 1, "relay.example")}})
	plain := httptest.NewServer(http.RedirectHandler("http://portal.example/", http.StatusFound))
	defer plain.Close()
	portal := func(c *tls.Config) string {
		p := httptest.NewUnstartedServer(http.RedirectHandler("https://portal.example/", http.StatusFound))
		p.Config.ErrorLog, p.TLS = quiet(), c
		p.StartTLS()
		t.Cleanup(p.Close)
		return p.Listener.Addr().String()
	}
	for name, c := range map[string]struct{ addr, words string }{
		"its own CA":   {portal(&tls.Config{Certificates: []tls.Certificate{stranger.server(-1, 1, "relay.example")}}), "sign in on"},
		"another name": {portal(&tls.Config{Certificates: []tls.Certificate{ca.server(-1, 1, "portal.example")}}), "sign in on"},
		"old":          {portal(&tls.Config{Certificates: []tls.Certificate{ca.server(-1, 1, "relay.example")}, MaxVersion: tls.VersionTLS12}), "sign in on"},
		"expired":      {portal(&tls.Config{Certificates: []tls.Certificate{ca.server(-2, -1, "relay.example")}}), "clock"},
		"no TLS":       {plain.Listener.Addr().String(), "sign in on"},
	} {
		t.Run(name, func(t *testing.T) {
			var r route
			r.set(c.addr, nil)
			d := attach(t, start(t, Config{Dial: r.dial}), true)
			m := account1("wss://relay.example/ws")
			m.CA = ca.pem()
			d.write(m)
			d.words(c.words)
			r.set(s.http.Listener.Addr().String(), nil)
			d.phase(wire.Online)
		})
	}
}

// A relay whose name can't be looked up any more is found where it was.
func TestResolverDown(t *testing.T) {
	ca := newAuthority(t)
	s := newServer(t, script{}, &tls.Config{Certificates: []tls.Certificate{ca.server(-1, 1, "relay.example")}})
	var r route
	r.set(s.http.Listener.Addr().String(), nil)
	d := attach(t, start(t, Config{Dial: r.dial}), true)
	m := account1("wss://relay.example/ws")
	m.CA = ca.pem()
	d.write(m)
	await(t, s.online, "login")
	r.set(s.http.Listener.Addr().String(), &net.DNSError{Name: "relay.example", IsTimeout: true})
	s.cut()
	await(t, s.online, "resumption")
}

func TestDialerRemembers(t *testing.T) {
	var asked []string
	var fail error
	known := true
	d := dialer{dial: func(ctx context.Context, _, address string) (net.Conn, error) {
		asked = append(asked, address)
		if end, ok := ctx.Deadline(); ok && time.Until(end) > time.Minute && len(asked) == 1 && known {
			return nil, errors.New("the name has all of the time")
		}
		if fail != nil && !strings.HasPrefix(address, "192.0.2.") {
			return nil, fail
		}
		c, _ := net.Pipe()
		return addrConn{c, net.ParseIP("192.0.2.1")}, nil
	}}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	connect := func(address string) error {
		asked = nil
		c, err := d.connect(ctx, "tcp", address)
		if err == nil {
			c.Close()
		}
		return err
	}
	fail, known = &net.DNSError{}, false
	if err := connect("a:1"); err != fail || len(asked) != 1 {
		t.Errorf("what was never reached: %v, asked for %q", err, asked)
	}
	fail = nil
	if err := connect("a:1"); err != nil {
		t.Error(err)
	}
	fail, known = &net.OpError{Err: &net.DNSError{IsNotFound: true}}, true
	if err := connect("a:1"); err != nil || len(asked) != 2 || asked[1] != "192.0.2.1:1" {
		t.Errorf("without a resolver: %v, asked for %q", err, asked)
	}
	if err := connect("b:1"); err == nil {
		t.Error("another host was found there")
	}
	fail = errors.New("refused")
	if err := connect("a:1"); err != fail || len(asked) != 1 {
		t.Errorf("refused: %v, asked for %q", err, asked)
	}
	fail = nil
	for i := range 10 * maxKnown {
		connect(fmt.Sprintf("h%d:1", i))
	}
	if len(d.known) > maxKnown {
		t.Errorf("%d addresses are remembered", len(d.known))
	}
}

// The domain's website may go down once it has said where the relay is.
func TestDiscoveryGoesDown(t *testing.T) {
	ca := newAuthority(t)
	s := newServer(t, script{}, &tls.Config{Certificates: []tls.Certificate{ca.server(-1, 1, "relay.example", "h.example")}})
	ws := s.http.Config.Handler
	var mu sync.Mutex
	up := true
	s.http.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case r.URL.Path == "/ws":
			mu.Unlock()
			ws.ServeHTTP(w, r)
			mu.Lock()
		case up:
			w.Write([]byte(metaJSON))
		default:
			http.Error(w, "down", http.StatusServiceUnavailable)
		}
	})
	var r route
	r.set(s.http.Listener.Addr().String(), nil)
	d := attach(t, start(t, Config{Dial: r.dial}), true)
	m := account1("")
	m.CA = ca.pem()
	d.write(m)
	await(t, s.online, "login")
	mu.Lock()
	up = false
	mu.Unlock()
	r.set("127.0.0.1:1", nil) // the network is gone for a while: what was found may have moved
	s.cut()
	d.words("refused the connection")
	r.set(s.http.Listener.Addr().String(), nil)
	await(t, s.online, "resumption")
}

// sleeper is a time of day that can jump.
type sleeper struct {
	mu  sync.Mutex
	gap time.Duration
}

func (s *sleeper) wall() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Round(0).Add(s.gap)
}

func (s *sleeper) sleep(d time.Duration) {
	s.mu.Lock()
	s.gap += d
	s.mu.Unlock()
}

// startAsleep is start with a time of day that can jump.
func startAsleep(t *testing.T, cfg Config) (*Link, *sleeper) {
	var s sleeper
	l := New(cfg)
	l.wall = s.wall
	go l.Run(context.Background())
	t.Cleanup(l.Close)
	return l, &s
}

func hour(int) time.Duration { return time.Hour }

// After a sleep the connection is checked at once, and given up soon if nothing
// comes back.
func TestSleepChecksTheConnection(t *testing.T) {
	s := newServer(t, script{}, nil)
	l, machine := startAsleep(t, Config{PingEvery: time.Hour, PingTimeout: 2 * time.Second})
	d := attach(t, l, true)
	d.login(s.url)
	await(t, s.online, "login")
	d.next("a sign of life", func(m wire.Message) bool { st, ok := m.(wire.State); return ok && st.RTT > 0 })
	for len(s.other) > 0 {
		<-s.other
	}
	machine.sleep(time.Second) // no more than clocks are put right by
	d.barrier()
	machine.sleep(10 * time.Minute)
	d.barrier() // anything that happens is an occasion to look at the clock
	for !await(t, s.other, "<r/> after the sleep").Is(stanza.NSSM, "r") {
	}
	d.write(msg("m1"))
	d.settled("m1") // so nothing is awaited any more
	s.set(func(sc *script) { sc.deaf = true })
	s.says(d, "does not answer any more", func() {
		machine.sleep(10 * time.Minute)
		d.barrier()
	})
	s.set(func(sc *script) { sc.deaf = false })
	await(t, s.online, "another connection")
}

// Neither the wait between two attempts nor one that hangs outlasts a sleep.
func TestSleepEndsWaiting(t *testing.T) {
	s := newServer(t, script{}, nil)
	var mu sync.Mutex
	hang, hanging := true, make(chan bool, 10)
	l, machine := startAsleep(t, Config{LoginTimeout: time.Hour, Backoff: hour, Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		mu.Lock()
		h := hang
		mu.Unlock()
		if h {
			hanging <- true
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}})
	d := attach(t, l, true)
	d.login(s.url)
	await(t, hanging, "attempt")
	machine.sleep(time.Minute)
	d.barrier()
	await(t, hanging, "second attempt")
	mu.Lock()
	hang = false
	mu.Unlock()
	machine.sleep(-time.Minute) // the clock is put right, perhaps
	d.barrier()
	await(t, s.online, "login")

	s.set(func(sc *script) { sc.failure = "temporary-auth-failure" })
	s.cut()
	d.words("cannot check passwords now")
	s.set(func(sc *script) { sc.failure = "" })
	machine.sleep(time.Minute)
	d.barrier()
	await(t, s.online, "login after the sleep")
}

// The clock is looked at without an occasion, too.
func TestClockIsLookedAt(t *testing.T) {
	o := newOwner(New(Config{}))
	if d := o.untilDue(); d != time.Hour {
		t.Errorf("without an account after %v", d)
	}
	o.acct = &account{}
	for name, set := range map[string]func(){
		"online":  func() { o.phase, o.stream, o.nextPing = wire.Online, &stream{}, time.Now().Add(time.Hour) },
		"offline": func() { o.phase, o.stream, o.retryAt = wire.Offline, nil, time.Now().Add(time.Hour) },
		"dialling": func() {
			o.phase, o.stream, o.attempt = wire.Connecting, nil, &attempt{}
		},
	} {
		if set(); o.untilDue() > lookAtClock {
			t.Errorf("%s: after %v", name, o.untilDue())
		}
	}
}

// A keepalive comes before proxies take the connection for dead.
func TestKeepaliveBeatsProxies(t *testing.T) {
	o := newOwner(New(Config{}))
	locked := o.pingEvery()
	o.desk = &desk{}
	if open := o.pingEvery(); locked >= 50*time.Second || open >= locked {
		t.Errorf("every %v, without a desk every %v", open, locked)
	}
}

// A network that is slow is not taken for one that is dead, for a while.
func TestDeadline(t *testing.T) {
	o := newOwner(New(Config{PingTimeout: 15 * time.Second}))
	o.stream = &stream{heard: newHeard()}
	now := time.Now()
	o.askedAt, o.heardAt = now, now.Add(-time.Hour)
	o.stream.heard.start = now
	check := func(what string, want time.Duration) {
		t.Helper()
		if got := o.deadline().Sub(now); got != want {
			t.Errorf("%s: %v, not %v", what, got, want)
		}
	}
	check("nothing comes", 15*time.Second)
	o.stream.heard.at.Store(int64(10 * time.Second))
	check("a part of an element came", 25*time.Second)
	o.stream.heard.at.Store(int64(time.Hour))
	check("only parts come", slow+15*time.Second)
	o.heardAt = now.Add(time.Minute)
	check("an element came", time.Minute+slow+15*time.Second)
	o.heardAt = now
	o.stream.heard.at.Store(0)
	o.out.push(outgoing{b: make([]byte, 10*slowest)})
	check("nothing was sent", 15*time.Second)
	o.out.took()
	check("much was sent", 25*time.Second)
	o.out.resend()
	check("it must be sent again", 15*time.Second)
	o.out.push(outgoing{b: make([]byte, 8<<20)})
	o.out.took()
	o.out.took()
	check("very much was sent", slow+15*time.Second)
	o.out.done(2)
	o.hurry = true
	check("after a sleep", 5*time.Second)
	if o.out.flying != 0 {
		t.Errorf("%d bytes of nothing", o.out.flying)
	}
}

// Reading notes every byte, not only whole elements.
func TestHeard(t *testing.T) {
	a, b := net.Pipe()
	h := newHeard()
	go func() { b.Write([]byte("x")); b.Close() }()
	c := hearing{a, h}
	before := h.last()
	if n, err := c.Read(make([]byte, 8)); n != 1 || err != nil || !h.last().After(before) {
		t.Errorf("%d %v", n, err)
	}
	at := h.last()
	if _, err := c.Read(make([]byte, 8)); err == nil || !h.last().Equal(at) {
		t.Error("the end counts as something heard")
	}
}

// What comes before the login is done is bounded in bytes.
func TestEarlyFlood(t *testing.T) {
	big := `<message xmlns="jabber:client" from="bob@h.example/x"><body>` + strings.Repeat("x", 300<<10) + `</body></message>`
	for n, words := range map[int]string{3: "", 5: "does not allow"} {
		s := newServer(t, script{flood: strings.Repeat(big+"\n", n)}, nil)
		d := attach(t, start(t, Config{Backoff: hour}), true)
		d.login(s.url)
		if words == "" {
			d.phase(wire.Online)
			for range n {
				d.inbound()
			}
		} else {
			d.words(words)
		}
	}
}

// Whatever is said about however long an address, the desk can read it.
func TestWordsFit(t *testing.T) {
	l := start(t, Config{})
	d := attach(t, l, true)
	s := newServer(t, script{failure: "account-disabled"}, nil)
	m := account1(s.url)
	m.Address = strings.Repeat("\u00e9", 500) + "@" + strings.Repeat("h", 60) + ".example"
	d.write(m)
	d.words("The account")
}

// The desk can have back what was never sent, and nothing else.
func TestWithdraw(t *testing.T) {
	s := newServer(t, script{}, nil)
	var r route
	r.set(s.http.Listener.Addr().String(), nil)
	d := attach(t, start(t, Config{Dial: r.dial}), true)
	d.login(s.url)
	await(t, s.online, "login")
	d.phase(wire.Online)
	withdraw := func(id string, want bool) {
		t.Helper()
		d.write(wire.Withdraw{ID: id})
		got := d.next("an answer", func(m wire.Message) bool { _, ok := m.(wire.Withdrawn); return ok })
		if got != (wire.Withdrawn{ID: id, Back: want}) {
			t.Errorf("withdrawing %s: %+v", id, got)
		}
	}
	s.set(func(sc *script) { sc.deaf = true })
	s.cut()
	await(t, s.online, "resumption")
	d.phase(wire.Online)
	d.write(msg("sent"))
	s.stanza("message")
	withdraw("sent", false) // the relay has it, though it has not said so
	r.set("127.0.0.1:1", nil)
	s.cut()
	d.phase(wire.Offline)
	d.write(msg("a"))
	d.write(msg("b"))
	withdraw("sent", false)
	withdraw("a", true)
	withdraw("a", false)
	withdraw("never", false)
	s.set(func(sc *script) { sc.deaf = false })
	r.set(s.http.Listener.Addr().String(), nil)
	for e := s.stanza("message"); e.Get("id") != "b"; e = s.stanza("message") {
		if e.Get("id") == "a" {
			t.Fatal("what was withdrawn was sent")
		}
	}
	d.settled("b")
}

// A password that waits for a slow relay is copied once, not each time the
// owner looks what to send.
func TestOneCopyOfThePassword(t *testing.T) {
	o := newOwner(New(Config{}))
	o.out.push(outgoing{b: []byte("secret"), wipe: true})
	first, _ := o.nextForRelay()
	second, took := o.nextForRelay()
	if &first.b[0] != &second.b[0] {
		t.Error("two copies")
	}
	if &first.b[0] == &o.out.items[0].b[0] {
		t.Error("the writer would clear what may have to be sent again")
	}
	took()
	o.out.resend()
	third, _ := o.nextForRelay()
	if &third.b[0] == &first.b[0] {
		t.Error("the writer's copy is used again")
	}
	o.forgetSecret()
	if string(third.b) != "\x00\x00\x00\x00\x00\x00" || o.secret != nil {
		t.Errorf("left behind: %q", third.b)
	}
}

// Nothing of a link is left running once it is closed.
func TestNoGoroutineIsLeft(t *testing.T) {
	s := newServer(t, script{}, nil)
	for i := range 6 {
		l := New(Config{Backoff: func(int) time.Duration { return time.Millisecond }})
		go l.Run(context.Background())
		ours, theirs := net.Pipe()
		l.Attach(theirs)
		conn := frame.NewConn(ours)
		wire.Write(conn, account1(s.url))
		await(t, s.online, "login")
		switch i {
		case 1:
			s.raw(`<broken`)
			await(t, s.online, "another login")
		case 2:
			s.mu.Lock()
			s.peer.ws.Write(s.peer.ctx, websocket.MessageBinary, []byte("x"))
			s.mu.Unlock()
			await(t, s.online, "another login")
		case 3:
			s.cut()
		case 4:
			l.Attach(newSilent())
		case 5:
			wire.Write(conn, wire.Logoff{})
			wire.Write(conn, account1(s.url))
		}
		l.Close()
		for len(s.online) > 0 {
			<-s.online
		}
	}
	s.cut()
	late := time.After(patience)
	for {
		var b strings.Builder
		pprof.Lookup("goroutine").WriteTo(&b, 1)
		left := ""
		for _, g := range strings.Split(b.String(), "\n\n") {
			for _, f := range []string{"link.(*stream)", "link.(*desk)", "link.(*job)", "link.(*owner)", "link.(*Link)", "link.(*negotiation)"} {
				if strings.Contains(g, f) {
					left = g
				}
			}
		}
		if left == "" {
			return
		}
		select {
		case <-late:
			t.Fatalf("still there:\n%s", left)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// newSilent is a desk that says nothing, reads nothing and does not go.
func newSilent() net.Conn {
	_, theirs := net.Pipe()
	return theirs
}
