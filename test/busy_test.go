package test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sotto/client/store"
	"sotto/test/headless"
	"sotto/test/proxy"
)

// TestDayInABusyRoom has three people write 10,000 messages in a room while two
// are away. Both come back and have each of them once, in the room's order, as
// somebody has it who was there all the time; and keys are answered meanwhile.
func TestDayInABusyRoom(t *testing.T) {
	t.Parallel()
	const n, long = 10000, 8 * time.Minute
	s := embedded(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*long)
	defer cancel()
	people := team(t, s, "Okafor, Ada", "Lind, Per", "Haddad, Rana", "Costa, Luis", "Berg, Nils", "Sato, Yuki")
	address := func(i int) string { return s.Address(people[i]) }
	link := proxy.Start(t, s.Addr)
	ada := start(t, s, people[0], s.WebSocket)
	away := start(t, s, people[1], through(s, link))
	rana, luis, there := start(t, s, people[2], s.WebSocket), start(t, s, people[3], s.WebSocket), start(t, s, people[4], s.WebSocket)
	yuki := newPerson(t, "Yuki")
	yuki.join(s, people[5])

	room, err := ada.CreateRoom(ctx, "Night shift")
	if err != nil {
		t.Fatal(err)
	}
	for i, h := range []*headless.Sotto{nil, away, rana, luis, there, nil} {
		if i == 0 {
			continue
		}
		if err := ada.Invite(ctx, room, address(i)); err != nil {
			t.Fatal(err)
		}
		if h == nil {
			yuki.See("1 unread")
			yuki.Press("M-a")
			yuki.See("invites you")
			yuki.Type("/join")
			yuki.Press("Enter")
			yuki.See("You are in this room now")
			continue
		}
		sees(t, ctx, h, room, "invites you")
		if err := h.JoinRoom(ctx, room); err != nil {
			t.Fatal(err)
		}
	}
	var all []string
	for i := range people {
		all = append(all, address(i))
	}
	writers := map[string]*headless.Sotto{"a": ada, "r": rana, "l": luis}
	for letter, h := range writers {
		belong(t, ctx, h, room, all...)
		tell(t, ctx, h, room, letter+" begins")
		for _, reader := range []*headless.Sotto{away, there} {
			sees(t, ctx, reader, room, letter+" begins")
		}
		yuki.See(letter + " begins")
	}
	yuki.quit()
	link.SetAway(true)
	link.Cut()

	began := time.Now()
	var writing sync.WaitGroup
	for letter, h := range writers {
		count := n / 3
		if letter == "a" {
			count = n - 2*(n/3)
		}
		writing.Go(func() {
			for i := range count {
				if _, err := h.Send(ctx, room, fmt.Sprintf("%s%04d of the day", letter, i)); err != nil {
					t.Errorf("%s%04d: %v", letter, i, err)
					return
				}
				if i%200 != 199 && i != count-1 {
					continue
				}
				if err := h.Until(ctx, "the room's echo", func() (bool, error) {
					last, err := h.Messages(ctx, room, 0, 1)
					return h.State().Queued == 0 && len(last) == 1 && last[0].State != store.Queued, err
				}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writing.Wait()
	if t.Failed() {
		return
	}
	reads := func(h *headless.Sotto) (list []string) {
		messages, err := h.Messages(ctx, room, 0, 2*n)
		if err != nil {
			t.Fatal(err)
		}
		for i := range messages {
			if m := &messages[i]; m.Kind == store.Text && strings.HasSuffix(m.Body.String(), " of the day") {
				if !m.Encrypted || m.Untrusted {
					t.Fatalf("%q came unprotected", m.Body)
				}
				list = append(list, m.Body.String())
			}
		}
		return list
	}
	hasAll := func(h *headless.Sotto) {
		for len(reads(h)) < n { // not after every event: reading them all takes longer
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				t.Fatalf("%s has %d of the day: %v", h.Self().Address, len(reads(h)), ctx.Err())
			}
		}
	}
	hasAll(there)
	t.Logf("written and read by somebody there in %v", time.Since(began).Round(time.Millisecond))

	began = time.Now()
	link.SetAway(false)
	yuki.run()
	yuki.unlock()
	yuki.talkTo("Night shift")
	for i := range 20 { // typed while thousands come in
		pressed := time.Now()
		yuki.Type(fmt.Sprintf("x%02d", i))
		yuki.See(fmt.Sprintf("x%02d", i))
		t.Logf("key %d answered after %v", i, time.Since(pressed).Round(time.Millisecond))
	}
	yuki.Press("C-u")
	if err := away.Until(ctx, "catching up", func() (bool, error) {
		last, err := away.Messages(ctx, room, 0, 1)
		return len(last) == 1 && strings.HasSuffix(last[0].Body.String(), " of the day") && !away.State().CatchUp.Active, err
	}); err != nil {
		t.Fatal(err)
	}
	hasAll(away)
	t.Logf("caught up with after %v", time.Since(began).Round(time.Millisecond))
	want, got := reads(there), reads(away)
	if len(want) != n || len(got) != n {
		t.Errorf("%d and %d messages, not %d", len(want), len(got), n)
	}
	next := map[byte]int{}
	for i := range min(len(want), len(got)) {
		if got[i] != want[i] {
			t.Errorf("message %d is %q, and %q to who was there", i, got[i], want[i])
			break
		}
		if letter := got[i][0]; got[i] != fmt.Sprintf("%c%04d of the day", letter, next[letter]) {
			t.Errorf("%q after %d of them", got[i], next[letter])
			break
		}
		next[got[i][0]]++
	}

	// She has it all, too, whenever her own catching up ends: the screen of a
	// search follows what comes. (Which of so many of one second stands first there
	// is not settled: an index of 1/16 s has no place for 500 a second.)
	yuki.Type("/search of the day")
	yuki.Press("Enter")
	yuki.See("50 found, and more")
	for i, body := range []string{want[n-1], want[0], want[n/2]} {
		yuki.Type("\x15" + strings.TrimSuffix(body, " of the day"))
		if i == 0 {
			yuki.Shows("1 found", long)
		}
		yuki.See("1 found", body)
	}
	yuki.quit()
	exercised(t, "a day of 10,000 messages in a room, caught up with")
}
