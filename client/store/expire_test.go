package store

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"
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
		gone, err := s.Expire(context.Background(), at(n))
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
