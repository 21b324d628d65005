// Package keystore keeps an account's secrets behind a PIN.
//
// There are two files. The vault holds a random master key, wrapped under the
// PIN and a device secret, and the account sealed under the master key. The
// device secret is 32 random bytes: in a TPM where there is one (package tpm),
// and else in a file of its own, in another folder, so that a copied vault (a
// backup, a synchronised home folder) is worth nothing without it.
//
//	stretched = Argon2id(PIN, salt)
//	KEK       = HKDF-SHA256(stretched ‖ device secret, salt, "sotto vault kek v1")
//	TPM       = what it is shown: HKDF-SHA256(stretched, salt, "sotto tpm auth v1")
//	master    = random, sealed with XChaCha20-Poly1305 under KEK
//	account   = sealed with XChaCha20-Poly1305 under HKDF-SHA256(master, "sotto account v1")
//	database  = HKDF-SHA256(master, "sotto database v1")
//
// # The recovery key
//
// Where the organisation's policy names a recovery key (package recovery), the
// master key is wrapped a second time, under two halves: 32 random bytes that only
// the recovery key can decrypt (age), and 32 that are in the device's file.
//
//	half A    = random, encrypted to the recovery key, in the vault
//	half B    = random, in the device's file, also where there is a TPM
//	slot      = master, sealed under HKDF-SHA256(A ‖ B, device id, "sotto vault recovery v1")
//
// So a copied vault is worth nothing to who has the recovery key, and both files
// together are worth nothing without it. What a TPM adds holds against guessing the
// PIN; the recovery key opens the two files anywhere, or the data of a machine whose
// TPM broke would be lost.
//
// Which recovery key it is the gate does not take from the settings, or from a
// policy that somebody may have put in place of the real one: only from the desk,
// which has followed the organisation in its encrypted database, and says so with a
// key that comes out of the vault (Announce). It comes into the vault, is replaced
// and removed when the right PIN is given, and never goes back to an earlier policy.
//
// Each opening with it is noted in the vault (Access) before anything is handed out.
//
// # Wrong PINs
//
// These rules hold for every way to open a vault:
//
//  1. An attempt is counted after the PIN was stretched and before what came of
//     that is looked at, in both files, and on the disk: a process that is killed
//     when anything could be known has used it up, and one that never came so far,
//     for want of memory, has not. The right PIN sets the number back to 0.
//  2. The higher of the two numbers counts. Restoring, removing or damaging one
//     file alone changes nothing: the other still knows, and without the device
//     secret, or with that of another vault, no PIN is tried at all. A kill
//     between the two writes leaves the higher number, in the one or the other.
//  3. What cannot be counted is not tried: with either file not writable, or the
//     number lost in both, even the right PIN is refused, and none is used up.
//     Neither is one that the TPM refuses to look at.
//  4. One process at a time tries a PIN: it holds a lock on the vault.
//  5. How many the vault bears stands in its header, which is authenticated with
//     the master key, and is taken over from the settings only when the right PIN
//     was given: editing the settings of a locked vault changes nothing, and
//     editing the header makes a vault that no PIN opens.
//  6. At the limit the keys are destroyed: see Place.Remove for the order. It is
//     on the disk that it has to happen before it begins, so a kill only puts it
//     off to the next start, which takes no PIN.
//     That is also how a wipe goes that the organisation has ordered (Place.Wipe):
//     in place of the number stands that it has to happen.
//  7. Restoring both files from one backup restores the number, too: nobody is
//     locked out of a backup for what was typed after it was made. So whoever
//     can read and write both files can try as often as they like, as they can
//     with a program of their own, at the speed of Argon2id. Against that helps
//     the TPM, which has a number of its own that no file holds.
//
// # Memory
//
// PIN, keys and passwords are only ever in locked memory, with one exception
// that cannot be helped: what Argon2id, the ciphers and the conversation with
// the TPM compute with is on the Go heap. The process that uses this package
// (the gate) therefore ends as soon as it has handed over.
//
// Call [CheckMemlock] once before anything else but Place.Status, Place.Check
// and Place.Remove: where too little memory may be locked, memguard panics.
package keystore

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/awnumar/memguard"
)

// The errors with a remedy, in words for people.
var (
	ErrWrongPIN = errors.New("wrong PIN")
	ErrNoVault  = errors.New("there is no vault here yet. Run sotto join to make one")
	ErrExists   = errors.New("there is a vault here already. Open it with its PIN, or choose another profile")
	ErrNoDevice = errors.New("the device secret is missing: this vault opens only on the machine where it was made. Restore the file, or start anew with sotto wipe and sotto join")
	ErrDevice   = errors.New("the device secret belongs to another vault. Restore the right file (look for device.key.old beside it), or start anew with sotto wipe and sotto join")
	ErrDamaged  = errors.New("the vault is damaged. Restore it from a backup, or start anew with sotto wipe and sotto join")
	ErrNewer    = errors.New("the vault was written by a newer sotto. Install that version, or a later one")
	ErrOlder    = errors.New("the vault was written by an older sotto, from before the first release, and this one does not read it. Start anew with sotto wipe and sotto join")
	ErrBusy     = errors.New("another sotto tries a PIN for this vault just now. Try again when it is done")
	ErrFull     = errors.New("the disk is full. Free some space and try again; the vault is as it was")
	ErrReadOnly = errors.New("the vault cannot be read or written. Check who owns its folder, its permissions, and whether the disk is mounted read-only")

	ErrDestroyed = errors.New("this vault has destroyed itself, because of too many wrong PINs: nobody can read any more what was kept here. " +
		"Your account, and your messages on other devices, are as they were. Start anew with sotto join, and tell your administrator if it was not you who tried")

	ErrWiped = errors.New("this vault was wiped, because its organisation ordered it: nobody can read any more what was kept here. " +
		"Your messages on other devices are as they were. Ask your administrator, who can let you join again")

	ErrNoTPM = errors.New("this vault is sealed to a TPM, and there is none here: it opens only on the machine where it was made. " +
		"Go back to that machine, or start anew with sotto wipe and sotto join")
	ErrTPMGone = errors.New("this vault is sealed to a TPM that was cleared since, or to that of another machine. " +
		"Go back to that machine if there is one. After the TPM was cleared nobody can open the vault: start anew with sotto wipe and sotto join")
)

// ErrClosed is returned for an Opened after its Close.
var ErrClosed = errors.New("the vault is closed")

// Bounds of an account's fields, in bytes.
const (
	MaxAddress  = 3071 // RFC 7622: 1023 for each part, with separators
	MaxRelay    = 2048
	MaxCA       = 256 << 10
	MaxPassword = 1024
)

// Account is who to be and where.
type Account struct {
	Address string // bare JID
	Relay   string // wss URL, or ws to loopback; empty: discover it (XEP-0156)
	CA      []byte // PEM certificates to trust instead of the system's; may be empty
	Legacy  bool   // permit TLS 1.2 and SCRAM-SHA-1
	Invited bool   // it was set up with an invitation of an organisation, and is not used without one

	// Accesses are when the vault was opened with the recovery key, oldest first. At
	// most MaxAccesses are kept.
	Accesses []Access

	// Password is the relay's. Next is one that a change under way may have set
	// already: it is stored before the relay is asked, and one of the two works.
	// Either may be nil.
	Password, Next *memguard.LockedBuffer
}

// Destroy wipes the passwords.
func (a *Account) Destroy() {
	destroy(a.Password)
	destroy(a.Next)
}

// destroy wipes a buffer that may be nil.
func destroy(b *memguard.LockedBuffer) {
	if b != nil {
		b.Destroy()
	}
}

// check bounds the fields of an account that is to be stored.
func (a *Account) check() error {
	switch {
	case a.Address == "":
		return errors.New("the account has no address")
	case len(a.Address) > MaxAddress:
		return fmt.Errorf("the address is longer than %d bytes", MaxAddress)
	case len(a.Relay) > MaxRelay:
		return fmt.Errorf("the relay's URL is longer than %d bytes", MaxRelay)
	case len(a.CA) > MaxCA:
		return fmt.Errorf("the CA file is larger than %d KiB", MaxCA>>10)
	case len(a.Accesses) > MaxAccesses:
		return errors.New("the account has too many accesses with the recovery key")
	case size(a.Password) > MaxPassword || size(a.Next) > MaxPassword:
		return fmt.Errorf("the password is longer than %d bytes", MaxPassword)
	}
	return nil
}

func size(b *memguard.LockedBuffer) int {
	if b == nil {
		return 0
	}
	return b.Size()
}

// explain adds what was being done to err, and the remedy where there is one.
func explain(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%s: %w", doing, &fault{ErrFull, err})
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s: %w", doing, &fault{ErrReadOnly, err})
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// fault is an error with a remedy and what lay beneath it.
type fault struct{ remedy, cause error }

func (f *fault) Error() string   { return f.remedy.Error() }
func (f *fault) Unwrap() []error { return []error{f.remedy, f.cause} }
