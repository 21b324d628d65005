package collect_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"sotto/client/audit"
	"sotto/client/audit/collect"
	"sotto/client/store"
	"sotto/internal/crash"
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

// device is a device with its log in a database in memory.
type device struct {
	t   testing.TB
	id  audit.Device
	s   *store.Store
	log *audit.Log
	now time.Time
}

func newDevice(t testing.TB, id audit.Device) *device {
	t.Helper()
	s, err := store.OpenMemory(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	l, err := audit.New(id)
	if err != nil {
		t.Fatal(err)
	}
	return &device{t, id, s, l, noon}
}

func (d *device) update(fn func(*store.Tx) error) {
	d.t.Helper()
	if err := d.s.Update(context.Background(), fn); err != nil {
		d.t.Fatal(err)
	}
}

func (d *device) grow(n int) {
	d.say(n, audit.Event{Kind: audit.MessageShown, Peer: ben, Message: audit.IDOf("x")})
}

func (d *device) say(n int, e audit.Event) {
	d.t.Helper()
	d.update(func(tx *store.Tx) error {
		for range n {
			d.now = d.now.Add(time.Second)
			if _, err := d.log.Append(tx, d.now, e); err != nil {
				return err
			}
		}
		return nil
	})
}

func (d *device) batch(limit int) []byte {
	d.t.Helper()
	var b *audit.Batch
	d.update(func(tx *store.Tx) (err error) {
		d.now = d.now.Add(time.Second)
		b, _, err = d.log.Batch(tx, d.now, keyOf(d.id), limit)
		return err
	})
	return b.Marshal()
}

func (d *device) confirm(answer []byte) error {
	a, err := audit.ParseAnswer(answer)
	if err != nil {
		d.t.Fatal(err)
	}
	public, _ := lookup(d.id)
	return d.s.Update(context.Background(), func(tx *store.Tx) error { return d.log.Confirm(tx, a, public, collector) })
}

func (d *device) state() (s audit.State) {
	d.update(func(tx *store.Tx) (err error) { s, err = tx.AuditState(); return err })
	return s
}

// rewind has a log that is sent from another place on.
func (d *device) rewind(next int64) {
	d.update(func(tx *store.Tx) error {
		s, err := tx.AuditState()
		if err != nil {
			return err
		}
		s.Next = next
		return tx.SetAuditState(s)
	})
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

// TestHostileBatches sends what no honest device sends. Nothing of it is kept.
func TestHostileBatches(t *testing.T) {
	dir := t.TempDir()
	c := openIn(t, dir)
	d := newDevice(t, alice)
	d.grow(20)
	deliver(t, c, d, 100)
	d.grow(10)
	good := d.batch(100)
	other := newDevice(t, audit.Device{Owner: ben, ID: 5})
	other.grow(5)
	stranger := newDevice(t, audit.Device{Owner: audit.PersonOf("eve@elsewhere.example"), ID: 5})
	stranger.grow(5)
	change := func(fn func(*audit.Batch)) []byte {
		b, err := audit.ParseBatch(bytes.Clone(good))
		if err != nil {
			t.Fatal(err)
		}
		fn(b)
		return b.Marshal()
	}
	line := func(seq int64, of audit.Device, kind audit.Kind) []byte {
		l, err := (audit.Entry{Seq: seq, Time: noon, Device: of, Event: audit.Event{Kind: kind}}).Line()
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	before := tree(t, dir)
	for name, x := range map[string]struct {
		from  audit.Device
		batch []byte
		want  string
	}{
		"noise":                   {alice, []byte("hello"), "unreadable"},
		"nothing":                 {alice, nil, "unreadable"},
		"cut off":                 {alice, good[:len(good)/2], "unreadable"},
		"an unknown device":       {stranger.id, stranger.batch(10), "unknown-device"},
		"another's as one's own":  {alice, other.batch(10), "redirected"},
		"by another's session":    {other.id, good, "redirected"},
		"a broken signature":      {alice, change(func(b *audit.Batch) { b.Checkpoint[len(b.Checkpoint)-9] ^= 2 }), "bad-signature"},
		"a line changed":          {alice, change(func(b *audit.Batch) { b.Lines[3] = line(24, alice, audit.Unlocked) }), "inconsistent"},
		"a line of another":       {alice, change(func(b *audit.Batch) { b.Lines[3] = line(24, other.id, audit.Unlocked) }), "inconsistent"},
		"a line that is none":     {alice, change(func(b *audit.Batch) { b.Lines[3] = []byte("1 24 hello") }), "inconsistent"},
		"two lines exchanged":     {alice, change(func(b *audit.Batch) { b.Lines[3], b.Lines[4] = b.Lines[4], b.Lines[3] }), "reordered"},
		"a line left out":         {alice, change(func(b *audit.Batch) { b.Lines = append(b.Lines[:3:3], b.Lines[4:]...) }), "inconsistent"},
		"the last lines left out": {alice, change(func(b *audit.Batch) { b.Lines = b.Lines[:5] }), "inconsistent"},
		"a line put in":           {alice, change(func(b *audit.Batch) { b.Lines = append(b.Lines, line(31, alice, audit.Unlocked)) }), "inconsistent"},
		"a proof of something":    {alice, change(func(b *audit.Batch) { b.Proof[0][0] ^= 1 }), "inconsistent"},
		"without a proof":         {alice, change(func(b *audit.Batch) { b.Proof = nil }), "inconsistent"},
	} {
		_, findings := take(t, c, x.from, x.batch)
		if kinds(findings) != x.want {
			t.Errorf("%s: %v", name, findings)
		}
	}
	if after := tree(t, dir); after != before {
		t.Errorf("something was kept:\n%s\n%s", before, after)
	}
	if answer, findings := take(t, c, alice, good); len(findings) != 0 || d.confirm(answer) != nil {
		t.Errorf("the honest one after all of them: %v", findings)
	}
}

// TestDevicesThatSignNonsense sends what a device with a changed program signs.
func TestDevicesThatSignNonsense(t *testing.T) {
	dir := t.TempDir()
	c := openIn(t, dir)
	line := func(seq int64, of audit.Device) string {
		l, err := (audit.Entry{Seq: seq, Time: noon, Device: of, Event: audit.Event{Kind: audit.Unlocked}}).Line()
		if err != nil {
			t.Fatal(err)
		}
		return string(l)
	}
	for name, x := range map[string]struct {
		lines []string
		want  string
	}{
		"another's line":         {[]string{line(0, alice), line(1, audit.Device{Owner: ben, ID: 5})}, "inconsistent"},
		"a line of another time": {[]string{line(0, alice), line(2, alice)}, "reordered"},
		"the same line twice":    {[]string{line(0, alice), line(0, alice)}, "reordered"},
		"words":                  {[]string{line(0, alice), "Kalium of bed 12 is 6.1"}, "inconsistent"},
		"words at a line's end":  {[]string{line(0, alice) + " note=Kalium"}, "inconsistent"},
		"an event of the future": {[]string{strings.Replace(line(0, alice), "unlock", "teleport", 1)}, "inconsistent"},
		"control characters":     {[]string{line(0, alice) + "\x1b[2J"}, "inconsistent"},
	} {
		var f audit.Frontier
		var b audit.Batch
		for _, l := range x.lines {
			b.Lines = append(b.Lines, []byte(l))
			f.Add(tlog.RecordHash([]byte(l)))
		}
		var err error
		if b.Checkpoint, err = (audit.Checkpoint{Device: alice, Tree: tlog.Tree{N: f.Size(), Hash: f.Root()}, Time: noon}).Sign(keyOf(alice)); err != nil {
			t.Fatal(err)
		}
		_, findings := take(t, c, alice, b.Marshal())
		if kinds(findings) != x.want || strings.Contains(fmt.Sprint(findings), "Kalium") || strings.Contains(fmt.Sprint(findings), "\x1b") {
			t.Errorf("%s: %v", name, findings)
		}
	}
	d := newDevice(t, alice)
	d.grow(3)
	deliver(t, c, d, 10)
}

// tree is what a folder has, with sizes.
func tree(t testing.TB, dir string) string {
	var b strings.Builder
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			info, _ := d.Info()
			fmt.Fprintln(&b, strings.TrimPrefix(path, dir), info.Size())
		}
		return err
	})
	return b.String()
}

// TestRelayThatLosesRepeatsAndReorders delivers batches as a hostile relay may.
func TestRelayThatLosesRepeatsAndReorders(t *testing.T) {
	c := openIn(t, t.TempDir())
	d := newDevice(t, alice)
	d.grow(29)
	var batches [][]byte
	for i := range 3 {
		d.rewind(int64(i * 10))
		batches = append(batches, d.batch(10))
	}
	want := func(i int, kind string) []byte {
		t.Helper()
		answer, findings := take(t, c, alice, batches[i])
		if kinds(findings) != kind {
			t.Errorf("batch %d: %v", i, findings)
		}
		return answer
	}
	answer := want(1, "gap")
	if err := d.confirm(answer); err != nil || d.state().Next != 0 {
		t.Errorf("%v: the device goes on from %d, want the beginning", err, d.state().Next)
	}
	want(0, "")
	want(2, "gap")
	want(0, "replay")
	want(1, "")
	want(0, "replay")
	answer = want(2, "")
	want(1, "replay")
	want(2, "replay")
	if err := d.confirm(answer); err != nil || d.state().Confirmed != 30 {
		t.Errorf("%v, %d confirmed", err, d.state().Confirmed)
	}
	// Answers that were lost: the device sends again, and that is no offence.
	d.grow(10)
	d.rewind(5)
	if _, findings := take(t, c, alice, d.batch(10)); kinds(findings) != "replay" {
		t.Errorf("%v", findings)
	}
	d.rewind(25)
	if _, findings := take(t, c, alice, d.batch(10)); len(findings) != 0 {
		t.Errorf("overlapping: %v", findings)
	}
	if last, _, _ := c.Last(alice); last.Tree.N != 35 || last.Of != 40 {
		t.Errorf("%+v", last)
	}
}

// TestRolledBack puts a device's data back to an older state.
func TestRolledBack(t *testing.T) {
	dir := t.TempDir()
	c := openIn(t, dir)
	d, old := newDevice(t, alice), newDevice(t, alice) // old is what a backup of d holds
	d.grow(20)
	old.grow(20)
	old.now = old.now.Add(time.Second)
	d.grow(10)
	deliver(t, c, d, 100)
	old.now = d.now.Add(time.Minute)
	old.rewind(10)

	answer, findings := take(t, c, alice, old.batch(100))
	if kinds(findings) != "truncated" || answer != nil {
		t.Errorf("shorter: %v", findings)
	}
	old.say(3, audit.Event{Kind: audit.Unlocked})
	answer, findings = take(t, c, alice, old.batch(100))
	if kinds(findings) != "truncated fork" || answer != nil || !strings.Contains(findings[1].What, "at event 21") {
		t.Errorf("shorter and different: %v", findings)
	}
	old.say(30, audit.Event{Kind: audit.Unlocked})
	answer, findings = take(t, c, alice, old.batch(100))
	if kinds(findings) != "fork" || answer != nil || !strings.Contains(findings[0].What, "at event 21") {
		t.Errorf("longer and different: %v", findings)
	}
	// As if the collector had confirmed it: the events before are not sent.
	old.rewind(40)
	if _, findings = take(t, c, alice, old.batch(100)); kinds(findings) != "gap" {
		t.Errorf("%v", findings)
	}
	old.rewind(31)
	if _, findings = take(t, c, alice, old.batch(100)); kinds(findings) != "fork" {
		t.Errorf("continuing with another history: %v", findings)
	}
	// The honest one goes on, and what was signed twice is kept.
	d.grow(5)
	deliver(t, c, d, 100)
	if r := verify(t, dir); !r.Sound() {
		t.Error(words(r))
	}
	evidence, err := os.ReadFile(filepath.Join(dir, "alice@hospital.example-27183", "evidence"))
	if err != nil || bytes.Count(evidence, []byte("sotto-audit/")) != 6 { // three, each with a signature
		t.Errorf("%v\n%s", err, evidence)
	}
	// The device's end sees it as well.
	answer, _ = take(t, c, alice, d.batch(0))
	if err := old.confirm(answer); err == nil {
		t.Error("a device with another history took the answer")
	}
}

// TestSameSizeOtherHistory is a fork without any line being sent.
func TestSameSizeOtherHistory(t *testing.T) {
	c := openIn(t, t.TempDir())
	d, other := newDevice(t, alice), newDevice(t, alice)
	d.grow(10)
	other.say(10, audit.Event{Kind: audit.Unlocked})
	deliver(t, c, d, 100)
	other.now = d.now.Add(time.Minute)
	other.rewind(11)
	if _, findings := take(t, c, alice, other.batch(100)); kinds(findings) != "fork" {
		t.Errorf("%v", findings)
	}
	// And signed earlier than what is here.
	other.now = noon
	if _, findings := take(t, c, alice, other.batch(100)); kinds(findings) != "fork" {
		t.Errorf("%v", findings)
	}
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

// copyDir copies a folder, with one of its files changed.
func copyDir(t testing.TB, from string, change func(name string, content []byte) ([]byte, bool)) string {
	t.Helper()
	to := t.TempDir()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, path)
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		b, keep := change(filepath.ToSlash(rel), b)
		if !keep {
			return nil
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	entries, _ := os.ReadDir(to)
	for _, e := range entries {
		if e.IsDir() {
			os.Remove(filepath.Join(to, e.Name())) // fails unless nothing is in it
		}
	}
	return to
}

// folder makes a folder with two logs, one of which has evidence, and a seal.
func folder(t testing.TB) string {
	dir := t.TempDir()
	c := openIn(t, dir)
	for i := range 2 {
		d := newDevice(t, audit.Device{Owner: ben, ID: uint32(i + 1)})
		for range 2 {
			d.grow(9)
			deliver(t, c, d, 100)
		}
		if i == 0 {
			other := newDevice(t, d.id)
			other.now = d.now.Add(time.Minute)
			other.say(40, audit.Event{Kind: audit.Unlocked})
			if _, findings := take(t, c, d.id, other.batch(100)); kinds(findings) != "fork" {
				t.Fatal(findings)
			}
		}
	}
	if _, err := c.Seal(later); err != nil {
		t.Fatal(err)
	}
	c.Close()
	return dir
}

// TestTamperedFolder flips bits and cuts off in any of the files, a thousand times.
func TestTamperedFolder(t *testing.T) {
	dir := folder(t)
	if r := verify(t, dir); !r.Sound() {
		t.Fatal(words(r))
	}
	files := map[string][]byte{}
	var names []string
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if !d.IsDir() && d.Name() != "lock" {
			b, _ := os.ReadFile(path)
			files[path] = b
			names = append(names, path)
		}
		return err
	})
	if len(names) != 2+2*3+1 {
		t.Fatalf("%v", names)
	}
	try := func(name string, bad []byte, what string) {
		t.Helper()
		if err := os.WriteFile(name, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, dir); r.Sound() {
			t.Errorf("%s %s, and nobody noticed", strings.TrimPrefix(name, dir), what)
		}
		if err := os.WriteFile(name, files[name], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 1000 {
		name := names[rand.IntN(len(names))]
		good := files[name]
		bad := bytes.Clone(good)
		if n%2 == 0 {
			at := rand.IntN(len(bad))
			bad[at] ^= 1 << rand.IntN(8)
			try(name, bad, fmt.Sprintf("has another bit at %d", at))
			continue
		}
		cut := rand.IntN(len(good))
		if strings.HasSuffix(name, "/evidence") && cut == 0 {
			continue // it is what came beside, and no log; see docs/audit.md
		}
		try(name, good[:cut], fmt.Sprintf("ends at %d of %d", cut, len(good)))
	}
	if r := verify(t, dir); !r.Sound() {
		t.Fatal(words(r))
	}
}

// TestTamperedKnowingly does to the folder what somebody would who knows its form.
func TestTamperedKnowingly(t *testing.T) {
	dir := folder(t)
	msg, err := os.ReadFile(filepath.Join(dir, "seal"))
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := collect.OpenSeal(msg, collector)
	if err != nil {
		t.Fatal(err)
	}
	shorter := func(b []byte) []byte { // to the checkpoint before the last
		return b[:bytes.LastIndex(b, []byte("\n\n1 "))+2]
	}
	first := "ben@hospital.example-1/"
	for name, change := range map[string]func(string, []byte) ([]byte, bool){
		"the end of a log, to a checkpoint": func(n string, b []byte) ([]byte, bool) {
			if n == first+"log" {
				b = shorter(b)
			}
			return b, true
		},
		"its last sign of life": func(n string, b []byte) ([]byte, bool) {
			if n == first+"log" {
				b = b[:bytes.LastIndex(b, []byte("\n\n\nsotto-audit/"))+2]
			}
			return b, true
		},
		"the end of a log, and the seal": func(n string, b []byte) ([]byte, bool) {
			if n == first+"log" {
				b = shorter(b)
			}
			return b, n != "seal"
		},
		"a whole log":              func(n string, b []byte) ([]byte, bool) { return b, !strings.HasPrefix(n, first) },
		"a whole log and the seal": func(n string, b []byte) ([]byte, bool) { return b, n != "seal" && !strings.HasPrefix(n, first) },
		"a log's file":             func(n string, b []byte) ([]byte, bool) { return b, n != first+"log" },
		"a log's key":              func(n string, b []byte) ([]byte, bool) { return b, n != first+"key" },
		"its hashes":               func(n string, b []byte) ([]byte, bool) { return b, n != first+"hashes" },
		"everything":               func(n string, b []byte) ([]byte, bool) { return nil, false },
	} {
		bad := copyDir(t, dir, change)
		if r := verify(t, bad, elsewhere); r.Sound() {
			t.Errorf("%s: removed, and nobody noticed", name)
		}
	}
	// With the seal in the folder alone, all but what takes it along is noticed.
	bad := copyDir(t, dir, func(n string, b []byte) ([]byte, bool) {
		if n == first+"log" {
			b = shorter(b)
		}
		return b, true
	})
	if r := verify(t, bad); r.Sound() {
		t.Error("a shorter log is not noticed by the seal in the folder")
	}
	// The collector that opens it notices, too, and adds nothing.
	c, _, err := collect.Open(bad, collector, collectorKey, lookup, noon)
	if err != nil {
		t.Fatal(err)
	}
	d := newDevice(t, audit.Device{Owner: ben, ID: 1})
	d.grow(5)
	if answer, findings := take(t, c, d.id, d.batch(10)); kinds(findings) != "spoilt" || answer != nil {
		t.Errorf("%v", findings)
	}
	if _, findings := take(t, c, d.id, d.batch(10)); kinds(findings) != "spoilt" {
		t.Errorf("once more: %v", findings)
	}
	if _, err := c.Seal(later); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if r := verify(t, bad); r.Sound() {
		t.Error("a new seal made it good")
	}
	// And one whose logs are gone.
	gone := copyDir(t, dir, func(n string, b []byte) ([]byte, bool) { return b, !strings.HasPrefix(n, first) })
	c, findings, err := collect.Open(gone, collector, collectorKey, lookup, noon)
	if err != nil || kinds(findings) != "spoilt" {
		t.Fatalf("%v %v", findings, err)
	}
	if _, findings := take(t, c, d.id, d.batch(10)); kinds(findings) != "spoilt" {
		t.Errorf("begun anew: %v", findings)
	}
	c.Close()
}

// TestInterruptedWrites cuts the last write off at every byte, as a crash does.
// What was answered before is there, and the device sends the rest again.
func TestInterruptedWrites(t *testing.T) {
	dir := t.TempDir()
	c := openIn(t, dir)
	d := newDevice(t, alice)
	d.grow(10)
	deliver(t, c, d, 100)
	path := filepath.Join("alice@hospital.example-27183", "log")
	before, _ := os.ReadFile(filepath.Join(dir, path))
	d.grow(4)
	batch := d.batch(100)
	take(t, c, alice, batch)
	c.Close()
	after, _ := os.ReadFile(filepath.Join(dir, path))
	for cut := len(before); cut < len(after); cut += 1 + rand.IntN(9) {
		crashed := copyDir(t, dir, func(n string, b []byte) ([]byte, bool) {
			if n == filepath.ToSlash(path) {
				b = b[:cut]
			}
			if strings.HasSuffix(n, "/hashes") && cut%2 == 0 { // it is not synced
				b = b[:rand.IntN(len(b))]
			}
			return b, true
		})
		c := openIn(t, crashed)
		answer, findings := take(t, c, alice, batch)
		if k := kinds(findings); k != "interrupted" && !(cut == len(before) && k == "") {
			t.Errorf("cut at %d: %v", cut, findings)
		}
		if a, err := audit.ParseAnswer(answer); err != nil || !bytes.Contains(a.Checkpoint, []byte("\n15\n")) {
			t.Errorf("cut at %d: %v %s", cut, err, answer)
		}
		c.Close()
		if r := verify(t, crashed); !r.Sound() {
			t.Errorf("cut at %d: %s", cut, words(r))
		}
	}
}

// TestKilled kills a collector at random moments. What it answered is there.
func TestKilled(t *testing.T) {
	const env = "SOTTO_TEST_COLLECT"
	if dir := os.Getenv(env); dir != "" {
		c, findings, err := collect.Open(dir, collector, collectorKey, lookup, noon)
		if err != nil || len(findings) > 0 {
			t.Fatal(err, findings)
		}
		s := &stream{t: t, d: alice}
		last, _, err := c.Last(alice)
		if err != nil {
			t.Fatal(err)
		}
		s.batch(int(last.Tree.N)) // what is there already
		for {
			if _, findings, err := c.Take(alice, s.batch(20), later); err != nil || len(findings) > 0 && (len(findings) > 1 || findings[0].Kind != collect.Interrupted) {
				t.Fatal(err, findings)
			}
			fmt.Println(s.f.Size())
		}
	}
	dir := t.TempDir()
	for range 10 {
		said := crash.Kill(t, env, dir, 40*time.Millisecond)
		var answered int64
		if _, err := fmt.Sscan(said[len(said)-1], &answered); err != nil {
			t.Fatalf("%q", said)
		}
		c := openIn(t, dir)
		s := &stream{t: t, d: alice}
		s.batch(int(answered))
		_, findings := take(t, c, alice, s.batch(0)) // of what was answered: that is old
		for _, f := range findings {
			if f.Kind != collect.Interrupted && f.Kind != collect.Replay {
				t.Error(f)
			}
		}
		last, ok, err := c.Last(alice)
		if err != nil || !ok || last.Tree.N < answered || last.Tree.N > answered+20 {
			t.Fatalf("%d answered, %d there, %v", answered, last.Tree.N, err)
		}
		c.Close()
		if r := verify(t, dir); !r.Sound() {
			t.Fatal(words(r))
		}
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
