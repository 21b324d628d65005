package ratchet

import (
	"bytes"
	"errors"
	"testing"
)

func FuzzParseMessage(f *testing.F) {
	for _, m := range loadGolden(f).genuine[:2] {
		f.Add(m.data)
	}
	f.Add([]byte{version})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMessage(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("unexpected error %v", err)
			}
			return
		}
		if !m.ratchet.valid() || len(m.ciphertext)%16 != 0 || len(m.mac) != macSize || len(m.signed)+macSize != len(b) {
			t.Fatalf("accepted %x", b)
		}
	})
}

func FuzzParsePreKeyMessage(f *testing.F) {
	f.Add(loadGolden(f).genuine[2].data)
	f.Add([]byte{version})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParsePreKeyMessage(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("unexpected error %v", err)
			}
			return
		}
		if !m.base.valid() || !m.Identity.valid() || !m.message.ratchet.valid() {
			t.Fatalf("accepted %x", b)
		}
	})
}

// FuzzUnmarshalSession checks that a stored session, whatever it holds, is refused
// or round-trips, and that using it does not panic.
func FuzzUnmarshalSession(f *testing.F) {
	g := loadGolden(f)
	f.Add(g.stored, g.genuine[0].data)
	f.Add(g.stored[:len(g.stored)-1], g.genuine[1].data)
	f.Add([]byte{format}, []byte{version})
	f.Fuzz(func(t *testing.T, b, message []byte) {
		z, err := UnmarshalSession(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("unexpected error %v", err)
			}
			return
		}
		if !bytes.Equal(z.Marshal(), b) {
			t.Fatalf("round trip of %x differs", b)
		}
		if m, err := ParseMessage(message); err == nil {
			if _, err := z.Decrypt(m); err != nil && !bytes.Equal(z.Marshal(), b) {
				t.Fatal("rejected message changed the session")
			}
		}
		if _, _, err := z.Encrypt([]byte("x"), 1); err == nil {
			if _, err := UnmarshalSession(z.Marshal()); err != nil {
				t.Fatalf("session after Encrypt: %v", err)
			}
		}
		z.Wipe()
	})
}

// FuzzDecrypt gives a session hostile messages: nothing but what its peer sent
// decrypts, and what is refused changes nothing.
func FuzzDecrypt(f *testing.F) {
	g := loadGolden(f)
	for _, m := range g.genuine {
		f.Add(m.data, m.preKey, false)
		f.Add(m.data, m.preKey, true)
		f.Add(m.data[:len(m.data)-1], m.preKey, false)
	}
	f.Fuzz(func(t *testing.T, b []byte, preKey, empty bool) {
		var before []byte
		if !empty {
			before = g.stored
		}
		z, err := UnmarshalSession(before)
		if err != nil {
			t.Fatal(err)
		}
		plaintext, _, err := g.bob.decrypt(z, packet{data: b, preKey: preKey})
		if err != nil {
			if !bytes.Equal(z.Marshal(), before) {
				t.Fatal("rejected message changed the session")
			}
			return
		}
		for _, m := range g.genuine {
			// The registration id is not authenticated: compare what is inside.
			if string(plaintext) == m.text && preKey == m.preKey && (preKey || bytes.Equal(b, m.data)) {
				return
			}
		}
		t.Fatalf("forged message decrypts to %q", plaintext)
	})
}

func FuzzVerify(f *testing.F) {
	k := loadGolden(f).bob.identity
	message := []byte("signed prekey")
	good := Sign(&k.Private, message)
	f.Add(k.Public[:], message, good[:])
	f.Add(make([]byte, 32), message, make([]byte, 64))
	f.Fuzz(func(t *testing.T, public, m, signature []byte) {
		if len(public) != 32 {
			return
		}
		p := PublicKey(public)
		err := Verify(&p, m, signature)
		if err == nil && p == k.Public && !bytes.Equal(m, message) {
			t.Fatalf("forged signature over %x", m)
		}
	})
}
