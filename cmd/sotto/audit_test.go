package main

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sotto/client/audit"
	"sotto/client/audit/collect"
	"sotto/client/store"
)

// logs makes a collector's folder with the logs of devices, each from several batches,
// sealed, and returns the key and the seal.
func logs(t testing.TB, dir string, devices, events int) (key string, seal []byte) {
	t.Helper()
	secret := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize))
	public, err := audit.NewCollectorKey("hospital.example", secret.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	own := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	c, _, err := collect.Open(dir, public, secret, func(audit.Device) (ed25519.PublicKey, bool) { return own.Public().(ed25519.PublicKey), true }, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range devices {
		st, err := store.OpenMemory(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d := audit.Device{Owner: audit.PersonOf(fmt.Sprintf("p%d@hospital.example", i)), ID: 7}
		l, err := audit.New(d)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		for range 4 {
			if err := st.Update(t.Context(), func(tx *store.Tx) error {
				for n := range events / 4 {
					at = at.Add(time.Second)
					if err := tx.Log(l, at, audit.Event{Kind: audit.MessageReceived, Peer: audit.PersonOf("ben@hospital.example"), Message: audit.IDOf(fmt.Sprintf("%032x", n))}); err != nil {
						return err
					}
				}
				b, _, err := l.Batch(tx, at, own, audit.MaxLines)
				if err != nil {
					return err
				}
				data, found, err := c.Take(d, b.Marshal(), at)
				if err != nil || len(found) > 0 {
					return fmt.Errorf("%v %w", found, err)
				}
				a, err := audit.ParseAnswer(data)
				if err != nil {
					return err
				}
				return l.Confirm(tx, a, own.Public().(ed25519.PublicKey), public)
			}); err != nil {
				t.Fatal(err)
			}
		}
		st.Close()
	}
	if seal, err = c.Seal(time.Now()); err != nil {
		t.Fatal(err)
	}
	return public.String(), seal
}

// verifies runs sotto audit verify.
func verifies(dir, key string) error {
	f := folder{key: key}
	r, err := f.verify(dir, nil)
	if err != nil {
		return err
	}
	return sound(io.Discard, r)
}

// TestAuditVerifyFindsTampering flips a byte of a collector's folder, or cuts off the
// end of a file, a thousand times at random. sotto audit verify finds it each time.
func TestAuditVerifyFindsTampering(t *testing.T) {
	dir := t.TempDir()
	key, _ := logs(t, dir, 3, 24)
	if err := verifies(dir, key); err != nil {
		t.Fatal(err)
	}
	var files []string
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != "lock" {
			files = append(files, path)
		}
		return err
	}); err != nil || len(files) != 2+3*3 {
		t.Fatal(files, err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range 1000 {
		path := files[r.IntN(len(files))]
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		bad, what := bytes.Clone(good), ""
		if at := r.IntN(len(good)); i%2 == 0 {
			bit := byte(1) << r.IntN(8)
			bad[at] ^= bit
			what = fmt.Sprintf("bit %d of byte %d", bit, at)
		} else {
			bad, what = bad[:at], fmt.Sprintf("all from byte %d on", at)
		}
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := verifies(dir, key); err == nil {
			t.Errorf("%s of %s changed, and it is not noticed", what, path)
		} else if code := exit(0); errors.As(err, &code) && code != codeUnsound {
			t.Errorf("exit code %d", code)
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := verifies(dir, key); err != nil {
		t.Errorf("put right again: %v", err)
	}
	// A log that is gone with all its files is missed by the seal.
	if err := os.RemoveAll(filepath.Dir(files[0])); err != nil {
		t.Fatal(err)
	}
	if err := verifies(dir, key); err == nil {
		t.Error("a log is gone, and it is not noticed")
	}
}

// TestAuditExport writes a folder in each format, filtered.
func TestAuditExport(t *testing.T) {
	dir := t.TempDir()
	key, _ := logs(t, dir, 2, 40)
	for format, begins := range map[string]string{"csv": "time,owner,", "fhir": `{"resourceType":"AuditEvent"`, "syslog": "<110>1 2026-"} {
		x := exporting{folder: folder{key: key, person: "p1@hospital.example", kinds: []string{"message-received"}, after: "2026-11-22T12:00:30Z"}, format: format}
		x.output = filepath.Join(t.TempDir(), "out")
		if err := x.read(); err != nil {
			t.Fatal(err)
		}
		if err := x.run(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(x.output)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Count(string(b), "\n")
		if format == "csv" {
			lines--
		}
		if !strings.HasPrefix(string(b), begins) || lines != 11 {
			t.Errorf("%s: %d lines that begin %.80q", format, lines, b)
		}
		if err := x.run(t.Context(), dir); err == nil {
			t.Errorf("%s: written over a file that was there", format)
		}
	}
	for _, wrong := range []folder{{person: "no address"}, {device: "alice"}, {kinds: []string{"tea"}}, {after: "yesterday"}, {before: "1"}} {
		if err := wrong.read(); err == nil {
			t.Errorf("%+v is taken", wrong)
		}
	}
}
