package membership

import (
	"fmt"

	"github.com/awnumar/memguard"

	"sotto/client/org"
	"sotto/client/org/signer"
	"sotto/client/store"
)

// DeviceKey returns the key with which this device signs what it reports, which is
// made at first use. The number is that of its OMEMO device. A device has one whether
// or not it belongs to an organisation.
func DeviceKey(tx *store.Tx, device uint32) (*signer.Key, error) {
	const doing = "opening the key of this device"
	if device == 0 {
		return nil, fmt.Errorf("%s: it has no number yet", doing)
	}
	name := org.DeviceName(device)
	seed, err := tx.Value(valueKey + name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	if seed != nil {
		key, err := signer.FromSeed(name, memguard.NewBufferFromBytes(seed)) // clears seed
		if err != nil {
			return nil, fmt.Errorf("%s: %w", doing, err)
		}
		return key, nil
	}
	key, err := signer.GenerateDevice(device)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	err = key.WithSeed(func(seed *memguard.LockedBuffer) error { return tx.SetValue(valueKey+name, seed.Bytes()) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	return key, nil
}

// valueKey and the key's name is the value in the store that has its seed.
const valueKey = "signing key "
