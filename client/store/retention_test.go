package store

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

func TestTextsGoAfterTheRetention(t *testing.T) {
	s := memory(t)
	for i, x := range []struct {
		peer, id string
		at       int
	}{{ben, "old", 0}, {ben, "newer", 1800}, {carla, "other", 10}} {
		m := incoming(x.peer, x.id, x.at)
		m.Body = fmt.Sprintf("secret %d #mrn:1", i)
		add(t, s, m)
	}
	answer := incoming(ben, "answer", 3000)
	answer.Body = "> secret 0 #mrn:1\nyes"
	add(t, s, answer)
	fleeting := incoming(ben, "fleeting", 20)
	fleeting.Body, fleeting.Expires = "gone first", at(60)
	add(t, s, fleeting)
	expire := func(n int) (ids string) {
		gone, _, err := s.Expire(context.Background(), at(n))
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range gone {
			ids += g.OriginID + " "
			if g.Due.After(at(n)) {
				t.Errorf("%s was due at %v only", g.OriginID, g.Due)
			}
		}
		return ids
	}
	next := func() (n time.Time) {
		view(t, s, func(tx *Tx) (err error) { n, err = tx.NextExpiry(); return err })
		return n
	}
	if got := expire(50); got != "" {
		t.Errorf("without a retention went %s", got)
	}
	update(t, s, func(tx *Tx) error {
		if err := tx.SetRetention(-1); err == nil {
			t.Error("took a retention below 0")
		}
		return tx.SetRetention(time.Hour)
	})
	view(t, s, func(tx *Tx) error {
		if d, err := tx.Retention(); d != time.Hour {
			t.Errorf("retention %v, %v", d, err)
		}
		return nil
	})
	if !next().Equal(at(60)) {
		t.Errorf("next at %v", next())
	}
	if got := expire(60); got != "fleeting " {
		t.Errorf("at 60 went %s", got)
	}
	if !next().Equal(at(3600)) {
		t.Errorf("next at %v", next())
	}
	if got := expire(3610); got != "old other " {
		t.Errorf("at 3610 went %s", got)
	}
	if got := found(t, s, Search{Text: "secret"}); got != "newer" {
		t.Errorf("found %s", got) // the newer one, and not what the answer quotes
	}
	view(t, s, func(tx *Tx) error {
		m, err := tx.Message(answer.ID)
		if err == nil && m.Body != "> [expired]\nyes" {
			t.Errorf("the answer says %q", m.Body)
		}
		return err
	})
	// What a longer retention brings back is nothing; what is here stays.
	update(t, s, func(tx *Tx) error { return tx.SetRetention(0) })
	if got := expire(1 << 30); got != "" || !next().IsZero() {
		t.Errorf("without a retention went %s, next at %v", got, next())
	}
}

// More than go in one transaction, indexed and not.
func TestManyTextsGoAfterTheRetention(t *testing.T) {
	s := memory(t)
	const n = 2*expireBatch + indexBatch/2
	update(t, s, func(tx *Tx) error {
		for i := range n {
			m := incoming(ben, fmt.Sprint("m", i), i/4)
			m.Body = fmt.Sprint("word", i)
			if _, err := tx.AddMessage(m); err != nil {
				return err
			}
		}
		return tx.SetRetention(time.Hour)
	})
	gone, _, err := s.Expire(context.Background(), at(10_000))
	if err != nil || len(gone) != n {
		t.Errorf("%d of %d went, %v", len(gone), n, err)
	}
}

// Nothing that is too old can be seen after opening.
func TestTheRetentionHoldsWhenOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sotto.db")
	s := openTest(t, path)
	m := incoming(ben, "a", 0)
	m.Body, m.Time = "secret", time.Now().Add(-48*time.Hour)
	add(t, s, m)
	update(t, s, func(tx *Tx) error { return tx.SetRetention(24 * time.Hour) })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, path)
	if gone := s.ExpiredAtOpen(); len(gone) != 1 || gone[0].OriginID != "a" {
		t.Errorf("gone when opened: %+v", gone)
	}
	view(t, s, func(tx *Tx) error {
		m, err := tx.Message(m.ID)
		if err == nil && (m.Body != "" || m.Gone != RanOut) {
			t.Errorf("it is %+v", m)
		}
		return err
	})
}
