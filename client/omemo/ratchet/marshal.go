package ratchet

import (
	"encoding/binary"
	"fmt"
)

// format is the first byte of a marshalled session.
const format = 1

// A marshalled session is, with numbers in big-endian order:
//
//	format (1), own identity (32), peer's identity (32), number of states (1),
//	then each state: flags (1), base, root, ratchet private, ratchet public,
//	remote, sending key (32 each), sending number, previous, prekey id, signed
//	prekey id, unanswered (4 each), number of chains (1), each chain: ratchet
//	key, chain key (32 each), number (4); number of skipped keys (2), each:
//	ratchet key (32), number (4), seed (32).
const (
	headerSize  = 1 + 2*32 + 1
	stateSize   = 1 + 6*32 + 5*4 + 1 + 2
	chainSize   = 32 + 32 + 4
	skippedSize = 32 + 4 + 32

	// MaxSessionSize bounds a marshalled session, in bytes.
	MaxSessionSize = headerSize + MaxStates*(stateSize+MaxChains*chainSize+MaxSkipped*skippedSize)
)

// Flags of a state.
const (
	flagDue = 1 << iota
	flagPending
	flagPreKey
	flagsKnown = flagDue | flagPending | flagPreKey
)

// Marshal returns the session as bytes, secret and the caller's to clear. An empty
// session gives nil.
func (z *Session) Marshal() []byte {
	if z.Empty() {
		return nil
	}
	size := headerSize
	for i := range z.states {
		size += stateSize + z.states[i].nchains*chainSize + len(z.states[i].skipped)*skippedSize
	}
	// Of the exact size: an append that moved the bytes would leave a copy behind.
	b := make([]byte, 0, size)
	b = append(b, format)
	b = append(b, z.who.local[:]...)
	b = append(b, z.who.remote[:]...)
	b = append(b, byte(len(z.states)))
	for i := range z.states {
		b = z.states[i].marshal(b)
	}
	return b
}

func (s *state) marshal(b []byte) []byte {
	var flags byte
	if s.due {
		flags |= flagDue
	}
	if s.pending {
		flags |= flagPending
	}
	if s.hasPreKey {
		flags |= flagPreKey
	}
	b = append(b, flags)
	b = append(b, s.base[:]...)
	b = append(b, s.root[:]...)
	b = append(b, s.ratchet.Private[:]...)
	b = append(b, s.ratchet.Public[:]...)
	b = append(b, s.remote[:]...)
	b = append(b, s.sending.key[:]...)
	for _, n := range [...]uint32{s.sending.n, s.previous, s.preKeyID, s.signedPreKeyID, s.unanswered} {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	b = append(b, byte(s.nchains))
	for i := range s.chains[:s.nchains] {
		c := &s.chains[i]
		b = append(b, c.ratchet[:]...)
		b = append(b, c.chain.key[:]...)
		b = binary.BigEndian.AppendUint32(b, c.chain.n)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(s.skipped)))
	for i := range s.skipped {
		k := &s.skipped[i]
		b = append(b, k.ratchet[:]...)
		b = binary.BigEndian.AppendUint32(b, k.n)
		b = append(b, k.seed[:]...)
	}
	return b
}

// UnmarshalSession reads what Marshal wrote; nothing at all is an empty session.
// It copies b. Whatever b holds, the result is within this package's bounds and
// safe to use, though it may decrypt nothing. Wipe it when done.
func UnmarshalSession(b []byte) (*Session, error) {
	z := new(Session)
	if len(b) == 0 {
		return z, nil
	}
	d := decoder{rest: b}
	if d.byte() != format {
		return nil, fmt.Errorf("%w: stored session has an unknown format", ErrMalformed)
	}
	d.copy(z.who.local[:])
	d.copy(z.who.remote[:])
	n := int(d.byte())
	if d.failed || n == 0 || n > MaxStates {
		return nil, fmt.Errorf("%w: stored session is damaged", ErrMalformed)
	}
	z.states = make([]state, n)
	for i := range z.states {
		z.states[i].unmarshal(&d)
	}
	if d.failed || len(d.rest) != 0 {
		z.Wipe()
		return nil, fmt.Errorf("%w: stored session is damaged", ErrMalformed)
	}
	return z, nil
}

func (s *state) unmarshal(d *decoder) {
	flags := d.byte()
	if flags&^byte(flagsKnown) != 0 {
		d.failed = true
	}
	s.due = flags&flagDue != 0
	s.pending = flags&flagPending != 0
	s.hasPreKey = flags&flagPreKey != 0
	d.copy(s.base[:])
	d.copy(s.root[:])
	d.copy(s.ratchet.Private[:])
	d.copy(s.ratchet.Public[:])
	d.copy(s.remote[:])
	d.copy(s.sending.key[:])
	s.sending.n = d.number()
	s.previous = d.number()
	s.preKeyID = d.number()
	s.signedPreKeyID = d.number()
	s.unanswered = d.number()
	s.nchains = int(d.byte())
	if s.nchains > MaxChains {
		s.nchains = 0
		d.failed = true
	}
	for i := range s.chains[:s.nchains] {
		c := &s.chains[i]
		d.copy(c.ratchet[:])
		d.copy(c.chain.key[:])
		c.chain.n = d.number()
	}
	count := int(d.short())
	if count > MaxSkipped || count*skippedSize > len(d.rest) {
		d.failed = true
	}
	if d.failed || count == 0 {
		return
	}
	s.skipped = make([]skipped, count)
	for i := range s.skipped {
		k := &s.skipped[i]
		d.copy(k.ratchet[:])
		k.n = d.number()
		d.copy(k.seed[:])
	}
}

// decoder reads fixed-size fields; once one is missing, all are zero.
type decoder struct {
	rest   []byte
	failed bool
}

func (d *decoder) take(n int) []byte {
	if d.failed || n > len(d.rest) {
		d.failed = true
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) copy(dst []byte) { copy(dst, d.take(len(dst))) }

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) short() uint16 {
	if b := d.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) number() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}
