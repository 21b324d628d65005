package omemo

import (
	"errors"
	"fmt"

	"sotto/client/omemo/ratchet"
	"sotto/client/stanza"
)

// healAfter is how many messages may come without an answer before one is due.
const healAfter = 50

// loadSession returns the sessions with a device, empty when there are none. The
// caller wipes them.
func loadSession(k Keys, peer Address) (*ratchet.Session, error) {
	stored, err := k.Session(peer)
	if err != nil {
		return nil, fmt.Errorf("load session with %v: %w", peer, err)
	}
	defer clear(stored)
	z, err := ratchet.UnmarshalSession(stored)
	if err != nil {
		return nil, fmt.Errorf("load session with %v: %w", peer, translate(err))
	}
	return z, nil
}

func storeSession(k Keys, peer Address, z *ratchet.Session) error {
	state := z.Marshal()
	defer clear(state)
	if err := k.PutSession(peer, state); err != nil {
		return fmt.Errorf("store session with %v: %w", peer, err)
	}
	return nil
}

// HasSession reports whether messages can be encrypted to a device, and the
// identity key that the device had when the session began.
func (d *Device) HasSession(k Keys, peer Address) (bool, Fingerprint, error) {
	z, err := loadSession(k, peer)
	if err != nil {
		return false, Fingerprint{}, err
	}
	defer z.Wipe()
	remote, ok := z.Remote()
	if !ok {
		return false, Fingerprint{}, nil
	}
	return true, Fingerprint(remote), nil
}

// StartSession starts a session from the bundle a device published, with one of
// its one-time prekeys chosen at random. Sessions that exist with the device are
// kept, so that messages under way still decrypt, but new ones go out in this one.
// It fails with ErrTampered if the identity key did not sign the bundle, with
// ErrIdentityChanged if the device had another one, and with ErrMalformed.
func (d *Device) StartSession(k Keys, peer Address, b Bundle) error {
	if peer.JID == "" || peer.Device < 1 || peer.Device > stanza.MaxDeviceID {
		return fmt.Errorf("start session with %v: %w: no such device", peer, ErrMalformed)
	}
	if err := d.startSession(k, peer, &b); err != nil {
		return fmt.Errorf("start session with %v: %w", peer, translate(err))
	}
	return nil
}

func (d *Device) startSession(k Keys, peer Address, b *Bundle) error {
	offer, err := readOffer(b)
	if err != nil {
		return err
	}
	if offer.Identity == d.public {
		return fmt.Errorf("%w: it has the identity key of this device", ErrTampered)
	}
	z, err := loadSession(k, peer)
	if err != nil {
		return err
	}
	defer z.Wipe()
	if err := d.withIdentity(func(own *ratchet.Identity) error { return z.Start(own, offer) }); err != nil {
		return err
	}
	return storeSession(k, peer, z)
}

// readOffer checks the keys of a bundle and chooses one of its one-time prekeys.
func readOffer(b *Bundle) (*ratchet.Offer, error) {
	identity, err := ratchet.ParsePublicKey(b.IdentityKey)
	if err != nil {
		return nil, fmt.Errorf("identity key: %w", err)
	}
	signed, err := ratchet.ParsePublicKey(b.SignedPreKey)
	if err != nil {
		return nil, fmt.Errorf("signed prekey: %w", err)
	}
	if len(b.PreKeys) == 0 {
		return nil, fmt.Errorf("%w: bundle has no one-time prekeys", ErrMalformed)
	}
	chosen := &b.PreKeys[randomID(uint32(len(b.PreKeys)))-1]
	once, err := ratchet.ParsePublicKey(chosen.Key)
	if err != nil {
		return nil, fmt.Errorf("one-time prekey: %w", err)
	}
	return &ratchet.Offer{
		Identity:       identity,
		SignedPreKeyID: b.SignedPreKeyID,
		SignedPreKey:   signed,
		Signature:      b.Signature,
		PreKeyID:       chosen.ID,
		PreKey:         &once,
	}, nil
}

// Forget removes all sessions with a device, and with them the identity key it is
// bound to. Messages of the device that are still under way will not decrypt.
func (d *Device) Forget(k Keys, peer Address) error {
	if err := k.PutSession(peer, nil); err != nil {
		return fmt.Errorf("forget session with %v: %w", peer, err)
	}
	return nil
}

// translate gives an error of the layers beneath this package's name for it.
func translate(err error) error {
	for _, t := range [...]struct{ from, to error }{
		{ratchet.ErrMalformed, ErrMalformed},
		{stanza.ErrOmemo, ErrMalformed},
		{ratchet.ErrTampered, ErrTampered},
		{ratchet.ErrSignature, ErrTampered},
		{ratchet.ErrDuplicate, ErrDuplicate},
		{ratchet.ErrTooFarAhead, ErrTooFarAhead},
		{ratchet.ErrNoState, ErrNoSession},
		{ratchet.ErrIdentity, ErrIdentityChanged},
		{ratchet.ErrExhausted, ErrNoSession},
	} {
		if errors.Is(err, t.from) && !errors.Is(err, t.to) {
			return fmt.Errorf("%w (%w)", t.to, err)
		}
	}
	return err
}
