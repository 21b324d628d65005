package store

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sotto/client/quote"
)

func TestExpiry(t *testing.T) {
	s := memory(t)
	update(t, s, func(tx *Tx) error {
		if at, err := tx.NextExpiry(); !at.IsZero() || err != nil {
			t.Errorf("something expires: %v %v", at, err)
		}
		return tx.SetLifespan(ben, time.Hour)
	})
	a, b, c, d := incoming(ben, "a", 0), incoming(ben, "b", 0), incoming(carla, "c", 0), outgoing(carla, "d", 0)
	a.Stored, b.Stored, b.Expires, d.Expires = at(0), at(0), at(60), at(7200)
	c.Urgency = Stat
	for _, m := range []*Message{a, b, c, d} {
		m.Body = "secret #mrn:1"
		add(t, s, m)
	}
	if !a.Expires.Equal(at(3600)) {
		t.Errorf("the conversation's lifespan: %v", a.Expires)
	}
	expire := func(n int) string {
		gone, _, err := s.Expire(context.Background(), at(n))
		if err != nil {
			t.Fatal(err)
		}
		var out string
		for _, g := range gone {
			out += g.OriginID
			if g.ID == 0 || g.Peer == "" || g.Sender == "" || g.Due.After(at(n)) {
				t.Errorf("%+v", g)
			}
		}
		return out
	}
	next := func() (n time.Time) {
		view(t, s, func(tx *Tx) (err error) { n, err = tx.NextExpiry(); return err })
		return n
	}
	if !next().Equal(at(60)) {
		t.Errorf("next: %v", next())
	}
	if got := expire(59); got != "" {
		t.Errorf("too early: %s", got)
	}
	if got := expire(60); got != "b" {
		t.Errorf("at 60: %s", got)
	}
	if got := found(t, s, Search{Text: "secret"}); len(got) != 3 {
		t.Errorf("found %s", got)
	}
	update(t, s, func(tx *Tx) error { return tx.QueueOut(d.ID) })
	if got := expire(10_000); got != "ad" {
		t.Errorf("at 10,000: %s", got)
	}
	if !next().IsZero() || expire(1<<30) != "" {
		t.Error("something is left")
	}
	view(t, s, func(tx *Tx) error {
		m, err := tx.Message(b.ID)
		if m.Gone != RanOut || m.Body != "" || !m.GoneAt.Equal(at(60)) || m.GoneBy != "" || !m.Expires.IsZero() || !m.Read {
			t.Errorf("%+v", m)
		}
		if outs, _ := tx.Outbox(); len(outs) != 0 {
			t.Error("what has expired still goes out")
		}
		if list, _ := tx.Marked(Mark{Record, "1"}, 0, 10); len(list) != 1 {
			t.Errorf("%d are marked", len(list))
		}
		return err
	})
	if got := found(t, s, Search{Text: "secret"}); got != "c" {
		t.Errorf("found %s", got)
	}
	again := incoming(ben, "b", 0)
	if add(t, s, again) {
		t.Error("what has expired came back")
	}
	update(t, s, func(tx *Tx) error {
		if err := tx.SetExpires(b.ID, at(1)); err != ErrUnknown {
			t.Errorf("what is gone expires: %v", err)
		}
		if err := tx.SetExpires(c.ID, at(1)); err != nil {
			return err
		}
		if err := tx.SetExpires(c.ID, time.Time{}); err != nil {
			return err
		}
		if m, gone, err := tx.Recall(Recalling{Peer: ben, OriginID: "b", Sender: ben, Time: at(9)}); !gone || m.Gone != Recalled || err != nil {
			t.Errorf("recalling what has expired: %+v %v", m, err)
		}
		for _, bad := range []time.Duration{-1, MaxLifespan + 1} {
			if err := tx.SetLifespan(ben, bad); err == nil {
				t.Errorf("a lifespan of %v", bad)
			}
		}
		if d, err := tx.Lifespan(ben); d != time.Hour || err != nil {
			t.Errorf("lifespan: %v %v", d, err)
		}
		return nil
	})
	if got := expire(1 << 30); got != "" {
		t.Errorf("expired: %s", got)
	}
}

// TestExpiredWhileClosed opens a database in which much has expired meanwhile.
func TestExpiredWhileClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sotto.db")
	s := openTest(t, path)
	const n = expireBatch + 100
	update(t, s, func(tx *Tx) error {
		for i := range n {
			m := incoming(ben, fmt.Sprint(i), i)
			m.Body, m.Expires = "secret", time.Now().Add(-time.Second)
			if _, err := tx.AddMessage(m); err != nil {
				return err
			}
		}
		return nil
	})
	if len(s.ExpiredAtOpen()) != 0 {
		t.Error("something had expired in a new database")
	}
	s.Close()
	s = openTest(t, path)
	if got := len(s.ExpiredAtOpen()); got != n {
		t.Errorf("%d have expired", got)
	}
	for _, m := range messages(t, s, ben, 0, n) {
		if m.Body != "" || m.Gone != RanOut {
			t.Fatalf("%+v", m)
		}
	}
}

// TestExpiredWordsLeaveTheirQuotes: an answer that lives longer keeps none of the words
// that it quotes, nor does a draft.
func TestExpiredWordsLeaveTheirQuotes(t *testing.T) {
	s := memory(t)
	long := strings.Repeat("The code of the door is 4711. ", 20)
	first, second, answer, other := incoming(ben, "1", 0), incoming(ben, "2", 0), incoming(ben, "3", 0), incoming(carla, "4", 0)
	first.Body, first.Expires = "!stat "+long, at(60)
	second.Body, second.Expires = "Bed 4", at(60)
	answer.Body = quote.Join(first.Body, "Thanks")
	other.Body = quote.Join(first.Body, "in another conversation")
	for _, m := range []*Message{first, second, answer, other} {
		add(t, s, m)
	}
	update(t, s, func(tx *Tx) error {
		return tx.SetDraft(ben, Draft{Text: quote.Join(second.Body, "which one"), Message: second.ID})
	})
	gone, quoting, err := s.Expire(context.Background(), at(60))
	if err != nil || len(gone) != 2 || len(quoting) != 1 || quoting[0] != answer.ID {
		t.Fatalf("%+v, %v, %v", gone, quoting, err)
	}
	view(t, s, func(tx *Tx) error {
		if m, err := tx.Message(answer.ID); m.Body != "> [expired]\nThanks" || err != nil {
			t.Errorf("%+v, %v", m, err)
		}
		if m, err := tx.Message(other.ID); m.Body != other.Body || err != nil {
			t.Errorf("%+v, %v", m, err)
		}
		d, err := tx.Draft(ben)
		if d.Text != "> [expired]\nwhich one" || d.Message != 0 || err != nil {
			t.Errorf("the draft is %+v, %v", d, err)
		}
		return err
	})
	if got := found(t, s, Search{Text: "4711", Peer: ben}); len(got) != 0 {
		t.Errorf("found %s", got)
	}
}
