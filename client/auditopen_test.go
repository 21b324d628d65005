package client

import (
	"context"
	"crypto/ed25519"
	"errors"
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

// TestUnlockedNeverUnlogged: an opening that could not be written is, before the lock.
func TestUnlockedNeverUnlogged(t *testing.T) {
	c := offline(t, memoryStore(t))
	gone, cancel := context.WithCancel(ctx)
	cancel()
	wrong := Happened{audit.Event{Kind: audit.UnlockFailed, Reason: audit.WrongPIN, Count: 9}, time.Now().Add(-time.Minute)}
	if err := c.Unlocked(gone, Opening{Past: []Happened{wrong}}); err == nil || errors.Is(err, ErrUnloggedAccess) {
		t.Fatalf("with a context that is over: %v", err)
	}
	if err := c.Locked(ctx, audit.Idle, false); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(logged(t, c), "|"); got != "log-started|unlock-failed reason=wrong-pin count=9|unlock|lock reason=idle" {
		t.Errorf("logged %s", got)
	}
}

// TestUnloggedAccess: nobody is let in, by the recovery key or by a PIN that may have
// been set with it, while the log does not have that. Once it has, that keeps nobody out.
func TestUnloggedAccess(t *testing.T) {
	st, then := memoryStore(t), time.Now().Add(-48*time.Hour)
	access := Access{ID: [8]byte{1}, Time: then, Reason: "forgotten-pin", Words: "a forgotten PIN", By: "grace@ward.example"}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if err := offline(t, st).Unlocked(ctx, Opening{}); err != nil { // the log has begun before
		t.Fatal(err)
	}
	for _, recovered := range []bool{true, false} {
		if err := offline(t, st).Unlocked(gone, Opening{Accesses: []Access{access}, Recovered: recovered}); !errors.Is(err, ErrUnloggedAccess) {
			t.Errorf("recovered %v: %v", recovered, err)
		}
	}
	c := offline(t, st)
	if err := c.Unlocked(ctx, Opening{Accesses: []Access{access}}); err != nil {
		t.Fatal(err)
	}
	if err := c.Unlocked(gone, Opening{Accesses: []Access{access}}); err == nil || errors.Is(err, ErrUnloggedAccess) {
		t.Errorf("once it is logged: %v", err)
	}
	if err := st.View(ctx, func(tx *store.Tx) error {
		return tx.AuditLines(0, 10, func(_ int64, line, _ []byte) {
			is := strings.Contains(string(line), " "+then.UTC().Format("2006-01-02T15:04:05.000Z")+" ")
			if strings.Contains(string(line), "emergency-access") != is {
				t.Errorf("the access was at %v: %s", then.UTC(), line)
			}
		})
	}); err != nil {
		t.Fatal(err)
	}
}

// TestPastOfAnotherClock: what happened counts, whatever the clock has said before or
// was when it did.
func TestPastOfAnotherClock(t *testing.T) {
	st, now := memoryStore(t), time.Now()
	wrong := func(at time.Time, n uint32) Opening {
		return Opening{Past: []Happened{{audit.Event{Kind: audit.UnlockFailed, Reason: audit.WrongPIN, Count: n}, at}}}
	}
	c := offline(t, st)
	if err := st.Update(ctx, func(tx *store.Tx) error {
		o, year := wrong(now.Add(364*24*time.Hour), 1), now.Add(365*24*time.Hour)
		return c.opened(tx, &o, year)
	}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Unlocked(ctx, wrong(now.Add(-time.Minute), 9)), c.Unlocked(ctx, wrong(now.Add(time.Hour), 5))); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(logged(t, c), "|")
	for _, want := range []string{"count=1", "count=9", "count=5"} {
		if strings.Count(got, "unlock-failed reason=wrong-pin "+want) != 1 {
			t.Errorf("%s: logged %s", want, got)
		}
	}
}
