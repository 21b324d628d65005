package ratchet

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"io"

	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
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
func (p *PublicKey) valid() bool {
	var u field.Element
	if _, err := u.SetBytes(p[:]); err != nil {
		return false
	}
	if [32]byte(u.Bytes()) != *p {
		return false
	}
	for i := range smallOrder {
		if smallOrder[i] == *p {
			return false
		}
	}
	return true
}

// smallOrder are the canonical u-coordinates of order 1, 2, 4 and 8 on the curve
// and on its twist (RFC 7748 section 6.1 tells to look at the result instead,
// which dh does as well).
var smallOrder = [...]PublicKey{
	{0},
	{1},
	{0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
		0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
	{0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
		0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57},
	{0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
}

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
