package desk

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"sotto/client"
	"sotto/client/membership"
	"sotto/client/omemo"
	"sotto/client/org"
	"sotto/client/org/head"
	"sotto/client/org/orgtest"
	"sotto/client/store"
	"sotto/internal/role"
)

// member is a client that joined at a time, with what else is to be in its store.
func member(t *testing.T, address string, joined time.Time, also func(*store.Tx, *membership.Membership, *orgtest.Key) error) *client.Client {
	t.Helper()
	db, err := store.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return memberIn(t, db, address, joined, also)
}

func memberIn(t *testing.T, db *store.Store, address string, joined time.Time, also func(*store.Tx, *membership.Membership, *orgtest.Key) error) *client.Client {
	t.Helper()
	key := orgtest.New("ward.example", "1")
	err := db.Update(context.Background(), func(tx *store.Tx) error {
		if _, err := omemo.Setup(tx); err != nil {
			return err
		}
		m, err := membership.Join(tx, org.NewAnchor(key.Key, 0), "sotto@ward.example", address, joined)
		if err != nil {
			return err
		}
		return also(tx, m, key)
	})
	if err != nil {
		t.Fatal(err)
	}
	link, other := net.Pipe()
	t.Cleanup(func() { link.Close(); other.Close() })
	c, err := client.New(client.Config{Store: db, Link: link, Account: client.Account{Address: address}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhatIsSaidOfTheLease(t *testing.T) {
	const alice, contact, day = "alice@ward.example", "sotto@ward.example", 24 * time.Hour
	now := time.Now()
	for what, x := range map[string]struct {
		address       string
		joined, clock time.Time
		words         string
	}{
		"in touch":                 {alice, now, now, ""},
		"in the last quarter":      {alice, now.Add(-6 * day), now, ""},
		"over":                     {alice, now.Add(-7 * day), now, "sotto has not heard from ward.example since " + moment(now.Add(-7*day)) + ". It opens again once it has."},
		"the clock was set back":   {alice, now, now.Add(day), "The clock of this computer is behind: it was " + moment(now.Add(day)) + " before. "},
		"a clock before it joined": {alice, now.Add(day), time.Time{}, "The clock of this computer is behind: it was " + moment(now.Add(day)) + " before. "},
		"the organisation's own":   {contact, now.Add(-90 * day), now.Add(day), ""},
	} {
		c := member(t, x.address, x.joined, func(tx *store.Tx, m *membership.Membership, _ *orgtest.Key) error { return m.StoreClock(tx, x.clock) })
		if got := lost(c); (got == "") != (x.words == "") || !strings.HasPrefix(got, x.words) {
			t.Errorf("%s: %q", what, got)
		}
	}
}

// TestWaitingFits: every size shows what it can, within its lines and columns.
func TestWaitingFits(t *testing.T) {
	at := time.Date(2026, 11, 22, 15, 4, 0, 0, time.Local)
	words := "sotto has not heard from ward.example since " + moment(at) + ". It opens again once it has."
	for width := range 100 {
		for height := range 26 {
			out := waiting(words, "The relay is online.", at.Add(time.Hour), width, height)
			rows := strings.Split(ansi.Strip(strings.ReplaceAll(out, "H", "H\n")), "\n")
			for _, row := range rows {
				if width > 0 && ansi.StringWidth(row) > width {
					t.Fatalf("%d x %d: %q", width, height, row)
				}
			}
			if got := strings.Count(strings.TrimPrefix(out, role.Clear), "\x1b["); height > 0 && got > height {
				t.Fatalf("%d x %d: %d rows in %q", width, height, got, out)
			}
			if height > 1 && width > 75 && !strings.Contains(out, "sotto has not heard from ward.example since 15:04 on 22 November 2026.") {
				t.Fatalf("%d x %d: %q", width, height, out)
			}
		}
	}
	whole := strings.Join(strings.Fields(ansi.Strip(waiting(words, "The relay is online.", at.Add(time.Hour), 80, 24))), " ")
	if !strings.Contains(whole, "15:04 on 22 November 2026") || !strings.Contains(whole, "By this computer's clock it is 16:04 on 22 November 2026.") || !strings.Contains(whole, "Ctrl+L locks, Ctrl+Q quits") {
		t.Errorf("%q", whole)
	}
}

// TestOrdersComeBeforeTheLeaseOpens: what the newest head names and was not seen is
// waited for.
func TestOrdersComeBeforeTheLeaseOpens(t *testing.T) {
	now := time.Now()
	for orders, want := range map[head.Orders]bool{{First: 1}: true, {First: 1, Last: 1}: false, {First: 7, Last: 9}: false, {First: 7, Last: 6}: true} {
		c := member(t, "alice@ward.example", now, func(tx *store.Tx, m *membership.Membership, key *orgtest.Key) error {
			note, err := head.Head{Number: 1, Issued: now, Orders: orders}.Sign(key)
			if err != nil {
				return err
			}
			return m.Follow(tx, note)
		})
		if got := obeyed(c); got != want {
			t.Errorf("%+v: %v", orders, got)
		}
	}
}
