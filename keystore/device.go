package keystore

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/awnumar/memguard"
)

// The device secret's file: magic 8 · version 2 · secret 32 · SHA-256 of all before.
const (
	deviceMagic   = "SOTTOdev"
	deviceVersion = 1
	deviceHeader  = len(deviceMagic) + 2
	deviceSize    = deviceHeader + keySize + sha256.Size
	deviceIDSize  = 8
)

// readDevice reads the device secret. The caller destroys it.
func readDevice(path string) (*memguard.LockedBuffer, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoDevice
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := memguard.NewBuffer(deviceSize + 1) // one more than there may be
	defer b.Destroy()
	if n, err := io.ReadFull(f, b.Bytes()); n != deviceSize || err != io.ErrUnexpectedEOF {
		if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
			return nil, err
		}
		return nil, ErrDevice
	}
	body := b.Bytes()[:deviceSize-sha256.Size]
	sum := sha256.Sum256(body)
	if subtle.ConstantTimeCompare(sum[:], b.Bytes()[len(body):deviceSize]) != 1 || !bytes.HasPrefix(body, []byte(deviceMagic)) {
		return nil, ErrDevice
	}
	if version := binary.BigEndian.Uint16(body[len(deviceMagic):]); version != deviceVersion {
		return nil, ErrNewer
	}
	secret := memguard.NewBuffer(keySize)
	secret.Copy(body[deviceHeader:])
	return secret, nil
}

// makeDevice returns the device secret at path, or writes a new one. It is
// called only where there is no vault, so that nothing can depend on a file
// that is damaged. The caller destroys the secret.
func makeDevice(path string, write func(string, []byte) error) (*memguard.LockedBuffer, error) {
	secret, err := readDevice(path)
	if !errors.Is(err, ErrNoDevice) && !errors.Is(err, ErrDevice) {
		return secret, err
	}
	secret = memguard.NewBufferRandom(keySize)
	file := memguard.NewBuffer(deviceSize)
	defer file.Destroy()
	b := append(file.Bytes()[:0], deviceMagic...)
	b = binary.BigEndian.AppendUint16(b, deviceVersion)
	b = append(b, secret.Bytes()...)
	sum := sha256.Sum256(b)
	b = append(b, sum[:]...)
	if err := write(path, b); err != nil {
		secret.Destroy()
		return nil, err
	}
	return secret, nil
}

// deviceID tells device secrets apart without saying anything about them.
func deviceID(secret *memguard.LockedBuffer) (id [deviceIDSize]byte, err error) {
	key, err := derive(secret, nil, "sotto device id v1")
	if err != nil {
		return id, err
	}
	defer key.Destroy()
	copy(id[:], key.Bytes())
	return id, nil
}
