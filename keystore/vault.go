package keystore

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"

	"github.com/awnumar/memguard"
	"golang.org/x/crypto/chacha20poly1305"
)

// The vault's format. Numbers are big-endian.
//
//	magic 8 · version 2 · kdf 1 (Argon2id) · threads 1 · time 4 · memory 4 (KiB)
//	salt 16 · device id 16
//	wrong PINs after which it destroys itself 2 (0: never)
//	NV index of the device secret in the TPM 4 (0: it is in the device's file)
//	nonce 24 · master key 32+16, sealed under the KEK
//	since version 4: the slot of the recovery key, see slot.go
//	nonce 24 · length 4 · account, sealed under a key from the master key
//	nonce 24 · length 4 · passwords, likewise
//	zeros, as few as fill the last block of 4096
//	SHA-256 of all before, at the block's end
//	tally, two blocks of its own: see attempts.go
//
// The associated data of each sealed part is everything before it, so no part
// fits into another vault or version. The hash tells a damaged file from a
// wrong PIN; whoever changes the file on purpose can recompute it and gains a
// vault that does not open. A vault of version 3 becomes one of version 4 when it
// is opened with its PIN.
const (
	vaultMagic   = "SOTTOvlt"
	vaultVersion = 4
	oldestVault  = 3 // that is read
	slotVersion  = 4 // the first with a slot
	kdfArgon2id  = 1

	headerSize  = len(vaultMagic) + 2 + 1 + 1 + 4 + 4 + saltSize + deviceIDSize + 2 + 4
	sealedSize  = chacha20poly1305.NonceSizeX + keySize + chacha20poly1305.Overhead
	maxAccount  = 3*4 + 1 + MaxAddress + MaxRelay + MaxCA + 1 + MaxAccesses*maxAccess + chacha20poly1305.Overhead
	secretsSize = 2 * (2 + MaxPassword) // always full, so that the length tells nothing
	maxContent  = (headerSize + sealedSize + maxSlot + 2*(chacha20poly1305.NonceSizeX+4) + maxAccount +
		secretsSize + chacha20poly1305.Overhead + sha256.Size + blockSize - 1) / blockSize * blockSize
	maxVault = maxContent + tallySize
)

// vault is a parsed vault file: nothing in it is secret without the PIN and the
// device secret.
type vault struct {
	version uint16
	kdf     kdf
	salt    [saltSize]byte
	device  [deviceIDSize]byte
	limit   uint16 // wrong PINs after which it destroys itself; 0 is never
	index   uint32 // where in the TPM the device secret is; 0 is in the device's file
	master  sealed
	slot    slot // of the recovery key
	// account and passwords are read and replaced together.
	account, passwords sealed
}

// sealed is one AEAD ciphertext with its nonce.
type sealed struct {
	nonce [chacha20poly1305.NonceSizeX]byte
	text  []byte
}

// seal encrypts plaintext. The nonce is random: 24 bytes make a repeat impossible
// in practice.
func seal(key *memguard.LockedBuffer, plaintext, data []byte) (sealed, error) {
	var s sealed
	aead, err := chacha20poly1305.NewX(key.Bytes())
	if err != nil {
		return s, err
	}
	rand.Read(s.nonce[:])
	s.text = aead.Seal(nil, s.nonce[:], plaintext, data)
	return s, nil
}

// open decrypts into dst, which has exactly the plaintext's length.
func (s sealed) open(key *memguard.LockedBuffer, dst, data []byte) bool {
	aead, err := chacha20poly1305.NewX(key.Bytes())
	if err != nil || len(s.text) != len(dst)+aead.Overhead() {
		return false
	}
	_, err = aead.Open(dst[:0], s.nonce[:], s.text, data)
	return err == nil
}

// header is everything before the wrapped master key.
func (v *vault) header() []byte {
	b := make([]byte, 0, headerSize)
	b = append(b, vaultMagic...)
	b = binary.BigEndian.AppendUint16(b, v.version)
	b = append(b, kdfArgon2id, v.kdf.threads)
	b = binary.BigEndian.AppendUint32(b, v.kdf.time)
	b = binary.BigEndian.AppendUint32(b, v.kdf.memory)
	b = append(b, v.salt[:]...)
	b = append(b, v.device[:]...)
	b = binary.BigEndian.AppendUint16(b, v.limit)
	return binary.BigEndian.AppendUint32(b, v.index)
}

// beforeAccount and beforePasswords are the associated data of those parts.
func (v *vault) beforeAccount() []byte {
	b := append(append(v.header(), v.master.nonce[:]...), v.master.text...)
	if v.version >= slotVersion {
		b = v.slot.appendTo(b)
	}
	return b
}

func (v *vault) beforePasswords() []byte { return v.account.appendTo(v.beforeAccount()) }

func (s sealed) appendTo(b []byte) []byte {
	b = append(b, s.nonce[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(s.text)))
	return append(b, s.text...)
}

// encode returns the file's content, without the tally.
func (v *vault) encode() []byte {
	b := v.passwords.appendTo(v.beforePasswords())
	b = append(b, make([]byte, filled(len(b)+sha256.Size)-len(b)-sha256.Size)...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// writeVault replaces the file by one in which nothing was tried.
func (p Place) writeVault(v *vault) error {
	return p.write(p.vault, append(v.encode(), newTally()...))
}

// checkLayout looks at what is the same in every version since the third: whole
// blocks. What has none may be of a version before.
func checkLayout(b []byte) error {
	switch {
	case !bytes.HasPrefix(b, []byte(vaultMagic)), len(b) > maxContent:
		return ErrDamaged
	case len(b) > 0 && len(b)%blockSize == 0:
		return nil
	}
	r := reader{b: b[len(vaultMagic):]}
	if version := r.uint16(); !r.bad && version > 0 && version < oldestVault {
		return ErrOlder
	}
	return ErrDamaged
}

// parseVault reads a vault file's content without the tally. Anything may have
// written it: lengths and KDF parameters are bounded before they are acted upon.
func parseVault(b []byte, floor kdf) (*vault, error) {
	if err := checkLayout(b); err != nil {
		return nil, err
	}
	body, sum := b[:len(b)-sha256.Size], sha256.Sum256(b[:len(b)-sha256.Size])
	if subtle.ConstantTimeCompare(sum[:], b[len(body):]) != 1 {
		return nil, ErrDamaged
	}
	r := reader{b: body[len(vaultMagic):]}
	v := &vault{version: r.uint16()}
	switch {
	case v.version > vaultVersion:
		return nil, ErrNewer
	case v.version < oldestVault:
		return nil, ErrOlder
	}
	kind := r.byte()
	v.kdf.threads, v.kdf.time, v.kdf.memory = r.byte(), r.uint32(), r.uint32()
	copy(v.salt[:], r.next(saltSize))
	copy(v.device[:], r.next(deviceIDSize))
	v.limit, v.index = r.uint16(), r.uint32()
	copy(v.master.nonce[:], r.next(len(v.master.nonce)))
	v.master.text = r.next(keySize + chacha20poly1305.Overhead)
	if v.version >= slotVersion {
		v.slot = r.slot()
	}
	v.account = r.sealed(maxAccount)
	v.passwords = r.sealed(secretsSize + chacha20poly1305.Overhead)
	if kind != kdfArgon2id || r.bad || len(r.b) >= blockSize || len(bytes.Trim(r.b, "\x00")) != 0 || !v.kdf.within(floor) {
		return nil, ErrDamaged
	}
	return v, nil
}

// reader takes a byte slice apart. After a read beyond the end, bad is set and
// every read returns zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) next(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad, r.b = true, nil
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) byte() byte {
	if b := r.next(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.next(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.next(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.next(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// field reads a 32-bit length of at most limit, and as many bytes.
func (r *reader) field(limit int) []byte {
	n := r.uint32()
	if int64(n) > int64(limit) {
		r.bad = true
		return nil
	}
	return r.next(int(n))
}

func (r *reader) sealed(limit int) (s sealed) {
	copy(s.nonce[:], r.next(len(s.nonce)))
	s.text = r.field(limit)
	return s
}
