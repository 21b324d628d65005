// Package signer keeps the private keys of organisations and devices.
//
// A key is an Ed25519 seed (RFC 8032 section 5.1.5) in a memguard enclave, that is
// encrypted in memory. It is opened into locked memory for each signature and
// closed again. The package signs by itself rather than through crypto/ed25519:
// that keeps the expanded key of whatever it signed with on the heap, in a cache,
// and cannot work with memory outside the heap at all.
//
// An organisation's key belongs to the process that an administrator runs. The
// key of a device is made when it joins, stays in its vault or its database, and
// signs what it says to the organisation: that it asks to join, what it did about
// an order, who may say so in its place while it is locked, and the checkpoints of
// its audit log. It is not the OMEMO identity key: that one proves who wrote a
// message and must stay deniable, and what a device reports must not be.
package signer

import (
	"crypto/sha512"
	"errors"
	"fmt"

	"filippo.io/edwards25519"
	"github.com/awnumar/memguard"
	"golang.org/x/mod/sumdb/note"

	"sotto/client/org"
)

// SeedSize is the length of a private key in bytes.
const SeedSize = 32

// Key is a private key with its name. It is a note.Signer. Its methods may be
// called at the same time.
type Key struct {
	public org.Key
	seed   *memguard.Enclave
}

var _ note.Signer = (*Key)(nil)

// Generate makes the key of an organisation.
func Generate(name string) (*Key, error) {
	if !org.ValidName(name) {
		return nil, fmt.Errorf("making a key: %q is not the name of an organisation: one reads like hospital.example", name)
	}
	return FromSeed(name, memguard.NewBufferRandom(SeedSize))
}

// GenerateDevice makes the key of a device, which has this number (org.DeviceName).
func GenerateDevice(id uint32) (*Key, error) {
	return FromSeed(org.DeviceName(id), memguard.NewBufferRandom(SeedSize))
}

// FromSeed takes over a key that was kept. It destroys seed.
func FromSeed(name string, seed *memguard.LockedBuffer) (*Key, error) {
	defer seed.Destroy()
	if seed.Size() != SeedSize {
		return nil, errors.New("opening a signing key: it does not have the length of one")
	}
	e := expand(seed)
	defer e.destroy()
	public, err := org.NewKey(name, e.public())
	if err != nil {
		return nil, fmt.Errorf("opening a signing key: %w", err)
	}
	return &Key{public, seed.Seal()}, nil
}

// WithSeed calls fn with the private key, so that it can be kept. The buffer is
// destroyed afterwards.
func (k *Key) WithSeed(fn func(seed *memguard.LockedBuffer) error) error {
	seed, err := k.seed.Open()
	if err != nil {
		return fmt.Errorf("opening a signing key: %w", err)
	}
	defer seed.Destroy()
	return fn(seed)
}

// Public returns the public key.
func (k *Key) Public() org.Key { return k.public }

// Name returns the key's name.
func (k *Key) Name() string { return k.public.Name() }

// KeyHash returns the key's number.
func (k *Key) KeyHash() uint32 { return k.public.KeyHash() }

// Sign signs msg (Ed25519, RFC 8032 section 5.1.6). It fails if memory cannot be locked.
func (k *Key) Sign(msg []byte) (signature []byte, err error) {
	err = k.WithSeed(func(seed *memguard.LockedBuffer) error {
		e := expand(seed)
		defer e.destroy()
		signature = e.sign(msg, k.public.Public())
		return nil
	})
	return signature, err
}

// expanded is a private key as it is computed with: the scalar and the prefix.
type expanded struct {
	scalar edwards25519.Scalar
	digest [sha512.Size]byte
}

func expand(seed *memguard.LockedBuffer) *expanded {
	e := &expanded{digest: sha512.Sum512(seed.Bytes())}
	must(e.scalar.SetBytesWithClamping(e.digest[:32]))
	return e
}

func (e *expanded) destroy() {
	clear(e.digest[:])
	e.scalar = edwards25519.Scalar{}
}

func (e *expanded) public() []byte {
	return new(edwards25519.Point).ScalarBaseMult(&e.scalar).Bytes()
}

func (e *expanded) sign(msg, public []byte) []byte {
	var nonce, challenge, s edwards25519.Scalar
	secret := make([]byte, 32, 32+len(msg))
	copy(secret, e.digest[32:])
	sum := sha512.Sum512(append(secret, msg...))
	clear(secret)
	must(nonce.SetUniformBytes(sum[:]))
	clear(sum[:])

	signature := new(edwards25519.Point).ScalarBaseMult(&nonce).Bytes()
	h := sha512.New()
	h.Write(signature)
	h.Write(public)
	h.Write(msg)
	must(challenge.SetUniformBytes(h.Sum(nil)))
	signature = append(signature, s.MultiplyAdd(&challenge, &e.scalar, &nonce).Bytes()...)
	nonce = edwards25519.Scalar{}
	return signature
}

// must takes the result of a call that fails only for a slice of the wrong size.
func must(_ *edwards25519.Scalar, err error) {
	if err != nil {
		panic("signer: " + err.Error())
	}
}
