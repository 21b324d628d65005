// Package aesgcm encrypts files for HTTP upload (XEP-0454): AES-256-GCM with a
// key of each file's own, and links that hold the address and that key.
//
// It has no files and no network. What it gets is in memory, and what it hands
// out is either the whole of a file whose tag was right, or an error.
package aesgcm

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
)

// Sizes in bytes.
const (
	KeySize   = 32
	NonceSize = 12
	OldNonce  = 16 // of apps that are older than the XEP: read, never written
	Overhead  = 16 // the tag at the end of a ciphertext
)

// ErrAltered is returned for a ciphertext that is not what was encrypted with
// its key: not all of it came, or it was changed.
var ErrAltered = errors.New("the file was damaged or altered on its way")

// ErrKey is returned for what is not a marshalled key.
var ErrKey = errors.New("not the key of a file")

// Key is what one file is encrypted with, and nothing else ever is. It is safe
// for concurrent use, until it is wiped.
type Key struct {
	nonce []byte // NonceSize or OldNonce
	key   [KeySize]byte
}

// NewKey makes a random key.
func NewKey() *Key {
	k := &Key{nonce: make([]byte, NonceSize)}
	rand.Read(k.nonce)
	rand.Read(k.key[:])
	return k
}

// ReadKey reads what Bytes returned. It keeps no reference to b.
func ReadKey(b []byte) (*Key, error) {
	n := len(b) - KeySize
	if n != NonceSize && n != OldNonce {
		return nil, ErrKey
	}
	k := &Key{nonce: append([]byte(nil), b[:n]...)}
	copy(k.key[:], b[n:])
	return k, nil
}

// Bytes is the nonce and then the key, as in a link. Wipe it after use.
func (k *Key) Bytes() []byte {
	return append(append(make([]byte, 0, len(k.nonce)+KeySize), k.nonce...), k.key[:]...)
}

// Wipe clears the key.
func (k *Key) Wipe() {
	clear(k.nonce)
	clear(k.key[:])
}

func (k *Key) gcm() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k.key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithNonceSize(block, len(k.nonce))
}

// Seal encrypts a file, which it takes over: afterwards nothing of the content
// is left in that slice. A capacity of Overhead bytes more than the length saves
// a copy. It must be called once for a key.
func (k *Key) Seal(content []byte) ([]byte, error) {
	gcm, err := k.gcm()
	if err != nil {
		clear(content)
		return nil, fmt.Errorf("encrypt a file: %w", err)
	}
	sealed := gcm.Seal(content[:0], k.nonce, content, nil)
	if cap(content) < len(content)+Overhead {
		clear(content)
	}
	return sealed, nil
}

// Open decrypts a file in place. On an error, which is ErrAltered, nothing of the
// content is anywhere.
func (k *Key) Open(sealed []byte) ([]byte, error) {
	gcm, err := k.gcm()
	if err != nil {
		return nil, fmt.Errorf("decrypt a file: %w", err)
	}
	content, err := gcm.Open(sealed[:0], k.nonce, sealed, nil)
	if err != nil {
		clear(sealed)
		return nil, ErrAltered
	}
	return content, nil
}
