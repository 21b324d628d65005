// Package invitation is how a device joins an organisation.
//
// An administrator gives somebody two things by two ways: a code, printed, shown as
// a QR code or mailed, and a one-time PIN, told. The code reads
//
//	alice@hospital.example,admin@hospital.example,wss://relay.hospital.example/ws,04KQX-7MPD2-…
//
// and names the person's address, the organisation (which is left out if it is called
// as the domain of its account), its account (likewise: see DefaultContact), the relay
// (which may be left out, too) and, in its last part, a secret, the digest of the
// organisation's key, and what the policy asks before it can be here: see Terms. The
// code for a further device also holds the account's password, encrypted with both:
// see Book. So nothing that a relay says goes into what the new device does first: it
// sends the organisation a request, which it signs with both its new keys, the one for
// reports and the OMEMO identity key, and in which two MACs prove that it has the code,
// and that it has the PIN, too. The organisation's answer brings its key, and is signed
// with it; the digest tells whether it is the one that the code names. Then the device
// is in the directory.
//
// What each can do who has only a part:
//   - The relay sees the request and knows neither secret nor PIN. It can hold back,
//     and nothing else: another device's keys in the request break the MACs, and an
//     answer that is not the organisation's breaks the signature. It cannot use up
//     the attempts: a request whose first MAC is wrong does not count as one.
//   - Who finds the code lacks the PIN, of 40 random bits. Each guess is a request;
//     after five wrong ones the invitation is void. Guessing without asking needs
//     what the relay has seen, too, and is then 2^40 times Argon2id (64 MiB).
//   - Who learns the PIN lacks the secret, of 96 random bits.
//   - Who gets both before the person does joins as the person. The person is told
//     that the invitation was used, and the administrator sees a device that is not
//     the person's. That is why there are two ways, and why invitations expire.
package invitation

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/awnumar/memguard"
	"golang.org/x/crypto/argon2"

	"sotto/client/org"
)

// Sizes of what a code and a PIN hold, in bytes.
const (
	secretSize = 12
	printSize  = 12 // of the digest of the organisation's key
	checkSize  = 3
	group      = 5

	pinSize   = 5
	pinDigits = pinSize * 8 / 5

	passwordSize = 16 // of the account's password, see Password

	maxCode  = 4096
	maxRelay = 2048
)

// The first byte of a code's last part: its version. A code of the second carries the
// account's password.
const (
	version  = 1
	carrying = 2
)

// sizes returns how many bytes the last part of a code has, and how many digits
// they are written with.
func sizes(carries bool, pins int) (n, digits int) {
	n = 1 + secretSize + printSize + 1 + pins*PinPrint + checkSize
	if carries {
		n += passwordSize
	}
	return n, (n*8 + 4) / 5
}

// Why a code or PIN is not one. The sentences are for people.
var (
	ErrCode    = errors.New("this is not an invitation. One reads like alice@hospital.example,04KQX-7MPD2-…, in one line")
	ErrAltered = errors.New("this invitation has a mistake in it, or was changed: compare it with what you were given")
	ErrPIN     = errors.New("this is not a one-time PIN. One has eight letters and digits, like 7KQX-M2PD")
)

// alphabet is Crockford's base32: without I, L, O and U, so that nothing that is
// read aloud or copied by hand looks like something else.
var alphabet = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

// Code is an invitation as the person gets it.
type Code struct {
	Address      string // bare JID
	Organisation string // the organisation's name
	Contact      string // bare JID of the organisation, which requests go to
	Relay        string // wss:// URL, or ws:// to this machine; "" is to be discovered
	Terms        Terms

	secret [secretSize]byte
	print  [printSize]byte

	carries bool
	sealed  [passwordSize]byte // the account's password, as bits, XORed with a key of secret and PIN
}

// DefaultContact is the organisation's address where a code names none.
func DefaultContact(address string) string {
	return "sotto@" + domain(address)
}

func domain(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// newCode makes a code with a new secret.
func newCode(address, contact, relay string, terms Terms, key org.Key) (Code, error) {
	c := Code{Address: address, Organisation: key.Name(), Contact: contact, Relay: relay, Terms: terms}
	digest := key.Fingerprint()
	copy(c.print[:], digest[:])
	rand.Read(c.secret[:])
	if !validAddress(address) || !validAddress(contact) || !ValidRelay(relay) {
		return Code{}, fmt.Errorf("inviting %s: that, %s or the relay is no address", address, contact)
	}
	if !terms.valid(relay) {
		return Code{}, fmt.Errorf("inviting %s: no code can say what the policy asks for", address)
	}
	return c, nil
}

// validAddress is that of package org, without those few that a code has no way to write.
func validAddress(s string) bool { return org.ValidAddress(s) && !strings.Contains(s, ",") }

// ValidRelay reports whether s is empty or the address of a relay, as a code writes it.
func ValidRelay(s string) bool {
	if s == "" {
		return true
	}
	u, err := url.Parse(s)
	return len(s) <= maxRelay && org.IsLine(s, maxRelay) && !strings.ContainsAny(s, ", ") && err == nil && u.Host != "" &&
		u.User == nil && u.Fragment == "" && (u.Scheme == "wss" || u.Scheme == "ws" && loopback(u.Hostname()))
}

func loopback(host string) bool {
	return host == "localhost" || host == "::1" || strings.HasPrefix(host, "127.")
}

// Carries reports whether the code holds the password that the account has by now,
// which is the one of its other devices, too.
func (c *Code) Carries() bool { return c.carries }

func (c *Code) version() byte {
	if c.carries {
		return carrying
	}
	return version
}

func (c *Code) check() (sum [checkSize]byte) {
	h := sha256.New()
	fmt.Fprintf(h, "sotto invitation v%d\n%s\n%s\n%s\n%s\n", c.version(), c.Address, c.Organisation, c.Contact, c.Relay)
	h.Write(c.secret[:])
	h.Write(c.print[:])
	h.Write(c.Terms.append(nil))
	if c.carries {
		h.Write(c.sealed[:])
	}
	copy(sum[:], h.Sum(nil))
	return sum
}

// Append writes the code onto b. It is as secret as a password: whoever has it
// needs the PIN only.
func (c *Code) Append(b []byte) []byte {
	b = append(b, c.Address...)
	b = append(b, ',')
	if c.Organisation != domain(c.Contact) {
		b = append(b, c.Organisation...)
		b = append(b, ',')
	}
	if c.Contact != DefaultContact(c.Address) {
		b = append(b, c.Contact...)
		b = append(b, ',')
	}
	if c.Relay != "" {
		b = append(b, c.Relay...)
		b = append(b, ',')
	}
	n, written := sizes(c.carries, c.Terms.count)
	packed := append(make([]byte, 0, n), c.version())
	packed = append(packed, c.secret[:]...)
	packed = append(packed, c.print[:]...)
	if c.carries {
		packed = append(packed, c.sealed[:]...)
	}
	packed = c.Terms.append(packed)
	check := c.check()
	packed = append(packed, check[:]...)
	digits := make([]byte, written)
	alphabet.Encode(digits, packed)
	clear(packed)
	for i, d := range digits {
		if i > 0 && i%group == 0 {
			b = append(b, '-')
		}
		b = append(b, d)
	}
	clear(digits)
	return b
}

// ParseCode reads a code as Append writes it: letters in either case, with or
// without the hyphens, with O for 0 and I or L for 1.
func ParseCode(b []byte) (c Code, err error) {
	if len(b) > maxCode {
		return Code{}, ErrCode
	}
	b = trim(b)
	last := bytes.LastIndexByte(b, ',')
	if last < 0 {
		return Code{}, ErrCode
	}
	parts := strings.Split(string(b[:last]), ",")
	c.Address, parts = parts[0], parts[1:]
	c.Contact = DefaultContact(c.Address)
	named := len(parts) > 0 && !strings.ContainsAny(parts[0], "@:")
	if named {
		c.Organisation, parts = parts[0], parts[1:]
	}
	if len(parts) > 0 && !strings.Contains(parts[0], "://") {
		if parts[0] == c.Contact {
			return Code{}, ErrCode
		}
		c.Contact, parts = parts[0], parts[1:]
	}
	if len(parts) > 0 {
		if c.Relay, parts = parts[0], parts[1:]; c.Relay == "" {
			return Code{}, ErrCode
		}
	}
	if len(parts) > 0 || !validAddress(c.Address) || !validAddress(c.Contact) || !ValidRelay(c.Relay) {
		return Code{}, ErrCode
	}
	switch own := domain(c.Contact); {
	case !named:
		c.Organisation = own
	case c.Organisation == own || !org.ValidName(c.Organisation):
		return Code{}, ErrCode
	}
	for pins := range MaxPins + 1 {
		for _, c.carries = range []bool{false, true} {
			n, written := sizes(c.carries, pins)
			packed := make([]byte, n)
			defer clear(packed)
			if !digits(packed, b[last+1:], written) || packed[0] != c.version() {
				continue
			}
			return c, c.unpack(packed[1:])
		}
	}
	if _, least := sizes(false, 0); len(b)-last > least/2 { // somebody has typed it, and not all of it right
		return Code{}, ErrAltered
	}
	return Code{}, ErrCode
}

// unpack reads what is behind the version.
func (c *Code) unpack(b []byte) error {
	b = b[copy(c.secret[:], b):]
	b = b[copy(c.print[:], b):]
	if c.carries {
		b = b[copy(c.sealed[:], b):]
	}
	terms, check := b[:len(b)-checkSize], b[len(b)-checkSize:]
	c.Terms = readTerms(terms)
	if sum := c.check(); !bytes.Equal(sum[:], check) || !bytes.Equal(c.Terms.append(nil), terms) || !c.Terms.valid(c.Relay) {
		c.Clear()
		*c = Code{}
		return ErrAltered
	}
	return nil
}

// Clear forgets the secret.
func (c *Code) Clear() {
	clear(c.secret[:])
	clear(c.sealed[:])
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\n') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\n' || b[len(b)-1] == '\r') {
		b = b[:len(b)-1]
	}
	return b
}

// digits decodes n digits from b into the whole of into, without a copy elsewhere.
func digits(into, b []byte, n int) bool {
	buf := make([]byte, 0, n)
	defer func() { clear(buf[:cap(buf)]) }()
	for _, c := range b {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		switch c {
		case '-', ' ':
			continue
		case 'O':
			c = '0'
		case 'I', 'L':
			c = '1'
		}
		if len(buf) == n {
			return false
		}
		buf = append(buf, c)
	}
	if len(buf) != n {
		return false
	}
	decoded := make([]byte, alphabet.DecodedLen(n))
	defer clear(decoded)
	k, err := alphabet.Decode(decoded, buf)
	if err != nil || k != len(into) {
		return false
	}
	again := make([]byte, n) // the bits that are left over are zero
	defer clear(again)
	alphabet.Encode(again, decoded[:k])
	if subtle.ConstantTimeCompare(again, buf) != 1 {
		return false
	}
	copy(into, decoded)
	return true
}

// ID returns what the invitation is known by. It is not secret.
func (c *Code) ID() string {
	return hex.EncodeToString(c.derive("sotto invitation id v1")[:8])
}

// Names reports whether the code names this key as the organisation's.
func (c *Code) Names(key org.Key) bool {
	digest := key.Fingerprint()
	return subtle.ConstantTimeCompare(digest[:printSize], c.print[:]) == 1
}

// derive makes a key of the code alone.
func (c *Code) derive(info string) []byte {
	key, err := hkdf.Key(sha256.New, c.secret[:], []byte(c.Address), info, sha256.Size)
	if err != nil {
		panic("invitation: " + err.Error()) // only for keys that are too long
	}
	return key
}

// NewPIN makes a one-time PIN, in locked memory, as ParsePIN reads it.
func NewPIN() *memguard.LockedBuffer {
	var b [pinSize]byte
	rand.Read(b[:])
	pin := memguard.NewBuffer(pinDigits + 1)
	alphabet.Encode(pin.Bytes()[:pinDigits], b[:])
	copy(pin.Bytes()[pinDigits/2+1:], pin.Bytes()[pinDigits/2:pinDigits])
	pin.Bytes()[pinDigits/2] = '-'
	clear(b[:])
	return pin
}

// Keys are what a code and a PIN prove themselves with. They are to be destroyed.
type Keys struct {
	id  string
	all *memguard.LockedBuffer // of the code; of both; the account's password
}

const (
	keySize  = sha256.Size
	keysSize = 2*keySize + passwordSize
)

// CheckPIN reports ErrPIN for what is no one-time PIN, before any time is spent on it.
func CheckPIN(pin []byte) error {
	normal := memguard.NewBuffer(pinSize)
	defer normal.Destroy()
	if !digits(normal.Bytes(), pin, pinDigits) {
		return ErrPIN
	}
	return nil
}

// Keys derives the keys of a code and a one-time PIN, which takes a while and 64 MiB
// (Argon2id, RFC 9106 section 4). The PIN is as the person types it.
func (c *Code) Keys(pin []byte) (*Keys, error) {
	normal := memguard.NewBuffer(pinSize)
	defer normal.Destroy()
	if !digits(normal.Bytes(), pin, pinDigits) {
		return nil, ErrPIN
	}
	bare := *c // without what is encrypted with what comes of it
	bare.carries, bare.sealed = false, [passwordSize]byte{}
	defer bare.Clear()
	whole := bare.Append(nil)
	salt := sha256.Sum256(whole)
	clear(whole)
	both := memguard.NewBufferFromBytes(argon2.IDKey(normal.Bytes(), salt[:], 3, 64<<10, 4, keySize))
	defer both.Destroy()
	k := &Keys{c.ID(), memguard.NewBuffer(keysSize)}
	b := k.all.Bytes()
	outer := c.derive("sotto invitation code v1")
	copy(b, outer)
	clear(outer)
	secret := memguard.NewBuffer(secretSize + keySize)
	defer secret.Destroy()
	secret.Copy(c.secret[:])
	secret.CopyAt(secretSize, both.Bytes())
	for at, info := range map[int]string{keySize: "sotto invitation request v1", 2 * keySize: "sotto invitation password v1"} {
		key, err := hkdf.Key(sha256.New, secret.Bytes(), salt[:], info, keySize)
		if err != nil {
			k.Destroy()
			return nil, fmt.Errorf("deriving the keys of an invitation: %w", err)
		}
		copy(b[at:], key)
		clear(key)
	}
	subtle.XORBytes(b[2*keySize:], b[2*keySize:], c.sealed[:]) // zeros where none is carried
	return k, nil
}

// carry puts the account's password into the code, whose keys these are, and into
// the keys. It is called once: what the password is encrypted with serves once.
func (c *Code) carry(k *Keys, password []byte) {
	own := k.all.Bytes()[2*keySize:]
	c.carries = true
	subtle.XORBytes(c.sealed[:], own, password)
	copy(own, password)
}

// Destroy forgets the keys.
func (k *Keys) Destroy() { k.all.Destroy() }

// Password returns the password that the account has: until its first device has
// joined and replaced it by a random one, one that comes of code and PIN and tells
// whoever gets to see it, which the relay does, nothing of them. From then on the
// random one, if the code carries it. The caller destroys it.
func (k *Keys) Password() *memguard.LockedBuffer { return write(k.all.Bytes()[2*keySize:]) }

// NewPassword makes a random password of the kind that codes can carry, of 128 bits.
func NewPassword() *memguard.LockedBuffer {
	bits := memguard.NewBufferRandom(passwordSize)
	defer bits.Destroy()
	return write(bits.Bytes())
}

// write writes a password's bits as text.
func write(bits []byte) *memguard.LockedBuffer {
	p := memguard.NewBuffer(alphabet.EncodedLen(passwordSize))
	alphabet.Encode(p.Bytes(), bits)
	return p
}

// bitsOf reads a password as NewPassword writes it, or returns nil: nobody but sotto
// has made it then.
func bitsOf(password []byte) *memguard.LockedBuffer {
	p := memguard.NewBuffer(passwordSize)
	if len(password) != alphabet.EncodedLen(passwordSize) || !digits(p.Bytes(), password, len(password)) {
		p.Destroy()
		return nil
	}
	again := write(p.Bytes())
	defer again.Destroy()
	if !again.EqualTo(password) { // in the other case, with hyphens: another password
		p.Destroy()
		return nil
	}
	return p
}
