package ratchet

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"io"

	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"

	"sotto/client/xeddsa"
)

// PublicKeySize is the size of a public key on the wire: the type byte and the key.
const PublicKeySize = 33

// djbType is the first byte of every public key on the wire: Curve25519.
const djbType = 5

// PrivateKey is a Curve25519 private key, clamped. Handle it by pointer and Wipe
// it: every copy of the array is one more to clear.
type PrivateKey [32]byte

// PublicKey is the u-coordinate of a Curve25519 public key, without its type byte.
type PublicKey [32]byte

// KeyPair is a private key and the public key that belongs to it.
type KeyPair struct {
	Private PrivateKey
	Public  PublicKey
}

// GenerateKey fills k with a new random key.
func GenerateKey(k *KeyPair) {
	rand.Read(k.Private[:]) // never fails, says its documentation
	k.Private[0] &= 248
	k.Private[31] = k.Private[31]&127 | 64
	k.Public = k.Private.Public()
}

// Wipe clears the key.
func (k *PrivateKey) Wipe() { clear(k[:]) }

// Format writes a word in place of the key, whatever the verb, so that no log or
// error can hold it.
func (k PrivateKey) Format(f fmt.State, _ rune) { io.WriteString(f, "[private key]") }

// Public computes the public key of k.
func (k *PrivateKey) Public() PublicKey {
	var s edwards25519.Scalar
	var p edwards25519.Point
	var u PublicKey
	if _, err := s.SetBytesWithClamping(k[:]); err != nil {
		panic("ratchet: private key of impossible size") // it is an array of 32
	}
	copy(u[:], p.ScalarBaseMult(&s).BytesMontgomery())
	s = edwards25519.Scalar{}
	return u
}

// ParsePublicKey reads a public key as it is on the wire: 33 bytes. Encodings that
// are not canonical and points of small order are refused: no honest key
// generation yields either, and they would give one key two fingerprints or let
// a peer choose the shared secret.
func ParsePublicKey(b []byte) (PublicKey, error) {
	var p PublicKey
	if len(b) != PublicKeySize || b[0] != djbType {
		return p, fmt.Errorf("%w: not a Curve25519 public key", ErrMalformed)
	}
	copy(p[:], b[1:])
	if !p.valid() {
		return PublicKey{}, fmt.Errorf("%w: unsafe public key", ErrMalformed)
	}
	return p, nil
}

// Append appends the key as it is on the wire, 33 bytes.
func (p *PublicKey) Append(dst []byte) []byte { return append(append(dst, djbType), p[:]...) }

// Bytes returns the key as it is on the wire, 33 bytes.
func (p *PublicKey) Bytes() []byte { return p.Append(make([]byte, 0, PublicKeySize)) }

// valid reports whether p is canonical and, as far as can be told cheaply, of
// large order. Small orders on the twist are caught by the zero check of dh too.
func (p *PublicKey) valid() bool { return xeddsa.ValidKey((*[32]byte)(p)) }

// dh computes X25519(k, p) (RFC 7748 section 5) into out and fails if the result
// is zero, which only a point of small order gives.
func dh(out *[32]byte, k *PrivateKey, p *PublicKey) error {
	var e [32]byte
	copy(e[:], k[:])
	e[0] &= 248
	e[31] = e[31]&127 | 64

	// The Montgomery ladder, with the names of RFC 7748.
	var x1, x2, z2, x3, z3 field.Element
	if _, err := x1.SetBytes(p[:]); err != nil {
		return fmt.Errorf("%w: public key", ErrMalformed)
	}
	x2.One()
	z2.Zero()
	x3.Set(&x1)
	z3.One()
	var a, aa, b, bb, ee, da, cb field.Element
	swap := 0
	for t := 254; t >= 0; t-- {
		bit := int(e[t/8]>>(t%8)) & 1
		swap ^= bit
		x2.Swap(&x3, swap)
		z2.Swap(&z3, swap)
		swap = bit

		a.Add(&x2, &z2)
		aa.Square(&a)
		b.Subtract(&x2, &z2)
		bb.Square(&b)
		ee.Subtract(&aa, &bb)
		da.Subtract(&x3, &z3) // D
		cb.Add(&x3, &z3)      // C
		da.Multiply(&da, &a)
		cb.Multiply(&cb, &b)
		x3.Add(&da, &cb)
		x3.Square(&x3)
		z3.Subtract(&da, &cb)
		z3.Square(&z3)
		z3.Multiply(&z3, &x1)
		x2.Multiply(&aa, &bb)
		z2.Mult32(&ee, 121665)
		z2.Add(&z2, &aa)
		z2.Multiply(&z2, &ee)
	}
	x2.Swap(&x3, swap)
	z2.Swap(&z3, swap)
	z2.Invert(&z2)
	x2.Multiply(&x2, &z2)
	shared := x2.Bytes()
	copy(out[:], shared)
	clear(shared)
	clear(e[:])
	for _, v := range []*field.Element{&x2, &z2, &x3, &z3, &a, &aa, &b, &bb, &ee, &da, &cb} {
		v.Zero()
	}
	var zero [32]byte
	if subtle.ConstantTimeCompare(out[:], zero[:]) == 1 {
		return fmt.Errorf("%w: unsafe public key", ErrMalformed)
	}
	return nil
}
