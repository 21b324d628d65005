package store

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"sotto/client/audit"
)

func event(n int) audit.Event {
	return audit.Event{Kind: audit.MessageReceived, Peer: audit.PersonOf(ben), Message: audit.IDOf(fmt.Sprint("o", n))}
}

// TestLogIsWrittenWithTheTransaction has events of transactions of all sizes, some
// of which are undone, give the log that adding one by one gives.
func TestLogIsWrittenWithTheTransaction(t *testing.T) {
	one, many := memory(t), memory(t)
	l, at, n := auditLog(t), time.UnixMilli(1e12), 0
	for size := range 40 {
		lost := errors.New("undone")
		if err := many.Update(t.Context(), func(tx *Tx) error {
			if err := tx.Log(l, at, event(1000+size)); err != nil {
				return err
			}
			return lost
		}); !errors.Is(err, lost) {
			t.Fatal(err)
		}
		update(t, many, func(tx *Tx) error {
			for i := range size {
				if err := tx.Log(l, at, event(n+i)); err != nil {
					return err
				}
				if i != 5 {
					continue
				}
				if have, err := tx.AuditSize(); err != nil || have != int64(n+7) { // and log-started
					t.Errorf("%d events in the midst of a transaction, not %d: %v", have, n+7, err)
				}
			}
			return nil
		})
		update(t, one, func(tx *Tx) error {
			for i := range size {
				if _, err := l.Append(tx, at, event(n+i)); err != nil {
					return err
				}
			}
			return nil
		})
		n += size
	}
	var signed [2]string
	for i, s := range []*Store{one, many} {
		update(t, s, func(tx *Tx) error {
			b, err := l.Checkpoint(tx, at, auditKey)
			signed[i] = string(b)
			return err
		})
		if r := auditReport(t, s, l); !r.Sound() || r.Size != int64(n+1) {
			t.Errorf("%v", r.Words())
		}
	}
	if signed[0] != signed[1] {
		t.Errorf("two logs of the same events differ:\n%s\n%s", signed[0], signed[1])
	}
}

// TestLogRefuses has what is no event leave the transaction as it is, and what
// cannot be written undo it.
func TestLogRefuses(t *testing.T) {
	s, l := memory(t), auditLog(t)
	update(t, s, func(tx *Tx) error {
		if err := tx.Log(l, time.Now(), audit.Event{Kind: audit.MessageSent}); !errors.Is(err, audit.ErrEvent) {
			t.Errorf("a message without anything: %v", err)
		}
		return tx.Log(l, time.Now(), event(1))
	})
	if err := s.View(t.Context(), func(tx *Tx) error { return tx.Log(l, time.Now(), event(2)) }); !errors.Is(err, ErrViewWrites) {
		t.Errorf("logged while reading: %v", err)
	}
	other, err := audit.New(audit.Device{Owner: audit.PersonOf("alice@h.example"), ID: 8})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Update(t.Context(), func(tx *Tx) error {
		return errors.Join(tx.Log(l, time.Now(), event(2)), tx.Log(other, time.Now(), event(2)))
	}); err == nil {
		t.Error("two devices' events in one log")
	}
	update(t, s, func(tx *Tx) error { return tx.exec(`INSERT INTO audit (seq, line, hashes) VALUES (5, 'x', x'')`) })
	if err := s.Update(t.Context(), func(tx *Tx) error {
		if _, err := tx.AddMessage(incoming(ben, "m", 1)); err != nil {
			return err
		}
		return tx.Log(l, time.Now(), event(3))
	}); err == nil {
		t.Error("a damaged log was added to")
	}
	if list := messages(t, s, ben, 0, 10); len(list) > 0 {
		t.Error("a message is here that the log says nothing of")
	}
}
