package invitation

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

// Bounds of what a code says of the relay's keys.
const (
	// MaxPins is how many keys of relays a code can name.
	MaxPins = 4
	// PinPrint is how many bytes it has of the digest of each.
	PinPrint = 12
)

// A policy asks for PINs of this length (package policy).
const (
	leastPIN = 6
	mostPIN  = 64
)

// Terms are what the organisation's policy asks of a device before that policy can be
// there: when the person chooses the PIN of the device, and when it connects for the
// first time. They are as they were when the invitation was issued. Code and PIN give
// nothing without them, so nobody can lower them who does not know both. The zero Terms
// ask for nothing.
type Terms struct {
	PINLength int  // characters of the PIN, from 6 to 64; 0: no more than every PIN has
	PINMixed  bool // letters and digits in it
	OnlyRelay bool // Relay of the code is the only relay that is connected to

	pins  [MaxPins][PinPrint]byte
	count int
}

// SetPins has the relay's chain of certificates hold one of these keys: each is the
// SHA-256 of a SubjectPublicKeyInfo, in base64. Where one is none, or there are more
// than MaxPins, the terms say nothing of keys: some of them would keep out relays that
// the policy allows.
func (t *Terms) SetPins(pins []string) {
	t.pins, t.count = [MaxPins][PinPrint]byte{}, 0
	if len(pins) > MaxPins {
		return
	}
	for i, s := range pins {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil || len(b) != sha256.Size {
			t.pins = [MaxPins][PinPrint]byte{}
			return
		}
		copy(t.pins[i][:], b)
	}
	t.count = len(pins)
}

// Limits returns what the terms say of relays, as wire.Login has it: the only relay,
// and the beginnings of the keys' digests in base64, a line each; "" where they do not.
func (c *Code) Limits() (relays, pins string) {
	if c.Terms.OnlyRelay {
		relays = c.Relay
	}
	var lines []string
	for _, p := range c.Terms.pins[:c.Terms.count] {
		lines = append(lines, base64.StdEncoding.EncodeToString(p[:]))
	}
	return relays, strings.Join(lines, "\n")
}

// MeetRelay returns an error, for people, if the terms forbid connecting to a relay,
// which is "" where nobody has named one.
func (c *Code) MeetRelay(relay string) error {
	if relay == "" || relay == c.Relay || !c.Terms.OnlyRelay {
		return nil
	}
	return fmt.Errorf("your organisation lets you connect to %s only. Leave --relay out", c.Relay)
}

// The first byte: the least length of a PIN in the lower bits, counted from leastPIN
// with 1, then two flags. The keys follow.
const (
	lengthBits = 1<<6 - 1
	mixedBit   = 1 << 6
	relayBit   = 1 << 7
)

func (t *Terms) append(b []byte) []byte {
	var first byte
	if t.PINLength > 0 {
		first = byte(t.PINLength - leastPIN + 1)
	}
	if t.PINMixed {
		first |= mixedBit
	}
	if t.OnlyRelay {
		first |= relayBit
	}
	b = append(b, first)
	for _, p := range t.pins[:t.count] {
		b = append(b, p[:]...)
	}
	return b
}

// readTerms reads what append has written, of 1 byte and up to MaxPins keys.
func readTerms(b []byte) (t Terms) {
	if n := int(b[0] & lengthBits); n > 0 {
		t.PINLength = n + leastPIN - 1
	}
	t.PINMixed, t.OnlyRelay = b[0]&mixedBit != 0, b[0]&relayBit != 0
	for b = b[1:]; len(b) >= PinPrint; b = b[PinPrint:] {
		copy(t.pins[t.count][:], b)
		t.count++
	}
	return t
}

func (t *Terms) valid(relay string) bool {
	return (t.PINLength == 0 || t.PINLength >= leastPIN && t.PINLength <= mostPIN) && (!t.OnlyRelay || relay != "")
}
