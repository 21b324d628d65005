// Package order is what an organisation tells devices to do: lock, log off, wipe,
// recall a message.
//
//	sotto order v1
//	organisation: hospital.example
//	number: 12
//	issued: 2026-11-22T12:00:00Z
//	expires: 2027-11-22T12:00:00Z
//	do: wipe
//	for: device alice@hospital.example 31415
//	reason: the laptop was left on a train
//
// An order is verified with the organisation's key and nothing else, so that the
// link can do it while sotto is locked. Who an order is for stands in it; what a
// device has done about it, it says in an acknowledgement, which it signs.
//
// Orders are numbered. A device keeps a Ledger of the numbers that it has dealt
// with, so that none is carried out twice, and the organisation's head names the
// numbers that are in force, so that a device knows of those that a relay holds back.
package order

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"sotto/client/org"
)

// Bounds of an order.
const (
	MaxLife    = 400 * 24 * time.Hour
	maxReason  = 300
	maxMessage = 255 // bytes of a message's id
)

// Action is what is to be done.
type Action string

// The actions.
const (
	Lock   Action = "lock"
	LogOff Action = "log-off" // lock, and end the connection with its credentials
	Wipe   Action = "wipe"    // destroy keys first, then everything
	Recall Action = "recall"  // remove a message, wherever it is
)

// Target is who an order is for: with nothing set, everybody.
type Target struct {
	Person string // bare JID
	Device uint32 // of Person; 0 is all of them
	Role   string // without a person
}

func (t Target) String() string {
	switch {
	case t.Device != 0:
		return "device " + t.Person + " " + strconv.FormatUint(uint64(t.Device), 10)
	case t.Person != "":
		return "person " + t.Person
	case t.Role != "":
		return "role " + t.Role
	}
	return "all"
}

func parseTarget(s string) (t Target, ok bool) {
	parts := strings.Split(s, " ")
	switch {
	case s == "all":
		return t, true
	case len(parts) == 2 && parts[0] == "person":
		t.Person = parts[1]
	case len(parts) == 2 && parts[0] == "role":
		t.Role = parts[1]
	case len(parts) == 3 && parts[0] == "device":
		id, err := strconv.ParseUint(parts[2], 10, 32)
		if err != nil || id == 0 {
			return t, false
		}
		t.Person, t.Device = parts[1], uint32(id)
	default:
		return t, false
	}
	return t, t.valid() && t.String() == s
}

func (t Target) valid() bool {
	switch {
	case t.Role != "":
		return t.Person == "" && t.Device == 0 && org.ValidRole(t.Role)
	case t.Person != "":
		return org.ValidAddress(t.Person)
	}
	return t.Device == 0
}

// Self is the device that an order may be for.
type Self struct {
	Address string
	Device  uint32
	Roles   []string
	Contact bool // it is of the account that speaks for the organisation
}

// Spares reports whether an order is not to be carried out by a device that it is for:
// one of the organisation's own account, whose key and book are on it, is locked, logged
// off or wiped only by an order that names that account. Messages it takes back like any.
func (o *Order) Spares(self Self) bool {
	return self.Contact && o.For.Person == "" && o.Do != Recall
}

// Includes reports whether an order with this target is for a device.
func (t Target) Includes(self Self) bool {
	switch {
	case t.Role != "":
		return slices.Contains(self.Roles, t.Role)
	case t.Person != "":
		return t.Person == self.Address && (t.Device == 0 || t.Device == self.Device)
	}
	return true
}

// Message names the message that is to be recalled: by its author and its origin id
// (XEP-0359), and, where the organisation knows it, the digest of its text, as a
// recall by its author would (a relay can exchange ids).
type Message struct {
	Author string // bare JID
	ID     string
	Digest org.Hash // may be zero
}

// Order is one order.
type Order struct {
	Number  uint64 // one more with every order
	Issued  time.Time
	Expires time.Time
	Do      Action
	For     Target
	Message Message // of a Recall
	Reason  string  // for the people who see it; may be ""

	hash org.Hash
}

// Hash returns the digest by which an acknowledgement names the order: of one that
// was signed or read.
func (o *Order) Hash() org.Hash { return o.hash }

func (o *Order) text(organisation string) string {
	w := org.NewWriter(org.KindOrder, organisation)
	w.Number("number", o.Number)
	w.Time("issued", o.Issued)
	w.Time("expires", o.Expires)
	w.Line("do", string(o.Do))
	w.Line("for", o.For.String())
	if o.Do == Recall {
		w.Line("author", o.Message.Author)
		w.Line("message", o.Message.ID)
		if !o.Message.Digest.IsZero() {
			w.Line("digest", o.Message.Digest.String())
		}
	}
	w.Optional("reason", o.Reason)
	return w.String()
}

func parse(s *org.Statement) (*Order, error) {
	r := org.NewReader(s)
	o := &Order{Number: r.Number("number"), Issued: r.Time("issued"), Expires: r.Time("expires"), Do: Action(r.Line("do", 20))}
	var ok bool
	if o.For, ok = parseTarget(r.Line("for", 1200)); !ok {
		r.Fail("it is for nobody that can be named so")
	}
	if o.Do == Recall {
		o.Message = Message{Author: r.Line("author", org.MaxAddress), ID: r.Line("message", maxMessage)}
		if r.Has("digest") {
			o.Message.Digest = r.Hash("digest")
		}
	}
	o.Reason = r.Optional("reason", maxReason)
	if err := r.End(); err != nil {
		return nil, err
	}
	wrong := ""
	switch {
	case o.Do != Lock && o.Do != LogOff && o.Do != Wipe && o.Do != Recall:
		wrong = fmt.Sprintf("there is no order %q", o.Do)
	case o.Number == 0:
		wrong = "it has no number"
	case !o.Expires.After(o.Issued) || o.Expires.Sub(o.Issued) > MaxLife:
		wrong = fmt.Sprintf("it does not expire within %d days of its issue", MaxLife/(24*time.Hour))
	case o.Do == Recall && !org.ValidAddress(o.Message.Author):
		wrong = "its author is no address"
	}
	if wrong != "" {
		return nil, fmt.Errorf("%w: order %d: %s", org.ErrMalformed, o.Number, wrong)
	}
	o.hash = s.Hash()
	return o, org.Same(s, o.text(s.Organisation))
}

// Sign returns the note, and remembers its digest in o.
func (o *Order) Sign(signer note.Signer) ([]byte, error) {
	text := o.text(signer.Name())
	b, err := org.Seal(text, signer)
	if err != nil {
		return nil, err
	}
	if _, err := parse(&org.Statement{Text: text, Organisation: signer.Name()}); err != nil {
		return nil, fmt.Errorf("signing an order: %w", err)
	}
	o.hash = org.HashOf(text)
	return b, nil
}

// Open reads an order that key has signed, whoever it is for.
func Open(b []byte, key org.Key) (*Order, error) {
	s, err := org.Open(b, org.KindOrder, key.Name(), key)
	if err != nil {
		return nil, err
	}
	return parse(s)
}

// Why an order is not carried out.
var (
	ErrNotForUs = errors.New("the order is for others")
	ErrDone     = errors.New("the order has been dealt with already")
	ErrExpired  = errors.New("the order has expired")
	ErrBefore   = errors.New("the order is from before this device was taken in")
)
