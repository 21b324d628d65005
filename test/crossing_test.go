package test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sotto/client/store"
	"sotto/test/headless"
	"sotto/test/proxy"
	"sotto/test/server"
)

// TestCrossing has two people who never wrote to each other start at the same
// time and write 200 messages each, so that two sessions begin at once and
// every key exchange meets one coming the other way.
func TestCrossing(t *testing.T) {
	onEach(t, func(t *testing.T, s *server.Server) {
		people := team(t, s, "Okafor, Ada", "Lind, Per")
		ada := start(t, s, people[0], s.WebSocket)
		per := start(t, s, people[1], s.WebSocket)
		talk(t, ada, per, 200, true, nil)
	})
}

// TestCut resets the connections of both sides 20 times in the middle of a
// conversation. A server that is cut off may lose what it had acknowledged; it is sent
// again, and stands where it was written: the session of OMEMO tells.
func TestCut(t *testing.T) {
	onEach(t, func(t *testing.T, s *server.Server) { cutOff(t, s, true) })
}

// TestCutFromTheStart does so to two who begin two sessions at once. Nothing tells the
// order between these but the server, where it loses nothing.
func TestCutFromTheStart(t *testing.T) {
	onEach(t, func(t *testing.T, s *server.Server) { cutOff(t, s, false) })
}

// cutOff has two talk, acquainted or not, who are cut off all the time.
func cutOff(t *testing.T, s *server.Server, acquainted bool) {
	people := team(t, s, "Okafor, Ada", "Lind, Per")
	first, second := proxy.Start(t, s.Addr), proxy.Start(t, s.Addr)
	ada := start(t, s, people[0], through(s, first))
	per := start(t, s, people[1], through(s, second))
	if acquainted {
		acquaint(t, ada, per)
	}
	cuts := 0
	inOrder := acquainted || s.Name == "sotto relay"
	talk(t, ada, per, 100, inOrder, func(i int) {
		if i%5 == 4 {
			// Now one, now the other, and every fifth time both at once.
			if cuts%5 != 1 {
				first.Cut()
			}
			if cuts%2 == 1 || cuts%5 == 0 {
				second.Cut()
			}
			cuts++
		}
	})
	if cuts != 20 {
		t.Errorf("cut %d times, want 20", cuts)
	}
}

// acquaint has two greet each other, so that they have one session.
func acquaint(t *testing.T, a, b *headless.Sotto) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, side := range [][2]*headless.Sotto{{a, b}, {b, a}} {
		from, to := side[0], side[1].Self().Address
		m, err := from.Send(ctx, to, "hello")
		if err != nil {
			t.Fatal(err)
		}
		if err := from.Until(ctx, "greeting", func() (bool, error) {
			all, err := from.Conversation(ctx, to)
			for i := range all {
				if all[i].ID == m.ID {
					return all[i].State >= store.Delivered && all[i].State != store.Failed, err
				}
			}
			return false, err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// patience is how long headless sottos may take for what takes seconds: a bound
// for what never comes, on any machine.
const patience = 5 * time.Minute

// through returns the server's address as it is behind a proxy.
func through(s *server.Server, p *proxy.Proxy) string {
	_, port, _ := strings.Cut(s.Addr, ":")
	return strings.Replace(s.WebSocket, ":"+port+"/", fmt.Sprintf(":%d/", p.Port()), 1)
}

// start starts a headless sotto and waits until it is online.
func start(t *testing.T, s *server.Server, who server.Person, relay string) *headless.Sotto {
	t.Helper()
	ca, err := os.ReadFile(s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h, err := headless.Start(headless.Account{Address: s.Address(who), Password: who.Password, Relay: relay, CA: ca}, st)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("ending %s: %v", s.Address(who), err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := h.Online(ctx); err != nil {
		t.Fatal(err)
	}
	return h
}

// talk has two write n messages each, both at once, and holds that each reads
// all of the other's, once, encrypted, and knows its own delivered; and, inOrder, that
// it stands as it was written.
// after, if given, is called after each message of one of them.
func talk(t *testing.T, a, b *headless.Sotto, n int, inOrder bool, after func(i int)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	line := func(from *headless.Sotto, i int) string {
		return fmt.Sprintf("%s says number %d", from.Self().Address, i)
	}
	// Each knows that the other can read.
	before := 0 // what they have said already
	for _, side := range [][2]*headless.Sotto{{a, b}, {b, a}} {
		if err := side[0].Until(ctx, "seeing the other's device", func() (bool, error) {
			s, err := side[0].Security(ctx, side[1].Self().Address)
			return s.Devices == 1, err
		}); err != nil {
			t.Fatal(err)
		}
		said, err := side[0].Conversation(ctx, side[1].Self().Address)
		if err != nil {
			t.Fatal(err)
		}
		before = len(said)
	}
	sent := make(chan error, 2)
	for _, side := range []struct {
		from, to *headless.Sotto
		after    func(int)
	}{{a, b, after}, {b, a, nil}} {
		go func() {
			for i := range n {
				if _, err := side.from.Send(ctx, side.to.Self().Address, line(side.from, i)); err != nil {
					sent <- err
					return
				}
				// A few at a time are under way, as when people talk.
				if i%5 == 4 {
					if err := side.from.Until(ctx, "sending", func() (bool, error) { return side.from.State().Queued < 5, nil }); err != nil {
						sent <- err
						return
					}
				}
				if side.after != nil {
					side.after(i)
				}
			}
			sent <- nil
		}()
	}
	for range 2 {
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	}
	for _, side := range []struct{ self, other *headless.Sotto }{{a, b}, {b, a}} {
		peer := side.other.Self().Address
		var wantMine, wantTheirs, mine, theirs []string
		for i := range n {
			wantMine = append(wantMine, line(side.self, i))
			wantTheirs = append(wantTheirs, line(side.other, i))
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		// Right after a cut the archive may not have said yet in which order
		// things were; in the end all is in its place.
		if err := side.self.Until(ctx, "waiting for all to be delivered and in its place", func() (bool, error) {
			mine, theirs = nil, nil
			delivered := 0
			all, err := side.self.Conversation(ctx, peer)
			for _, m := range all[min(before, len(all)):] {
				switch {
				case m.Kind == store.Notice:
					return false, fmt.Errorf("notice: %s", m.Body)
				case !m.Encrypted:
					return false, fmt.Errorf("not encrypted: %s", m.Body)
				case m.Outgoing:
					mine = append(mine, m.Body.String())
					if m.State >= store.Delivered && m.State != store.Failed {
						delivered++
					}
				default:
					theirs = append(theirs, m.Body.String())
				}
			}
			if !inOrder {
				for _, list := range [][]string{theirs, wantTheirs} {
					slices.Sort(list)
				}
			}
			return delivered >= n && slices.Equal(mine, wantMine) && slices.Equal(theirs, wantTheirs), err
		}); err != nil {
			t.Errorf("%v: %s; it said %q", err, side.self.Describe(peer), side.self.Notices())
			same(t, side.self.Self().Address+" wrote", mine, wantMine)
			same(t, side.self.Self().Address+" read", theirs, wantTheirs)
		}
	}
}

// same compares what was read with what was written, line by line, and says
// what was lost, what came twice and what came out of order.
func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	count := map[string]int{}
	for _, s := range got {
		count[s]++
	}
	lost, twice := 0, 0
	for _, s := range want {
		switch n := count[s]; {
		case n == 0:
			if lost++; lost <= 3 {
				t.Logf("%s: lost: %s", what, s)
			}
		case n > 1:
			twice++
			t.Logf("%s: %d times: %s", what, n, s)
		}
		delete(count, s)
	}
	for s := range count {
		t.Errorf("%s: never written: %q", what, s)
	}
	if lost+twice > 0 {
		t.Errorf("%s: %d of %d lost, %d shown more than once", what, lost, len(want), twice)
		return
	}
	if !slices.Equal(got, want) {
		var order []string
		for _, s := range got {
			order = append(order, s[strings.LastIndexByte(s, ' ')+1:])
		}
		t.Errorf("%s: out of order: %s", what, strings.Join(order, " "))
	}
}
