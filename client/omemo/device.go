package omemo

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client/omemo/ratchet"
	"sotto/client/stanza"
)

// How many prekeys there are and how long signed ones live.
const (
	// PreKeyCount is how many one-time prekeys a bundle has.
	PreKeyCount = 100
	// RotateAfter is the age at which a signed prekey is replaced.
	RotateAfter = 7 * 24 * time.Hour
	// KeepFor is how long a replaced signed prekey still answers: messages that
	// were sent with it may wait in an archive.
	KeepFor = 28 * 24 * time.Hour

	maxPreKeyID = 1<<24 - 1 // what Signal libraries allow
	clockSlack  = 24 * time.Hour
)

// Device is this installation of sotto among the devices of its account. Its
// private identity key lies in an enclave and is opened only to start or answer a
// session and to sign a prekey. A Device is safe for concurrent use as far as the
// Keys given to its methods are.
type Device struct {
	id      uint32
	public  ratchet.PublicKey
	private *memguard.Enclave
}

// identityFormat is the first byte of a stored identity: format (1), device id
// (4, big-endian), private key (32).
const (
	identityFormat = 1
	identitySize   = 1 + 4 + 32
)

// Setup returns the device kept in k. The first time, it makes one: an identity,
// a device id, a signed prekey and PreKeyCount one-time prekeys.
func Setup(k Keys) (*Device, error) {
	stored, err := k.Identity()
	if err != nil {
		return nil, fmt.Errorf("load OMEMO identity: %w", err)
	}
	defer clear(stored)
	if len(stored) > 0 {
		return load(stored)
	}
	fresh := make([]byte, identitySize)
	defer clear(fresh)
	var pair ratchet.KeyPair
	ratchet.GenerateKey(&pair)
	fresh[0] = identityFormat
	binary.BigEndian.PutUint32(fresh[1:], randomID(stanza.MaxDeviceID))
	copy(fresh[5:], pair.Private[:])
	pair.Private.Wipe()
	if err := k.PutIdentity(fresh); err != nil {
		return nil, fmt.Errorf("store OMEMO identity: %w", err)
	}
	d, err := load(fresh)
	if err != nil {
		return nil, err
	}
	if _, err := d.Maintain(k, time.Now()); err != nil {
		return nil, err
	}
	return d, nil
}

func load(stored []byte) (*Device, error) {
	if len(stored) != identitySize || stored[0] != identityFormat {
		return nil, fmt.Errorf("load OMEMO identity: stored identity is damaged")
	}
	d := &Device{id: binary.BigEndian.Uint32(stored[1:])}
	if d.id < 1 || d.id > stanza.MaxDeviceID {
		return nil, fmt.Errorf("load OMEMO identity: stored device id is damaged")
	}
	private := (*ratchet.PrivateKey)(stored[5:])
	d.public = private.Public()
	d.private = memguard.NewEnclave(private[:]) // clears private
	return d, nil
}

// ID returns the device id.
func (d *Device) ID() uint32 { return d.id }

// Fingerprint returns the fingerprint that others see this device by.
func (d *Device) Fingerprint() Fingerprint { return Fingerprint(d.public) }

// withIdentity opens the private key for as long as use runs.
func (d *Device) withIdentity(use func(own *ratchet.Identity) error) error {
	buffer, err := d.private.Open()
	if err != nil {
		return fmt.Errorf("open OMEMO identity: %w", err)
	}
	defer buffer.Destroy()
	return use(&ratchet.Identity{Private: (*ratchet.PrivateKey)(buffer.Bytes()), Public: d.public})
}

// SignIdentity signs a message with the identity key (XEdDSA), so that somebody else
// can check that this device has it: an organisation does before it lists the
// fingerprint. The message must be one that can't be taken for a signed prekey, and
// whoever has the signature can show it to others.
func (d *Device) SignIdentity(message []byte) (signature [ratchet.SignatureSize]byte, err error) {
	if len(message) <= ratchet.PublicKeySize {
		return signature, fmt.Errorf("sign with the OMEMO identity: %d bytes could be a prekey", len(message))
	}
	err = d.withIdentity(func(own *ratchet.Identity) error {
		signature = ratchet.Sign(own.Private, message)
		return nil
	})
	return signature, err
}

// DeviceID returns the id of the device kept in k, 0 if there is none yet.
func DeviceID(k Keys) (uint32, error) {
	stored, err := k.Identity()
	if err != nil {
		return 0, fmt.Errorf("load OMEMO identity: %w", err)
	}
	defer clear(stored)
	switch {
	case len(stored) == 0:
		return 0, nil
	case len(stored) != identitySize || stored[0] != identityFormat:
		return 0, fmt.Errorf("load OMEMO identity: stored identity is damaged")
	}
	return binary.BigEndian.Uint32(stored[1:]), nil
}

// Bundle returns what to publish so that others can start sessions.
func (d *Device) Bundle(k Keys) (Bundle, error) {
	b := Bundle{IdentityKey: d.public.Bytes()}
	signed, err := k.SignedPreKeyIDs()
	if err != nil {
		return b, fmt.Errorf("list signed prekeys: %w", err)
	}
	if len(signed) == 0 {
		return b, fmt.Errorf("no signed prekey to publish: maintain the device first")
	}
	b.SignedPreKeyID = signed[len(signed)-1]
	key, signature, _, err := k.SignedPreKey(b.SignedPreKeyID)
	if err != nil {
		return b, fmt.Errorf("load signed prekey: %w", err)
	}
	if b.SignedPreKey, err = publicOf(key); err != nil {
		return b, fmt.Errorf("load signed prekey: %w", err)
	}
	b.Signature = slices.Clone(signature)
	ids, err := k.PreKeyIDs()
	if err != nil {
		return b, fmt.Errorf("list prekeys: %w", err)
	}
	b.PreKeys = make([]stanza.PreKey, 0, len(ids))
	for _, id := range ids {
		key, err := k.PreKey(id)
		if err != nil {
			return b, fmt.Errorf("load prekey: %w", err)
		}
		public, err := publicOf(key)
		if err != nil {
			return b, fmt.Errorf("load prekey: %w", err)
		}
		b.PreKeys = append(b.PreKeys, stanza.PreKey{ID: id, Key: public})
	}
	return b, nil
}

// publicOf returns the public half of a stored private key, which it clears.
func publicOf(key []byte) ([]byte, error) {
	defer clear(key)
	if len(key) != 32 {
		return nil, fmt.Errorf("stored key of %d bytes is damaged", len(key))
	}
	public := (*ratchet.PrivateKey)(key).Public()
	return public.Bytes(), nil
}

// Maintain replenishes the one-time prekeys to PreKeyCount, replaces the signed
// prekey when it is older than RotateAfter, and deletes those replaced more than
// KeepFor ago. When something was added, changed is true and the bundle is to be
// published again. Call it at every start, once a day, and after UsedPreKey.
func (d *Device) Maintain(k Keys, now time.Time) (changed bool, err error) {
	rotated, err := d.rotate(k, now)
	if err != nil {
		return false, fmt.Errorf("rotate signed prekey: %w", err)
	}
	added, err := replenish(k)
	if err != nil {
		return false, fmt.Errorf("replenish prekeys: %w", err)
	}
	return rotated || added, nil
}

func replenish(k Keys) (added bool, err error) {
	ids, err := k.PreKeyIDs()
	if err != nil {
		return false, err
	}
	taken := make(map[uint32]bool, PreKeyCount)
	for _, id := range ids {
		taken[id] = true
	}
	var pair ratchet.KeyPair
	defer pair.Private.Wipe()
	for len(taken) < PreKeyCount {
		// Random ids: one that was used does not come again with another key.
		id := randomID(maxPreKeyID)
		if taken[id] {
			continue
		}
		ratchet.GenerateKey(&pair)
		if err := k.PutPreKey(id, pair.Private[:]); err != nil {
			return false, err
		}
		taken[id], added = true, true
	}
	return added, nil
}

func (d *Device) rotate(k Keys, now time.Time) (rotated bool, err error) {
	ids, err := k.SignedPreKeyIDs()
	if err != nil {
		return false, err
	}
	created := make([]time.Time, len(ids))
	for i, id := range ids {
		key, signature, t, err := k.SignedPreKey(id)
		if err != nil {
			return false, err
		}
		if t.After(now.Add(clockSlack)) {
			// The clock was wrong when it was made. Left so, it would never be replaced.
			t = now
			err = k.PutSignedPreKey(id, key, signature, t)
		}
		clear(key)
		if err != nil {
			return false, err
		}
		created[i] = t
	}
	last := len(ids) - 1
	if last < 0 || now.Sub(created[last]) >= RotateAfter {
		id := uint32(1)
		if last >= 0 {
			id = ids[last]%maxPreKeyID + 1
		}
		for slices.Contains(ids, id) {
			id = id%maxPreKeyID + 1
		}
		if err := d.addSignedPreKey(k, id, now); err != nil {
			return false, err
		}
		rotated = true
	}
	for i := range last {
		if now.Sub(created[i+1]) >= KeepFor {
			if err := k.DeleteSignedPreKey(ids[i]); err != nil {
				return false, err
			}
		}
	}
	return rotated, nil
}

func (d *Device) addSignedPreKey(k Keys, id uint32, now time.Time) error {
	var pair ratchet.KeyPair
	defer pair.Private.Wipe()
	ratchet.GenerateKey(&pair)
	return d.withIdentity(func(own *ratchet.Identity) error {
		signature := ratchet.Sign(own.Private, pair.Public.Bytes())
		return k.PutSignedPreKey(id, pair.Private[:], signature[:], now)
	})
}

// randomID returns a random number from 1 to max.
func randomID(max uint32) uint32 {
	var b [8]byte
	rand.Read(b[:])
	return uint32(binary.BigEndian.Uint64(b[:])%uint64(max)) + 1
}
