// Package recovery is an organisation's recovery key: an age identity (X25519,
// https://age-encryption.org/v1) that opens vaults and backups in an emergency.
//
// Everybody may know its recipient, which the policy names. The identity itself is
// on paper, whole or in shares (package shares), or in files that an admin keeps;
// Reader takes it from there. It is in locked memory; what age computes with while
// it decrypts is on the Go heap, so a process that does ends soon after.
package recovery

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"unsafe"

	"filippo.io/age"
	"github.com/awnumar/memguard"

	"sotto/keystore/shares"
)

// Size is the length of a key in bytes.
const Size = shares.Size

// MaxRecipient bounds a recipient in bytes.
const MaxRecipient = 128

// ErrRecipient is returned for what is no recipient.
var ErrRecipient = errors.New(`a recovery key is named as an age recipient: "age1" and 58 small letters and digits`)

// CheckRecipient says whether s names a recovery key.
func CheckRecipient(s string) error {
	if len(s) > MaxRecipient {
		return ErrRecipient
	}
	if r, err := age.ParseX25519Recipient(s); err != nil || r.String() != s {
		return ErrRecipient
	}
	return nil
}

// Key is a recovery key. Destroy wipes it.
type Key struct{ secret *memguard.LockedBuffer }

// New makes a key.
func New() *Key {
	k := &Key{memguard.NewBuffer(Size)}
	rand.Read(k.secret.Bytes())
	return k
}

// FromSecret makes a key of its bytes, as Secret returns them. It takes them over.
func FromSecret(b *memguard.LockedBuffer) (*Key, error) {
	if b.Size() != Size {
		b.Destroy()
		return nil, errors.New("this is no recovery key: it has not the length of one")
	}
	return &Key{b}, nil
}

// Secret returns the bytes of the key, which stay its own.
func (k *Key) Secret() *memguard.LockedBuffer { return k.secret }

// Destroy wipes the key.
func (k *Key) Destroy() { k.secret.Destroy() }

// Recipient returns what everybody may know of the key.
func (k *Key) Recipient() (string, error) {
	public, err := k.public()
	if err != nil {
		return "", err
	}
	return string(appendBech32(nil, "age", public)), nil
}

func (k *Key) public() ([]byte, error) {
	private, err := ecdh.X25519().NewPrivateKey(k.secret.Bytes())
	if err != nil {
		return nil, fmt.Errorf("computing the recipient: %w", err)
	}
	return private.PublicKey().Bytes(), nil
}

// TextSize is the length of a key as text.
const TextSize = len(textPrefix) + 1 + (Size*8+4)/5 + checkSize

const textPrefix = "AGE-SECRET-KEY-"

// Text writes the key as age does: AGE-SECRET-KEY-1… The caller destroys it.
func (k *Key) Text() *memguard.LockedBuffer {
	text := memguard.NewBuffer(TextSize)
	upper(appendBech32(text.Bytes()[:0], "age-secret-key-", k.secret.Bytes()))
	return text
}

// ErrText is returned for what is no key as text.
var ErrText = errors.New("this is no recovery key: it begins with AGE-SECRET-KEY-1 and has 74 letters and digits. Compare it with the sheet, and type it again")

// ParseText reads what Text wrote. text stays the caller's, and is changed.
func ParseText(text []byte) (*Key, error) {
	lower(text)
	secret := memguard.NewBuffer(Size)
	if !readBech32(secret.Bytes(), "age-secret-key-", text) {
		secret.Destroy()
		return nil, ErrText
	}
	return &Key{secret}, nil
}

// Identity returns the key as age has it, which keeps a copy on the heap.
func (k *Key) Identity() (age.Identity, error) {
	text := k.Text()
	defer text.Destroy()
	// age takes a string: this one is in locked memory.
	id, err := age.ParseX25519Identity(unsafe.String(&text.Bytes()[0], text.Size()))
	if err != nil {
		return nil, fmt.Errorf("reading the recovery key: %w", err)
	}
	return id, nil
}

// Split splits the key into shares. The caller destroys them.
func (k *Key) Split(need, of int) (*shares.Set, error) {
	id, err := k.id()
	if err != nil {
		return nil, err
	}
	return shares.Split(k.secret, id, need, of)
}

// id tells the shares of the key from those of others.
func (k *Key) id() (id [4]byte, err error) {
	public, err := k.public()
	if err != nil {
		return id, err
	}
	sum := sha256.Sum256(append([]byte("sotto recovery shares v1"), public...))
	return [4]byte(sum[:4]), nil
}

// ErrShares is returned where shares make another key than they were made of.
var ErrShares = errors.New("these shares do not make the key that they were made of: one of them is not real")

// Combined makes the key of shares that are enough.
func Combined(set *shares.Set) (*Key, error) {
	secret, err := set.Combine()
	if err != nil {
		return nil, err
	}
	k := &Key{secret}
	if id, err := k.id(); err != nil || id != set.ID() {
		k.Destroy()
		return nil, ErrShares
	}
	return k, nil
}
