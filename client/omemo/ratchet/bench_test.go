package ratchet

import "testing"

func BenchmarkSign(b *testing.B) {
	var k KeyPair
	GenerateKey(&k)
	message := k.Public.Bytes()
	b.ReportAllocs()
	for b.Loop() {
		Sign(&k.Private, message)
	}
}

func BenchmarkVerify(b *testing.B) {
	var k KeyPair
	GenerateKey(&k)
	message := k.Public.Bytes()
	s := Sign(&k.Private, message)
	b.ReportAllocs()
	for b.Loop() {
		if err := Verify(&k.Public, message, s[:]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkX25519(b *testing.B) {
	var k KeyPair
	var out [32]byte
	GenerateKey(&k)
	b.ReportAllocs()
	for b.Loop() {
		if err := dh(&out, &k.Private, &k.Public); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGenerateKey(b *testing.B) {
	var k KeyPair
	b.ReportAllocs()
	for b.Loop() {
		GenerateKey(&k)
	}
}

// BenchmarkStart is a session start from a bundle: signature, four agreements, ratchet.
func BenchmarkStart(b *testing.B) {
	alice, bob := newParty(b), newParty(b)
	o := bob.offer()
	b.ReportAllocs()
	for b.Loop() {
		alice.session.Wipe()
		if err := alice.session.Start(alice.own(), o); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRespond is the other side of a session start: the first prekey message.
func BenchmarkRespond(b *testing.B) {
	alice, bob := pair(b)
	m := alice.send("key and tag of thirty-two bytes.")
	b.ReportAllocs()
	for b.Loop() {
		z := new(Session)
		if _, _, err := bob.decrypt(z, m); err != nil {
			b.Fatal(err)
		}
		z.Wipe()
	}
}

// BenchmarkEncrypt and BenchmarkDecrypt include loading and storing the session.
func BenchmarkEncrypt(b *testing.B) {
	alice, _ := established(b)
	alice.send("the ratchet has turned")
	state := alice.session.Marshal()
	plaintext := make([]byte, 32)
	b.ReportAllocs()
	for b.Loop() {
		z, err := UnmarshalSession(state)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := z.Encrypt(plaintext, 1); err != nil {
			b.Fatal(err)
		}
		clear(z.Marshal())
		z.Wipe()
	}
}

func BenchmarkDecrypt(b *testing.B) {
	alice, bob := established(b)
	bob.mustReceive(alice.send("the ratchet has turned"))
	benchmarkDecrypt(b, bob, alice.send("key and tag of thirty-two bytes."))
}

// BenchmarkDecryptTurn decrypts a message with a new ratchet key.
func BenchmarkDecryptTurn(b *testing.B) {
	alice, bob := established(b)
	benchmarkDecrypt(b, bob, alice.send("key and tag of thirty-two bytes."))
}

// BenchmarkDecryptFull has as many skipped keys as are ever kept.
func BenchmarkDecryptFull(b *testing.B) {
	alice, bob := established(b)
	for range MaxSkipped {
		alice.send("lost")
	}
	bob.mustReceive(alice.send("here"))
	benchmarkDecrypt(b, bob, alice.send("key and tag of thirty-two bytes."))
}

func benchmarkDecrypt(b *testing.B, p *party, m packet) {
	state := p.session.Marshal()
	b.ReportAllocs()
	for b.Loop() {
		z, err := UnmarshalSession(state)
		if err != nil {
			b.Fatal(err)
		}
		parsed, err := ParseMessage(m.data)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := z.Decrypt(parsed); err != nil {
			b.Fatal(err)
		}
		clear(z.Marshal())
		z.Wipe()
	}
}
