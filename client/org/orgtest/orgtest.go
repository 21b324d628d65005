// Package orgtest makes keys for tests, and tampers with what they have signed.
package orgtest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"testing"
	"time"

	"sotto/client/org"
)

// Key is a key that is the same in every run: the private key is in the open.
type Key struct {
	org.Key
	private ed25519.PrivateKey
}

// New returns the key with this name. Others with the same name and another seed
// are different keys.
func New(name, seed string) *Key {
	sum := sha256.Sum256([]byte(name + "\n" + seed))
	private := ed25519.NewKeyFromSeed(sum[:])
	k, err := org.NewKey(name, private.Public().(ed25519.PublicKey))
	if err != nil {
		panic(err)
	}
	return &Key{k, private}
}

// Sign makes it a note.Signer.
func (k *Key) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(k.private, msg), nil }

// Noon is a time for tests.
var Noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// Tamper changes, cuts off, repeats and inserts each byte of a note in turn, and
// fails where open takes what came out. It is what a relay can do to one note.
func Tamper(t *testing.T, b []byte, open func([]byte) error) {
	t.Helper()
	if err := open(b); err != nil {
		t.Fatalf("the note as it was signed: %v", err)
	}
	try := func(what string, i int, changed []byte) {
		t.Helper()
		if err := open(changed); err == nil && string(changed) != string(b) {
			t.Errorf("%s at byte %d: taken:\n%s", what, i, changed)
		}
	}
	step := 1 + len(b)/2000 // of long notes not each byte
	for i := 0; i < len(b); i += step {
		flipped := append([]byte(nil), b...)
		flipped[i] ^= 1
		try("flipped", i, flipped)
		try("cut off", i, b[:i])
		try("left out", i, append(append([]byte(nil), b[:i]...), b[i+1:]...))
		for _, c := range []byte{' ', '\n', b[i]} {
			try("inserted", i, append(append(append([]byte(nil), b[:i]...), c), b[i:]...))
		}
	}
	for _, tail := range []string{"\n", " ", "— stranger.example Zm9yZ2VyeQ==\n"} {
		try("appended "+tail, len(b), append(append([]byte(nil), b...), tail...))
	}
	lines := splitLines(string(b))
	for i := range lines {
		repeated := append(append(append([]string(nil), lines[:i]...), lines[i]), lines[i:]...)
		try("line repeated", i, join(repeated))
		if i > 0 {
			swapped := append([]string(nil), lines...)
			swapped[i-1], swapped[i] = swapped[i], swapped[i-1]
			try("lines exchanged", i, join(swapped))
		}
	}
}

func splitLines(s string) (lines []string) {
	for len(s) > 0 {
		i := 0
		for i < len(s)-1 && s[i] != '\n' {
			i++
		}
		lines = append(lines, s[:i+1])
		s = s[i+1:]
	}
	return lines
}

func join(lines []string) (b []byte) {
	for _, l := range lines {
		b = append(b, l...)
	}
	return b
}
