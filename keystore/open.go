package keystore

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"math"
	"os"

	"github.com/awnumar/memguard"
	"golang.org/x/crypto/chacha20poly1305"

	"sotto/internal/atomicfile"
	"sotto/keystore/tpm"
)

// Opened is an open vault. It is not safe for concurrent use.
type Opened struct {
	at      Place
	vault   *vault
	master  *memguard.Enclave // nil once closed
	account Account

	// Invitation, unless nil, goes along with Handover: what comes of an invitation
	// that the person has just given. It is in no file. Close destroys it.
	Invitation *memguard.LockedBuffer
}

// Place is where a vault is, and what it is protected with beyond its PIN.
type Place struct {
	// TPM is where the device secret belongs; nil is none. A vault that was made
	// without is moved there by the next Open or ChangePIN, and stays as it is
	// where the TPM does not take it.
	TPM *tpm.Device
	// NoSeal has nothing move into the TPM. A vault that is sealed to it opens
	// with it all the same, and moves out with the next ChangePIN.
	NoSeal bool
	// DestroyAfter is after how many wrong PINs in a row the vault destroys
	// itself, at most 65535; 0 is never, and Unchanged what the vault says. A
	// vault goes on with what it was told when it was last open until it is
	// opened again.
	DestroyAfter int
	// Announced is what the desk has announced of the recovery key (see Announce),
	// nil if nothing: the next Open obeys it.
	Announced []byte

	vault, device string
	floor         kdf // the weakest parameters to accept, and those of new vaults
	write         func(path string, data []byte) error
	record        func(f *os.File, t tally) error
	lock          func(f *os.File) (bool, error)
	step          func() // before each step of a destruction; tests end there
}

// Unchanged is a Place's DestroyAfter that leaves it to the vault. A new vault
// then never destroys itself.
const Unchanged = -1

// At is the place of a vault, or of one to be made, and of its device secret.
func At(vaultPath, devicePath string) Place {
	return Place{DestroyAfter: Unchanged, vault: vaultPath, device: devicePath, floor: standard,
		write: atomicfile.Write, record: record, lock: tryLock, step: func() {}}
}

// Exists reports whether there is a vault at path, sound or not.
func Exists(vaultPath string) (bool, error) {
	_, err := os.Lstat(vaultPath)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, explain("looking for the vault", err)
}

// Create makes a vault at a Place without a TPM that never destroys itself.
func Create(vaultPath, devicePath string, pin *memguard.LockedBuffer, a *Account) (*Opened, error) {
	return At(vaultPath, devicePath).Create(pin, a)
}

// Open opens a vault that is not sealed to a TPM.
func Open(vaultPath, devicePath string, pin *memguard.LockedBuffer) (*Opened, error) {
	return At(vaultPath, devicePath).Open(pin)
}

// Create makes a vault and a device secret; their folders must exist. The PIN
// must pass [CheckPIN] and stays the caller's; a's passwords become the Opened's
// if there is no error. An existing vault is never replaced, and a device secret
// that is there without one is kept beside the new one, under a name that is free. It takes as long as
// opening.
func (p Place) Create(pin *memguard.LockedBuffer, a *Account) (*Opened, error) {
	const doing = "making the vault"
	if exists, err := Exists(p.vault); err != nil {
		return nil, err
	} else if gone, err := Destroyed(p.vault); err != nil {
		return nil, err
	} else if exists && !gone {
		return nil, ErrExists
	}
	if err := CheckPIN(bytesOf(pin)); err != nil {
		return nil, err
	}
	if err := a.check(); err != nil {
		return nil, err
	}
	// Not the one that may be there: with it an old copy of a vault would count
	// wrong PINs from its own number on.
	aside, err := p.setAside()
	if err != nil {
		return nil, explain(doing, err)
	}
	o, err := p.create(pin, a)
	if err != nil && aside != "" {
		err = errors.Join(err, os.Rename(aside, p.device))
	}
	return o, explain(doing, err)
}

func (p Place) create(pin *memguard.LockedBuffer, a *Account) (*Opened, error) {
	d := newDevice()
	defer d.destroy()
	if err := p.writeDevice(d); err != nil {
		return nil, err
	}
	master := memguard.NewBufferRandom(keySize)
	defer master.Destroy()
	v := &vault{version: vaultVersion, kdf: p.floor, device: d.id, limit: uint16(min(max(0, p.DestroyAfter), math.MaxUint16))}
	rand.Read(v.salt[:])
	stretched := v.kdf.stretch(pin, v.salt[:])
	defer stretched.Destroy()
	if err := p.bind(v, d, stretched, master, a, !p.NoSeal); err != nil {
		return nil, err
	}
	return p.opened(v, master, a), nil
}

// Open opens a vault. The PIN stays the caller's. A wrong one gives [ErrWrongPIN]
// after the same work as the right one, and the last one that the vault bears
// [ErrDestroyed], or [ErrWiped]. Other errors with a remedy match [ErrNoVault], [ErrNoDevice],
// [ErrDevice], [ErrDamaged], [ErrNewer], [ErrReadOnly], [ErrBusy], [ErrNoTPM],
// [ErrTPMGone], or package tpm's ErrLockout or ErrPermission; with them no PIN
// was tried, and none is counted.
func (p Place) Open(pin *memguard.LockedBuffer) (*Opened, error) {
	const doing = "opening the vault"
	o, err := p.open(pin)
	if err == ErrWrongPIN {
		return nil, err
	}
	return o, explain(doing, err)
}

func (p Place) open(pin *memguard.LockedBuffer) (*Opened, error) {
	files, err := p.openFiles()
	if err != nil {
		return nil, err
	}
	defer files.close()
	v, err := parseVault(files.content, p.floor)
	if err != nil {
		return nil, err
	}
	d, err := readDevice(files.device)
	if err != nil {
		return nil, err
	}
	defer d.destroy()
	if d.id != v.device {
		return nil, ErrDevice
	}
	tried, limit := files.tried(), int(v.limit)
	if tried == ordered || limit > 0 && tried >= limit { // a destruction that was cut off
		return nil, p.giveUp()
	}
	if n := len(bytesOf(pin)); n == 0 || n > MaxPIN {
		return nil, ErrWrongPIN // nobody's PIN: not a guess
	}
	if err := p.checkSecret(v, d); err != nil {
		return nil, err
	}
	// By itself this tells nothing about the PIN. It takes nearly all of the time
	// and memory, so whatever ends this process most likely ends it here: for want
	// of memory, or because a screen locker asked. That is no wrong PIN.
	stretched := v.kdf.stretch(pin, v.salt[:])
	defer stretched.Destroy()
	if err := files.setTried(tried + 1); err != nil {
		return nil, err
	}
	master, err := p.unwrap(v, d, stretched)
	switch {
	case err == ErrWrongPIN && limit > 0 && tried+1 >= limit:
		return nil, p.giveUp()
	case err == ErrWrongPIN:
		return nil, err
	case err != nil: // the TPM did not get to try it
		return nil, errors.Join(err, files.setTried(tried))
	}
	defer master.Destroy()
	if err := files.setTried(0); err != nil {
		return nil, err
	}
	var a Account
	if err := v.get(master, &a); err != nil {
		a.Destroy()
		return nil, err
	}
	// What changes now is not needed for going on, and if it fails the next time
	// tries it again.
	next := *v
	if p.DestroyAfter >= 0 {
		next.limit = uint16(min(p.DestroyAfter, math.MaxUint16))
	}
	slotted := p.follow(&next, d, master)
	if move := v.index == 0 && !p.NoSeal && p.TPM.Ready() == nil; move || next.limit != v.limit || next.version < vaultVersion {
		if p.bind(&next, d, stretched, master, &a, v.index != 0 || !p.NoSeal) == nil {
			v = &next
		}
	} else {
		if slotted && next.put(master, &a) == nil && p.writeVault(&next) == nil {
			v = &next
		}
		if p.TPM.Err() == nil {
			_ = p.settle(d, v.index)
		}
	}
	if v.slot.recipient == "" && d.half != nil {
		_ = p.dropHalf(d)
	}
	return p.opened(v, master, &a), nil
}

// giveUp destroys the vault and says so.
func (p Place) giveUp() error {
	s, _ := p.Status() // before it says only that
	if err := p.Destroy(); err != nil {
		return &RemainsError{s.epitaph(), err}
	}
	return s.epitaph()
}

// epitaph says why a vault was destroyed.
func (s Status) epitaph() error {
	if s.Ordered {
		return ErrWiped
	}
	return ErrDestroyed
}

// RemainsError is ErrDestroyed or ErrWiped with what could not be removed.
type RemainsError struct{ Because, Err error }

func (e *RemainsError) Error() string {
	return e.Because.Error() + ". It could not be removed entirely: " + e.Err.Error()
}
func (e *RemainsError) Unwrap() []error { return []error{e.Because, e.Err} }

func (p Place) opened(v *vault, master *memguard.LockedBuffer, a *Account) *Opened {
	return &Opened{at: p, vault: v, master: enclave(master), account: *a}
}

// enclave copies a buffer into an enclave, so that few pages stay locked.
func enclave(b *memguard.LockedBuffer) *memguard.Enclave {
	c := memguard.NewBuffer(b.Size())
	c.Copy(b.Bytes())
	return c.Seal()
}

func bytesOf(b *memguard.LockedBuffer) []byte {
	if b == nil {
		return nil
	}
	return b.Bytes()
}

// put seals an account under the master key.
func (v *vault) put(master *memguard.LockedBuffer, a *Account) error {
	key, err := derive(master, nil, "sotto account v1")
	if err != nil {
		return err
	}
	defer key.Destroy()
	if v.account, err = seal(key, a.appendPublic(nil), v.beforeAccount()); err != nil {
		return err
	}
	passwords := a.packPasswords()
	defer passwords.Destroy()
	v.passwords, err = seal(key, passwords.Bytes(), v.beforePasswords())
	return err
}

// get is the reverse of put.
func (v *vault) get(master *memguard.LockedBuffer, a *Account) error {
	key, err := derive(master, nil, "sotto account v1")
	if err != nil {
		return err
	}
	defer key.Destroy()
	public := make([]byte, max(0, len(v.account.text)-chacha20poly1305.Overhead))
	passwords := memguard.NewBuffer(secretsSize)
	defer passwords.Destroy()
	if !v.account.open(key, public, v.beforeAccount()) || !a.readPublic(public) ||
		!v.passwords.open(key, passwords.Bytes(), v.beforePasswords()) || !a.unpackPasswords(passwords) {
		return ErrDamaged
	}
	return nil
}

// Account returns the account. Its passwords are the Opened's and live until
// SaveAccount or Close.
func (o *Opened) Account() *Account { return &o.account }

// SaveAccount replaces the account in the vault. If there is no error, a's
// passwords become the Opened's, and those that a no longer has are destroyed.
func (o *Opened) SaveAccount(a *Account) error {
	const doing = "saving the account"
	if err := a.check(); err != nil {
		return err
	}
	master, err := o.key()
	if err != nil {
		return explain(doing, err)
	}
	defer master.Destroy()
	v := *o.vault
	if err := v.put(master, a); err != nil {
		return explain(doing, err)
	}
	if err := o.at.writeVault(&v); err != nil {
		return explain(doing, err)
	}
	o.vault = &v
	for _, old := range []*memguard.LockedBuffer{o.account.Password, o.account.Next} {
		if old != a.Password && old != a.Next {
			destroy(old)
		}
	}
	o.account = *a
	return nil
}

// ChangePIN wraps the master key under another PIN, with a new salt and the
// parameters of today, and with a new device secret if that is in a TPM. The PIN must pass [CheckPIN] and stays the caller's.
// Nothing else has to be encrypted anew.
func (o *Opened) ChangePIN(pin *memguard.LockedBuffer) error {
	const doing = "changing the PIN"
	if err := CheckPIN(bytesOf(pin)); err != nil {
		return err
	}
	master, err := o.key()
	if err != nil {
		return explain(doing, err)
	}
	defer master.Destroy()
	f, err := os.Open(o.at.device)
	if err != nil {
		return explain(doing, missing(err, ErrNoDevice))
	}
	defer f.Close()
	d, err := readDevice(f)
	if err != nil {
		return explain(doing, err)
	}
	defer d.destroy()
	if d.id != o.vault.device {
		return explain(doing, ErrDevice)
	}
	v := *o.vault
	v.kdf = o.at.floor
	rand.Read(v.salt[:])
	stretched := v.kdf.stretch(pin, v.salt[:])
	defer stretched.Destroy()
	if err := o.at.bind(&v, d, stretched, master, &o.account, !o.at.NoSeal); err != nil {
		return explain(doing, err)
	}
	o.vault = &v
	return nil
}

// key opens the enclave. The caller destroys the master key.
func (o *Opened) key() (*memguard.LockedBuffer, error) {
	if o.master == nil {
		return nil, ErrClosed
	}
	return o.master.Open()
}

// Close forgets the keys and wipes the passwords.
func (o *Opened) Close() {
	o.account.Destroy()
	destroy(o.Invitation)
	o.account, o.master, o.Invitation = Account{}, nil, nil
}
