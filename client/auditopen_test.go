package client

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sotto/client/audit"
	"sotto/client/store"
)

// logged is the audit log of a client, each event without its time and device.
func logged(t testing.TB, c *Client) (list []string) {
	t.Helper()
	if err := c.store.View(ctx, func(tx *store.Tx) error {
		list = nil
		return tx.AuditLines(0, 1<<20, func(_ int64, line, _ []byte) {
			list = append(list, strings.Join(strings.Split(string(line), " ")[4:], " "))
		})
	}); err != nil {
		t.Fatal(err)
	}
	return list
}

// logs waits until the log of a client has an event.
func logs(t testing.TB, c *Client, want string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		list := logged(t, c)
		if slices.Contains(list, want) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the log has no %q:\n%s", want, strings.Join(list, "\n"))
		}
	}
}

func offline(t testing.TB, st *store.Store) *Client {
	t.Helper()
	c, err := New(Config{Account: Account{Address: me}, Store: st, Link: nopConn{}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestUnlockedAndLocked tells of a device's days: in good order, crashed, killed with
// the watch that knew more, and with another PIN.
func TestUnlockedAndLocked(t *testing.T) {
	st, now := memoryStore(t), time.Now()
	happened := func(ago time.Duration, kind audit.Kind, why audit.Reason, n uint32) Happened {
		return Happened{audit.Event{Kind: kind, Reason: why, Count: n}, now.Add(-ago)}
	}
	wrong := happened(3*time.Minute, audit.UnlockFailed, audit.WrongPIN, 2)
	idle := happened(4*time.Minute, audit.Locked, audit.Idle, 0)
	off := happened(2*time.Minute, audit.LoggedOff, audit.Idle, 0)
	for i, day := range []struct {
		o    Opening
		lock audit.Reason
		want string
	}{
		{Opening{PINMark: []byte("a")}, audit.ByPerson, "log-started|unlock"},
		{Opening{Past: []Happened{idle, wrong}, PINMark: []byte("a")}, 0, "lock reason=by-person|unlock-failed reason=wrong-pin count=2|unlock"},
		{Opening{}, 0, "lock reason=crashed|unlock"},
		// The watch has handed over the same once more, and what is new.
		{Opening{Past: []Happened{off, wrong}, Reason: audit.Unattended}, 0, "lock reason=crashed|log-off reason=idle|unlock reason=unattended"},
		{Opening{Past: []Happened{happened(time.Second, audit.Locked, audit.Asleep, 0)}, PINMark: []byte("b")}, audit.Idle, "lock reason=asleep|pin-changed|unlock"},
		{Opening{PINMark: []byte("b")}, 0, "lock reason=idle|unlock"},
	} {
		c := offline(t, st)
		before := len(logged(t, c))
		if i > 0 && day.want[:5] == "lock " && !strings.Contains(day.want, "crashed") && !strings.Contains(day.want, "asleep") {
			before-- // the last day's end
		}
		if err := c.Unlocked(ctx, day.o); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(logged(t, c)[before:], "|"); got != day.want {
			t.Errorf("day %d: %s\nwant   %s", i+1, got, day.want)
		}
		if day.lock != 0 {
			if err := c.Locked(ctx, day.lock, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := offline(t, st)
	if err := c.Locked(ctx, audit.ByPerson, true); err != nil {
		t.Fatal(err)
	}
	if got := logged(t, c); got[len(got)-1] != "log-off reason=by-person" {
		t.Errorf("the end: %q", got[len(got)-2:])
	}
	report := verified(t, c)
	if !report.Sound() || report.Uncovered != 0 || report.Last.Tree.N != report.Size {
		t.Error(report.Words())
	}
}

func verified(t testing.TB, c *Client) (r *audit.Report) {
	t.Helper()
	if err := c.store.Update(ctx, func(tx *store.Tx) error {
		k, err := c.auditKey(tx)
		if err != nil {
			return err
		}
		r, err = c.auditLog.Verify(tx, k.Public().(ed25519.PublicKey), nil)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestUnlockedLater has the log full at first: the person is let in, and it is
// written once it can be.
func TestUnlockedLater(t *testing.T) {
	c := offline(t, memoryStore(t))
	c.ctx = ctx
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := c.Unlocked(gone, Opening{}); err == nil {
		t.Fatal("written with a context that is over")
	}
	if got := logged(t, c); len(got) > 0 {
		t.Fatalf("logged %q", got)
	}
	c.tickOpening()
	c.tickOpening()
	if got := fmt.Sprint(logged(t, c)); got != "[log-started unlock]" {
		t.Errorf("logged %v", got)
	}
}
