package ratchet

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unhex32(t testing.TB, s string) [32]byte { t.Helper(); return [32]byte(unhex(t, s)) }

// RFC 7748 section 5.2: two vectors and the iterated ones.
func TestX25519Vectors(t *testing.T) {
	for _, v := range []struct{ scalar, u, want string }{
		{"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
			"e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
			"c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
		{"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
			"e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
			"95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
	} {
		k, u := PrivateKey(unhex32(t, v.scalar)), PublicKey(unhex32(t, v.u))
		var out [32]byte
		if err := dh(&out, &k, &u); err != nil || out != unhex32(t, v.want) {
			t.Errorf("dh(%s, %s) = %x, %v", v.scalar, v.u, out, err)
		}
	}
	k, u := PrivateKey{9}, PublicKey{9}
	for i := 1; i <= 1000; i++ {
		var out [32]byte
		if err := dh(&out, &k, &u); err != nil {
			t.Fatal(err)
		}
		k, u = PrivateKey(out), PublicKey(k)
		want := map[int]string{
			1:    "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079",
			1000: "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51",
		}[i]
		if want != "" && k != PrivateKey(unhex32(t, want)) {
			t.Errorf("after %d iterations: %x", i, k[:])
		}
	}
}

func TestX25519AgreesWithStandardLibrary(t *testing.T) {
	for range 200 {
		var a, b KeyPair
		GenerateKey(&a)
		rand.Read(b.Private[:]) // not clamped
		b.Public = b.Private.Public()
		ea, err := ecdh.X25519().NewPrivateKey(a.Private[:])
		if err != nil {
			t.Fatal(err)
		}
		eb, err := ecdh.X25519().NewPrivateKey(b.Private[:])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(ea.PublicKey().Bytes(), a.Public[:]) || !bytes.Equal(eb.PublicKey().Bytes(), b.Public[:]) {
			t.Fatalf("public keys differ for %x", a.Private[:])
		}
		want, err := ea.ECDH(eb.PublicKey())
		if err != nil {
			t.Fatal(err)
		}
		var ab, ba [32]byte
		if err := errors.Join(dh(&ab, &a.Private, &b.Public), dh(&ba, &b.Private, &a.Public)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(ab[:], want) || ab != ba {
			t.Fatalf("shared secrets differ: %x, %x, want %x", ab, ba, want)
		}
	}
}

// unsafeKeys are encodings that no key generation yields: small order on the
// curve or its twist, and numbers that are not reduced.
var unsafeKeys = []string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"f2ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0900000000000000000000000000000000000000000000000000000000000080",
	"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
}

func TestUnsafePublicKeysAreRefused(t *testing.T) {
	for _, s := range unsafeKeys {
		if _, err := ParsePublicKey(append([]byte{5}, unhex(t, s)...)); !errors.Is(err, ErrMalformed) {
			t.Errorf("ParsePublicKey(05%s): %v", s, err)
		}
	}
	for _, s := range unsafeKeys[:5] { // those of small order
		small := PublicKey(unhex(t, s))
		var k KeyPair
		var out [32]byte
		GenerateKey(&k)
		if err := dh(&out, &k.Private, &small); !errors.Is(err, ErrMalformed) || out != [32]byte{} {
			t.Errorf("dh with small order %x: %x, %v", small, out, err)
		}
	}
	var k KeyPair
	GenerateKey(&k)
	good := k.Public.Bytes()
	if p, err := ParsePublicKey(good); err != nil || p != k.Public {
		t.Errorf("ParsePublicKey of a good key: %v", err)
	}
	for _, b := range [][]byte{nil, {5}, good[1:], append([]byte{6}, good[1:]...), append(good, 0)} {
		if _, err := ParsePublicKey(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("ParsePublicKey(%x): %v", b, err)
		}
	}
}

func TestPrivateKeyIsNeverPrinted(t *testing.T) {
	var k KeyPair
	GenerateKey(&k)
	for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%s", "%d"} {
		for _, s := range []string{fmt.Sprintf(verb, k.Private), fmt.Sprintf(verb, &k.Private)} {
			if s != "[private key]" && s != "&[private key]" {
				t.Errorf("%s prints %q", verb, s)
			}
		}
		if s := fmt.Sprintf(verb, k); bytes.Contains([]byte(s), []byte(hex.EncodeToString(k.Private[:4]))) {
			t.Errorf("%s of the pair prints the private key", verb)
		}
	}
}

// The vector of the Signal libraries' own tests: public key, and a signature that
// an older library made.
func TestXEdDSAVector(t *testing.T) {
	k := PrivateKey(unhex32(t, "c097248412e58bf05df487968205132794178e367637f5818f81e0e6ce73e865"))
	p := PublicKey(unhex32(t, "ab7e717d4a163b7d9a1d8071dfe9dcf8cdcd1cea3339b6356be84d887e322c64"))
	message := unhex(t, "05edce9d9c415ca78cb7252e72c2c4a554d3eb29485a0e1d503118d1a82d99fb4a")
	signature := unhex(t, "5de88ca9a89b4a115da79109c67c9c7464a3e4180274f1cb8c63c2984e286dfb"+
		"ede82deb9dcd9fae0bfbb821569b3d9001bd8130cd11d486cef047bd60b86e88")
	if got := k.Public(); got != p {
		t.Errorf("public key %x", got)
	}
	if err := Verify(&p, message, signature); err != nil {
		t.Error(err)
	}
	for i := range signature {
		for bit := range 8 {
			signature[i] ^= 1 << bit
			if err := Verify(&p, message, signature); !errors.Is(err, ErrSignature) {
				t.Errorf("bit %d of byte %d flipped: %v", bit, i, err)
			}
			signature[i] ^= 1 << bit
		}
	}
}

func TestXEdDSA(t *testing.T) {
	for range 50 {
		var k, other KeyPair
		GenerateKey(&k)
		GenerateKey(&other)
		message := make([]byte, int(k.Public[0]))
		rand.Read(message)
		s := Sign(&k.Private, message)
		if err := Verify(&k.Public, message, s[:]); err != nil {
			t.Fatal(err)
		}
		if s[63]&0xe0 != 0 {
			t.Errorf("signature ends in %02x: s is not below 2^253", s[63])
		}
		if again := Sign(&k.Private, message); again == s {
			t.Error("two signatures are the same")
		}
		if err := Verify(&other.Public, message, s[:]); !errors.Is(err, ErrSignature) {
			t.Errorf("another key: %v", err)
		}
		if err := Verify(&k.Public, append(message, 0), s[:]); !errors.Is(err, ErrSignature) {
			t.Errorf("another message: %v", err)
		}
	}
}

func TestXEdDSARefusesWhatIsNotCanonical(t *testing.T) {
	var k KeyPair
	GenerateKey(&k)
	message := []byte("signed prekey")
	s := Sign(&k.Private, message)
	// s + L: the same number modulo the group order.
	order := unhex(t, "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
	var carry uint16
	malleable := s
	for i := range 32 {
		carry += uint16(s[32+i]) + uint16(order[i])
		malleable[32+i] = byte(carry)
		carry >>= 8
	}
	if err := Verify(&k.Public, message, malleable[:]); !errors.Is(err, ErrSignature) {
		t.Errorf("s that is not reduced: %v", err)
	}
	for _, u := range unsafeKeys {
		p := PublicKey(unhex32(t, u))
		// R = identity and s = 0 satisfy the equation for the neutral element.
		forged := append([]byte{1}, make([]byte, 63)...)
		if err := Verify(&p, message, forged); !errors.Is(err, ErrMalformed) {
			t.Errorf("key %s: %v", u, err)
		}
	}
	for _, n := range []int{0, 63, 65} {
		if err := Verify(&k.Public, message, make([]byte, n)); !errors.Is(err, ErrMalformed) {
			t.Errorf("signature of %d bytes: %v", n, err)
		}
	}
}

func TestHMACAndHKDFAgreeWithStandardLibrary(t *testing.T) {
	for n := range 400 {
		var k, out key
		rand.Read(k[:])
		message := make([]byte, n)
		rand.Read(message)
		hmacSHA256(&out, &k, message)
		h := hmac.New(sha256.New, k[:])
		h.Write(message)
		if !bytes.Equal(out[:], h.Sum(nil)) {
			t.Fatalf("HMAC of %d bytes differs", n)
		}
		got := make([]byte, 1+n%96)
		deriveKeys(got, message, &k, "WhisperMessageKeys")
		want, err := hkdf.Key(sha256.New, message, k[:], "WhisperMessageKeys", len(got))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("HKDF of %d bytes differs", n)
		}
	}
}

// The vectors of the Signal libraries' own tests for a chain, a root key and X3DH.
func TestSignalKeyDerivationVectors(t *testing.T) {
	c := chain{key: unhex32(t, "8ab72d6f4cc5ac0d387eaf463378ddb28edd07385b1cb01250c715982e7ad48f")}
	var seed key
	var keys messageKeys
	c.seed(&seed)
	keys.derive(&seed)
	if keys.cipher != unhex32(t, "bf51e9d75e0e31031051f82a2491ffc084fa298b7793bd9db620056febf45217") ||
		keys.mac != unhex32(t, "c6c77d6a73a354337a56435e34607dfe48e3ace14e77314dc6abc172e7a7030b") {
		t.Errorf("message keys %x %x", keys.cipher, keys.mac)
	}
	c.advance()
	if c.n != 1 || c.key != unhex32(t, "28e8f8fee54b801eef7c5cfb2f17f32c7b334485bbb70fac6ec10342a246d15d") {
		t.Errorf("next chain key %x, number %d", c.key, c.n)
	}

	// As Bob, who has the signed prekey; no one-time prekey.
	spk := PrivateKey(unhex32(t, "583900131fb727998b7803fe6ac22cc591f342e4e42a8c8d5d78194209b8d253"))
	identity := PrivateKey(unhex32(t, "4875cc69ddf8ea0719ec947d61081135868d5fd801f02c0225e516df2156605e"))
	base := PublicKey(unhex32(t, "472d1fb1a9862c3af6beaca8920277e2b26f4a79213ec7c906aeb35e03cf8950"))
	alice := PublicKey(unhex32(t, "b4a8455660ada65b401007f615e654041746432e3339c6875149bceefcb42b4a"))
	var root, first key
	if err := x3dh(&root, &first, exchange{&spk, &alice}, exchange{&identity, &base}, exchange{&spk, &base}); err != nil {
		t.Fatal(err)
	}
	if first != unhex32(t, "9797caca53c989bbe229a40ca7727010eb2604fc14945d77958a0aeda088b44d") {
		t.Errorf("first chain key %x", first)
	}
}
