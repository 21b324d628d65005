package signer

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"testing"

	"github.com/awnumar/memguard"

	"sotto/client/org"
)

// TestSameAsTheStandardLibrary compares keys and signatures with crypto/ed25519.
func TestSameAsTheStandardLibrary(t *testing.T) {
	for i := range 100 {
		seed := bytes.Repeat([]byte{byte(i), byte(i * 7)}, SeedSize/2)
		want := ed25519.NewKeyFromSeed(seed)
		k, err := FromSeed("hospital.example", memguard.NewBufferFromBytes(bytes.Clone(seed)))
		if err != nil {
			t.Fatal(err)
		}
		msg := []byte(fmt.Sprintf("message %d", i))
		sig, err := k.Sign(msg)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(k.Public().Public(), want.Public().(ed25519.PublicKey)) || !bytes.Equal(sig, ed25519.Sign(want, msg)) {
			t.Fatalf("key %d signs otherwise than the standard library", i)
		}
		if !k.Public().Verify(msg, sig) || k.Public().Verify(msg[1:], sig) {
			t.Fatal("it is not verified right")
		}
	}
}

func TestGenerate(t *testing.T) {
	k, err := Generate("hospital.example")
	if err != nil {
		t.Fatal(err)
	}
	var kept *memguard.LockedBuffer
	if err := k.WithSeed(func(seed *memguard.LockedBuffer) error {
		kept = memguard.NewBuffer(seed.Size())
		kept.Copy(seed.Bytes())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	again, err := FromSeed(k.Name(), kept)
	if err != nil || again.Public() != k.Public() {
		t.Fatalf("another key comes back: %v", err)
	}
	if kept.IsAlive() {
		t.Error("the seed was not destroyed")
	}
	other, err := Generate("hospital.example")
	if err != nil || other.Public() == k.Public() {
		t.Fatalf("the same key twice, or %v", err)
	}
	d, err := GenerateDevice(31415)
	if err != nil || d.Name() != "device-31415" {
		t.Fatalf("%v", err)
	}
	if _, err := Generate("not a name"); err == nil {
		t.Error("a key for what is no name")
	}
	if _, err := FromSeed("hospital.example", memguard.NewBuffer(16)); err == nil {
		t.Error("a key of half a seed")
	}
	// It signs notes.
	b, err := org.Seal("sotto head v1\norganisation: hospital.example\n", k)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := org.Open(b, org.KindHead, "hospital.example", k.Public()); err != nil {
		t.Error(err)
	}
}
