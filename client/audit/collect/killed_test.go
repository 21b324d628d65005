package collect_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sotto/client/audit"
	"sotto/client/audit/collect"
	"sotto/internal/crash"
)

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
