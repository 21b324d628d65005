package org

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Key is the public key of an organisation or of a device, with its name. It is a
// note.Verifier. The zero Key verifies nothing.
type Key struct {
	name   string
	public [ed25519.PublicKeySize]byte
}

// ErrKey is the error of what is no key.
var ErrKey = errors.New("this is no key of an organisation: one reads like hospital.example+1a2b3c4d+AZ…")

// algorithm is the first byte of an Ed25519 key in the encoding of notes.
const algorithm = 1

// NewKey returns the key with this name and these 32 bytes. Keys that anybody could
// sign for, because they are of small order, and second encodings of a key are
// refused. Whether the bytes are a point of the curve is not looked at: if they are
// not, the key verifies nothing.
func NewKey(name string, public []byte) (Key, error) {
	k := Key{name: name}
	if !validKeyName(name) || len(public) != len(k.public) || weak([32]byte(public)) {
		return Key{}, ErrKey
	}
	copy(k.public[:], public)
	return k, nil
}

// weak reports whether a key is of small order, or not the one encoding of its point
// (RFC 8032 section 5.1.2).
func weak(b [32]byte) bool {
	b[31] &= 0x7f // the sign of x: both points with a small y are of small order
	if b[31] == 0x7f && b[0] >= 0xed {
		rest := byte(0xff)
		for _, c := range b[1:31] {
			rest &= c
		}
		if rest == 0xff {
			return true // y is not below 2^255 - 19
		}
	}
	switch hex.EncodeToString(b[:]) {
	case "0000000000000000000000000000000000000000000000000000000000000000", // order 4
		"0100000000000000000000000000000000000000000000000000000000000000", // order 1
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // order 2
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", // order 8
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a": // order 8
		return true
	}
	return false
}

// ParseKey reads a key as String writes it, which is the encoding of notes.
func ParseKey(s string) (Key, error) {
	if len(s) > 512 {
		return Key{}, ErrKey
	}
	name, rest, _ := strings.Cut(s, "+")
	_, encoded, _ := strings.Cut(rest, "+")
	b, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil || len(b) != 1+ed25519.PublicKeySize || b[0] != algorithm {
		return Key{}, ErrKey
	}
	k, err := NewKey(name, b[1:])
	if err != nil || k.String() != s { // the number between has to be the key's
		return Key{}, ErrKey
	}
	return k, nil
}

// DeviceName is the name of the key with which a device signs. The number is the
// one of its OMEMO device, which is unique to its account and not beyond it.
func DeviceName(id uint32) string { return "device-" + strconv.FormatUint(uint64(id), 10) }

// String writes the key as name+number+base64, as notes do.
func (k Key) String() string {
	return fmt.Sprintf("%s+%08x+%s", k.name, k.KeyHash(), base64.StdEncoding.EncodeToString(k.encoded()))
}

// Name returns the name.
func (k Key) Name() string { return k.name }

// Public returns the 32 bytes of the key.
func (k Key) Public() []byte { return append([]byte(nil), k.public[:]...) }

// IsZero reports whether there is no key.
func (k Key) IsZero() bool { return k == Key{} }

// Fingerprint returns what an invitation names the key by, and people compare.
func (k Key) Fingerprint() Hash { return HashOf(k.String()) }

// KeyHash returns the number by which a line of a signature names the key.
func (k Key) KeyHash() uint32 {
	sum := sha256.Sum256(append([]byte(k.name+"\n"), k.encoded()...))
	return binary.BigEndian.Uint32(sum[:4])
}

// Verify reports whether sig is the key's signature of msg.
func (k Key) Verify(msg, sig []byte) bool {
	return !k.IsZero() && len(sig) == ed25519.SignatureSize && ed25519.Verify(k.public[:], msg, sig)
}

func (k Key) encoded() []byte { return append([]byte{algorithm}, k.public[:]...) }

var _ note.Verifier = Key{}
