// Package head is the organisation's pulse: a short statement, signed anew every
// few minutes, that says where everything stands.
//
//	sotto head v1
//	organisation: hospital.example
//	number: 1234
//	issued: 2026-11-22T12:00:00Z
//	directory: 42 9f86d081…
//	policy: 7 60303ae2…
//	orders: 12 to 15
//	keys: 1
//	partners: 2c26b46b…
//
// The last line is there once there was an agreement with a partner (partner.State).
//
// Policy, directory and orders are signed when they change, and a relay could hold
// a change back for ever without lying about anything. The head is what it cannot
// hold back for long: without one that is young enough a device locks (the lease of
// the policy), and one that is young names everything that the relay has to show.
// A relay can pass on old heads and leave out new ones. It cannot make one, and one
// that says less than an earlier one is refused.
package head

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"sotto/client/org"
)

// MaxOrders is how many orders may be in force at a time.
const MaxOrders = 1024

// Mark names one of a series of statements: its serial and its digest. Serial 0
// says that there is none yet.
type Mark struct {
	Serial uint64
	Hash   org.Hash
}

// String writes the mark as ParseMark reads it.
func (m Mark) String() string {
	if m.Serial == 0 {
		return "none"
	}
	return strconv.FormatUint(m.Serial, 10) + " " + m.Hash.String()
}

// ParseMark reads a mark as String writes it.
func ParseMark(s string) (m Mark, ok bool) {
	if s == "none" {
		return m, true
	}
	serial, hash, _ := strings.Cut(s, " ")
	m.Serial, ok = org.ParseNumber(serial)
	if !ok || m.Serial == 0 {
		return Mark{}, false
	}
	m.Hash, ok = org.ParseHash(hash)
	return m, ok
}

// Against compares what a series has come to here with what the head says of it:
// ErrGap says that newer statements are held back, ErrRollback that the head is
// behind, ErrFork that the series are two. what names it in the error.
func (m Mark) Against(what string, here Mark) error {
	switch {
	case here.Serial < m.Serial:
		return fmt.Errorf("%w: %s %d has been signed, here is %d", org.ErrGap, what, m.Serial, here.Serial)
	case here.Serial > m.Serial:
		return fmt.Errorf("%w: the head knows %s %d, here is %d", org.ErrRollback, what, m.Serial, here.Serial)
	case here.Hash != m.Hash:
		return fmt.Errorf("%w: %s %d", org.ErrFork, what, m.Serial)
	}
	return nil
}

// Orders are the numbers of the orders that a relay has to show: every one from
// First to Last, of which those in between may have expired. Last 0 says that there
// was none yet; First above Last, that none is in force.
type Orders struct{ First, Last uint64 }

func (o Orders) String() string {
	return strconv.FormatUint(o.First, 10) + " to " + strconv.FormatUint(o.Last, 10)
}

func parseOrders(s string) (o Orders, ok bool) {
	first, last, _ := strings.Cut(s, " to ")
	var ok1, ok2 bool
	o.First, ok1 = org.ParseNumber(first)
	o.Last, ok2 = org.ParseNumber(last)
	return o, ok1 && ok2 && o.valid()
}

func (o Orders) valid() bool {
	return o.First >= 1 && o.First <= o.Last+1 && o.Last+1-o.First <= MaxOrders
}

// Head is what one says.
type Head struct {
	For       string // the partner that it is shown to, about the directory that it is shown; "" for the own people
	Number    uint64 // one more with every head
	Issued    time.Time
	Directory Mark
	Policy    Mark
	Orders    Orders
	Keys      uint64   // how many times the organisation's key has changed
	Partners  org.Hash // of what there is of agreements (partner.State); zero: there was none
}

func (h Head) text(name string) string {
	w := org.NewWriter(org.KindHead, name)
	w.Optional("for", h.For)
	w.Number("number", h.Number)
	w.Time("issued", h.Issued)
	w.Line("directory", h.Directory.String())
	w.Line("policy", h.Policy.String())
	w.Line("orders", h.Orders.String())
	w.Number("keys", h.Keys)
	if h.Partners != (org.Hash{}) {
		w.Line("partners", h.Partners.String())
	}
	return w.String()
}

// Sign returns the note.
func (h Head) Sign(signer note.Signer) ([]byte, error) {
	text := h.text(signer.Name())
	if _, err := parse(&org.Statement{Text: text}); err != nil {
		return nil, fmt.Errorf("signing a head: %w", err)
	}
	return org.Seal(text, signer)
}

func parse(s *org.Statement) (h Head, err error) {
	r := org.NewReader(s)
	if h.For = r.Optional("for", 300); h.For != "" && !org.ValidName(h.For) {
		r.Fail("it is for no organisation")
	}
	h.Number, h.Issued = r.Number("number"), r.Time("issued")
	for _, m := range []struct {
		name string
		mark *Mark
	}{{"directory", &h.Directory}, {"policy", &h.Policy}} {
		var ok bool
		if *m.mark, ok = ParseMark(r.Line(m.name, 100)); !ok {
			r.Fail("%s is not a serial and a digest", m.name)
		}
	}
	var ok bool
	if h.Orders, ok = parseOrders(r.Line("orders", 50)); !ok {
		r.Fail("orders is not a range of up to %d numbers", MaxOrders)
	}
	h.Keys = r.Number("keys")
	if r.Has("partners") {
		if h.Partners, ok = org.ParseHash(r.Line("partners", 100)); !ok || h.Partners == (org.Hash{}) {
			r.Fail("partners is not a digest")
		}
	}
	return h, r.End()
}

// Open reads a head that key has signed.
func Open(b []byte, key org.Key) (Head, error) {
	s, err := org.Open(b, org.KindHead, key.Name(), key)
	if err != nil {
		return Head{}, err
	}
	h, err := parse(s)
	if err != nil {
		return Head{}, err
	}
	return h, org.Same(s, h.text(key.Name()))
}

// Follow reads the next head. One with the number of h has to be h; everything
// else that does not go forward in everything is refused. The zero Head is followed
// by any.
func (h Head) Follow(b []byte, key org.Key) (Head, error) {
	next, err := Open(b, key)
	if err != nil {
		return h, err
	}
	switch {
	case next.For != h.For:
		return h, fmt.Errorf("%w: it is a head for %q and not for %q", org.ErrSignature, next.For, h.For)
	case next.Number == h.Number:
		if next.text("") != h.text("") {
			return h, fmt.Errorf("%w: head %d", org.ErrFork, h.Number)
		}
		return h, nil
	case next.Number < h.Number:
		return h, fmt.Errorf("%w: head %d after %d", org.ErrRollback, next.Number, h.Number)
	}
	for _, s := range []struct {
		what string
		back bool
		fork bool
	}{
		{"its time", next.Issued.Before(h.Issued), false},
		{"its directory", next.Directory.Serial < h.Directory.Serial,
			next.Directory.Serial == h.Directory.Serial && next.Directory != h.Directory},
		{"its policy", next.Policy.Serial < h.Policy.Serial,
			next.Policy.Serial == h.Policy.Serial && next.Policy != h.Policy},
		{"its orders", next.Orders.Last < h.Orders.Last || next.Orders.First < h.Orders.First, false},
		{"its key", next.Keys < h.Keys, false},
	} {
		switch {
		case s.back:
			return h, fmt.Errorf("%w: head %d goes back in %s", org.ErrRollback, next.Number, s.what)
		case s.fork:
			return h, fmt.Errorf("%w: head %d has another in %s", org.ErrFork, next.Number, s.what)
		}
	}
	return next, nil
}
