package omemo

import (
	"bytes"
	"testing"

	"sotto/client/stanza"
)

// FuzzDecrypt gives a device hostile elements: it decrypts nothing but what its
// peer encrypted, does not panic, and a refusal changes nothing.
func FuzzDecrypt(f *testing.F) {
	bob, messages := loadGolden(f)
	for _, m := range messages {
		f.Add([]byte(m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := stanza.Parse(b)
		if err != nil {
			return
		}
		for _, from := range []string{"alice@example.org", "carol@example.org"} {
			keys := bob.keys.clone()
			got, err := bob.Decrypt(keys, from, e)
			if err != nil {
				if !keys.equal(bob.keys) {
					t.Fatalf("rejected message (%v) changed what is kept", err)
				}
				continue
			}
			known := got.Plaintext == nil
			for _, text := range goldenTexts {
				known = known || string(got.Plaintext) == text
			}
			if !known {
				t.Fatalf("forged message decrypts to %q", got.Plaintext)
			}
		}
	})
}

// FuzzStartSession gives a device hostile bundles.
func FuzzStartSession(f *testing.F) {
	alice := newClient(f, "alice@example.org")
	bob, _ := loadGolden(f)
	b := bob.published()
	for i := range b.PreKeys {
		one := b
		one.PreKeys = b.PreKeys[i : i+1]
		f.Add(one.Element().Bytes())
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := stanza.Parse(raw)
		if err != nil {
			return
		}
		got, err := stanza.ReadBundle(e)
		if err != nil {
			return
		}
		keys := alice.keys.clone()
		if err := alice.StartSession(keys, bob.address(), got); err != nil {
			if !keys.equal(alice.keys) {
				t.Fatalf("rejected bundle (%v) changed what is kept", err)
			}
			return
		}
		if bytes.Equal(got.IdentityKey, b.IdentityKey) && !bytes.Equal(got.SignedPreKey, b.SignedPreKey) {
			t.Fatal("a signed prekey that its identity did not sign was accepted")
		}
	})
}
