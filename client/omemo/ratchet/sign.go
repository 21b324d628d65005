package ratchet

import (
	"fmt"

	"sotto/client/xeddsa"
)

// SignatureSize is the size of an XEdDSA signature in bytes.
const SignatureSize = xeddsa.SignatureSize

// Sign signs message with a Curve25519 key (XEdDSA). Two signatures of the same
// message differ.
func Sign(k *PrivateKey, message []byte) [SignatureSize]byte {
	return xeddsa.Sign((*[32]byte)(k), message)
}

// Verify checks an XEdDSA signature, and that the key is one: see [xeddsa.Verify].
func Verify(p *PublicKey, message []byte, signature []byte) error {
	switch {
	case len(signature) != SignatureSize:
		return fmt.Errorf("%w: signature of %d bytes", ErrMalformed, len(signature))
	case !p.valid():
		return fmt.Errorf("%w: unsafe public key", ErrMalformed)
	case !xeddsa.Verify((*[32]byte)(p), message, signature):
		return ErrSignature
	}
	return nil
}
