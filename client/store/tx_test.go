package store

import (
	"context"
	"encoding/binary"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"

	"sotto/client/omemo"
)

func TestUpdateIsAllOrNothing(t *testing.T) {
	s := memory(t)
	refused := errors.New("refused")
	err := s.Update(context.Background(), func(tx *Tx) error {
		tx.AddMessage(incoming(ben, "o1", 1))
		tx.PutSession(omemo.Address{JID: ben, Device: 1}, []byte{1})
		return refused
	})
	if err != refused {
		t.Errorf("Update returned %v", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		s.Update(context.Background(), func(tx *Tx) error {
			tx.AddMessage(incoming(ben, "o1", 1))
			panic("in the middle")
		})
	}()
	err = s.Update(context.Background(), func(tx *Tx) error {
		tx.AddMessage(incoming(ben, "o1", 1))
		tx.exec("SELECT nonsense") // an error that the caller does not look at
		if _, again := tx.AddMessage(incoming(ben, "o2", 1)); again == nil {
			t.Error("the transaction goes on after a failure")
		}
		return nil
	})
	if err == nil {
		t.Error("Update committed after a failure")
	}
	view(t, s, func(tx *Tx) error {
		list, err := tx.Conversations()
		state, _ := tx.Session(omemo.Address{JID: ben, Device: 1})
		if len(list) != 0 || state != nil {
			t.Errorf("half of a transaction is there: %+v %x", list, state)
		}
		return err
	})
}

func TestViewCannotWrite(t *testing.T) {
	s := memory(t)
	m := outgoing(ben, "o1", 1)
	add(t, s, m)
	view(t, s, func(tx *Tx) error {
		_, addErr := tx.AddMessage(incoming(ben, "o2", 2))
		_, newErr := tx.AddMessage(incoming(carla, "o2", 2))
		_, stateErr := tx.SetState(ben, "o1", Sent)
		_, markErr := tx.MarkRead(ben, m.ID)
		_, activeErr := tx.SetActiveDevices(ben, []uint32{1})
		for name, err := range map[string]error{
			"AddMessage": addErr, "AddMessage to someone new": newErr, "SetState": stateErr, "MarkRead": markErr, "SetActiveDevices": activeErr,
			"SetValue": tx.SetValue("a", []byte{1}), "SetDraft": tx.SetDraft(ben, Draft{Text: "x"}), "PutContact": tx.PutContact(ben, "", ""),
			"QueueOut": tx.QueueOut(m.ID), "PutSession": tx.PutSession(omemo.Address{JID: ben, Device: 1}, []byte{1}),
			"DeletePreKey": tx.DeletePreKey(1), "PutIdentity": tx.PutIdentity([]byte{1}),
		} {
			if !errors.Is(err, ErrViewWrites) {
				t.Errorf("%s in a View: %v", name, err)
			}
		}
		return nil
	})
	var kept *Tx
	view(t, s, func(tx *Tx) error { kept = tx; return nil })
	if _, err := kept.Outbox(); !errors.Is(err, ErrEnded) {
		t.Errorf("after its end: %v", err)
	}
}

func TestConcurrentCallers(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "sotto.db"))
	const callers, times = 8, 25
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range times {
				if err := s.Update(context.Background(), func(tx *Tx) error {
					v, err := tx.Value("count")
					if err != nil {
						return err
					}
					return tx.SetValue("count", binary.BigEndian.AppendUint64(nil, number(v)+1))
				}); err != nil {
					t.Error(err)
				}
				if err := s.View(context.Background(), func(tx *Tx) error { _, err := tx.Conversations(); return err }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	view(t, s, func(tx *Tx) error {
		v, err := tx.Value("count")
		if number(v) != callers*times {
			t.Errorf("counted to %d", number(v))
		}
		return err
	})
}

func number(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

func TestCancellation(t *testing.T) {
	s := memory(t)
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Update(gone, func(*Tx) error { t.Error("ran"); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}

	t.Run("while waiting", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		update(t, s, func(*Tx) error {
			done := make(chan error)
			go func() { done <- s.View(ctx, func(*Tx) error { return nil }) }()
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			return nil
		})
	})
	t.Run("in a long query", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		err := s.Update(ctx, func(tx *Tx) error {
			tx.SetDraft(ben, Draft{Text: "x"})
			return tx.query(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n`, func(*sqlite3.Stmt) {})
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("in a single long step", func(t *testing.T) {
		s := openTest(t, filepath.Join(t.TempDir(), "sotto.db"))
		if err := s.conn.Exec("PRAGMA cache_size=10"); err != nil {
			t.Fatal(err)
		}
		fill(t, s, 2000, "more than the cache holds")
		ctx, cancel := context.WithCancel(context.Background())
		stop := s.guard.watch(ctx)
		read := func() error { return s.conn.Exec("SELECT sum(length(body)) FROM message") }
		if err := read(); err != nil {
			t.Errorf("before: %v", err)
		}
		cancel()
		if err := read(); !errors.Is(err, sqlite3.INTERRUPT) {
			t.Errorf("when the context has ended: %v", err)
		}
		stop()
		if err := read(); err != nil {
			t.Errorf("after: %v", err)
		}
		ctx, cancel = context.WithCancel(context.Background())
		if err := s.View(ctx, func(tx *Tx) error {
			cancel()
			_, err := tx.Messages(ben, 0, 2000)
			return err
		}); !errors.Is(err, context.Canceled) {
			t.Errorf("in a View: %v", err)
		}
		if n := len(messages(t, s, ben, 0, 3000)); n != 2000 {
			t.Errorf("after all, %d messages", n)
		}
	})
	t.Run("before the commit", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		if err := s.Update(ctx, func(tx *Tx) error {
			defer cancel()
			return tx.SetDraft(ben, Draft{Text: "x"})
		}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	view(t, s, func(tx *Tx) error {
		draft, err := tx.Draft(ben)
		if draft != (Draft{}) {
			t.Error("a cancelled transaction was committed")
		}
		return err
	})
}

func TestClosed(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "sotto.db"))
	key := s.key
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if key.IsAlive() {
		t.Error("the key is still in memory")
	}
	for name, call := range map[string]func(context.Context, func(*Tx) error) error{"Update": s.Update, "View": s.View} {
		if err := call(context.Background(), func(*Tx) error { t.Error("ran"); return nil }); !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
