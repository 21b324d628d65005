package omemo

import (
	"bytes"
	"testing"

	"sotto/client/stanza"
)

// FuzzDecrypt gives a device hostile elements: it decrypts nothing but what its
// peer encrypted, does not panic, and a refusal changes nothing.
func FuzzDecrypt(f *testing.F) {
	alice, bob := established(f)
	carol := newClient(f, "carol@example.org")
	carol.start(bob)
	texts := []string{"one", "two", "from carol"}
	f.Add(alice.send(texts[0], bob).Bytes())
	f.Add(alice.send(texts[1], bob).Bytes())
	f.Add(carol.send(texts[2], bob).Bytes())
	f.Add(alice.answer(bob).Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := stanza.Parse(b)
		if err != nil {
			return
		}
		for _, from := range []*client{alice, carol} {
			keys := bob.keys.clone()
			got, err := bob.Decrypt(keys, from.jid, e)
			if err != nil {
				if !keys.equal(bob.keys) {
					t.Fatalf("rejected message (%v) changed what is kept", err)
				}
				continue
			}
			known := got.Plaintext == nil
			for _, text := range texts {
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
	alice, bob := newClient(f, "alice@example.org"), newClient(f, "bob@example.org")
	b := bob.published()
	b.PreKeys = b.PreKeys[:1]
	f.Add(b.Element().Bytes())
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
