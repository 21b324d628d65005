package org

import (
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Rotation is the organisation's word that it has another key from now on. The old
// key signs it, so that who trusts that one goes along, and the new key does, so
// that nobody names a key that is another's.
//
// Afterwards nothing counts any more that the old key has signed: the organisation
// signs policy, directory, orders in force and head again. That is also all that
// can be done about a key that was stolen by somebody who has not used it to
// rotate; who has is the organisation for those that he reaches first, and
// everybody else is told of the fork. Such an organisation invites its people anew.
type Rotation struct {
	Number   uint64 // 1 for the first
	Issued   time.Time
	From, To Key
	Reason   string // for people; may be ""
}

const maxReason = 300

func (r Rotation) text() string {
	w := NewWriter(KindKey, r.From.Name())
	w.Number("number", r.Number)
	w.Time("issued", r.Issued)
	w.Line("from", r.From.String())
	w.Line("to", r.To.String())
	w.Optional("reason", r.Reason)
	return w.String()
}

// Sign returns the note. The signers are those of the old and the new key.
func (r Rotation) Sign(from, to note.Signer) ([]byte, error) {
	b, err := Seal(r.text(), from, to)
	if err != nil {
		return nil, err
	}
	if _, err := OpenRotation(b); err != nil {
		return nil, fmt.Errorf("signing a change of key: %w", err)
	}
	return b, nil
}

// OpenRotation reads a rotation and checks both signatures, by the keys that it names.
// Whether one of these is to be trusted is the caller's; see Anchor.Follow.
func OpenRotation(b []byte) (r Rotation, err error) {
	s, err := Peek(b)
	if err != nil {
		return r, err
	}
	d := NewReader(s)
	r = Rotation{d.Number("number"), d.Time("issued"), d.Key("from"), d.Key("to"), d.Optional("reason", maxReason)}
	if err := d.End(); err != nil {
		return Rotation{}, err
	}
	if r.From.Name() != r.To.Name() || r.From == r.To || r.Number == 0 || !ValidName(r.From.Name()) {
		return Rotation{}, fmt.Errorf("%w: its keys do not follow on each other", ErrMalformed)
	}
	if s, err = Open(b, KindKey, r.From.Name(), r.From, r.To); err != nil {
		return Rotation{}, err
	}
	return r, Same(s, r.text())
}

// Anchor is what a device trusts: the organisation's key as it is now, and how it
// came to be. The key of the invitation makes the first.
type Anchor struct {
	Key      Key
	Number   uint64 // how many times the key has changed
	previous Key    // which made the last change
	last     Hash   // the statement of that change
	issued   time.Time
}

// NewAnchor trusts a key, to which the organisation has come by so many changes.
func NewAnchor(k Key, number uint64) Anchor { return Anchor{Key: k, Number: number} }

// Follow reads a rotation and returns what is trusted from then on. One that was
// followed already changes nothing.
func (a Anchor) Follow(b []byte) (Anchor, error) {
	r, err := OpenRotation(b)
	if err != nil {
		return a, err
	}
	s, err := Peek(b)
	if err != nil {
		return a, err
	}
	switch {
	case r.From.Name() != a.Key.Name():
		return a, fmt.Errorf("%w: it is about %s", ErrSignature, r.From.Name())
	case r.Number == a.Number && s.Hash() == a.last:
		return a, nil
	case r.Number == a.Number && r.From == a.previous:
		return a, fmt.Errorf("%w (change of key %d)", ErrFork, r.Number)
	case r.Number == a.Number+1 && r.From != a.Key:
		return a, fmt.Errorf("%w: another key than the one in force changes it", ErrSignature)
	case r.Number <= a.Number:
		return a, fmt.Errorf("%w (change of key %d of %d)", ErrRollback, r.Number, a.Number)
	case r.Number > a.Number+1:
		return a, fmt.Errorf("%w (change of key %d after %d)", ErrGap, r.Number, a.Number)
	case r.Issued.Before(a.issued):
		return a, fmt.Errorf("%w: a change of key is dated before the last", ErrRollback)
	}
	return Anchor{Key: r.To, Number: r.Number, previous: r.From, last: s.Hash(), issued: r.Issued}, nil
}

// MarshalText writes the anchor for the device's own store.
func (a Anchor) MarshalText() ([]byte, error) {
	var w Writer
	w.Line("key", a.Key.String())
	w.Number("number", a.Number)
	if !a.previous.IsZero() {
		w.Line("previous", a.previous.String())
		w.Line("last", a.last.String())
		w.Time("issued", a.issued)
	}
	return []byte(w.String()), nil
}

// UnmarshalText reads what MarshalText wrote.
func (a *Anchor) UnmarshalText(b []byte) error {
	if len(b) > MaxLine {
		return fmt.Errorf("%w: an anchor of %d bytes", ErrMalformed, len(b))
	}
	r := NewLines(string(b))
	n := Anchor{Key: r.Key("key"), Number: r.Number("number")}
	if r.Has("previous") {
		n.previous, n.last, n.issued = r.Key("previous"), r.Hash("last"), r.Time("issued")
	}
	if err := r.End(); err != nil {
		return err
	}
	*a = n
	return nil
}
