package store

import (
	"context"
	"fmt"
	"testing"
)

func TestTidy(t *testing.T) {
	s := memory(t)
	parts := func() (n int) {
		view(t, s, func(tx *Tx) (err error) { n, err = tx.indexParts(); return err })
		return n
	}
	if more, err := s.Tidy(context.Background()); more || err != nil {
		t.Errorf("nothing there: %v %v", more, err)
	}
	const n = 30 * indexBatch
	for i := 0; i < n; {
		update(t, s, func(tx *Tx) error {
			for range indexBatch {
				i++
				m := incoming(ben, fmt.Sprint("o", i, ","), i)
				m.Body = fmt.Sprintf("word%d word%d common", i, i%100)
				if _, err := tx.AddMessage(m); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if parts() <= enoughParts {
		t.Fatalf("%d parts: this shows nothing", parts())
	}
	steps := 0
	for more := true; more; steps++ {
		var err error
		if more, err = s.Tidy(context.Background()); err != nil {
			t.Fatal(err)
		}
		if steps == 2 { // in between, all goes on
			add(t, s, incoming(ben, "between", 1))
			update(t, s, func(tx *Tx) error {
				_, _, err := tx.Recall(Recalling{Peer: ben, OriginID: "o5017,", Sender: ben, Time: at(1)})
				return err
			})
		}
		if steps > 10_000 {
			t.Fatal("no end")
		}
	}
	if got := parts(); got > enoughParts || steps < 3 {
		t.Errorf("%d parts after %d steps", got, steps)
	}
	for text, want := range map[string]string{"word5017": "", "word5000": "o5000,"} {
		if got := found(t, s, Search{Text: `"` + text + `"`}); got != want {
			t.Errorf("%s: %q", text, got)
		}
	}
	if err := s.conn.Exec("INSERT INTO search (search) VALUES ('integrity-check')"); err != nil {
		t.Error(err)
	}
	if more, err := s.Tidy(context.Background()); more || err != nil {
		t.Errorf("again: %v %v", more, err)
	}
}
