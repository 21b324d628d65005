// Package tpm keeps one secret of a vault in a TPM 2.0.
//
// The secret lies in an NV index of its own, behind an authorization value that
// is derived from the PIN. The index is not exempt from the TPM's protection
// against dictionary attacks: a wrong value counts in the TPM itself, and after
// as many as the TPM allows it refuses every value for a while. So guessing is
// slow even for whoever has copied every file and writes programs of their own.
// Removing the index destroys the secret for good, which overwriting a file on
// a solid state disk does not.
//
// Every command that carries or proves something secret runs in a session
// whose key is agreed with the TPM's storage key (ECDH, P-256), with parameters
// encrypted by AES-128-CFB: neither the authorization value nor the secret goes
// over the bus in clear. The storage key is remembered when the secret is
// sealed, so a TPM that was put in between later is noticed before anything is
// asked of it.
//
// What this cannot promise: root can remove the index (then the vault is lost),
// and where the lockout hierarchy has no authorization value of its own, root
// can clear the TPM's count of wrong values.
//
// Specification: TCG TPM 2.0 Library, parts 1 (19, dictionary attacks) and 3
// (31, non-volatile storage).
package tpm

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// Sizes in bytes.
const (
	SecretSize = 32 // of what is sealed
	AuthSize   = 32 // of an authorization value
	RefSize    = 4 + tagSize + sha256.Size

	tagSize = sha256.Size
)

// The errors with a remedy, in words for people.
var (
	ErrNone       = errors.New("there is no TPM 2.0 here that sotto can use (no /dev/tpmrm0)")
	ErrPermission = errors.New("you may not use the TPM. Ask your administrator to add you to the group of /dev/tpmrm0 (often it is tss), then sign in anew")
	ErrOwned      = errors.New("the TPM's owner hierarchy has a password, so nothing new can be kept in it. Ask your administrator")
	ErrFull       = errors.New("the TPM has no room left. Ask your administrator to remove what is no longer used")
	ErrGone       = errors.New("the TPM was cleared, or this is another one")
	ErrAuth       = errors.New("the TPM does not accept that value")
	ErrLockout    = errors.New("the TPM refuses every PIN for now, because there were too many wrong ones on this machine")
)

// Ref says where in which TPM a secret is. It is not secret.
type Ref struct {
	handle uint32
	tag    [tagSize]byte     // marks the index as this one: random, kept in its public part
	key    [sha256.Size]byte // hash of the storage key's public part
}

// Zero reports whether r refers to nothing.
func (r Ref) Zero() bool { return r.handle == 0 }

// Handle is the NV index, as TPM tools call it.
func (r Ref) Handle() uint32 { return r.handle }

// Append writes r as RefSize bytes.
func (r Ref) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, r.handle)
	return append(append(b, r.tag[:]...), r.key[:]...)
}

// ReadRef is the reverse of Append. It reports whether b is RefSize bytes that
// name nothing, or an index in the owner's range.
func ReadRef(b []byte) (r Ref, ok bool) {
	if len(b) != RefSize {
		return r, false
	}
	r.handle = binary.BigEndian.Uint32(b)
	copy(r.tag[:], b[4:])
	copy(r.key[:], b[4+tagSize:])
	if r.handle == 0 {
		return r, r == Ref{}
	}
	return r, r.handle >= firstIndex && r.handle <= lastIndex
}

// The NV indices that belong to the owner (TCG Registry of Reserved TPM 2.0
// Handles and Localities, 2.2.2).
const (
	firstIndex = 0x01800000
	lastIndex  = 0x01bfffff
)

// public is the public part that the index of r has once it was written to.
// An index with any other was not made by Seal, whatever its number.
func (r Ref) public(written bool) tpm2.TPMSNVPublic {
	return tpm2.TPMSNVPublic{
		NVIndex: tpm2.TPMHandle(r.handle),
		NameAlg: tpm2.TPMAlgSHA256,
		// NoDA is not among them: wrong values count.
		Attributes: tpm2.TPMANV{AuthRead: true, AuthWrite: true, WriteAll: true, NT: tpm2.TPMNTOrdinary, Written: written},
		AuthPolicy: tpm2.TPM2BDigest{Buffer: r.tag[:]}, // no policy has a random hash: it is only a mark
		DataSize:   SecretSize,
	}
}

// Ready says why nothing new can be sealed: what Err says, or ErrOwned.
func (d *Device) Ready() error {
	if err := d.Err(); err != nil {
		return err
	}
	permanent, err := d.property(tpm2.TPMPTPermanent)
	if err == nil && permanent&ownerAuthSet != 0 {
		err = ErrOwned
	}
	return err
}

// New chooses where to put a secret: an index that is free. Nothing is changed
// in the TPM.
func (d *Device) New() (Ref, error) {
	var r Ref
	if err := d.Ready(); err != nil {
		return r, err
	}
	key, err := d.storageKey()
	if err != nil {
		return r, err
	}
	defer key.flush()
	r.key = key.hash
	rand.Read(r.tag[:])
	for range 16 {
		var b [4]byte
		rand.Read(b[:])
		r.handle = firstIndex + binary.BigEndian.Uint32(b[:])%(lastIndex-firstIndex+1)
		_, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(r.handle)}.Execute(d)
		switch {
		case errors.Is(err, tpm2.TPMRCHandle):
			return r, nil
		case err != nil:
			return Ref{}, explain("look for room in the TPM", err)
		}
	}
	return Ref{}, ErrFull
}

// Seal puts secret, SecretSize bytes, where New said, behind auth, AuthSize bytes.
func (d *Device) Seal(r Ref, auth, secret []byte) error {
	const doing = "seal a secret in the TPM"
	if err := d.Err(); err != nil {
		return err
	}
	if len(auth) != AuthSize || len(secret) != SecretSize {
		return errors.New("seal in the TPM: wrong sizes")
	}
	key, err := d.keyOf(r)
	if err != nil {
		return err
	}
	defer key.flush()
	_, err = tpm2.NVDefineSpace{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Name: tpm2.HandleName(tpm2.TPMRHOwner), Auth: key.in(nil)},
		Auth:       tpm2.TPM2BAuth{Buffer: nonzero(auth)},
		PublicInfo: tpm2.New2B(r.public(false)),
	}.Execute(d)
	if err != nil {
		return explain(doing, err)
	}
	name, err := nameOf(r.public(false))
	if err == nil {
		_, err = tpm2.NVWrite{
			AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(r.handle), Name: name, Auth: key.in(nonzero(auth))},
			NVIndex:    tpm2.NamedHandle{Handle: tpm2.TPMHandle(r.handle), Name: name},
			Data:       tpm2.TPM2BMaxNVBuffer{Buffer: secret},
		}.Execute(d)
	}
	if err != nil {
		return errors.Join(explain(doing, err), d.Forget(r))
	}
	return nil
}

// Check says why Unseal cannot be tried, without trying a value: ErrGone,
// ErrLockout or what Err says.
func (d *Device) Check(r Ref) error {
	if err := d.Err(); err != nil {
		return err
	}
	key, err := d.keyOf(r)
	if err != nil {
		return err
	}
	key.flush()
	if ours, written, err := d.find(r); err != nil {
		return err
	} else if !ours || !written {
		return ErrGone
	}
	l, err := d.Lockout()
	if err != nil {
		return err
	}
	if l.Locked {
		return &LockedError{l}
	}
	return nil
}

// Unseal reads a secret into dst, SecretSize bytes. With a wrong auth the error
// is ErrAuth and the TPM has counted it; while the TPM refuses every value it
// matches ErrLockout.
func (d *Device) Unseal(r Ref, auth, dst []byte) error {
	const doing = "read a secret from the TPM"
	if err := d.Err(); err != nil {
		return err
	}
	if len(dst) != SecretSize {
		return errors.New("read from the TPM: wrong size")
	}
	key, err := d.keyOf(r)
	if err != nil {
		return err
	}
	defer key.flush()
	name, err := nameOf(r.public(true))
	if err != nil {
		return explain(doing, err)
	}
	read, err := tpm2.NVRead{
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(r.handle), Name: name, Auth: key.out(nonzero(auth))},
		NVIndex:    tpm2.NamedHandle{Handle: tpm2.TPMHandle(r.handle), Name: name},
		Size:       SecretSize,
	}.Execute(d)
	switch {
	case errors.Is(err, tpm2.TPMRCAuthFail), errors.Is(err, tpm2.TPMRCBadAuth):
		return ErrAuth
	case errors.Is(err, tpm2.TPMRCLockout):
		l, _ := d.Lockout()
		l.Locked = true
		return &LockedError{l}
	case errors.Is(err, tpm2.TPMRCHandle):
		return ErrGone
	case err != nil:
		return explain(doing, err)
	}
	defer clear(read.Data.Buffer)
	if len(read.Data.Buffer) != SecretSize {
		return explain(doing, errors.New("it has another length"))
	}
	copy(dst, read.Data.Buffer)
	return nil
}

// Forget removes a secret. One that is not there, or an index that was not made
// by Seal, is left alone without an error.
func (d *Device) Forget(r Ref) error {
	const doing = "remove a secret from the TPM"
	if r.Zero() {
		return nil
	}
	if err := d.Err(); err != nil {
		return err
	}
	ours, written, err := d.find(r)
	if err != nil || !ours {
		return err
	}
	name, err := nameOf(r.public(written))
	if err != nil {
		return explain(doing, err)
	}
	_, err = tpm2.NVUndefineSpace{
		// The owner's authorization is the empty one: nothing secret is sent.
		AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Name: tpm2.HandleName(tpm2.TPMRHOwner), Auth: tpm2.PasswordAuth(nil)},
		NVIndex:    tpm2.NamedHandle{Handle: tpm2.TPMHandle(r.handle), Name: name},
	}.Execute(d)
	if errors.Is(err, tpm2.TPMRCAuthFail) || errors.Is(err, tpm2.TPMRCBadAuth) {
		return explain(doing, ErrOwned)
	}
	return explain(doing, err)
}

// find looks whether the index of r is there and was made by Seal, and whether
// the secret was written to it.
func (d *Device) find(r Ref) (ours, written bool, err error) {
	read, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(r.handle)}.Execute(d)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return false, false, nil
	}
	if err != nil {
		return false, false, explain("look for a secret in the TPM", err)
	}
	for _, written := range []bool{false, true} {
		if bytes.Equal(read.NVPublic.Bytes(), tpm2.Marshal(r.public(written))) {
			return true, written, nil
		}
	}
	return false, false, nil
}

// storageKey is the TPM's storage key for as long as a function needs it: made
// anew each time from the TPM's seed, always the same until the TPM is cleared.
type storageKey struct {
	d      *Device
	handle tpm2.TPMHandle
	public tpm2.TPMTPublic
	hash   [sha256.Size]byte
}

func (d *Device) storageKey() (*storageKey, error) {
	const doing = "make the TPM's storage key"
	made, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate),
	}.Execute(d)
	if errors.Is(err, tpm2.TPMRCAuthFail) || errors.Is(err, tpm2.TPMRCBadAuth) {
		return nil, ErrOwned
	}
	if err != nil {
		return nil, explain(doing, err)
	}
	k := &storageKey{d: d, handle: made.ObjectHandle, hash: sha256.Sum256(made.OutPublic.Bytes())}
	public, err := made.OutPublic.Contents()
	if err != nil {
		k.flush()
		return nil, explain(doing, err)
	}
	k.public = *public
	return k, nil
}

// keyOf is the storage key, if it is the one that r was sealed beside.
func (d *Device) keyOf(r Ref) (*storageKey, error) {
	k, err := d.storageKey()
	if err != nil {
		return nil, err
	}
	if k.hash != r.key {
		k.flush()
		return nil, ErrGone
	}
	return k, nil
}

func (k *storageKey) flush() {
	_, _ = tpm2.FlushContext{FlushHandle: k.handle}.Execute(k.d) // it goes with the descriptor, too
}

// in and out are sessions for one command that carries a secret this way. Their
// key is agreed with the storage key. A nil auth is the empty one.
func (k *storageKey) in(auth []byte) tpm2.Session {
	return tpm2.HMAC(tpm2.TPMAlgSHA256, 16, tpm2.Auth(auth), tpm2.Salted(k.handle, k.public), tpm2.AESEncryption(128, tpm2.EncryptIn))
}

func (k *storageKey) out(auth []byte) tpm2.Session {
	return tpm2.HMAC(tpm2.TPMAlgSHA256, 16, tpm2.Auth(auth), tpm2.Salted(k.handle, k.public), tpm2.AESEncryption(128, tpm2.EncryptOut))
}

// nonzero is auth without a byte that is zero. A TPM drops zeros at the end of an
// authorization value, and go-tpm 0.9.8 everything from the first zero on: the
// two would not agree about one value in nine. 32 random bytes lose a fifth of a
// bit by it.
func nonzero(auth []byte) []byte {
	out := make([]byte, len(auth))
	for i, b := range auth {
		out[i] = max(b, 1)
	}
	return out
}

func nameOf(p tpm2.TPMSNVPublic) (tpm2.TPM2BName, error) {
	name, err := tpm2.NVName(&p)
	if err != nil {
		return tpm2.TPM2BName{}, err
	}
	return *name, nil
}

// Lockout is the state of the TPM's protection against dictionary attacks,
// which is one for everything on the machine.
type Lockout struct {
	Locked   bool
	Failures int           // wrong values that count now
	Limit    int           // at so many it locks
	Interval time.Duration // after which one of them is forgiven
}

// Lockout asks the TPM.
func (d *Device) Lockout() (l Lockout, err error) {
	if err := d.Err(); err != nil {
		return l, err
	}
	var values [4]uint32
	for i, p := range []tpm2.TPMPT{tpm2.TPMPTPermanent, tpm2.TPMPTLockoutCounter, tpm2.TPMPTMaxAuthFail, tpm2.TPMPTLockoutInterval} {
		if values[i], err = d.property(p); err != nil {
			return l, err
		}
	}
	return Lockout{values[0]&inLockout != 0, int(values[1]), int(values[2]), time.Duration(values[3]) * time.Second}, nil
}

// Bits of TPMA_PERMANENT.
const (
	ownerAuthSet = 1 << 0
	inLockout    = 1 << 9
)

func (d *Device) property(p tpm2.TPMPT) (uint32, error) {
	const doing = "ask the TPM for its state"
	got, err := tpm2.GetCapability{Capability: tpm2.TPMCapTPMProperties, Property: uint32(p), PropertyCount: 1}.Execute(d)
	if err != nil {
		return 0, explain(doing, err)
	}
	list, err := got.CapabilityData.Data.TPMProperties()
	if err != nil {
		return 0, explain(doing, err)
	}
	if len(list.TPMProperty) != 1 || list.TPMProperty[0].Property != p {
		return 0, explain(doing, errors.New("it does not say"))
	}
	return list.TPMProperty[0].Value, nil
}

// LockedError says for how long the TPM refuses. It matches ErrLockout.
type LockedError struct{ Lockout Lockout }

func (e *LockedError) Error() string {
	if e.Lockout.Interval <= 0 {
		return ErrLockout.Error() + ". Ask your administrator to reset its lockout"
	}
	return fmt.Sprintf("%v. It allows one more in %s at most, with the machine on; your administrator can reset it sooner", ErrLockout, span(e.Lockout.Interval))
}

func (e *LockedError) Unwrap() error { return ErrLockout }

// span is a time in the largest unit that says enough, rounded up.
func span(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if d < 2*u.unit && u.unit > time.Second && d != u.unit {
			continue
		}
		n := (d + u.unit - 1) / u.unit
		if n == 1 {
			return "1 " + u.name
		}
		return fmt.Sprintf("%d %ss", n, u.name)
	}
	return d.String()
}

// explain adds what was being done to err, and the remedy where there is one.
func explain(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, tpm2.TPMRCNVSpace):
		return fmt.Errorf("%s: %w", doing, ErrFull)
	case errors.Is(err, tpm2.TPMRCLockout):
		return fmt.Errorf("%s: %w", doing, ErrLockout)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
