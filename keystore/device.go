package keystore

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"os"

	"github.com/awnumar/memguard"

	"sotto/keystore/tpm"
)

// The device secret's file, always of the same length:
//
//	magic 8 · version 2 · id 16 · 1 if the secret is here, 0 if it is in a TPM
//	secret 32, or zeros · where in a TPM a secret is (tpm.Ref) × 2
//	since version 4: 1 if there is a half for the recovery key, else 0 · the half
//	32, or zeros
//	zeros · SHA-256 of all before, at the end of a block of 4096 · tally
//
// The second place is for the time in which one secret in the TPM takes over
// from another. Which of them counts the vault says. The half for the recovery key
// is here also where the secret is in a TPM: that lets nothing out without the PIN.
const (
	deviceMagic   = "SOTTOdev"
	deviceVersion = 4
	oldestDevice  = 3 // that is read; it has zeros where the half is now
	deviceIDSize  = 16
	secretOffset  = len(deviceMagic) + 2 + deviceIDSize + 1
	halfOffset    = secretOffset + keySize + 2*tpm.RefSize + 1
	deviceFields  = halfOffset + keySize
	deviceSize    = blockSize
)

// device is a parsed file.
type device struct {
	id     [deviceIDSize]byte
	secret *memguard.LockedBuffer // nil: it is in a TPM
	refs   [2]tpm.Ref
	half   *memguard.LockedBuffer // what the recovery key needs besides itself; nil: nothing
}

func newDevice() *device {
	d := &device{secret: memguard.NewBufferRandom(keySize)}
	rand.Read(d.id[:])
	return d
}

func (d *device) destroy() {
	destroy(d.secret)
	destroy(d.half)
}

// parseDevice reads a file's content without the tally. The caller destroys the
// secret.
func parseDevice(b []byte) (*device, error) {
	if len(b) != deviceSize || !bytes.HasPrefix(b, []byte(deviceMagic)) {
		return nil, ErrDevice
	}
	body := b[:deviceSize-sha256.Size]
	sum := sha256.Sum256(body)
	if subtle.ConstantTimeCompare(sum[:], b[len(body):]) != 1 {
		return nil, ErrDevice
	}
	r := reader{b: body[len(deviceMagic):]}
	if version := r.uint16(); version > deviceVersion {
		return nil, ErrNewer
	} else if version < oldestDevice {
		return nil, ErrDevice
	}
	d := new(device)
	copy(d.id[:], r.next(deviceIDSize))
	here, secret := r.byte(), r.next(keySize)
	for i := range d.refs {
		ref, ok := tpm.ReadRef(r.next(tpm.RefSize))
		if !ok {
			return nil, ErrDevice
		}
		d.refs[i] = ref
	}
	hasHalf, half := r.byte(), r.next(keySize)
	if len(bytes.Trim(r.b, "\x00")) != 0 {
		return nil, ErrDevice
	}
	switch {
	case hasHalf > 1, hasHalf == 0 && !bytes.Equal(half, make([]byte, keySize)):
		return nil, ErrDevice
	case here == 1:
		d.secret = memguard.NewBuffer(keySize)
		d.secret.Copy(secret)
	case here != 0 || !bytes.Equal(secret, make([]byte, keySize)):
		return nil, ErrDevice
	}
	if hasHalf == 1 {
		d.half = memguard.NewBuffer(keySize)
		d.half.Copy(half)
	}
	return d, nil
}

// readDevice reads the device secret's file straight into locked memory. The
// caller destroys the secret.
func readDevice(f *os.File) (*device, error) {
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if info.Size() != deviceSize+tallySize {
		return nil, ErrDevice
	}
	b := memguard.NewBuffer(deviceSize)
	defer b.Destroy()
	if _, err := f.ReadAt(b.Bytes(), 0); err != nil {
		return nil, err
	}
	return parseDevice(b.Bytes())
}

// appendTo writes what parseDevice reads. b has room for it, so that no copy of
// the secret is made.
func (d *device) appendTo(b []byte) []byte {
	start := len(b)
	b = append(b, deviceMagic...)
	b = binary.BigEndian.AppendUint16(b, deviceVersion)
	b = append(b, d.id[:]...)
	if d.secret != nil {
		b = append(append(b, 1), d.secret.Bytes()...)
	} else {
		b = append(b, make([]byte, 1+keySize)...)
	}
	for _, r := range d.refs {
		b = r.Append(b)
	}
	if d.half != nil {
		b = append(append(b, 1), d.half.Bytes()...)
	} else {
		b = append(b, make([]byte, 1+keySize)...)
	}
	b = append(b, make([]byte, deviceSize-deviceFields-sha256.Size)...)
	sum := sha256.Sum256(b[start:])
	return append(b, sum[:]...)
}

// writeDevice replaces the file by one in which nothing was tried, and
// overwrites the one before.
func (p Place) writeDevice(d *device) error {
	old, err := os.OpenFile(p.device, os.O_RDWR, 0)
	if err == nil {
		defer old.Close()
	}
	file := memguard.NewBuffer(deviceSize + tallySize)
	defer file.Destroy()
	b := append(d.appendTo(file.Bytes()[:0]), newTally()...)
	if err := p.write(p.device, b); err != nil {
		return err
	}
	if old != nil {
		return overwrite(old)
	}
	return nil
}

// ref finds where a secret is by its index.
func (d *device) ref(index uint32) (tpm.Ref, bool) {
	for _, r := range d.refs {
		if index != 0 && r.Handle() == index {
			return r, true
		}
	}
	return tpm.Ref{}, false
}

// settled reports whether the file holds what a vault needs that has its secret
// at index, and nothing else.
func (d *device) settled(index uint32) bool {
	for _, r := range d.refs {
		if !r.Zero() && r.Handle() != index {
			return false
		}
	}
	return index == 0 || d.secret == nil
}

// settle removes what a vault does not need that has its secret at index. What
// cannot be removed from the TPM now stays noted, and is tried again at the next
// unlock.
func (p Place) settle(d *device, index uint32) error {
	if d.settled(index) {
		return nil
	}
	var failed error
	for i, r := range d.refs {
		if r.Zero() || r.Handle() == index {
			continue
		}
		if err := p.TPM.Forget(r); err != nil {
			failed = err
			continue
		}
		d.refs[i] = tpm.Ref{}
	}
	if index != 0 && d.secret != nil {
		d.secret.Destroy()
		d.secret = nil
	}
	if err := p.writeDevice(d); err != nil {
		return err
	}
	return failed
}
