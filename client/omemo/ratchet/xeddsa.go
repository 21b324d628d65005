package ratchet

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"
	"fmt"

	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
)

// SignatureSize is the size of an XEdDSA signature in bytes.
const SignatureSize = 64

// Sign signs message with a Curve25519 key (XEdDSA, section 2.5 "xeddsa_sign").
// Two signatures of the same message differ.
func Sign(k *PrivateKey, message []byte) [SignatureSize]byte {
	var random [64]byte
	rand.Read(random[:])
	signature := sign(k, message, &random)
	clear(random[:])
	return signature
}

func sign(k *PrivateKey, message []byte, random *[64]byte) [SignatureSize]byte {
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

// Verify checks an XEdDSA signature (section 2.5 "xeddsa_verify"). It refuses
// keys that are not canonical, not on the curve or of small order, and s that
// is not reduced. The top bit of the signature is the sign of the Edwards key:
// always zero in XEdDSA, but set by older Signal libraries that sign without
// negating, so both are accepted.
func Verify(p *PublicKey, message []byte, signature []byte) error {
	if len(signature) != SignatureSize {
		return fmt.Errorf("%w: signature of %d bytes", ErrMalformed, len(signature))
	}
	if !p.valid() {
		return fmt.Errorf("%w: unsafe public key", ErrMalformed)
	}
	// u_to_y: y = (u - 1) / (u + 1). u = -1 is of small order and out already.
	var u, one, y, d field.Element
	if _, err := u.SetBytes(p[:]); err != nil {
		return fmt.Errorf("%w: public key", ErrMalformed)
	}
	one.One()
	y.Multiply(y.Subtract(&u, &one), d.Invert(d.Add(&u, &one)))
	edwards := y.Bytes()
	edwards[31] |= signature[63] & 0x80
	var canonical [SignatureSize]byte
	copy(canonical[:], signature)
	canonical[63] &= 0x7f
	if !ed25519.Verify(edwards, message, canonical[:]) {
		return ErrSignature
	}
	return nil
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
		panic("ratchet: " + err.Error())
	}
}
