package ratchet

import (
	"errors"
	"fmt"
	"slices"
)

// Session is everything kept about the sessions with one device of a peer. The
// zero Session is empty. It is bound to the two identities by its first state.
type Session struct {
	who    parties
	states []state // the one to answer in first
}

// Identity is the own long-lived key. Private may point into locked memory: it is
// only read.
type Identity struct {
	Private *PrivateKey
	Public  PublicKey
}

// Offer is what a peer's bundle offers, each key checked for form but not yet for
// its signature.
type Offer struct {
	Identity       PublicKey
	SignedPreKeyID uint32
	SignedPreKey   PublicKey
	Signature      []byte
	PreKeyID       uint32
	PreKey         *PublicKey // one-time; nil when the bundle has none
}

// PreKeys are the own prekeys that a prekey message names. They stay the caller's
// to wipe.
type PreKeys struct {
	Signed  *PrivateKey
	OneTime *PrivateKey // nil when the message names none
}

// Empty reports whether there is no state yet.
func (z *Session) Empty() bool { return len(z.states) == 0 }

// States returns the number of states.
func (z *Session) States() int { return len(z.states) }

// Remote returns the peer's identity key; ok is false while the session is empty.
func (z *Session) Remote() (p PublicKey, ok bool) { return z.who.remote, !z.Empty() }

// Unanswered returns how many messages came in the state that decrypted last since
// it last encrypted one.
func (z *Session) Unanswered() uint32 {
	if z.Empty() {
		return 0
	}
	return z.states[0].unanswered
}

// Pending reports whether the next message goes out as a prekey message.
func (z *Session) Pending() bool { return !z.Empty() && z.states[0].pending }

// Wipe clears all secrets and empties the session.
func (z *Session) Wipe() {
	for i := range z.states {
		z.states[i].wipe()
	}
	*z = Session{}
}

// Start begins a new state from a peer's bundle, once its signature is verified
// (X3DH section 3.3). Messages are encrypted in it from now on; the other states
// are kept. ErrSignature, ErrIdentity and ErrMalformed leave the session as it was.
func (z *Session) Start(own *Identity, o *Offer) error {
	if err := z.check(&o.Identity); err != nil {
		return err
	}
	if err := Verify(&o.Identity, o.SignedPreKey.Bytes(), o.Signature); err != nil {
		return err
	}
	var base KeyPair
	defer base.Private.Wipe()
	GenerateKey(&base)
	exchanges := []exchange{
		{own.Private, &o.SignedPreKey}, {&base.Private, &o.Identity}, {&base.Private, &o.SignedPreKey},
	}
	if o.PreKey != nil {
		exchanges = append(exchanges, exchange{&base.Private, o.PreKey})
	}
	s := state{core: core{base: base.Public, remote: o.SignedPreKey, pending: true, signedPreKeyID: o.SignedPreKeyID}}
	if o.PreKey != nil {
		s.preKeyID, s.hasPreKey = o.PreKeyID, true
	}
	err := x3dh(&s.root, &s.sending.key, exchanges...)
	if err == nil {
		err = s.answer()
	}
	if err != nil {
		s.wipe()
		return fmt.Errorf("start session: %w", err)
	}
	z.add(own, &o.Identity, &s)
	s.core = core{}
	return nil
}

// Encrypt encrypts plaintext, at most MaxPlaintext bytes, in the state that
// decrypted or was begun last. It reports whether the result is a prekey message.
// registration is the own registration id; OMEMO uses the device id.
func (z *Session) Encrypt(plaintext []byte, registration uint32) (message []byte, preKey bool, err error) {
	if z.Empty() {
		return nil, false, ErrNoState
	}
	if len(plaintext) > MaxPlaintext {
		return nil, false, fmt.Errorf("%w: plaintext of %d bytes", ErrMalformed, len(plaintext))
	}
	s := &z.states[0]
	inner, err := s.seal(make([]byte, 0, 80+len(plaintext)), &z.who, plaintext)
	if err != nil || !s.pending {
		return inner, false, err
	}
	message = append(make([]byte, 0, 100+len(inner)), version)
	if s.hasPreKey {
		message = appendNumber(message, tagPreKeyID, s.preKeyID)
	}
	message = appendPublicKey(message, tagBase, &s.base)
	message = appendPublicKey(message, tagIdentity, &z.who.local)
	message = appendBytes(message, tagMessage, inner)
	message = appendNumber(message, tagRegistrationID, registration)
	message = appendNumber(message, tagSignedPreKeyID, s.signedPreKeyID)
	return message, true, nil
}

// Decrypt decrypts a message. If one state has seen the message's ratchet key,
// only that one is tried and its error returned; else all are, the last used
// first, and ErrNoState says that none fits. The state that fits is answered in
// from now on. On an error the session is as it was.
func (z *Session) Decrypt(m *Message) ([]byte, error) {
	for i := range z.states {
		if z.states[i].knows(&m.ratchet) {
			return z.open(i, m)
		}
	}
	for i := range z.states {
		plaintext, err := z.open(i, m)
		if err == nil || errors.Is(err, ErrMalformed) {
			return plaintext, err
		}
	}
	return nil, ErrNoState
}

// Base returns the key that began the state which decrypted, or was begun, last.
func (z *Session) Base() (base PublicKey) {
	if !z.Empty() {
		base = z.states[0].base
	}
	return base
}

// Has reports whether p belongs to a state that the session has: it then decrypts
// without the prekeys it names.
func (z *Session) Has(p *PreKeyMessage) bool { return z.find(p) >= 0 }

// DecryptPreKey decrypts a prekey message: in the state that its key exchange
// began, or else in a new one, for which pre holds the prekeys that the message
// names. ErrTampered says that those keys do not fit it, ErrIdentity that it is
// signed by another identity than the session has. On an error the session is as
// it was. After success the one-time prekey, if a new state used it, must be
// deleted.
func (z *Session) DecryptPreKey(own *Identity, pre PreKeys, p *PreKeyMessage) (plaintext []byte, err error) {
	if err := z.check(&p.Identity); err != nil {
		return nil, err
	}
	if i := z.find(p); i >= 0 {
		return z.open(i, &p.message)
	}
	if pre.Signed == nil || (pre.OneTime != nil) != p.HasPreKey {
		return nil, fmt.Errorf("%w: prekeys are not those of the message", ErrMalformed)
	}
	exchanges := []exchange{
		{pre.Signed, &p.Identity}, {own.Private, &p.base}, {pre.Signed, &p.base},
	}
	if pre.OneTime != nil {
		exchanges = append(exchanges, exchange{pre.OneTime, &p.base})
	}
	s := state{core: core{base: p.base, due: true}}
	defer func() { s.core = core{} }()
	if err := x3dh(&s.root, &s.sending.key, exchanges...); err != nil {
		return nil, err
	}
	s.ratchet = KeyPair{Private: *pre.Signed, Public: pre.Signed.Public()}
	plaintext, err = s.open(&parties{own.Public, p.Identity}, &p.message)
	if err != nil {
		return nil, err
	}
	z.add(own, &p.Identity, &s)
	return plaintext, nil
}

// check fails if the session belongs to another identity.
func (z *Session) check(identity *PublicKey) error {
	if !z.Empty() && z.who.remote != *identity {
		return ErrIdentity
	}
	return nil
}

func (z *Session) find(p *PreKeyMessage) int {
	if z.check(&p.Identity) != nil {
		return -1
	}
	return slices.IndexFunc(z.states, func(s state) bool { return s.base == p.base })
}

// open decrypts m in state i and, if that succeeds, moves it to the front.
func (z *Session) open(i int, m *Message) ([]byte, error) {
	plaintext, err := z.states[i].open(&z.who, m)
	if err != nil {
		return nil, err
	}
	if i > 0 {
		s := z.states[i]
		copy(z.states[1:i+1], z.states[:i])
		z.states[0] = s
		s.core = core{}
	}
	return plaintext, nil
}

// add makes s the state to answer in. It copies s; the skipped keys change hands.
func (z *Session) add(own *Identity, remote *PublicKey, s *state) {
	z.who = parties{own.Public, *remote}
	states := make([]state, min(len(z.states)+1, MaxStates))
	states[0] = *s
	copy(states[1:], z.states)
	if len(z.states) == MaxStates {
		z.states[MaxStates-1].wipe()
	}
	for i := range z.states {
		z.states[i].core = core{}
	}
	z.states = states
}
