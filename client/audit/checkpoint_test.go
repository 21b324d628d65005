package audit_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"sotto/client/audit"
)

var someTree = tlog.Tree{N: 42, Hash: tlog.RecordHash([]byte("x"))}

func signed(t testing.TB, c audit.Checkpoint) []byte {
	t.Helper()
	msg, err := c.Sign(deviceKey)
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

func TestCheckpoint(t *testing.T) {
	want := audit.Checkpoint{Device: alice, Tree: someTree, Time: noon, Of: 64}
	msg := signed(t, want)
	text := "sotto-audit/alice@hospital.example/27183\n42\n" + someTree.Hash.String() + "\ntime 2026-11-22T12:08:03.123Z\nof 64\n\n— sotto-audit/alice@hospital.example/27183 "
	if !strings.HasPrefix(string(msg), text) {
		t.Errorf("got\n%s\nwant\n%s", msg, text)
	}
	got, err := audit.OpenCheckpoint(msg, alice, public(deviceKey), nil)
	if err != nil || got != want {
		t.Errorf("got %+v %v", got, err)
	}
	both, err := collector.Cosign(msg, collectorKey, noon.Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	want.Received = noon.Add(time.Minute).Truncate(time.Second)
	if got, err = audit.OpenCheckpoint(both, alice, public(deviceKey), collector); err != nil || got != want {
		t.Errorf("got %+v %v", got, err)
	}
	// Another program of the same standard verifies the device's signature.
	vkey, err := note.NewEd25519VerifierKey(alice.Origin(), public(deviceKey))
	if err != nil {
		t.Fatal(err)
	}
	v, _ := note.NewVerifier(vkey)
	if n, err := note.Open(both, note.VerifierList(v)); err != nil || len(n.UnverifiedSigs) != 1 {
		t.Errorf("%v", err)
	}
	if d, k, err := audit.ParseDeviceKey(vkey); err != nil || d != alice || !k.Equal(public(deviceKey)) {
		t.Errorf("%v %v", d, err)
	}
	if back, err := audit.ParseCollectorKey(collector.String()); err != nil || back.String() != collector.String() {
		t.Errorf("%v", err)
	}
}

// TestAnyByteOfACheckpoint changes each byte in several ways.
func TestAnyByteOfACheckpoint(t *testing.T) {
	msg, err := collector.Cosign(signed(t, audit.Checkpoint{Device: alice, Tree: someTree, Time: noon}), collectorKey, noon)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := audit.OpenCheckpoint(msg, alice, public(deviceKey), collector); err != nil {
		t.Fatal(err)
	}
	refused := func(bad []byte, what string, i int) {
		t.Helper()
		if _, err := audit.OpenCheckpoint(bad, alice, public(deviceKey), collector); !errors.Is(err, audit.ErrSignature) && !errors.Is(err, audit.ErrCheckpoint) {
			t.Errorf("%s at %d: %v", what, i, err)
		}
	}
	for i := range msg {
		for bit := range 8 {
			bad := bytes.Clone(msg)
			bad[i] ^= 1 << bit
			refused(bad, "flipped", i)
		}
		bad := bytes.Clone(msg)
		if bad[i] = byte(rand.Int()); bad[i] != msg[i] {
			refused(bad, "changed", i)
		}
		refused(msg[:i], "cut off", i)
		refused(append(bytes.Clone(msg[:i]), msg[i+1:]...), "removed", i)
		for _, extra := range []string{"\r", "\n", "A", "="} {
			refused([]byte(string(msg[:i])+extra+string(msg[i:])), "added "+extra, i)
		}
	}
	refused(append(bytes.Clone(msg), msg...), "twice", 0)
}

func TestCheckpointsThatAreRefused(t *testing.T) {
	other := audit.Device{Owner: alice.Owner, ID: 5}
	mine := signed(t, audit.Checkpoint{Device: alice, Tree: someTree, Time: noon})
	for name, err := range map[string]error{
		"of another device":                 second(audit.OpenCheckpoint(mine, other, public(deviceKey), nil)),
		"of another key":                    second(audit.OpenCheckpoint(mine, alice, public(key(7)), nil)),
		"without the collector's signature": second(audit.OpenCheckpoint(mine, alice, public(deviceKey), collector)),
		"of a key that is none":             second(audit.OpenCheckpoint(mine, alice, nil, nil)),
		"too long":                          second(audit.OpenCheckpoint(bytes.Repeat([]byte{'x'}, audit.MaxCheckpoint+1), alice, public(deviceKey), nil)),
	} {
		if !errors.Is(err, audit.ErrSignature) && !errors.Is(err, audit.ErrCheckpoint) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What the device itself signs may be nonsense, too.
	for name, text := range map[string]string{
		"another origin":  "go.sum database tree\n42\n" + someTree.Hash.String() + "\ntime 2026-11-22T12:08:03.123Z\nof 42\n",
		"another device":  "sotto-audit/alice@hospital.example/5\n42\n" + someTree.Hash.String() + "\ntime 2026-11-22T12:08:03.123Z\nof 42\n",
		"a negative size": alice.Origin() + "\n-1\n" + someTree.Hash.String() + "\ntime 2026-11-22T12:08:03.123Z\nof 42\n",
		"a huge size":     alice.Origin() + "\n9223372036854775807\n" + someTree.Hash.String() + "\ntime 2026-11-22T12:08:03.123Z\nof 9223372036854775807\n",
		"more than all":   alice.Origin() + "\n42\n" + someTree.Hash.String() + "\ntime 2026-11-22T12:08:03.123Z\nof 41\n",
		"no time":         alice.Origin() + "\n42\n" + someTree.Hash.String() + "\ntime now\nof 42\n",
		"a short root":    alice.Origin() + "\n42\nAAAA\ntime 2026-11-22T12:08:03.123Z\nof 42\n",
		"a line more":     alice.Origin() + "\n42\n" + someTree.Hash.String() + "\ntime 2026-11-22T12:08:03.123Z\nof 42\nx\n",
		"a line less":     alice.Origin() + "\n42\n" + someTree.Hash.String() + "\ntime 2026-11-22T12:08:03.123Z\n",
		"an early zero":   alice.Origin() + "\n042\n" + someTree.Hash.String() + "\ntime 2026-11-22T12:08:03.123Z\nof 42\n",
	} {
		msg, err := note.Sign(&note.Note{Text: text}, deviceSigner{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := audit.OpenCheckpoint(msg, alice, public(deviceKey), nil); !errors.Is(err, audit.ErrCheckpoint) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second(_ audit.Checkpoint, err error) error { return err }

// deviceSigner signs any text as the device.
type deviceSigner struct{}

func (deviceSigner) Name() string { return alice.Origin() }
func (deviceSigner) KeyHash() uint32 {
	vkey, _ := note.NewEd25519VerifierKey(alice.Origin(), public(deviceKey))
	v, _ := note.NewVerifier(vkey)
	return v.KeyHash()
}
func (deviceSigner) Sign(msg []byte) ([]byte, error) { return deviceKey.Sign(nil, msg, cryptoHash0) }

func TestOriginsOfAllAddresses(t *testing.T) {
	for _, jid := range []string{"a+b@h.example", "a%2Bb@h.example", "100%@h.example", "ärztin@h.example", "%25+%2B@h"} {
		d := audit.Device{Owner: audit.PersonOf(jid), ID: 1}
		msg := signed(t, audit.Checkpoint{Device: d, Tree: someTree, Time: noon})
		if c, err := audit.OpenCheckpoint(msg, d, public(deviceKey), nil); err != nil || c.Device != d {
			t.Errorf("%s: %+v %v", jid, c, err)
		}
		vkey, err := note.NewEd25519VerifierKey(d.Origin(), public(deviceKey))
		if back, _, err2 := audit.ParseDeviceKey(vkey); err != nil || err2 != nil || back != d {
			t.Errorf("%s: %v %v %v", jid, back, err, err2)
		}
	}
}

func TestCollectorKeysThatAreRefused(t *testing.T) {
	good := collector.String()
	for _, s := range []string{"", "x", good + "x", good[:len(good)-2], strings.Replace(good, "audit.", "audit2.", 1), strings.ToUpper(good), "a b" + good, strings.Repeat("x", 600)} {
		if _, err := audit.ParseCollectorKey(s); err == nil {
			t.Errorf("%.40q is a key", s)
		}
	}
	for _, name := range []string{"", "a b", "a+b", "a\n", "\x1b", strings.Repeat("x", 256), "\xff"} {
		if _, err := audit.NewCollectorKey(name, public(key(3))); err == nil {
			t.Errorf("%q is a name", name)
		}
	}
}

func FuzzOpenCheckpoint(f *testing.F) {
	msg := signed(f, audit.Checkpoint{Device: alice, Tree: someTree, Time: noon})
	f.Add(string(msg))
	f.Add(collector.String())
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := audit.OpenCheckpoint([]byte(s), alice, public(deviceKey), nil); err == nil && s != string(msg) {
			t.Fatalf("%q is a checkpoint: %+v", s, c)
		}
		// The text alone, signed by a device that writes what it likes.
		text, _, _ := strings.Cut(s, "\n\n")
		if both, err := note.Sign(&note.Note{Text: text + "\n"}, deviceSigner{}); err == nil {
			if c, err := audit.OpenCheckpoint(both, alice, public(deviceKey), nil); err == nil {
				if again := signed(t, c); !bytes.Equal(again, both) {
					t.Fatalf("%q is written as %q", both, again)
				}
			}
		}
		if k, err := audit.ParseCollectorKey(s); err == nil && k.String() != s {
			t.Fatalf("%q is written as %q", s, k)
		}
		audit.ParseDeviceKey(s)
		if d, err := audit.ParseDevice(s); err == nil && d.String() != s {
			t.Fatalf("%q is written as %q", s, d)
		}
	})
}
