package ratchet

import (
	"encoding/binary"
	"fmt"
	"math"
)

// version is the first byte of every message: this message's version and the
// newest that the sender speaks, both 3.
const version = 0x33

const macSize = 8 // bytes of HMAC-SHA256 at the end of a message

// Field numbers and wire types of the protocol buffers, as tag bytes.
const (
	tagRatchet    = 1<<3 | 2
	tagCounter    = 2 << 3
	tagPrevious   = 3 << 3
	tagCiphertext = 4<<3 | 2

	tagPreKeyID       = 1 << 3
	tagBase           = 2<<3 | 2
	tagIdentity       = 3<<3 | 2
	tagMessage        = 4<<3 | 2
	tagRegistrationID = 5 << 3
	tagSignedPreKeyID = 6 << 3
)

// Message is a parsed message of a session. It refers to the bytes it was parsed from.
type Message struct {
	ratchet    PublicKey
	counter    uint32
	ciphertext []byte // whole AES blocks
	signed     []byte // exactly the bytes under the mac
	mac        []byte
}

// PreKeyMessage is a parsed message that starts a session, or that was sent before
// its sender had an answer. It refers to the bytes it was parsed from.
type PreKeyMessage struct {
	PreKeyID       uint32
	HasPreKey      bool // PreKeyID is there: a one-time prekey was used
	SignedPreKeyID uint32
	Identity       PublicKey // of the sender, proven once the message decrypts
	base           PublicKey
	message        Message
}

// ParseMessage reads a message. Nothing in it is authentic before it decrypts.
func ParseMessage(b []byte) (*Message, error) {
	m := new(Message)
	if err := m.parse(b); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Message) parse(b []byte) error {
	if len(b) < 1+macSize || len(b) > MaxMessage || b[0] != version {
		return fmt.Errorf("%w: not a version 3 message", ErrMalformed)
	}
	m.signed, m.mac = b[:len(b)-macSize], b[len(b)-macSize:]
	r := reader{rest: m.signed[1:]}
	for r.next() {
		switch r.tag {
		case tagRatchet:
			m.ratchet = r.publicKey()
		case tagCounter:
			m.counter = r.number()
		case tagPrevious:
			r.number() // nothing depends on it: chains stay open until MaxChains
		case tagCiphertext:
			m.ciphertext = r.bytes()
		default:
			r.fail("unknown field")
		}
	}
	if r.err != nil {
		return r.err
	}
	n := len(m.ciphertext)
	if !r.seen(tagRatchet, tagCounter, tagCiphertext) || n == 0 || n%16 != 0 || n > MaxPlaintext+16 ||
		m.counter == math.MaxUint32 {
		return fmt.Errorf("%w: field missing or out of range", ErrMalformed)
	}
	return nil
}

// Chain returns the ratchet key of the message's chain, and its number there.
func (m *Message) Chain() (ratchet PublicKey, n uint32) { return m.ratchet, m.counter }

// Chain is that of the message inside.
func (p *PreKeyMessage) Chain() (ratchet PublicKey, n uint32) { return p.message.Chain() }

// ParsePreKeyMessage reads a prekey message. Nothing in it is authentic before it
// decrypts.
func ParsePreKeyMessage(b []byte) (*PreKeyMessage, error) {
	if len(b) < 1 || len(b) > MaxMessage || b[0] != version {
		return nil, fmt.Errorf("%w: not a version 3 prekey message", ErrMalformed)
	}
	p := new(PreKeyMessage)
	r := reader{rest: b[1:]}
	for r.next() {
		switch r.tag {
		case tagPreKeyID:
			p.PreKeyID, p.HasPreKey = r.number(), true
		case tagBase:
			p.base = r.publicKey()
		case tagIdentity:
			p.Identity = r.publicKey()
		case tagMessage:
			if inner := r.bytes(); r.err == nil {
				r.err = p.message.parse(inner)
			}
		case tagRegistrationID:
			r.number() // not authenticated, not used
		case tagSignedPreKeyID:
			p.SignedPreKeyID = r.number()
		default:
			r.fail("unknown field")
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	if !r.seen(tagBase, tagIdentity, tagMessage, tagSignedPreKeyID) {
		return nil, fmt.Errorf("%w: field missing", ErrMalformed)
	}
	return p, nil
}

// reader walks the fields of a protocol buffer. It knows the two wire types that
// occur, wants each field once at most and numbers in their shortest form. The
// first error ends it.
type reader struct {
	rest   []byte
	tag    byte
	fields uint64 // bit n: the field with tag n was there
	err    error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrMalformed, what)
	}
}

func (r *reader) next() bool {
	if r.err != nil || len(r.rest) == 0 {
		return false
	}
	r.tag, r.rest = r.rest[0], r.rest[1:]
	if r.tag > 63 || r.fields&(1<<r.tag) != 0 {
		r.fail("unknown or repeated field")
		return false
	}
	r.fields |= 1 << r.tag
	return true
}

func (r *reader) seen(tags ...byte) bool {
	for _, t := range tags {
		if r.fields&(1<<t) == 0 {
			return false
		}
	}
	return true
}

func (r *reader) number() uint32 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || n > math.MaxUint32 || size > 1 && r.rest[size-1] == 0 {
		r.fail("number")
		return 0
	}
	r.rest = r.rest[size:]
	return uint32(n)
}

func (r *reader) bytes() []byte {
	n := r.number()
	if r.err != nil || uint64(n) > uint64(len(r.rest)) {
		r.fail("length")
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) publicKey() (p PublicKey) {
	b := r.bytes()
	if r.err == nil {
		p, r.err = ParsePublicKey(b)
	}
	return p
}

func appendNumber(dst []byte, tag byte, n uint32) []byte {
	return binary.AppendUvarint(append(dst, tag), uint64(n))
}

func appendBytes(dst []byte, tag byte, b []byte) []byte {
	dst = binary.AppendUvarint(append(dst, tag), uint64(len(b)))
	return append(dst, b...)
}

func appendPublicKey(dst []byte, tag byte, p *PublicKey) []byte {
	return p.Append(append(dst, tag, PublicKeySize))
}
