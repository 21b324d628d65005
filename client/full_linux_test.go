package client

import (
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"

	"github.com/awnumar/memguard"
	"golang.org/x/sys/unix"

	"sotto/client/store"
)

// limitFiles forbids this process to make a file longer than n bytes, as a full
// disk would. It returns what gives the space back.
func limitFiles(t *testing.T, n int64) (restore func()) {
	t.Helper()
	signal.Ignore(unix.SIGXFSZ)
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: uint64(n), Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	restore = func() {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &was); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(restore)
	return restore
}

func TestFullDiskLosesNothing(t *testing.T) {
	dir := t.TempDir()
	st, err := store.Open(ctx, filepath.Join(dir, "sotto.db"), memguard.NewBufferRandom(store.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	d := newDouble(t)
	c := run(t, st, d.attach(1))
	wait(t, c, func(CaughtUp) bool { return true })
	d.published(c)
	r := newRemote(t, d, ada)
	r.start(d, c)
	d.deliver(r.write(c, "m0", "before"))
	wait(t, c, func(x MessageAdded) bool { return x.Message.Body.String() == "before" })
	d.sent(isReceipt)
	eventually(t, "it is acknowledged", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.stored == d.seq
	})

	wal, err := os.Stat(filepath.Join(dir, "sotto.db-wal"))
	if err != nil {
		t.Fatal(err)
	}
	restore := limitFiles(t, wal.Size())
	d.mu.Lock()
	before := d.stored
	d.mu.Unlock()
	d.deliver(r.write(c, "m1", "while full"))
	d.deliver(r.write(c, "m2", "and another"))
	wait(t, c, func(x NoticeEvent) bool {
		return strings.Contains(x.Text.String(), "New messages cannot be stored") && strings.Contains(x.Text.String(), "disk is full")
	})
	if _, err := c.Send(ctx, ada, "mine"); err == nil || !strings.Contains(err.Error(), "disk is full") {
		t.Errorf("sending on a full disk: %v", err)
	}
	d.mu.Lock()
	if d.stored != before {
		t.Error("something was acknowledged that is not stored")
	}
	d.mu.Unlock()
	restore()
	wait(t, c, func(x NoticeEvent) bool { return strings.Contains(x.Text.String(), "stored again") })
	eventually(t, "everything is stored and acknowledged", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.stored == d.seq
	})
	if got := bodies(t, c, ada); got != "before|while full|and another" {
		t.Errorf("conversation is %q", got)
	}
}
