package collect_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"sotto/client/audit"
)

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
