package keystore

import (
	"errors"
	"fmt"

	"github.com/awnumar/memguard"

	"sotto/keystore/tpm"
)

// bind wraps the master key under a stretched PIN and a device secret, and
// writes the vault. v has its parameters and salt already, and d is the device's
// file as it is. Unless it is to be in the TPM, the secret is in that file.
//
// Where there is a TPM that takes it, the device secret is a new one in there.
// The order makes it safe to be cut off anywhere: the place in the TPM is noted
// in the device's file before there is anything, beside the secret or the place
// that the vault needs so far; then comes the vault, in one step from the old
// secret to the new; and only then is the old one removed.
func (p Place) bind(v *vault, d *device, stretched, master *memguard.LockedBuffer, a *Account, inTPM bool) error {
	secret, index, err := p.seal(v, d, stretched, inTPM)
	if err != nil {
		return err
	}
	defer secret.Destroy()
	v.index, v.version = index, vaultVersion
	err = v.wrap(stretched, secret, master)
	if err == nil {
		err = v.put(master, a)
	}
	if err == nil {
		err = p.writeVault(v)
	}
	if err != nil {
		return err // what is new in the TPM goes at the next unlock
	}
	_ = p.settle(d, index) // as above: the vault is done
	return nil
}

// seal returns the device secret for a vault that is to be wrapped, and where in
// the TPM it is. The caller destroys it.
func (p Place) seal(v *vault, d *device, stretched *memguard.LockedBuffer, inTPM bool) (*memguard.LockedBuffer, uint32, error) {
	if !inTPM {
		if d.secret == nil { // moves out; what is in the TPM stays noted, and goes last
			d.secret = memguard.NewBufferRandom(keySize)
			if err := p.writeDevice(d); err != nil {
				return nil, 0, err
			}
		}
		return copied(d.secret), 0, nil
	}
	secret, index, err := p.sealInTPM(v, d, stretched)
	if err == nil {
		return secret, index, nil
	}
	if d.secret == nil { // it was in the TPM, and is not to be any less
		return nil, 0, err
	}
	return copied(d.secret), 0, nil
}

func (p Place) sealInTPM(v *vault, d *device, stretched *memguard.LockedBuffer) (*memguard.LockedBuffer, uint32, error) {
	ref, err := p.TPM.New()
	if err != nil {
		return nil, 0, err
	}
	// What an earlier bind that was cut off has left makes room first.
	if err := p.settle(d, v.index); err != nil {
		return nil, 0, err
	}
	free := 0
	if !d.refs[0].Zero() {
		free = 1
	}
	d.refs[free] = ref
	if err := p.writeDevice(d); err != nil {
		return nil, 0, err
	}
	auth, err := authValue(stretched, v.salt[:])
	if err != nil {
		return nil, 0, err
	}
	defer auth.Destroy()
	secret := memguard.NewBufferRandom(tpm.SecretSize)
	if err := p.TPM.Seal(ref, auth.Bytes(), secret.Bytes()); err != nil {
		secret.Destroy()
		return nil, 0, errors.Join(err, p.settle(d, v.index))
	}
	return secret, ref.Handle(), nil
}

// checkSecret says why the device secret cannot be had, before a PIN is counted.
func (p Place) checkSecret(v *vault, d *device) error {
	if v.index == 0 {
		if d.secret == nil {
			return ErrDevice
		}
		return nil
	}
	ref, ok := d.ref(v.index)
	if !ok {
		return ErrDevice
	}
	return explainTPM(p.TPM.Check(ref))
}

// explainTPM says what an error of the TPM means for the vault.
func explainTPM(err error) error {
	switch {
	case errors.Is(err, tpm.ErrNone):
		return ErrNoTPM
	case errors.Is(err, tpm.ErrGone):
		return ErrTPMGone
	case errors.Is(err, tpm.ErrPermission):
		return fmt.Errorf("this vault is sealed to the TPM, and %w", err)
	}
	return err
}

// unwrap recovers the master key. A PIN that the TPM refuses goes through the
// rest of the work all the same.
func (p Place) unwrap(v *vault, d *device, stretched *memguard.LockedBuffer) (*memguard.LockedBuffer, error) {
	secret := memguard.NewBuffer(keySize)
	defer secret.Destroy()
	if v.index == 0 {
		secret.Copy(d.secret.Bytes())
	} else {
		ref, _ := d.ref(v.index)
		auth, err := authValue(stretched, v.salt[:])
		if err != nil {
			return nil, err
		}
		err = p.TPM.Unseal(ref, auth.Bytes(), secret.Bytes())
		auth.Destroy()
		if err != nil && !errors.Is(err, tpm.ErrAuth) {
			return nil, explainTPM(err)
		}
	}
	key, err := wrappingKey(stretched, v.salt[:], secret)
	if err != nil {
		return nil, err
	}
	defer key.Destroy()
	master := memguard.NewBuffer(keySize)
	if !v.master.open(key, master.Bytes(), v.header()) {
		master.Destroy()
		return nil, ErrWrongPIN
	}
	return master, nil
}

// wrap seals the master key. What was sealed behind it has to be put again.
func (v *vault) wrap(stretched, secret, master *memguard.LockedBuffer) error {
	key, err := wrappingKey(stretched, v.salt[:], secret)
	if err != nil {
		return err
	}
	defer key.Destroy()
	v.master, err = seal(key, master.Bytes(), v.header())
	return err
}

// copied is a copy for whoever destroys it.
func copied(b *memguard.LockedBuffer) *memguard.LockedBuffer {
	c := memguard.NewBuffer(b.Size())
	c.Copy(b.Bytes())
	return c
}
