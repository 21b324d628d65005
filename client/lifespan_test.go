package client

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sotto/client/stanza"
	"sotto/client/store"
)

func TestLifespans(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"10s": 10 * time.Second, "90s": 90 * time.Second, "1m": time.Minute, "24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour,
		"7D": 7 * 24 * time.Hour, "365d": MaxLifespan, "8760h": MaxLifespan,
		"": 0, "h": 0, "9s": 0, "0d": 0, "366d": 0, "-1h": 0, "+1h": 0, "1.5h": 0, "1 h": 0, "24": 0, "24w": 0, "1hh": 0, "99999999999h": 0, "4294967296s": 0,
		"１h": 0, "0x1h": 0, "1_0h": 0,
	} {
		got, err := ParseLifespan(s)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("%q: %v %v", s, got, err)
		}
		if err == nil {
			if again, err := ParseLifespan(FormatLifespan(got)); again != got || err != nil {
				t.Errorf("%q is written %q", s, FormatLifespan(got))
			}
		}
	}
	if w := LifespanWords(24*time.Hour) + ", " + LifespanWords(7*24*time.Hour) + ", " + LifespanWords(time.Minute); w != "24 hours, 7 days, 1 minute" {
		t.Error(w)
	}
}

func TestLifespanMark(t *testing.T) {
	for _, c := range []struct {
		body, rest string
		d          time.Duration
	}{
		{"Door code 4711 !expires:1h", "Door code 4711", time.Hour},
		{"Door code 4711\n!expires:1h\n", "Door code 4711", time.Hour},
		{"a\n\n  !Expires:24H  ", "a", 24 * time.Hour},
		{"!expires:1h Door code", "!expires:1h Door code", 0}, // people quote it
		{"!expires:1h", "!expires:1h", 0},
		{" \n!expires:1h", " \n!expires:1h", 0},
		{"a !expires:5s", "a !expires:5s", 0},
		{"a !expires:99999d", "a !expires:99999d", 0},
		{"a x!expires:1h", "a x!expires:1h", 0},
		{"a !expires:", "a !expires:", 0},
		{"a !expires:1h !expires:2h", "a !expires:1h", 2 * time.Hour},
	} {
		if rest, d := takeLifespan(c.body); rest != c.rest || d != c.d {
			t.Errorf("%q: %q %v", c.body, rest, d)
		}
	}
	now := time.Now()
	m := &store.Message{Body: "!stat come", Time: now, Expires: now.Add(24 * time.Hour)}
	for wait, want := range map[time.Duration]string{
		0: "24h", 30 * time.Second: "24h", 2 * time.Hour: "22h", 48 * time.Hour: "10s",
	} {
		got := string(withLifespan([]byte(m.Body), m, now.Add(wait)))
		if got != "!stat come\n!expires:"+want {
			t.Errorf("after %v: %q", wait, got)
		}
		if rest, d := takeLifespan(got); rest != m.Body || FormatLifespan(d) != want {
			t.Errorf("%q is read as %q %v", got, rest, d)
		}
	}
}

// FuzzLifespan: nothing but a well-formed end is taken off, and what is taken off
// has its bounds.
func FuzzLifespan(f *testing.F) {
	for _, s := range []string{"a !expires:1h", "a\n!expires:365d\n", "!expires:1h", "a !expires:0h", "\xff !EXPIRES:10s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		rest, d := takeLifespan(s)
		switch {
		case d == 0 && rest != s:
			t.Errorf("%q became %q", s, rest)
		case d != 0 && (d < MinLifespan || d > MaxLifespan || rest == "" || !strings.HasPrefix(s, rest) || len(s) <= len(rest)+len(lifespanMark)):
			t.Errorf("%q: %q %v", s, rest, d)
		}
	})
}

// TestExpires: what has a time to live leaves the store when it ends, here and at
// the other side, with its clock running from sending.
func TestExpires(t *testing.T) {
	c, d, r := talking(t)
	ago := time.Now().Add(-8 * time.Minute).UTC().Truncate(time.Second)
	code := func() *stanza.Element {
		return delayed(r.write(c, "x1", "Door code 4711 !expires:1h"), ago.Format(time.RFC3339))
	}
	d.deliver(code())
	m := wait(t, c, func(e MessageAdded) bool { return !e.Message.Outgoing }).Message
	if m.Body.String() != "Door code 4711" || !m.Expires.Equal(ago.Add(time.Hour)) {
		t.Fatalf("%q, and it lives until %v", m.Body, m.Expires)
	}
	if e := d.sent(isReceipt); e.Child("", "received").Get("id") != "x1" {
		t.Errorf("confirmed: %s", e)
	}
	// What its sender does not say, nobody says for it, and not in the clear.
	d.deliver(r.write(c, "x2", "stays"))
	d.deliver(stanza.NewChat(me, "x3", stanza.Body("plain !expires:10s")).With("from", ada+"/phone"))
	own, err := c.Send(ctx, ada, "mine !expires:1h")
	if err != nil || own.Body.String() != "mine" || own.Expires.IsZero() {
		t.Fatalf("%+v %v", own, err)
	}
	if got, err := r.read(d.sent(hasPayload)); got != "mine\n!expires:1h" || err != nil {
		t.Errorf("sent: %q %v", got, err)
	}
	if err := c.store.Update(ctx, func(tx *store.Tx) error { // the hour is over
		return errors.Join(tx.SetExpires(m.ID, time.Now()), tx.SetExpires(own.ID, time.Now()))
	}); err != nil {
		t.Fatal(err)
	}
	c.call(func() { c.expireBy(time.Now()) })
	seen := map[int64]bool{}
	for len(seen) < 2 {
		e := wait(t, c, func(e MessageChanged) bool { return e.Message.Gone != store.Here }).Message
		if e.Gone != store.RanOut || !e.Body.Empty() {
			t.Errorf("%+v", e)
		}
		seen[e.ID] = true
	}
	if got := bodies(t, c, ada); strings.Contains(got, "4711") || strings.Contains(got, "mine") || !strings.Contains(got, "stays") || !strings.Contains(got, "plain !expires:10s") {
		t.Errorf("left: %s", got)
	}
	// A repeat of it brings nothing back, and is not confirmed again.
	d.deliver(code())
	d.deliver(r.write(c, "x4", "last"))
	var confirmed []string
	for len(confirmed) == 0 || confirmed[len(confirmed)-1] != "x4" {
		confirmed = append(confirmed, d.sent(isReceipt).Child("", "received").Get("id"))
	}
	if slices.Contains(confirmed, "x1") {
		t.Errorf("confirmed: %s", confirmed)
	}
	if got := bodies(t, c, ada); strings.Contains(got, "4711") {
		t.Errorf("back again: %s", got)
	}
}

// TestExpiredOnItsWay: what comes too late is never shown, and its sender is not
// told that it was delivered.
func TestExpiredOnItsWay(t *testing.T) {
	c, d, r := talking(t)
	d.deliver(delayed(r.write(c, "x1", "!stat Door code 4711 !expires:1h"), "2026-11-21T19:02:00Z"))
	m := wait(t, c, func(e MessageAdded) bool { return !e.Message.Outgoing }).Message
	if m.Gone != store.RanOut || !m.Body.Empty() || !m.Read || m.Urgency != store.Routine {
		t.Errorf("%+v", m)
	}
	d.deliver(r.write(c, "x2", "after it"))
	if e := d.sent(isReceipt); e.Child("", "received").Get("id") != "x2" {
		t.Errorf("confirmed: %s", e)
	}
	eventually(t, "it is gone from the store", func() bool {
		var row *store.Message
		err := c.store.View(ctx, func(tx *store.Tx) (err error) { row, err = tx.Message(m.ID); return err })
		return err == nil && row.Gone == store.RanOut
	})
}

// TestLifespanOfAConversation: it holds for what is written there from then on, and
// nobody else can lengthen it.
func TestLifespanOfAConversation(t *testing.T) {
	c, d, r := talking(t)
	for _, bad := range []time.Duration{time.Second, -time.Hour, MaxLifespan + 1} {
		if err := c.SetLifespan(ctx, ada, bad); !errors.Is(err, ErrLifespan) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if err := c.SetLifespan(ctx, ada, 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	if s, err := c.Security(ctx, ada); s.Lifespan != 24*time.Hour || err != nil {
		t.Errorf("%+v %v", s, err)
	}
	for body, want := range map[string]string{"short !expires:1h": "short\n!expires:1h", "long !expires:7d": "long\n!expires:24h", "as the others": "as the others\n!expires:24h"} {
		if _, err := c.Send(ctx, ada, body); err != nil {
			t.Fatal(err)
		}
		if got, err := r.read(d.sent(hasPayload)); got != want || err != nil {
			t.Errorf("%q went as %q %v", body, got, err)
		}
	}
	d.deliver(r.write(c, "y1", "theirs"))
	d.deliver(r.write(c, "y2", "theirs for long !expires:30d"))
	for range 2 {
		m := wait(t, c, func(e MessageAdded) bool { return !e.Message.Outgoing && e.Message.Kind == store.Text }).Message
		if left := time.Until(m.Expires); left < 23*time.Hour || left > 24*time.Hour {
			t.Errorf("%q lives for %v", m.Body, left)
		}
	}
	if err := c.SetLifespan(ctx, ada, 0); err != nil {
		t.Fatal(err)
	}
	// What quotes a text does not outlive it.
	fleeting, err := c.Send(ctx, ada, "the code is 4711 !expires:1h")
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.Reply(ctx, ada, fleeting.ID, "got it !expires:7d")
	if err != nil || !strings.Contains(answer.Body.String(), "4711") || answer.Expires.Sub(fleeting.Expires).Abs() > time.Millisecond {
		t.Errorf("%+v %v", answer, err)
	}
	better, err := c.Correct(ctx, ada, fleeting.ID, "the code is 4712")
	if err != nil || better.Expires.Sub(fleeting.Expires).Abs() > time.Millisecond {
		t.Errorf("%+v %v", better, err)
	}
	m, err := c.Send(ctx, ada, "for ever")
	if !m.Expires.IsZero() || err != nil {
		t.Errorf("%+v %v", m, err)
	}
	if got := bodies(t, c, ada); !strings.Contains(got, "is gone 24 hours after it was sent") || !strings.Contains(got, "from now on stays") {
		t.Error(got)
	}
}
