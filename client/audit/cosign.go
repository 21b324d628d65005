package audit

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// CollectorKey is the public key of a collector, under a name such as
// audit.hospital.example. Below a device's checkpoint it signs what
// https://c2sp.org/tlog-cosignature calls a cosignature/v1: the checkpoint's text
// and the time at which the collector had stored all of it.
//
// It is a note.Verifier of those signatures.
type CollectorKey struct {
	name   string
	hash   uint32
	public ed25519.PublicKey
}

// algCosignature is the type of such keys (https://c2sp.org/signed-note).
const algCosignature = 4

// NewCollectorKey makes a key of a name, which has no spaces and no +, and at most
// 255 bytes, and an Ed25519 key.
func NewCollectorKey(name string, public ed25519.PublicKey) (*CollectorKey, error) {
	if name == "" || len(name) > 255 || !utf8.ValidString(name) || strings.Contains(name, "+") ||
		strings.IndexFunc(name, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) >= 0 {
		return nil, errors.New("a collector's name has 1 to 255 bytes, no spaces and no +")
	}
	if len(public) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("a collector's key of %d bytes is not Ed25519", len(public))
	}
	k := &CollectorKey{name: name, public: append(ed25519.PublicKey(nil), public...)}
	sum := sha256.Sum256(append([]byte(name+"\n"), k.typed()...))
	k.hash = binary.BigEndian.Uint32(sum[:])
	return k, nil
}

func (k *CollectorKey) typed() []byte { return append([]byte{algCosignature}, k.public...) }

// Name returns the collector's name.
func (k *CollectorKey) Name() string { return k.name }

// KeyHash returns the id of the key in signatures.
func (k *CollectorKey) KeyHash() uint32 { return k.hash }

// Public returns the Ed25519 key.
func (k *CollectorKey) Public() ed25519.PublicKey { return k.public }

// String is the key in the form that a policy names it: a verifier key of
// https://c2sp.org/signed-note.
func (k *CollectorKey) String() string {
	return fmt.Sprintf("%s+%08x+%s", k.name, k.hash, base64.StdEncoding.EncodeToString(k.typed()))
}

// ParseCollectorKey reads what String wrote.
func ParseCollectorKey(s string) (*CollectorKey, error) {
	wrong := errors.New("this is no key of a collector: it would be a name, a +, eight digits, a +, and the key in base64")
	if len(s) > 512 {
		return nil, wrong
	}
	name, rest, _ := strings.Cut(s, "+")
	hash, key, _ := strings.Cut(rest, "+")
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil || len(raw) != 1+ed25519.PublicKeySize || raw[0] != algCosignature {
		return nil, wrong
	}
	k, err := NewCollectorKey(name, raw[1:])
	if err != nil {
		return nil, err
	}
	if n, err := strconv.ParseUint(hash, 16, 32); err != nil || uint32(n) != k.hash || k.String() != s {
		return nil, wrong
	}
	return k, nil
}

// Verify verifies a cosignature over a checkpoint's text.
func (k *CollectorKey) Verify(text, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize || binary.BigEndian.Uint64(sig) >= 1<<40 {
		return false
	}
	return ed25519.Verify(k.public, cosigned(text, binary.BigEndian.Uint64(sig)), sig[8:])
}

func cosigned(text []byte, at uint64) []byte {
	return append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", at), text...)
}

func cosignedAt(sig []byte) time.Time {
	return time.Unix(int64(binary.BigEndian.Uint64(sig)), 0).UTC()
}

// Cosign adds the collector's signature to a checkpoint that has only the device's
// and was verified. key is the private one of k.
func (k *CollectorKey) Cosign(checkpoint []byte, key crypto.Signer, at time.Time) ([]byte, error) {
	text, _, ok := strings.Cut(string(checkpoint), "\n\n")
	if !ok {
		return nil, fmt.Errorf("signing a device's checkpoint: %w", ErrCheckpoint)
	}
	text += "\n"
	seconds := uint64(stamp(at).Unix())
	sig, err := key.Sign(nil, cosigned([]byte(text), seconds), crypto.Hash(0))
	if err != nil {
		return nil, fmt.Errorf("signing a device's checkpoint: %w", err)
	}
	full := append(binary.BigEndian.AppendUint64(nil, seconds), sig...)
	if !k.Verify([]byte(text), full) {
		return nil, errors.New("signing a device's checkpoint: the key is another one than the collector's")
	}
	return AppendSignature(append([]byte(nil), checkpoint...), k, full), nil
}
