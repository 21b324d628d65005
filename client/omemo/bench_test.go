package omemo

import "testing"

// BenchmarkStartSession is a session start from a bundle, with the identity opened
// from its enclave.
func BenchmarkStartSession(b *testing.B) {
	alice, bob := newClient(b, "alice@example.org"), newClient(b, "bob@example.org")
	bundle := bob.published()
	b.ReportAllocs()
	for b.Loop() {
		clear(alice.keys.sessions)
		if err := alice.StartSession(alice.keys, bob.address(), bundle); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEncrypt and BenchmarkDecrypt are of whole elements, for one device.
func BenchmarkEncrypt(b *testing.B) {
	alice, bob := established(b)
	to, text := []Address{bob.address()}, []byte("K+ 5.9 in bed 12, please call back")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := alice.Encrypt(alice.keys, to, text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecrypt(b *testing.B) {
	alice, bob := established(b)
	bob.mustReceive(alice, alice.send("the ratchet has turned", bob), "the ratchet has turned")
	e := alice.send("K+ 5.9 in bed 12, please call back", bob)
	peer := alice.address()
	state := bob.keys.sessions[peer]
	b.ReportAllocs()
	for b.Loop() {
		bob.keys.sessions[peer] = state
		if _, err := bob.Decrypt(bob.keys, alice.jid, e); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMaintain makes all prekeys of a new device.
func BenchmarkMaintain(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Setup(newMemory()); err != nil {
			b.Fatal(err)
		}
	}
}
