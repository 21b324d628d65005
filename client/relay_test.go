package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client/link"
	"sotto/client/locker"
	"sotto/client/store"
	"sotto/client/wire"
	"sotto/internal/relay"
)

// ward is a real relay with people on it.
type ward struct {
	t   testing.TB
	r   *relay.Relay
	url string

	store   string // the relay's folder; "" keeps it in memory
	restart func() // ends the relay and begins it anew, with what it has stored
}

func newWard(t testing.TB, names ...string) *ward { return newWardIn(t, "", names...) }

// newWardIn has the relay keep what it stores in a folder.
func newWardIn(t testing.TB, folder string, names ...string) *ward {
	t.Helper()
	cfg := relay.Config{Domain: "mercy.example", Iterations: 4096, Store: folder}
	r, err := relay.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if err := r.AddUser(ctx, n, []byte("password of "+n), strings.ToUpper(n[:1])+n[1:]); err != nil {
			t.Fatal(err)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	serve := func(r *relay.Relay, ln net.Listener) (end func()) {
		served := make(chan struct{})
		go func() {
			defer close(served)
			if err := r.Serve(context.Background(), ln); err != nil {
				t.Errorf("relay: %v", err)
			}
		}()
		return func() { r.Close(); from(t, served, "end of the relay") }
	}
	w := &ward{t: t, r: r, url: "ws://" + address + "/ws", store: folder}
	end := serve(r, ln)
	t.Cleanup(func() { end() })
	w.restart = func() {
		end()
		if w.r, err = relay.New(cfg); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the address is free again", func() bool {
			ln, err = net.Listen("tcp", address)
			return err == nil
		})
		end = serve(w.r, ln)
	}
	return w
}

// person is one device of somebody: a store that lasts, a link that stays
// online, and a client as long as it is not locked.
type person struct {
	t    testing.TB
	w    *ward
	name string
	jid  string
	st   *store.Store
	kept *locker.Locker
	link *link.Link
	*Client
	end func()

	mu    sync.Mutex
	conns []net.Conn
	dials int
	down  bool // the network is
}

// person brings somebody's device online and waits until it has caught up.
func (w *ward) person(name string) *person {
	w.t.Helper()
	p := &person{t: w.t, w: w, name: name, jid: name + "@mercy.example", st: memoryStore(w.t), kept: locker.Memory()}
	p.connect()
	p.unlock()
	return p
}

// connect starts the link.
func (p *person) connect() {
	p.link = link.New(link.Config{
		Backoff: func(int) time.Duration { return 20 * time.Millisecond },
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			p.mu.Lock()
			down := p.down
			p.mu.Unlock()
			if down {
				return nil, errors.New("no network")
			}
			c, err := new(net.Dialer).DialContext(ctx, network, address)
			if err == nil {
				p.mu.Lock()
				p.conns, p.dials = append(p.conns, c), p.dials+1
				p.mu.Unlock()
			}
			return c, err
		},
	})
	ended := make(chan struct{})
	l := p.link
	go func() { l.Run(context.Background()); close(ended) }()
	p.t.Cleanup(func() { l.Close(); from(p.t, ended, "end of the link") })
}

// unplug takes the network away from what dials, or gives it back.
func (p *person) unplug(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

// cut resets every connection to the relay.
func (p *person) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	p.conns = nil
}

// cutOnline cuts once the connection is up, whatever is on its way.
func (p *person) cutOnline() {
	p.t.Helper()
	eventually(p.t, p.name+" is online", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.conns) > 0 && p.State().Phase == wire.Online
	})
	p.cut()
}

// unlock starts a client on the store and waits until it has caught up.
func (p *person) unlock() {
	p.t.Helper()
	p.attach()
	eventually(p.t, p.name+" has caught up and is published", func() bool {
		return p.State().CaughtUp && ofRun(p.t, p.Client, func() bool { return p.devicesDone })
	})
}

// attach starts a client on the store and attaches it to the link.
func (p *person) attach() {
	p.t.Helper()
	mine, theirs := net.Pipe()
	go p.link.Attach(theirs)
	c, err := New(Config{Store: p.st, Files: p.kept, Link: mine, Account: Account{Address: p.jid, Relay: p.w.url,
		Password: memguard.NewBufferFromBytes([]byte("password of " + p.name))}})
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { c.Run(ctx); close(ended) }()
	p.end = sync.OnceFunc(func() { cancel(); from(p.t, ended, "end of Run") })
	p.t.Cleanup(p.end)
	p.Client = c
}

// lock ends the client; the link stays.
func (p *person) lock() { p.end() }

// say sends a message.
func (p *person) say(to *person, body string) Message {
	p.t.Helper()
	m, err := p.Send(context.Background(), to.jid, body)
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}

// state returns the state of an own message.
func (p *person) state(peer *person, id int64) store.State {
	for _, m := range messages(p.t, p.Client, peer.jid) {
		if m.ID == id {
			return m.State
		}
	}
	return 0
}

func (p *person) delivered(peer *person, m Message) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("%q is delivered", m.Body), func() bool { return p.state(peer, m.ID) >= store.Delivered })
}

// has waits for a message from peer and checks that it came encrypted.
func (p *person) has(peer *person, body string) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("%s reads %q", p.name, body), func() bool {
		for _, m := range messages(p.t, p.Client, peer.jid) {
			if m.Body.String() == body {
				if !m.Encrypted {
					p.t.Errorf("%q was not encrypted", body)
				}
				return true
			}
		}
		return false
	})
}

// exactly checks that everything that was said is there once, and nothing else.
func (p *person) exactly(peer *person, want map[string]bool) {
	p.t.Helper()
	got := make(map[string]int)
	for _, m := range messages(p.t, p.Client, peer.jid) {
		if !m.Outgoing {
			got[m.Body.String()]++
		}
	}
	lost, twice, odd := 0, 0, 0
	for b := range want {
		if got[b] == 0 {
			lost++
		} else if got[b] > 1 {
			twice++
		}
	}
	for b := range got {
		if !want[b] {
			odd++
			p.t.Logf("%s has also: %s", p.name, b)
		}
	}
	if lost+twice+odd != 0 {
		p.t.Errorf("%s: %d lost, %d twice, %d others", p.name, lost, twice, odd)
	}
}

func TestHelloBothWays(t *testing.T) {
	w := newWard(t, "ada", "per")
	a, b := w.person("ada"), w.person("per")
	m := a.say(b, "Bed 9 potassium came back 6.8")
	b.has(a, "Bed 9 potassium came back 6.8")
	a.delivered(b, m)
	m = b.say(a, "ECG?")
	a.has(b, "ECG?")
	b.delivered(a, m)
	list, err := a.Conversations(ctx)
	if err != nil || len(list) == 0 || list[0].Name.String() != "Per" || !list[0].Presence.Available {
		t.Errorf("conversations %+v, %v", list, err)
	}
	s, err := a.Security(ctx, b.jid)
	if err != nil || s.Words.String() != "encrypted, 1 device, not compared" || s.Warn {
		t.Errorf("security %+v, %v", s, err)
	}
}

func TestCrossingStarts(t *testing.T) {
	w := newWard(t, "ada", "per")
	a, b := w.person("ada"), w.person("per")
	const n = 200
	toA, toB := make(map[string]bool), make(map[string]bool)
	for i := range n {
		toA[fmt.Sprintf("b%d", i)], toB[fmt.Sprintf("a%d", i)] = true, true
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range n {
			a.say(b, fmt.Sprintf("a%d", i))
		}
	})
	wg.Go(func() {
		for i := range n {
			b.say(a, fmt.Sprintf("b%d", i))
		}
	})
	wg.Wait()
	settled(t, a, b)
	a.exactly(b, toA)
	b.exactly(a, toB)
}

// settled waits until everything that two people wrote to each other is delivered.
func settled(t *testing.T, a, b *person) {
	t.Helper()
	for _, x := range [][2]*person{{a, b}, {b, a}} {
		var stuck Message
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("%s: %q is %v %v", x[0].name, stuck.Body, stuck.State, stuck.Why)
			}
		})
		eventually(t, x[0].name+"'s messages are delivered", func() bool {
			for _, m := range messages(t, x[0].Client, x[1].jid) {
				if m.Outgoing && m.State != store.Delivered && m.State != store.Read {
					stuck = m
					return false
				}
			}
			return true
		})
	}
}

func TestOfflineThenCatchUp(t *testing.T) {
	w := newWard(t, "ada", "per")
	a, b := w.person("ada"), w.person("per")
	a.say(b, "hello")
	b.has(a, "hello")
	settled(t, a, b) // or the receipt may go down with the link
	b.lock()
	b.link.Close()
	want := map[string]bool{"hello": true}
	var last Message
	for i := range 30 {
		body := fmt.Sprintf("while away %d", i)
		want[body] = true
		last = a.say(b, body)
	}
	eventually(t, "all are with the relay", func() bool { return a.state(b, last.ID) == store.Sent })
	b.connect()
	b.unlock()
	a.delivered(b, last)
	settled(t, a, b)
	b.exactly(a, want)
}

func TestQueuedWhileOfflineIsSentLater(t *testing.T) {
	w := newWard(t, "ada", "per")
	a, b := w.person("ada"), w.person("per")
	a.say(b, "hello")
	b.has(a, "hello")
	settled(t, a, b)
	a.unplug(true)
	a.cut()
	eventually(t, "it is offline", func() bool { return a.State().Phase != wire.Online })
	m := a.say(b, "while offline")
	eventually(t, "it counts as queued", func() bool { return a.State().Queued == 1 })
	a.lock() // and a new client on the same store does not forget it
	a.attach()
	eventually(t, "it still counts as queued", func() bool { return a.State().Queued == 1 })
	if got := a.state(b, m.ID); got != store.Queued {
		t.Errorf("%v while offline", got)
	}
	a.unplug(false)
	b.has(a, "while offline")
	a.delivered(b, m)
	eventually(t, "nothing is queued", func() bool { return a.State().Queued == 0 })
}

func TestSecondOwnDevice(t *testing.T) {
	w := newWard(t, "ada", "per")
	a1, b := w.person("ada"), w.person("per")
	a1.say(b, "from the first")
	b.has(a1, "from the first")
	a2 := w.person("ada")
	// Each of the others has to hear of it, and to decide.
	for _, p := range []*person{a1, b} {
		eventually(t, p.name+" knows the new device", func() bool {
			devices, err := p.Devices(ctx, a1.jid)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range devices {
				if d.ID == a2.device.ID() && d.Known {
					if d.Trust != store.Undecided {
						t.Errorf("%s: trust %v in the new device", p.name, d.Trust)
					}
					return true
				}
			}
			return false
		})
		if s, err := p.Security(ctx, a1.jid); err != nil || !s.Warn || s.Undecided != 1 {
			t.Errorf("%s: security %+v, %v", p.name, s, err)
		}
		if err := p.Trust(ctx, a1.jid, a2.device.Fingerprint(), store.Verified); err != nil {
			t.Fatal(err)
		}
	}
	b.say(a1, "to both")
	a1.has(b, "to both")
	a2.has(b, "to both")
	a1.say(b, "from the first again")
	b.has(a1, "from the first again")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("second device of ada: %q", bodies(t, a2.Client, b.jid))
			t.Logf("devices seen by the first: %+v", func() any { d, _ := a1.Devices(ctx, a1.jid); return d }())
		}
	})
	eventually(t, "the second device shows what the first sent", func() bool {
		for _, m := range messages(t, a2.Client, b.jid) {
			if m.Outgoing && m.Body.String() == "from the first again" && m.Encrypted {
				return true
			}
		}
		return false
	})
	a2.say(b, "from the second")
	b.has(a2, "from the second")
	if s, err := b.Security(ctx, a1.jid); err != nil || s.Warn || s.Devices != 2 {
		t.Errorf("security %+v, %v", s, err)
	}
}

func TestCutTwentyTimes(t *testing.T) {
	w := newWard(t, "ada", "per")
	a, b := w.person("ada"), w.person("per")
	const n = 100
	toA, toB := make(map[string]bool), make(map[string]bool)
	for i := range n {
		switch i % 10 {
		case 3:
			a.cutOnline()
		case 7:
			b.cutOnline()
		}
		toB[fmt.Sprintf("a%d", i)], toA[fmt.Sprintf("b%d", i)] = true, true
		a.say(b, fmt.Sprintf("a%d", i))
		b.say(a, fmt.Sprintf("b%d", i))
	}
	settled(t, a, b)
	a.exactly(b, toA)
	b.exactly(a, toB)
	for _, p := range []*person{a, b} {
		p.mu.Lock()
		if p.dials < 10 {
			t.Errorf("%s was cut %d times only", p.name, p.dials)
		}
		p.mu.Unlock()
	}
}

func TestLockedWithMessagesWaiting(t *testing.T) {
	w := newWard(t, "ada", "per")
	a, b := w.person("ada"), w.person("per")
	a.say(b, "hello")
	b.has(a, "hello")
	want := map[string]bool{"hello": true}
	var last Message
	for round := range 3 {
		b.lock()
		for i := range 20 {
			body := fmt.Sprintf("round %d, %d", round, i)
			want[body] = true
			last = a.say(b, body)
		}
		eventually(t, "all are with the relay", func() bool { return a.state(b, last.ID) >= store.Sent })
		if got := a.state(b, last.ID); got != store.Sent {
			t.Errorf("%v while the recipient is locked", got)
		}
		b.unlock()
		a.delivered(b, last)
	}
	settled(t, a, b)
	b.exactly(a, want)
}
