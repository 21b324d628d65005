package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPerson bounds an address in bytes. RFC 7622 allows far longer ones; nobody
// has them, and a longer one is kept as its digest.
const maxPerson = 320

// digestMark begins what stands for something that a log does not hold.
const digestMark = "sha256~"

// digestOf is what a log holds in place of what is no id and no address: the same
// text gives the same digest on every device, so that events can still be joined.
func digestOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return digestMark + hex.EncodeToString(sum[:16])
}

func isDigest(s string) bool {
	rest, ok := strings.CutPrefix(s, digestMark)
	return ok && len(rest) == 32 && isHex(rest)
}

// Person is an address without a resource (a bare JID, RFC 7622): of a person, a
// room or a relay. The zero Person is nobody. Persons can be compared.
type Person struct{ address string }

// PersonOf takes an address. What follows its first slash is dropped: in rooms it
// is a nickname. What is no address, or too long, becomes its digest, so that
// there is no address that keeps an event out of the log.
func PersonOf(jid string) Person {
	bare, _, _ := strings.Cut(jid, "/")
	switch {
	case jid == "":
		return Person{}
	case !isAddress(bare) && !isDigest(bare):
		return Person{digestOf(jid)}
	}
	return Person{bare}
}

// String is the address, the digest of what was none, or "".
func (p Person) String() string { return p.address }

// Domain is what follows the @, or all of an address without one; "" for a digest.
func (p Person) Domain() string {
	if isDigest(p.address) {
		return ""
	}
	_, domain, ok := strings.Cut(p.address, "@")
	if !ok {
		return p.address
	}
	return domain
}

func parsePerson(s string) (Person, bool) {
	return Person{s}, isAddress(s) || isDigest(s)
}

func isAddress(s string) bool {
	if len(s) == 0 || len(s) > maxPerson || !utf8.ValidString(s) {
		return false
	}
	local, domain, ok := strings.Cut(s, "@")
	if !ok {
		local, domain = "x", s
	}
	if local == "" || domain == "" {
		return false
	}
	for _, r := range local {
		if !isWord(r) && !strings.ContainsRune("!#$%*+-.=?^_`{|}~", r) {
			return false
		}
	}
	for _, r := range domain {
		if !isWord(r) && !strings.ContainsRune("-._:[]", r) {
			return false
		}
	}
	return true
}

// isWord holds for what words are made of, in any script: nothing that is a
// space, a control, or hides.
func isWord(r rune) bool {
	return r < 0x80 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9') ||
		r >= 0x80 && r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) && !unicode.Is(unicode.Variation_Selector, r)
}

// ID is the id of a message or a document. The zero ID is none. IDs can be
// compared.
type ID struct{ id string }

// IDOf takes an id that somebody chose. One that looks like a machine's is kept: a
// UUID, 26 characters of base32 as sotto's own are, or 32 to 64 of lower-case
// hex. Any other becomes its digest, which is the same on every device: an id is
// whatever its sender wants it to be, words of a text included.
func IDOf(id string) ID {
	switch {
	case id == "":
		return ID{}
	case isMachineID(id) || isDigest(id):
		return ID{id}
	}
	return ID{digestOf(id)}
}

// DigestID is the id of a document by its SHA-256.
func DigestID(sum [sha256.Size]byte) ID { return ID{digestMark + hex.EncodeToString(sum[:16])} }

// String is the id, its digest, or "".
func (i ID) String() string { return i.id }

func parseID(s string) (ID, bool) { return ID{s}, isMachineID(s) || isDigest(s) }

func isMachineID(s string) bool {
	switch len(s) {
	case 26:
		return strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
	case 32, 40, 64:
		return isHex(s)
	case 36:
		for i, c := range []byte(s) {
			if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (c == '-') ||
				!dash && !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
				return false
			}
		}
		return true
	}
	return false
}

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

// Device is one device of somebody: what keeps a log. Devices can be compared.
type Device struct {
	Owner Person
	ID    uint32 // the OMEMO device id, 1 to 2³¹-1 (XEP-0384)
}

// String is the device as lines have it: alice@hospital.example/27183.
func (d Device) String() string { return d.Owner.address + "/" + strconv.FormatUint(uint64(d.ID), 10) }

// Valid reports whether the device has an owner, with an address or the digest of
// one, and an id.
func (d Device) Valid() bool {
	return (isAddress(d.Owner.address) || isDigest(d.Owner.address)) && validDeviceID(d.ID)
}

func validDeviceID(id uint32) bool { return id > 0 && id < 1<<31 }

// ParseDevice reads what String wrote.
func ParseDevice(s string) (Device, error) {
	owner, id, ok := strings.Cut(s, "/")
	n, err := strconv.ParseUint(id, 10, 31)
	d := Device{Person{owner}, uint32(n)}
	if !ok || err != nil || !d.Valid() || strconv.FormatUint(n, 10) != id {
		return Device{}, errors.New("this is no device: it would be an address, a slash and a number")
	}
	return d, nil
}
