package ratchet

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"testing"
)

// The first message as another implementation would read it: the standard library
// and the specifications, none of this package's code.
func TestFirstMessageIsWhatTheSpecificationSays(t *testing.T) {
	alice, bob := pair(t)
	for n := range 3 {
		m := alice.send("the text")
		outer := protobuf(t, m.data[1:])
		if m.data[0] != 0x33 || outer[5].n != 42 || outer[1].n != 1 || outer[6].n != 7 {
			t.Fatalf("prekey message %x", m.data)
		}
		base, identity, inner := outer[2].b, outer[3].b, outer[4].b
		if !bytes.Equal(identity, append([]byte{5}, alice.identity.Public[:]...)) || len(base) != 33 || base[0] != 5 {
			t.Fatalf("identity %x, base %x", identity, base)
		}
		secret := bytes.Repeat([]byte{0xff}, 32)
		secret = append(secret, agree(t, bob.signed.Private[:], identity[1:])...)
		secret = append(secret, agree(t, bob.identity.Private[:], base[1:])...)
		secret = append(secret, agree(t, bob.signed.Private[:], base[1:])...)
		secret = append(secret, agree(t, bob.once[1].Private[:], base[1:])...)
		root := derive(t, secret, make([]byte, 32), "WhisperText", 64)[:32]

		fields := protobuf(t, inner[1:len(inner)-8])
		if inner[0] != 0x33 || fields[2].n != uint64(n) || fields[3].n != 0 {
			t.Fatalf("message %x", inner)
		}
		step := derive(t, agree(t, bob.signed.Private[:], fields[1].b[1:]), root, "WhisperRatchet", 64)
		chainKey := step[32:]
		for range n {
			chainKey = sum(chainKey, 2)
		}
		keys := derive(t, sum(chainKey, 1), make([]byte, 32), "WhisperMessageKeys", 80)
		mac := hmac.New(sha256.New, keys[32:64])
		mac.Write(identity)
		mac.Write(append([]byte{5}, bob.identity.Public[:]...))
		mac.Write(inner[:len(inner)-8])
		if !bytes.Equal(mac.Sum(nil)[:8], inner[len(inner)-8:]) {
			t.Fatal("mac differs")
		}
		block, err := aes.NewCipher(keys[:32])
		if err != nil {
			t.Fatal(err)
		}
		text := bytes.Clone(fields[4].b)
		cipher.NewCBCDecrypter(block, keys[64:]).CryptBlocks(text, text)
		if string(text) != "the text"+string(bytes.Repeat([]byte{8}, 8)) {
			t.Fatalf("plaintext %q", text)
		}
	}
}

type protoField struct {
	n uint64
	b []byte
}

func protobuf(t *testing.T, b []byte) map[int]protoField {
	t.Helper()
	fields := make(map[int]protoField)
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		v, m := binary.Uvarint(b[n:])
		b = b[n+m:]
		f := protoField{n: v}
		if tag&7 == 2 {
			f.b, b = b[:v], b[v:]
		}
		fields[int(tag>>3)] = f
	}
	return fields
}

func agree(t *testing.T, private, public []byte) []byte {
	t.Helper()
	k, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	p, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	z, err := k.ECDH(p)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func derive(t *testing.T, secret, salt []byte, info string, n int) []byte {
	t.Helper()
	b, err := hkdf.Key(sha256.New, secret, salt, info, n)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sum(k []byte, b byte) []byte {
	h := hmac.New(sha256.New, k)
	h.Write([]byte{b})
	return h.Sum(nil)
}
