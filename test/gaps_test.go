package test

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"sotto/client/store"
	"sotto/test/headless"
	"sotto/test/proxy"
	"sotto/test/server"
)

// elsewhere is added to the account of what a relay's archive has mislaid.
const elsewhere = 1 << 40

// mislay has a stopped relay lose all that its archives and mailboxes hold, as
// after a backup that is not complete; find puts it back while the relay runs.
func mislay(t *testing.T, s *server.Server) {
	t.Helper()
	onRelay(t, s, fmt.Sprintf(`UPDATE archive SET account = account + %d; DELETE FROM mailbox`, elsewhere))
}

func find(t *testing.T, s *server.Server) {
	t.Helper()
	onRelay(t, s, fmt.Sprintf(`UPDATE archive SET account = account - %d WHERE account > %d`, elsewhere, elsewhere/2))
}

func onRelay(t *testing.T, s *server.Server, sql string) {
	t.Helper()
	db, err := sqlite3.Open("file:" + filepath.Join(s.Dir, "data", "relay.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Exec(`PRAGMA busy_timeout=120000; BEGIN IMMEDIATE; ` + sql + `; COMMIT`); err != nil {
		t.Fatal(err)
	}
}

// handedOver waits until the relay has all that somebody wrote to somebody and to a
// room.
func handedOver(t *testing.T, ctx context.Context, h *headless.Sotto, peers ...string) {
	t.Helper()
	if err := h.Until(ctx, "everything at the relay", func() (bool, error) {
		for _, peer := range peers {
			last, err := h.Messages(ctx, peer, 0, 1)
			if err != nil || len(last) == 0 || last[0].State < store.Sent {
				return false, err
			}
		}
		return h.State().Queued == 0, nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestGapOnTheScreen has a relay mislay what was written while somebody was away,
// and find it again. Meanwhile a line says what may be missing, in a conversation
// and in a room; with Enter on that line, or in the next session by itself, it comes,
// and stands where it belongs.
func TestGapOnTheScreen(t *testing.T) {
	t.Parallel()
	s := embedded(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	people := team(t, s, "Okafor, Ada", "Lind, Per", "Haddad, Rana")
	to := s.Address(people[1])
	link := proxy.Start(t, s.Addr)
	ada, rana := start(t, s, people[0], through(s, link)), start(t, s, people[2], s.WebSocket)
	room, err := ada.CreateRoom(ctx, "Night shift")
	if err != nil {
		t.Fatal(err)
	}
	both := func(h *headless.Sotto, n int, format string) {
		t.Helper()
		for i := range n {
			body := fmt.Sprintf(format, i)
			tell(t, ctx, h, room, body)
			if _, err := h.Send(ctx, to, body); err != nil {
				t.Fatal(err)
			}
		}
		handedOver(t, ctx, h, room, to)
	}
	if err := ada.Invite(ctx, room, s.Address(people[2])); err != nil {
		t.Fatal(err)
	}
	sees(t, ctx, rana, room, "invites you")
	if err := rana.JoinRoom(ctx, room); err != nil {
		t.Fatal(err)
	}

	per := newPerson(t, "Per")
	per.join(s, people[1])
	if err := ada.Invite(ctx, room, to); err != nil {
		t.Fatal(err)
	}
	per.See("1 unread")
	per.Press("M-a")
	per.See("invites you")
	per.Type("/join")
	per.Press("Enter")
	per.See("You are in this room now")
	for _, h := range []*headless.Sotto{ada, rana} {
		belong(t, ctx, h, room, s.Address(people[0]), to, s.Address(people[2]))
	}
	per.talkTo("Okafor, Ada")
	per.say("off now")
	per.delivered("off now")
	per.quit()

	// A short absence, after which this device knows where it is in both archives.
	both(ada, 1, "early %02d")
	per.run()
	per.unlock()
	per.talkTo("Night shift")
	per.See("early 00")
	per.talkTo("Okafor, Ada")
	per.See("early 00")
	per.say("here again")
	per.delivered("here again")
	per.quit()

	const lost = 40
	both(ada, lost, "lost %02d")
	link.SetAway(true) // or Ada would send again what nobody has confirmed
	link.Cut()
	s.Stop()
	mislay(t, s)
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	both(rana, 4, "late %02d")
	per.run()
	per.unlock()
	per.talkTo("Night shift")
	per.SeeMatch(`(?s)early 00.*may be missing\. The relay does not have them\..*late 00.*late 03`)
	if screen := per.Screen(); strings.Contains(screen, "lost") {
		t.Errorf("a gap in a room:\n%s", screen)
	}
	per.talkTo("Okafor, Ada")
	per.SeeMatch(`(?s)here again.*may be missing`)
	per.Press("M-Up")
	per.SeeMatch(`(?m)^ *>.*here again`)
	per.Press("M-Down")
	per.SeeMatch(`(?m)^ *>Messages between`)
	per.See("Enter ask the relay again")
	per.Press("Enter")
	per.See("The relay still does not have them.")
	find(t, s)
	per.Press("Enter")
	per.See(fmt.Sprintf("%d messages came.", lost))
	per.SeeGone("may be missing")
	per.inOrder(lost, 0)

	per.talkTo("Night shift")
	per.See("may be missing", "late 03")
	per.quit()
	per.run()
	per.unlock()
	per.talkTo("Night shift")
	per.SeeGone("may be missing")
	per.inOrder(lost, 4)
	per.quit()
	exercised(t, "a gap in the archive of the relay and of a room, shown and filled")
}

// inOrder reads a conversation on the screen up to its beginning: what was lost
// stands in order between what came early and what came late.
func (p *person) inOrder(lost, late int) {
	p.t.Helper()
	var want []string
	want = append(want, "early 00")
	for i := range lost {
		want = append(want, fmt.Sprintf("lost %02d", i))
	}
	for i := range late {
		want = append(want, fmt.Sprintf("late %02d", i))
	}
	line := regexp.MustCompile(`(early|lost|late) \d\d`)
	var got []string
	p.Press("Escape", "End")
	p.See(want[len(want)-1])
	for page := 0; len(got) < len(want); page++ {
		if page > 0 {
			p.Press("PPage")
		}
		// A page may be caught while it is drawn, so it is looked at again until it is
		// as it should be, from here up.
		p.Until(fmt.Sprintf("showing what stands before the last %d of %q", len(got), want), func(screen string) bool {
			on := line.FindAllString(screen, -1)
			if len(got) > 0 {
				if i := slices.Index(on, got[0]); i >= 0 {
					on = on[:i]
				}
			}
			read := slices.Concat(on, got)
			if len(on) == 0 || len(read) > len(want) || !slices.Equal(read, want[len(want)-len(read):]) {
				return false
			}
			got = read
			return true
		})
	}
}
