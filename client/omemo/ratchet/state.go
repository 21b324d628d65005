package ratchet

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"fmt"
	"math"
)

// parties are the identities that every message of a session is bound to.
type parties struct {
	local, remote PublicKey
}

// receiving is the chain of the messages that came with one ratchet key.
type receiving struct {
	ratchet PublicKey
	chain   chain
}

// skipped is the seed of the keys of one missing message.
type skipped struct {
	ratchet PublicKey
	n       uint32
	seed    key
}

// core is all of a state but its skipped keys. It has no pointers, so that a copy
// of it is a copy, and clearing it clears it.
type core struct {
	base    PublicKey // of the X3DH exchange: tells one state from another
	root    key
	ratchet KeyPair   // ours, for the sending chain
	remote  PublicKey // theirs, newest
	sending chain
	// previous is the number of the last message of the sending chain before,
	// which is what Signal puts on the wire.
	previous uint32
	// due says that a message with a new ratchet key came since sending began:
	// the next message sent begins with a ratchet key of its own. The new key is
	// made only then (Double Ratchet, section 6.5).
	due bool
	// pending says that nothing came yet in a state begun here: messages go out
	// as prekey messages, naming the prekeys used.
	pending                  bool
	hasPreKey                bool
	preKeyID, signedPreKeyID uint32
	unanswered               uint32 // messages received since the last one sent

	nchains int
	chains  [MaxChains]receiving // oldest first
}

// state is one run of the Double Ratchet.
type state struct {
	core
	skipped []skipped // oldest first
}

func (s *state) wipe() {
	s.core = core{}
	clear(s.skipped[:cap(s.skipped)])
	s.skipped = nil
}

// chain returns the receiving chain of a ratchet key, or nil.
func (c *core) chain(ratchet *PublicKey) *chain {
	for i := c.nchains - 1; i >= 0; i-- {
		if c.chains[i].ratchet == *ratchet {
			return &c.chains[i].chain
		}
	}
	return nil
}

// turn begins the receiving chain of a ratchet key not seen before.
func (c *core) turn(ratchet *PublicKey) (*chain, error) {
	if c.nchains == MaxChains {
		copy(c.chains[:], c.chains[1:])
		c.nchains--
	}
	r := &c.chains[c.nchains]
	r.ratchet = *ratchet
	if err := rootStep(&c.root, &r.chain, &c.ratchet.Private, ratchet); err != nil {
		return nil, err
	}
	c.nchains++
	c.remote = *ratchet
	c.due = true
	return &r.chain, nil
}

// answer makes the new ratchet key that is due and begins its sending chain.
func (c *core) answer() error {
	GenerateKey(&c.ratchet)
	c.previous = c.sending.n - min(c.sending.n, 1)
	if err := rootStep(&c.root, &c.sending, &c.ratchet.Private, &c.remote); err != nil {
		return err
	}
	c.due = false
	return nil
}

// knows reports whether only this state can decrypt messages with a ratchet key.
func (s *state) knows(ratchet *PublicKey) bool {
	if s.chain(ratchet) != nil {
		return true
	}
	for i := range s.skipped {
		if s.skipped[i].ratchet == *ratchet {
			return true
		}
	}
	return false
}

// open decrypts m. The state changes only if that succeeds.
func (s *state) open(who *parties, m *Message) ([]byte, error) {
	for i := range s.skipped {
		k := &s.skipped[i]
		if k.n != m.counter || k.ratchet != m.ratchet {
			continue
		}
		plaintext, err := m.open(who, &k.seed)
		if err != nil {
			return nil, err
		}
		last := len(s.skipped) - 1
		copy(s.skipped[i:], s.skipped[i+1:])
		s.skipped[last] = skipped{}
		s.skipped = s.skipped[:last]
		s.received()
		return plaintext, nil
	}

	next := s.core
	defer func() { next = core{} }()
	c := next.chain(&m.ratchet)
	if c == nil {
		var err error
		if c, err = next.turn(&m.ratchet); err != nil {
			return nil, err
		}
	}
	if m.counter < c.n {
		return nil, ErrDuplicate
	}
	gap := m.counter - c.n
	if gap > MaxGap {
		return nil, ErrTooFarAhead
	}
	var missing []skipped
	if gap > 0 {
		missing = make([]skipped, gap)
		defer clear(missing)
	}
	for i := range missing {
		missing[i].ratchet, missing[i].n = m.ratchet, c.n
		c.seed(&missing[i].seed)
		c.advance()
	}
	var seed key
	defer clear(seed[:])
	c.seed(&seed)
	c.advance()
	plaintext, err := m.open(who, &seed)
	if err != nil {
		return nil, err
	}
	s.core = next
	s.skip(missing)
	s.received()
	return plaintext, nil
}

// received notes a message that decrypted.
func (s *state) received() {
	s.pending = false
	if s.unanswered < math.MaxUint32 {
		s.unanswered++
	}
}

// skip keeps the keys of missing messages, and of all of them the newest MaxSkipped.
func (s *state) skip(missing []skipped) {
	if len(missing) == 0 {
		return
	}
	old := s.skipped
	drop := max(0, len(old)+len(missing)-MaxSkipped)
	kept := make([]skipped, 0, len(old)+len(missing)-drop)
	fromOld := min(drop, len(old))
	kept = append(kept, old[fromOld:]...)
	kept = append(kept, missing[drop-fromOld:]...)
	clear(old[:cap(old)])
	s.skipped = kept
}

// seal encrypts plaintext as the next message and appends it to dst.
func (s *state) seal(dst []byte, who *parties, plaintext []byte) ([]byte, error) {
	if s.due {
		if err := s.answer(); err != nil {
			return nil, err
		}
	}
	if s.sending.n == math.MaxUint32 {
		return nil, ErrExhausted
	}
	var seed key
	var keys messageKeys
	defer keys.wipe()
	s.sending.seed(&seed)
	keys.derive(&seed)
	clear(seed[:])

	// PKCS #7 padding, AES-256-CBC.
	padding := aes.BlockSize - len(plaintext)%aes.BlockSize
	var small [5 * aes.BlockSize]byte
	ciphertext := append(small[:0], plaintext...)
	for range padding {
		ciphertext = append(ciphertext, byte(padding))
	}
	block, err := aes.NewCipher(keys.cipher[:])
	if err != nil {
		return nil, fmt.Errorf("encrypt message: %w", err)
	}
	cipher.NewCBCEncrypter(block, keys.iv[:]).CryptBlocks(ciphertext, ciphertext)

	start := len(dst)
	dst = append(dst, version)
	dst = appendPublicKey(dst, tagRatchet, &s.ratchet.Public)
	dst = appendNumber(dst, tagCounter, s.sending.n)
	dst = appendNumber(dst, tagPrevious, s.previous)
	dst = appendBytes(dst, tagCiphertext, ciphertext)
	mac := authenticate(&keys.mac, &who.local, &who.remote, dst[start:])
	dst = append(dst, mac[:]...)
	s.sending.advance()
	s.unanswered = 0
	return dst, nil
}

// open authenticates and decrypts m with the keys that come from seed.
func (m *Message) open(who *parties, seed *key) ([]byte, error) {
	var keys messageKeys
	defer keys.wipe()
	keys.derive(seed)
	mac := authenticate(&keys.mac, &who.remote, &who.local, m.signed)
	if subtle.ConstantTimeCompare(mac[:], m.mac) != 1 {
		return nil, ErrTampered
	}
	block, err := aes.NewCipher(keys.cipher[:])
	if err != nil {
		return nil, fmt.Errorf("decrypt message: %w", err)
	}
	plaintext := make([]byte, len(m.ciphertext))
	cipher.NewCBCDecrypter(block, keys.iv[:]).CryptBlocks(plaintext, m.ciphertext)
	// The message is authentic: bad padding is the sender's fault and no oracle.
	padding := int(plaintext[len(plaintext)-1])
	bad := padding == 0 || padding > aes.BlockSize
	if !bad {
		for _, b := range plaintext[len(plaintext)-padding:] {
			bad = bad || int(b) != padding
		}
	}
	if bad {
		clear(plaintext)
		return nil, fmt.Errorf("%w: padding", ErrMalformed)
	}
	return plaintext[:len(plaintext)-padding], nil
}

// authenticate computes the mac of a message between two identities.
func authenticate(k *key, sender, receiver *PublicKey, signed []byte) (mac [macSize]byte) {
	var small [2*PublicKeySize + 192]byte
	input := receiver.Append(sender.Append(small[:0]))
	input = append(input, signed...)
	var sum key
	hmacSHA256(&sum, k, input)
	copy(mac[:], sum[:])
	clear(sum[:])
	return mac
}
