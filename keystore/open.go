package keystore

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/awnumar/memguard"
	"golang.org/x/crypto/chacha20poly1305"

	"sotto/internal/atomicfile"
)

// Opened is an open vault. It is not safe for concurrent use.
type Opened struct {
	at      place
	vault   *vault
	device  *memguard.Enclave
	master  *memguard.Enclave // nil once closed
	account Account
}

// place is where a vault is, and how it is written.
type place struct {
	vault, device string
	floor         kdf // the weakest parameters to accept, and those of new vaults
	write         func(path string, data []byte) error
}

func at(vaultPath, devicePath string) place {
	return place{vaultPath, devicePath, standard, atomicfile.Write}
}

// Exists reports whether there is a vault at path, sound or not.
func Exists(vaultPath string) (bool, error) {
	_, err := os.Lstat(vaultPath)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, explain("looking for the vault", err)
}

// Create makes a vault, and a device secret if there is none; their folders
// must exist. The PIN must pass [CheckPIN] and stays the caller's; a's passwords
// become the Opened's if there is no error. An existing vault is never replaced.
// It takes as long as opening.
func Create(vaultPath, devicePath string, pin *memguard.LockedBuffer, a *Account) (*Opened, error) {
	return at(vaultPath, devicePath).create(pin, a)
}

// Open opens a vault. The PIN stays the caller's. A wrong one gives [ErrWrongPIN]
// after the same work as the right one. Other errors with a remedy match
// [ErrNoVault], [ErrNoDevice], [ErrDevice], [ErrDamaged], [ErrNewer] or [ErrReadOnly].
func Open(vaultPath, devicePath string, pin *memguard.LockedBuffer) (*Opened, error) {
	return at(vaultPath, devicePath).open(pin)
}

func (p place) create(pin *memguard.LockedBuffer, a *Account) (*Opened, error) {
	const doing = "making the vault"
	if exists, err := Exists(p.vault); err != nil {
		return nil, err
	} else if exists {
		return nil, ErrExists
	}
	if err := CheckPIN(bytesOf(pin)); err != nil {
		return nil, err
	}
	if err := a.check(); err != nil {
		return nil, err
	}
	device, err := makeDevice(p.device, p.write)
	if err != nil {
		return nil, explain(doing, err)
	}
	defer device.Destroy()
	master := memguard.NewBufferRandom(keySize)
	defer master.Destroy()
	v := new(vault)
	if err := v.wrap(p.floor, pin, device, master); err != nil {
		return nil, explain(doing, err)
	}
	if err := v.put(master, a); err != nil {
		return nil, explain(doing, err)
	}
	if err := p.write(p.vault, v.encode()); err != nil {
		return nil, explain(doing, err)
	}
	return &Opened{at: p, vault: v, device: enclave(device), master: enclave(master), account: *a}, nil
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

func (p place) open(pin *memguard.LockedBuffer) (*Opened, error) {
	const doing = "opening the vault"
	b, err := readVault(p.vault)
	if err != nil {
		return nil, explain(doing, err)
	}
	v, err := parseVault(b, p.floor)
	if err != nil {
		return nil, explain(doing, err)
	}
	device, err := readDevice(p.device)
	if err != nil {
		return nil, explain(doing, err)
	}
	defer device.Destroy()
	if id, err := deviceID(device); err != nil {
		return nil, explain(doing, err)
	} else if id != v.device {
		return nil, explain(doing, ErrDevice)
	}
	if n := len(bytesOf(pin)); n == 0 || n > MaxPIN {
		return nil, ErrWrongPIN
	}
	kek, err := v.kdf.kek(pin, v.salt[:], device)
	if err != nil {
		return nil, explain(doing, err)
	}
	defer kek.Destroy()
	master := memguard.NewBuffer(keySize)
	defer master.Destroy()
	if !v.master.open(kek, master.Bytes(), v.header()) {
		return nil, ErrWrongPIN
	}
	o := &Opened{at: p, vault: v}
	if err := v.get(master, &o.account); err != nil {
		o.account.Destroy()
		return nil, explain(doing, err)
	}
	o.device, o.master = enclave(device), enclave(master)
	return o, nil
}

// readVault reads no more than a vault can be long.
func readVault(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoVault
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(maxVault)+1))
}

// wrap seals the master key under a PIN. What was sealed behind it has to be
// put again.
func (v *vault) wrap(k kdf, pin, device, master *memguard.LockedBuffer) (err error) {
	v.kdf = k
	rand.Read(v.salt[:])
	if v.device, err = deviceID(device); err != nil {
		return err
	}
	kek, err := k.kek(pin, v.salt[:], device)
	if err != nil {
		return err
	}
	defer kek.Destroy()
	v.master, err = seal(kek, master.Bytes(), v.header())
	return err
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
	master, _, err := o.keys()
	if err != nil {
		return explain(doing, err)
	}
	defer master.Destroy()
	v := *o.vault
	if err := v.put(master, a); err != nil {
		return explain(doing, err)
	}
	if err := o.at.write(o.at.vault, v.encode()); err != nil {
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
// parameters of today. The PIN must pass [CheckPIN] and stays the caller's.
// Nothing else has to be encrypted anew.
func (o *Opened) ChangePIN(pin *memguard.LockedBuffer) error {
	const doing = "changing the PIN"
	if err := CheckPIN(bytesOf(pin)); err != nil {
		return err
	}
	master, device, err := o.keys()
	if err != nil {
		return explain(doing, err)
	}
	defer master.Destroy()
	defer device.Destroy()
	v := *o.vault
	if err := v.wrap(o.at.floor, pin, device, master); err != nil {
		return explain(doing, err)
	}
	if err := v.put(master, &o.account); err != nil {
		return explain(doing, err)
	}
	if err := o.at.write(o.at.vault, v.encode()); err != nil {
		return explain(doing, err)
	}
	o.vault = &v
	return nil
}

// keys opens the enclaves. The caller destroys both.
func (o *Opened) keys() (master, device *memguard.LockedBuffer, err error) {
	if o.master == nil {
		return nil, nil, ErrClosed
	}
	if master, err = o.master.Open(); err != nil {
		return nil, nil, err
	}
	if device, err = o.device.Open(); err != nil {
		master.Destroy()
		return nil, nil, err
	}
	return master, device, nil
}

// Close forgets the keys and wipes the passwords.
func (o *Opened) Close() {
	o.account.Destroy()
	o.account, o.master, o.device = Account{}, nil, nil
}
