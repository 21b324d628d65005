package collect_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sotto/client/audit"
	"sotto/client/audit/collect"
)

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
