package test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sotto/test/apart"
	"sotto/test/proxy"
	"sotto/test/server"
)

// TestNothingLost has three people write numbered messages to each other while
// desks, links, the relay, and nodes of a cluster are killed with SIGKILL at random
// moments and started again. What is reported to be delivered is there, once; what is
// not goes out later; and in the end all is there, once, in order. SOTTO_SEED repeats
// the choices of a run, SOTTO_SOAK=10m writes and kills for so long.
func TestNothingLost(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("SOTTO_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("SOTTO_SEED=%d", seed)
	names := []string{"Okafor, Ada", "Lind, Per", "Haddad, Rana"}
	for _, x := range []struct {
		name  string
		start func(t *testing.T) (relay, []server.Person)
	}{
		{"sotto_relay", func(t *testing.T) (relay, []server.Person) {
			s := embedded(t)
			return relay{s.Domain, s.WebSocket, s.CAFile, []*server.Server{s}}, team(t, s, names...)
		}},
		{"Prosody", func(t *testing.T) (relay, []server.Person) {
			s, err := server.StartProsody(t.Context(), t.TempDir()) // its own: it is killed
			if err != nil {
				missing(t, err)
			}
			stops(t, s)
			exercised(t, s.Name+" "+s.Version)
			return relay{s.Domain, s.WebSocket, s.CAFile, []*server.Server{s}}, team(t, s, names...)
		}},
		{"ejabberd_cluster", func(t *testing.T) (relay, []server.Person) {
			c, err := server.StartCluster(t.Context(), t.TempDir(), server.Hardened{Docs: filepath.Join("..", "docs", "relays")})
			if err != nil {
				missing(t, err)
			}
			stops(t, c)
			exercised(t, "ejabberd "+c.Nodes[0].Version+", two nodes")
			var people []server.Person
			for i, name := range names {
				people = append(people, server.Person{Name: fmt.Sprint("person", i), Display: name, Password: fmt.Sprint("Correct-Person-Battery-", i)})
			}
			if err := c.AddTeam(t.Context(), "Cardiology", people...); err != nil {
				t.Fatal(err)
			}
			balancer := proxy.Start(t, c.Nodes[0].Addr, c.Nodes[1].Addr)
			return relay{c.Domain, fmt.Sprintf("wss://localhost:%d/ws", balancer.Port()), c.CAFile, c.Nodes[:]}, people
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			r, people := x.start(t)
			l := newLosses(t, r, people, mathrand.New(mathrand.NewPCG(seed, uint64(len(x.name)))))
			l.run(soak(t))
			l.settle()
		})
	}
}

// soak is how long is written and killed.
func soak(t *testing.T) time.Duration {
	text := os.Getenv("SOTTO_SOAK")
	if text == "" {
		return 20 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// relay is one of the relays, of one node or several, which can be killed.
type relay struct {
	domain, url, ca string
	nodes           []*server.Server
}

// losses is a run of TestNothingLost.
type losses struct {
	t      *testing.T
	relay  relay
	rng    *mathrand.Rand
	people []*apart.Sotto

	mu      sync.Mutex
	written map[pair][]string // what each is sure to have written to each
	kills   map[string]int
}

// pair is who writes to whom.
type pair struct{ from, to int }

func newLosses(t *testing.T, r relay, people []server.Person, rng *mathrand.Rand) *losses {
	t.Helper()
	l := &losses{t: t, relay: r, rng: rng, written: map[pair][]string{}, kills: map[string]int{}}
	for _, p := range people {
		l.people = append(l.people, apart.Start(t, apart.Account{Address: p.Name + "@" + r.domain, Password: p.Password, Relay: r.url, CA: r.ca}))
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for p := range l.pairs() {
		if err := l.people[p.from].Ready(ctx, l.people[p.to].Address); err != nil {
			t.Fatal(err)
		}
	}
	// One after the other, so that each two have one session of OMEMO. Where both
	// start at once there are two for a while, and nothing tells the order between
	// what a relay has lost in one and what comes in the other; see TestCrossing.
	for p := range l.pairs() {
		from, to, body := l.people[p.from], l.people[p.to], l.body(p)
		if err := from.Send(to.Address, body); err != nil {
			t.Fatal(err)
		}
		l.written[p] = append(l.written[p], body)
		if err := from.Until(ctx, "waiting for the first message to be delivered", func() (bool, error) {
			list, err := from.Messages(ctx, to.Address)
			return len(list) > 0 && list[len(list)-1].State == "delivered", err
		}); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// body is the next message from one to another.
func (l *losses) body(p pair) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("%d to %d: number %d", p.from, p.to, len(l.written[p]))
}

// pairs yields everybody with everybody else.
func (l *losses) pairs() func(func(pair) bool) {
	return func(yield func(pair) bool) {
		for from := range l.people {
			for to := range l.people {
				if from != to && !yield(pair{from, to}) {
					return
				}
			}
		}
	}
}

// run writes and kills for a time, and for as much longer as it takes on a busy machine
// until that says something; it looks all the while.
func (l *losses) run(d time.Duration) {
	ctx, cancel := context.WithTimeout(l.t.Context(), d+patience)
	defer cancel()
	began := time.Now()
	var all sync.WaitGroup
	for p := range l.pairs() {
		all.Go(func() { l.write(ctx, p) })
	}
	all.Go(func() {
		for ctx.Err() == nil {
			l.look()
		}
	})
	var down sync.WaitGroup
	busy := make([]sync.Mutex, len(l.relay.nodes))
	for ctx.Err() == nil {
		if time.Since(began) > d && l.enough() {
			cancel()
			break
		}
		wait := time.Duration(100+l.rng.IntN(800)) * time.Millisecond
		what, who := l.rng.IntN(4), l.people[l.rng.IntN(len(l.people))]
		node := l.rng.IntN(len(l.relay.nodes))
		away := time.Duration(l.rng.IntN(1500)) * time.Millisecond
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			continue
		}
		switch {
		case what >= 2 && idle(busy): // one node at a time
			l.kills["relay"]++
			busy[node].Lock()
			down.Go(func() {
				defer busy[node].Unlock()
				l.relay.nodes[node].Kill()
				time.Sleep(away)
				if err := l.relay.nodes[node].Start(l.t.Context()); err != nil {
					l.t.Error(err)
				}
			})
		case what%2 == 0:
			l.kills["desk"]++
			who.KillDesk()
		default:
			l.kills["link"]++
			who.KillLink()
		}
	}
	all.Wait()
	down.Wait()
}

// enough reports whether so much was written and killed that it shows something.
func (l *losses) enough() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	total := 0
	for _, list := range l.written {
		total += len(list)
	}
	return total >= 100 && len(l.kills) >= 3
}

// idle reports whether nobody holds any.
func idle(all []sync.Mutex) bool {
	for i := range all {
		if !all[i].TryLock() {
			return false
		}
		all[i].Unlock()
	}
	return true
}

// write writes one message after the other, as a person would who looks whether the
// last one stands there when the screen has come back.
func (l *losses) write(ctx context.Context, p pair) {
	from, to := l.people[p.from], l.people[p.to].Address
	for ctx.Err() == nil {
		body := l.body(p)
		for there := false; !there; {
			err := from.Send(to, body)
			if there = err == nil; there {
				break
			}
			if !errors.Is(err, apart.ErrGone) {
				l.t.Errorf("writing %q: %v", body, err)
				return
			}
			list, err := from.Messages(l.t.Context(), to)
			if err != nil {
				l.t.Error(err)
				return
			}
			there = slices.ContainsFunc(list, func(m apart.Message) bool { return m.Body == body })
		}
		l.mu.Lock()
		l.written[p] = append(l.written[p], body)
		l.mu.Unlock()
		select {
		case <-time.After(400 * time.Millisecond): // more than Prosody stores on a slow disk
		case <-ctx.Done():
		}
	}
}

// look holds that what is shown as delivered is there, once, and that nothing else
// is there that nobody wrote.
func (l *losses) look() {
	for p := range l.pairs() {
		from, to := l.people[p.from], l.people[p.to]
		sent, err := from.Messages(l.t.Context(), to.Address) // first, so that it is the older of the two
		if err != nil {
			l.t.Error(err)
			return
		}
		got, err := to.Messages(l.t.Context(), from.Address)
		if err != nil {
			l.t.Error(err)
			return
		}
		there := map[string]int{}
		for _, m := range got {
			if !m.Outgoing {
				there[m.Body]++
				if m.Notice || !m.Encrypted {
					l.t.Errorf("%d reads %q, notice %v, encrypted %v", p.to, m.Body, m.Notice, m.Encrypted)
				}
			}
		}
		for _, m := range sent {
			switch n := there[m.Body]; {
			case !m.Outgoing:
			case m.State == "failed":
				l.t.Errorf("%q has failed: %s", m.Body, m.Why)
			case n > 1 || n == 0 && m.State == "delivered":
				l.t.Errorf("%q is shown as %s, and there %d times", m.Body, m.State, n)
			}
		}
	}
}

// settle waits until everything is delivered, and compares.
func (l *losses) settle() {
	t := l.t
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	began := time.Now()
	total := 0
	for p := range l.pairs() {
		from, to := l.people[p.from], l.people[p.to]
		want := l.written[p]
		total += len(want)
		states := map[string]int{}
		var sent, got []string
		read := func() (bool, error) {
			states, sent, got = map[string]int{}, nil, nil
			mine, err := from.Messages(ctx, to.Address)
			if err != nil {
				return false, err
			}
			for _, m := range mine {
				if m.Outgoing {
					sent = append(sent, m.Body)
					states[strings.TrimSpace(m.State+" "+m.Why)]++
				}
			}
			theirs, err := to.Messages(ctx, from.Address)
			for _, m := range theirs {
				if !m.Outgoing {
					got = append(got, m.Body)
				}
			}
			return states["delivered"] == len(want) && slices.Equal(sent, want) && slices.Equal(got, want), err
		}
		if err := from.Until(ctx, "waiting for everything to be delivered, once and in order", read); err != nil {
			t.Errorf("%v: %v", err, states)
			same(t, fmt.Sprintf("%d wrote to %d", p.from, p.to), sent, want)
			same(t, fmt.Sprintf("%d read from %d", p.to, p.from), got, want)
		}
	}
	l.look()
	var killed []string
	for _, what := range slices.Sorted(maps.Keys(l.kills)) {
		killed = append(killed, fmt.Sprintf("%s %d times", what, l.kills[what]))
	}
	t.Logf("%d messages; killed: %s; the last was delivered %v after the last kill", total, strings.Join(killed, ", "), time.Since(began).Round(time.Millisecond))
	if !l.enough() {
		t.Errorf("%d messages and kills of %v say nothing", total, l.kills)
	}
	exercised(t, fmt.Sprintf("kill -9 of desk, link and relay: %s", strings.TrimPrefix(t.Name(), "TestNothingLost/")))
}
