package ratchet

import (
	"bytes"
	"errors"
	"testing"
)

func FuzzParseMessage(f *testing.F) {
	alice, bob := established(f)
	f.Add(alice.send("seed").data)
	f.Add(bob.send("another").data)
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
	alice, _ := pair(f)
	f.Add(alice.send("seed").data)
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
	alice, bob := established(f)
	f.Add(alice.session.Marshal(), alice.send("seed").data)
	alice.send("lost")
	bob.mustReceive(alice.send("here"))
	f.Add(bob.session.Marshal(), alice.send("next").data)
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
	alice, bob := established(f)
	before := bob.session.Marshal()
	genuine := []packet{alice.send("one"), alice.send("two")}
	carol := newParty(f)
	carol.start(bob)
	stranger := carol.send("from a stranger")
	for _, m := range genuine {
		f.Add(m.data, false)
		f.Add(m.data[:len(m.data)-1], false)
	}
	f.Add(stranger.data, true)
	f.Fuzz(func(t *testing.T, b []byte, preKey bool) {
		z, err := UnmarshalSession(before)
		if err != nil {
			t.Fatal(err)
		}
		plaintext, _, err := bob.decrypt(z, packet{data: b, preKey: preKey})
		if err != nil {
			if !bytes.Equal(z.Marshal(), before) {
				t.Fatal("rejected message changed the session")
			}
			return
		}
		for _, m := range genuine {
			if bytes.Equal(b, m.data) && string(plaintext) == m.text {
				return
			}
		}
		t.Fatalf("forged message decrypts to %q", plaintext)
	})
}

func FuzzVerify(f *testing.F) {
	var k KeyPair
	GenerateKey(&k)
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
