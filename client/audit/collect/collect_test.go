package collect_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sotto/client/audit"
	"sotto/client/audit/collect"
	"sotto/client/store"
)

var (
	alice = audit.Device{Owner: audit.PersonOf("alice@hospital.example"), ID: 27183}
	ben   = audit.PersonOf("ben@hospital.example")
	noon  = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

	collectorKey = key(200)
	collector    = func() *audit.CollectorKey {
		k, err := audit.NewCollectorKey("audit.hospital.example", collectorKey.Public().(ed25519.PublicKey))
		if err != nil {
			panic(err)
		}
		return k
	}()
)

func key(fill byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{fill}, ed25519.SeedSize))
}

// keyOf is the key of a device in the directory of these tests.
func keyOf(d audit.Device) ed25519.PrivateKey { return key(byte(d.ID)) }

func lookup(d audit.Device) (ed25519.PublicKey, bool) {
	return keyOf(d).Public().(ed25519.PublicKey), d.Owner.Domain() == "hospital.example"
}

func openIn(t testing.TB, dir string) *collect.Collector {
	t.Helper()
	c, findings, err := collect.Open(dir, collector, collectorKey, lookup, noon)
	if err != nil {
		t.Fatal(err)
	}
	if len(findings) > 0 {
		t.Errorf("at open: %v", findings)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// later is the collector's clock, an hour ahead of what devices begin with.
var later = noon.Add(time.Hour)

func take(t testing.TB, c *collect.Collector, from audit.Device, batch []byte) ([]byte, []collect.Finding) {
	t.Helper()
	answer, findings, err := c.Take(from, batch, later)
	if err != nil {
		t.Fatal(err)
	}
	return answer, findings
}

// deliver sends all that a device has, and its answers back.
func deliver(t testing.TB, c *collect.Collector, d *device, limit int) {
	t.Helper()
	for range 1000 {
		before := d.state().Next
		answer, findings := take(t, c, d.id, d.batch(limit))
		if len(findings) > 0 {
			t.Fatalf("findings: %v", findings)
		}
		if err := d.confirm(answer); err != nil {
			t.Fatal(err)
		}
		if d.state().Next == before {
			return
		}
	}
	t.Fatal("it does not come to an end")
}

func kinds(findings []collect.Finding) string {
	var list []string
	for _, f := range findings {
		if f.What == "" || f.String() == "" {
			list = append(list, "wordless")
		}
		list = append(list, f.Kind.String())
	}
	return strings.Join(list, " ")
}

func verify(t testing.TB, dir string, seals ...*collect.Seal) *collect.FolderReport {
	t.Helper()
	r, err := collect.Verify(dir, collect.Verifying{Collector: collector, Seals: seals, Key: lookup})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func words(r *collect.FolderReport) string {
	all := r.Problems
	for _, l := range r.Logs {
		if !l.Sound() {
			all = append(all, l.Words())
		}
	}
	return strings.Join(all, "\n")
}

func TestCollects(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	c := openIn(t, dir)
	devices := []*device{newDevice(t, alice), newDevice(t, audit.Device{Owner: ben, ID: 5}), newDevice(t, audit.Device{Owner: audit.PersonOf("ärztin+%@hospital.example"), ID: 6})}
	for round := range 4 {
		for i, d := range devices {
			d.grow(30 + i)
			deliver(t, c, d, 7+10*round)
		}
		if round == 1 {
			c.Close()
			c = openIn(t, dir)
		}
	}
	if _, err := c.Seal(later); err != nil {
		t.Fatal(err)
	}
	last, ok, err := c.Last(alice)
	if err != nil || !ok || last.Tree.N != 121 || !last.Received.Equal(later) {
		t.Errorf("%+v %v %v", last, ok, err)
	}
	c.Close()
	r := verify(t, dir)
	if !r.Sound() || len(r.Logs) != 3 || !r.Sealed.Equal(later) {
		t.Errorf("%+v\n%s", r, words(r))
	}
	events := 0
	if _, err := collect.Verify(dir, collect.Verifying{Collector: collector, Each: func(audit.Entry) { events++ }}); err != nil || events != 121+125+129 {
		t.Errorf("%d events %v", events, err)
	}
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if info, _ := d.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is open to others: %v %v", path, info.Mode(), err)
		}
		return err
	})
	// Device and collector agree on what may be removed.
	d := devices[0]
	d.update(func(tx *store.Tx) error {
		n, err := d.log.Prune(tx, d.now, d.now.Add(time.Hour))
		if n != 121 {
			t.Errorf("%d removed", n)
		}
		return err
	})
	c = openIn(t, dir)
	d.grow(5)
	deliver(t, c, d, 100)
}

func TestOneAtATime(t *testing.T) {
	dir := t.TempDir()
	c := openIn(t, dir)
	if _, _, err := collect.Open(dir, collector, collectorKey, lookup, noon); err == nil {
		t.Error("opened twice")
	}
	c.Close()
	openIn(t, dir)
}

// TestLossBeforeSending notices that events are gone that never were sent: what a
// checkpoint says of the whole log is enough.
func TestLossBeforeSending(t *testing.T) {
	c := openIn(t, t.TempDir())
	d, old := newDevice(t, alice), newDevice(t, alice)
	d.grow(30)
	old.grow(20)
	if _, findings := take(t, c, alice, d.batch(10)); len(findings) > 0 {
		t.Fatal(findings)
	}
	old.now = d.now.Add(time.Minute)
	if _, findings := take(t, c, alice, old.batch(15)); kinds(findings) != "truncated" {
		t.Errorf("%v", findings)
	}
}

func TestSilence(t *testing.T) {
	dir := t.TempDir()
	c := openIn(t, dir)
	quiet := audit.Device{Owner: ben, ID: 5}
	devices := map[audit.Device]time.Time{alice: later.Add(-2 * time.Hour), quiet: later.Add(-2 * time.Hour), {Owner: ben, ID: 6}: later.Add(2 * time.Hour)} // the last has just joined
	silent := func(after time.Duration) string {
		t.Helper()
		list, err := c.Silent(later.Add(after), time.Hour, devices)
		if err != nil {
			t.Fatal(err)
		}
		var out string
		for _, f := range list {
			out += fmt.Sprint(f.Device.ID, " ", f.Kind, " ", strings.Contains(f.What, "ever"), ";")
		}
		return out
	}
	if got := silent(0); got != "27183 silent true;5 silent true;" {
		t.Error(got)
	}
	d := newDevice(t, alice)
	d.grow(3)
	deliver(t, c, d, 10)
	for range 2 {
		if got := silent(time.Hour); got != "5 silent true;" {
			t.Error(got)
		}
		if got := silent(time.Hour + time.Second); got != "27183 silent false;5 silent true;" {
			t.Error(got)
		}
		c.Close()
		c = openIn(t, dir) // the collector knows it after a restart, too
	}
	// A sign of life has no events.
	if _, findings, err := c.Take(alice, d.batch(0), later.Add(2*time.Hour)); err != nil || len(findings) > 0 {
		t.Errorf("%v %v", findings, err)
	}
	if got := silent(3 * time.Hour); got != "5 silent true;" {
		t.Error(got)
	}
	// An old one once more is none.
	empty := newDevice(t, quiet)
	b := empty.batch(0)
	if _, findings := take(t, c, quiet, b); len(findings) != 0 {
		t.Errorf("a log without events: %v", findings)
	}
	if _, findings, _ := c.Take(quiet, b, later.Add(3*time.Hour)); kinds(findings) != "replay" {
		t.Errorf("%v", findings)
	}
	if got := silent(3 * time.Hour); got != "5 silent false;" {
		t.Error(got)
	}
	c.Close()
	c = openIn(t, dir)
	if got := silent(time.Hour); got != "" {
		t.Error(got)
	}
}

func TestClocks(t *testing.T) {
	c := openIn(t, t.TempDir())
	d := newDevice(t, alice)
	d.grow(10)
	deliver(t, c, d, 100)
	d.now = d.now.Add(-20 * time.Second)
	d.grow(2)
	d.now = d.now.Add(time.Minute)
	if _, findings := take(t, c, alice, d.batch(100)); kinds(findings) != "clock-back" || !strings.Contains(findings[0].What, "at event 11") {
		t.Errorf("%v", findings)
	}
	d.now = later.Add(time.Hour)
	if _, findings := take(t, c, alice, d.batch(100)); kinds(findings) != "clock-ahead" {
		t.Errorf("%v", findings)
	}
	d2 := newDevice(t, audit.Device{Owner: ben, ID: 5})
	d2.grow(3)
	d2.now = d2.now.Add(-3 * time.Second) // as clocks do that are set
	d2.grow(3)
	deliver(t, c, d2, 100)
}

// TestAnotherKeyNeedsAnotherDevice changes the directory beneath a log.
func TestAnotherKeyNeedsAnotherDevice(t *testing.T) {
	dir := t.TempDir()
	c := openIn(t, dir)
	d := newDevice(t, alice)
	d.grow(3)
	deliver(t, c, d, 100)
	c.Close()
	c, _, err := collect.Open(dir, collector, collectorKey, func(audit.Device) (ed25519.PublicKey, bool) { return key(99).Public().(ed25519.PublicKey), true }, noon)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d.grow(3)
	if _, findings := take(t, c, alice, d.batch(10)); kinds(findings) != "spoilt" {
		t.Errorf("%v", findings)
	}
	r, err := collect.Verify(dir, collect.Verifying{Collector: collector, Key: func(audit.Device) (ed25519.PublicKey, bool) { return key(99).Public().(ed25519.PublicKey), true }})
	if err != nil || r.Sound() {
		t.Errorf("%v %s", err, words(r))
	}
}

// TestNothingBegunForNoise holds that what is not signed leaves nothing behind.
func TestNothingBegunForNoise(t *testing.T) {
	dir := t.TempDir()
	c := openIn(t, dir)
	d, other := newDevice(t, alice), newDevice(t, audit.Device{Owner: ben, ID: 5})
	d.grow(3)
	take(t, c, other.id, d.batch(10))
	take(t, c, alice, []byte("x"))
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 { // the lock, and the key
		t.Errorf("%v %v", entries, err)
	}
}

// TestOlderClaimsDoNotHide accepts a batch that was signed before what is here, and
// still knows how many events there were.
func TestOlderClaimsDoNotHide(t *testing.T) {
	dir := t.TempDir()
	c := openIn(t, dir)
	d := newDevice(t, alice)
	d.grow(29)
	early := d.batch(10) // of 30
	d.grow(20)
	old := newDevice(t, alice)
	old.grow(35)
	if _, findings := take(t, c, alice, d.batch(5)); len(findings) > 0 { // of 50
		t.Fatal(findings)
	}
	if _, findings := take(t, c, alice, early); len(findings) > 0 {
		t.Fatal(findings)
	}
	for range 2 {
		old.now = d.now.Add(time.Minute) // 36 of the same history
		if _, findings := take(t, c, alice, old.batch(100)); kinds(findings) != "truncated" {
			t.Errorf("%v", findings)
		}
		c.Close()
		c = openIn(t, dir)
	}
}

func FuzzTake(f *testing.F) {
	c := openIn(f, f.TempDir())
	d := newDevice(f, alice)
	d.grow(5)
	b := d.batch(3)
	f.Add(b)
	answer, _ := take(f, c, alice, b)
	if err := d.confirm(answer); err != nil {
		f.Fatal(err)
	}
	honest := d.batch(10)
	f.Add(honest)
	f.Fuzz(func(t *testing.T, data []byte) {
		_, findings, err := c.Take(alice, data, later)
		if err != nil {
			t.Fatal(err)
		}
		if len(findings) == 0 && !bytes.Equal(data, b) && !bytes.Equal(data, honest) {
			t.Fatalf("%q was taken", data)
		}
	})
}

func FuzzOpenSeal(f *testing.F) {
	dir := f.TempDir()
	c := openIn(f, dir)
	d := newDevice(f, alice)
	d.grow(5)
	deliver(f, c, d, 100)
	msg, err := c.Seal(later)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(msg)
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := collect.OpenSeal(data, collector); err == nil && !bytes.Equal(data, msg) {
			t.Fatalf("%q is genuine", data)
		}
	})
}
