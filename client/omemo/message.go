package omemo

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"sotto/client/omemo/ratchet"
	"sotto/client/stanza"
)

const (
	keySize = 16 // AES-128
	tagSize = 16
	ivSize  = 12

	// maxTries bounds how many keys for our device id are tried: people may by
	// chance have devices with the same id.
	maxTries = 4
)

// Encrypt encrypts a message's text to devices. Every one of them must have a
// session, or ErrNoSession names the first that has none; only an address with
// the own device id and no session, which is this device itself, is left out.
func (d *Device) Encrypt(k Keys, to []Address, plaintext []byte) (*stanza.Element, error) {
	if plaintext == nil {
		plaintext = []byte{}
	}
	return d.encrypt(k, to, plaintext)
}

// EncryptKey encrypts an empty message: it shows nobody anything, but moves the
// ratchet, and answers a key exchange.
func (d *Device) EncryptKey(k Keys, to []Address) (*stanza.Element, error) {
	return d.encrypt(k, to, nil)
}

// EncryptSignal is EncryptKey with a key that says something: the other side finds
// it in [Decrypted.Signal]. No app shows anything of it.
func (d *Device) EncryptSignal(k Keys, to []Address, signal [keySize]byte) (*stanza.Element, error) {
	return d.encryptWith(k, to, signal, nil)
}

func (d *Device) encrypt(k Keys, to []Address, plaintext []byte) (*stanza.Element, error) {
	var key [keySize]byte
	rand.Read(key[:])
	defer clear(key[:])
	return d.encryptWith(k, to, key, plaintext)
}

func (d *Device) encryptWith(k Keys, to []Address, messageKey [keySize]byte, plaintext []byte) (*stanza.Element, error) {
	defer clear(messageKey[:])
	// key || tag: the tag travels with the key, so that the payload cannot be
	// changed by another recipient, who has the key.
	var transported [keySize + tagSize]byte
	defer clear(transported[:])
	copy(transported[:], messageKey[:])
	iv := make([]byte, ivSize)
	rand.Read(iv)
	gcm, err := newGCM(transported[:keySize], ivSize)
	if err != nil {
		return nil, err
	}
	sealed := gcm.Seal(nil, iv, plaintext, nil)
	copy(transported[keySize:], sealed[len(plaintext):])

	x := &stanza.Encrypted{SID: d.id, IV: iv, Keys: make([]stanza.EncKey, 0, len(to))}
	if plaintext != nil {
		x.Payload = sealed[:len(plaintext)]
	}
	done := make(map[Address]bool, len(to))
	for _, peer := range to {
		if done[peer] {
			continue
		}
		done[peer] = true
		key, err := d.encryptKeyTo(k, peer, transported[:])
		if err != nil {
			return nil, err
		}
		if key.Data != nil {
			x.Keys = append(x.Keys, key)
		}
	}
	if len(x.Keys) == 0 {
		return nil, ErrNoRecipients
	}
	return x.Element(), nil
}

// encryptKeyTo encrypts the transported key to one device; no Data means that the
// device is this one.
func (d *Device) encryptKeyTo(k Keys, peer Address, transported []byte) (key stanza.EncKey, err error) {
	z, err := loadSession(k, peer)
	if err != nil {
		return key, err
	}
	defer z.Wipe()
	if z.Empty() {
		if peer.Device == d.id {
			return key, nil
		}
		return key, fmt.Errorf("encrypt to %v: %w", peer, ErrNoSession)
	}
	key.RID = peer.Device
	if key.Data, key.PreKey, err = z.Encrypt(transported, d.id); err != nil {
		return key, fmt.Errorf("encrypt to %v: %w", peer, translate(err))
	}
	return key, storeSession(k, peer, z)
}

// opened is a transported key that decrypted, with what must be stored for it.
type opened struct {
	session     *ratchet.Session
	transported []byte
	usedPreKey  bool
	preKeyID    uint32
	chain       ratchet.PublicKey
	counter     uint32
}

// order names the message's session and chain. The names are of this peer, so
// that nobody can claim those of somebody else.
func (o *opened) order(peer Address) Order {
	name := func(key ratchet.PublicKey) [8]byte {
		sum := sha256.Sum256(append([]byte(peer.String()+"\x00"), key.Bytes()...))
		return [8]byte(sum[:])
	}
	return Order{Session: name(o.session.Base()), Chain: name(o.chain), Counter: o.counter}
}

func (o *opened) wipe() {
	o.session.Wipe()
	clear(o.transported)
}

// Decrypt decrypts a message that came from a bare JID. What it learns goes into k
// only if everything about the message is right: when it fails, nothing has
// changed, and a good copy of the message can still be decrypted.
//
// An empty message is no proof that its sender wrote none: a relay that removes
// the payload leaves one. That is no worse than dropping the message, as long as
// no receipt is sent for it.
//
// ErrOwnMessage and ErrDuplicate are nothing to tell anybody about: the relay
// reflected or repeated a message. After ErrNoSession or ErrUnknownPreKey, starting
// a session with the device makes its next message readable.
func (d *Device) Decrypt(k Keys, from string, e *stanza.Element) (Decrypted, error) {
	x, err := stanza.ReadEncrypted(e)
	if err != nil {
		return Decrypted{}, fmt.Errorf("decrypt message from %s: %w", from, translate(err))
	}
	peer := Address{JID: from, Device: x.SID}
	got, err := d.decrypt(k, peer, x)
	if err != nil {
		return Decrypted{}, fmt.Errorf("decrypt message from %v: %w", peer, translate(err))
	}
	return got, nil
}

func (d *Device) decrypt(k Keys, peer Address, x *stanza.Encrypted) (Decrypted, error) {
	var failed error
	tries := 0
	for i := range x.Keys {
		if x.Keys[i].RID != d.id || tries == maxTries {
			continue
		}
		tries++
		o, err := d.open(k, peer, &x.Keys[i])
		if err != nil {
			if failed == nil {
				failed = err
			}
			continue
		}
		defer o.wipe()
		return d.accept(k, peer, x, o, x.Keys[i].PreKey)
	}
	switch {
	case failed != nil:
		return Decrypted{}, failed
	case x.SID == d.id:
		return Decrypted{}, ErrOwnMessage
	default:
		return Decrypted{}, ErrNotForUs
	}
}

// accept decrypts the payload and stores what decrypting it changed.
func (d *Device) accept(k Keys, peer Address, x *stanza.Encrypted, o *opened, preKey bool) (got Decrypted, err error) {
	plaintext, err := openPayload(o.transported, x)
	if err != nil {
		return got, err
	}
	if o.usedPreKey {
		if err := k.DeletePreKey(o.preKeyID); err != nil {
			clear(plaintext)
			return got, fmt.Errorf("delete prekey: %w", err)
		}
	}
	if err := storeSession(k, peer, o.session); err != nil {
		clear(plaintext)
		return got, err
	}
	remote, _ := o.session.Remote()
	if plaintext == nil {
		copy(got.Signal[:], o.transported)
	}
	return Decrypted{
		Signal:     got.Signal,
		Plaintext:  plaintext,
		From:       peer,
		Identity:   Fingerprint(remote),
		PreKey:     preKey,
		Heal:       o.session.Unanswered() >= healAfter,
		UsedPreKey: o.usedPreKey,
		Exchange:   exchange(o.session.Base()),
		Order:      o.order(peer),
	}, nil
}

func exchange(base ratchet.PublicKey) [16]byte {
	sum := sha256.Sum256(append([]byte("sotto key exchange\x00"), base.Bytes()...))
	return [16]byte(sum[:16])
}

// open decrypts a transported key without storing anything.
func (d *Device) open(k Keys, peer Address, key *stanza.EncKey) (o *opened, err error) {
	z, err := loadSession(k, peer)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			z.Wipe()
		}
	}()
	o = &opened{session: z}
	if key.PreKey {
		err = d.openPreKey(k, o, key.Data)
		return o, err
	}
	m, err := ratchet.ParseMessage(key.Data)
	if err != nil {
		return nil, err
	}
	o.chain, o.counter = m.Chain()
	o.transported, err = z.Decrypt(m)
	return o, err
}

// openPreKey decrypts a transported key that starts a session, or belongs to one
// that such a message started before.
func (d *Device) openPreKey(k Keys, o *opened, data []byte) error {
	m, err := ratchet.ParsePreKeyMessage(data)
	if err != nil {
		return err
	}
	o.chain, o.counter = m.Chain()
	if o.session.Has(m) {
		o.transported, err = o.session.DecryptPreKey(nil, ratchet.PreKeys{}, m)
		return err
	}
	// XEP-0384 has every session start with a one-time prekey. Without one, a
	// relay could repeat the message once the session it began is forgotten.
	if !m.HasPreKey {
		return fmt.Errorf("%w: session start without a one-time prekey", ErrMalformed)
	}
	signed, _, _, err := k.SignedPreKey(m.SignedPreKeyID)
	if err != nil {
		return fmt.Errorf("load signed prekey: %w", err)
	}
	defer clear(signed)
	once, err := k.PreKey(m.PreKeyID)
	if err != nil {
		return fmt.Errorf("load prekey: %w", err)
	}
	defer clear(once)
	if len(signed) != 32 || len(once) != 32 {
		return ErrUnknownPreKey
	}
	pre := ratchet.PreKeys{Signed: (*ratchet.PrivateKey)(signed), OneTime: (*ratchet.PrivateKey)(once)}
	err = d.withIdentity(func(own *ratchet.Identity) error {
		o.transported, err = o.session.DecryptPreKey(own, pre, m)
		return err
	})
	o.usedPreKey, o.preKeyID = true, m.PreKeyID
	return err
}

// openPayload decrypts a payload with its transported key: key and tag, or, from
// old clients, the key alone with the tag at the end of the payload. An empty
// message has no payload and gives nil.
func openPayload(transported []byte, x *stanza.Encrypted) ([]byte, error) {
	if x.Payload == nil {
		return nil, nil
	}
	sealed := x.Payload
	switch len(transported) {
	case keySize + tagSize:
		sealed = append(sealed[:len(sealed):len(sealed)], transported[keySize:]...)
	case keySize:
	default:
		return nil, fmt.Errorf("%w: transported key of %d bytes", ErrMalformed, len(transported))
	}
	gcm, err := newGCM(transported[:keySize], len(x.IV))
	if err != nil {
		return nil, err
	}
	plaintext, err := gcm.Open([]byte{}, x.IV, sealed, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: payload", ErrTampered)
	}
	return plaintext, nil
}

func newGCM(key []byte, ivSize int) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("set up AES: %w", err)
	}
	gcm, err := cipher.NewGCMWithNonceSize(block, ivSize)
	if err != nil {
		return nil, fmt.Errorf("set up GCM: %w", err)
	}
	return gcm, nil
}
