// Package xeddsa signs with Curve25519 keys (XEdDSA, Perrin 2016): with the identity
// key of an OMEMO device, which otherwise only agrees on secrets. It stands alone
// and not in the ratchet, so that who only has to check a signature contains
// nothing that decrypts.
package xeddsa

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"

	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
)

// SignatureSize is the size of an XEdDSA signature in bytes.
const SignatureSize = 64

// Sign signs message with a Curve25519 key (XEdDSA, section 2.5 "xeddsa_sign").
// Two signatures of the same message differ.
func Sign(k *[32]byte, message []byte) [SignatureSize]byte {
	var random [64]byte
	rand.Read(random[:])
	signature := sign(k, message, &random)
	clear(random[:])
	return signature
}

func sign(k *[32]byte, message []byte, random *[64]byte) [SignatureSize]byte {
	// calculate_key_pair: the Edwards key with sign bit zero, a negated to match.
	var a, r edwards25519.Scalar
	var point edwards25519.Point
	mustScalar(a.SetBytesWithClamping(k[:]))
	public := point.ScalarBaseMult(&a).Bytes()
	var negative edwards25519.Scalar
	negative.Negate(&a)
	selectScalar(&a, &negative, int(public[31]>>7))
	public[31] &= 0x7f

	// r = hash1(a || M || Z), where hash1 begins with 2^256 - 2, little-endian.
	secret := make([]byte, 32, 32+32+len(message)+64)
	for i := range secret {
		secret[i] = 0xff
	}
	secret[0] = 0xfe
	scalar := a.Bytes()
	secret = append(secret, scalar...)
	secret = append(secret, message...)
	secret = append(secret, random[:]...)
	digest := sha512.Sum512(secret)
	clear(secret)
	clear(scalar)
	mustScalar(r.SetUniformBytes(digest[:]))
	clear(digest[:])

	var signature [SignatureSize]byte
	copy(signature[:32], point.ScalarBaseMult(&r).Bytes())
	challenge := make([]byte, 0, 64+len(message))
	challenge = append(challenge, signature[:32]...)
	challenge = append(challenge, public...)
	challenge = append(challenge, message...)
	digest = sha512.Sum512(challenge)
	var h, s edwards25519.Scalar
	mustScalar(h.SetUniformBytes(digest[:]))
	copy(signature[32:], s.MultiplyAdd(&h, &a, &r).Bytes())
	a, r, negative = edwards25519.Scalar{}, edwards25519.Scalar{}, edwards25519.Scalar{}
	return signature
}

// Verify reports whether a signature is the key's (section 2.5 "xeddsa_verify"). It
// refuses keys that are not canonical, not on the curve or of small order, and s that
// is not reduced. The top bit of the signature is the sign of the Edwards key:
// always zero in XEdDSA, but set by older Signal libraries that sign without
// negating, so both are accepted.
func Verify(p *[32]byte, message []byte, signature []byte) bool {
	if len(signature) != SignatureSize || !ValidKey(p) {
		return false
	}
	// u_to_y: y = (u - 1) / (u + 1). u = -1 is of small order and out already.
	var u, one, y, d field.Element
	if _, err := u.SetBytes(p[:]); err != nil {
		return false
	}
	one.One()
	y.Multiply(y.Subtract(&u, &one), d.Invert(d.Add(&u, &one)))
	edwards := y.Bytes()
	edwards[31] |= signature[63] & 0x80
	var canonical [SignatureSize]byte
	copy(canonical[:], signature)
	canonical[63] &= 0x7f
	return ed25519.Verify(edwards, message, canonical[:])
}

// ValidKey reports whether the u-coordinate of a public key is canonical and, as far
// as can be told cheaply, of large order. Small orders on the twist have to be
// caught by looking at what comes out of a key agreement, too.
func ValidKey(p *[32]byte) bool {
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

// selectScalar sets a to b if condition is 1 and leaves it if it is 0, in constant time.
func selectScalar(a, b *edwards25519.Scalar, condition int) {
	x, y := a.Bytes(), b.Bytes()
	mask := byte(-condition)
	for i := range x {
		x[i] ^= mask & (x[i] ^ y[i])
	}
	mustScalar(a.SetCanonicalBytes(x))
	clear(x)
	clear(y)
}

// mustScalar takes the result of a call that fails only for a slice of the wrong
// size, or, for SetCanonicalBytes, for bytes that are not a Scalar's own.
func mustScalar(_ *edwards25519.Scalar, err error) {
	if err != nil {
		panic("xeddsa: " + err.Error())
	}
}

// smallOrder are the canonical u-coordinates of order 1, 2, 4 and 8 on the curve
// and on its twist (RFC 7748 section 6.1 tells to look at the result instead,
// which the ratchet does as well).
var smallOrder = [...][32]byte{
	{0},
	{1},
	{0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a,
		0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
	{0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b,
		0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57},
	{0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
}
