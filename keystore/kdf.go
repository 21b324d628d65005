package keystore

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"hash"

	"github.com/awnumar/memguard"
	"golang.org/x/crypto/argon2"
)

// keySize is the length of every key here, in bytes.
const keySize = 32

const saltSize = 16

// kdf are the parameters of Argon2id (RFC 9106). They are stored in the vault,
// so that they can grow.
type kdf struct {
	memory  uint32 // KiB
	time    uint32 // passes
	threads uint8  // lanes
}

// standard is what new vaults get: the second choice of RFC 9106, section 4.
// It is the least that is accepted, too: nobody weakens a vault by editing it.
var standard = kdf{memory: 64 << 10, time: 3, threads: 4}

// ceiling bounds what a vault may ask for: 1 GiB, and about a minute.
var ceiling = kdf{memory: 1 << 20, time: 16, threads: 16}

// within reports whether k is neither weaker than floor nor above the ceiling.
func (k kdf) within(floor kdf) bool {
	return k.memory >= floor.memory && k.memory <= ceiling.memory &&
		k.time >= floor.time && k.time <= ceiling.time &&
		k.threads >= floor.threads && k.threads <= ceiling.threads
}

// stretch turns a PIN into a key. The caller destroys it.
func (k kdf) stretch(pin *memguard.LockedBuffer, salt []byte) *memguard.LockedBuffer {
	return memguard.NewBufferFromBytes(argon2.IDKey(pin.Bytes(), salt, k.time, k.memory, k.threads, keySize))
}

// wrappingKey derives the key that wraps the master key. The caller destroys it.
func wrappingKey(stretched *memguard.LockedBuffer, salt []byte, device *memguard.LockedBuffer) (*memguard.LockedBuffer, error) {
	secret := memguard.NewBuffer(keySize + device.Size())
	defer secret.Destroy()
	secret.Copy(stretched.Bytes())
	secret.CopyAt(keySize, device.Bytes())
	return derive(secret, salt, "sotto vault kek v1")
}

// authValue derives what a TPM is shown instead of the PIN. The caller destroys it.
func authValue(stretched *memguard.LockedBuffer, salt []byte) (*memguard.LockedBuffer, error) {
	return derive(stretched, salt, "sotto tpm auth v1")
}

// derive is HKDF-SHA256 into locked memory. The caller destroys the result.
func derive(secret *memguard.LockedBuffer, salt []byte, info string) (*memguard.LockedBuffer, error) {
	var used []hash.Hash
	defer func() {
		for _, h := range used { // each keeps the end of what it was given last
			h.Reset()
			h.Write(make([]byte, h.BlockSize()-1))
		}
	}()
	key, err := hkdf.Key(func() hash.Hash {
		h := sha256.New()
		used = append(used, h)
		return h
	}, secret.Bytes(), salt, info, keySize)
	if err != nil {
		return nil, fmt.Errorf("deriving a key: %w", err)
	}
	return memguard.NewBufferFromBytes(key), nil // wipes key
}
