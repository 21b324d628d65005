package keystore

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"time"
	"unicode"
	"unicode/utf8"
)

// Reason is why a vault was opened with the recovery key.
type Reason byte

// The reasons, as the audit log has them.
const (
	ForgottenPIN Reason = iota + 1
	Emergency
	Absent
	Investigation
)

var reasons = [...]string{ForgottenPIN: "forgotten-pin", Emergency: "emergency", Absent: "absent", Investigation: "investigation"}

func (r Reason) String() string {
	if int(r) < len(reasons) && r > 0 {
		return reasons[r]
	}
	return "unknown"
}

// Words says it to people, after "because of".
func (r Reason) Words() string {
	switch r {
	case ForgottenPIN:
		return "a forgotten PIN"
	case Emergency:
		return "an emergency"
	case Absent:
		return "its owner's absence"
	case Investigation:
		return "an investigation"
	}
	return "a reason that is not known here"
}

// ParseReason reads what String wrote.
func ParseReason(s string) (Reason, error) {
	for r, name := range reasons {
		if name == s && name != "" {
			return Reason(r), nil
		}
	}
	return 0, errors.New("the reason is one of forgotten-pin, emergency, absent and investigation")
}

// Access is one opening of the vault with the recovery key.
type Access struct {
	ID     [8]byte // random: the desk logs each once
	Time   time.Time
	Reason Reason
	By     string // who did it, in their own words
	Told   bool   // the person was told, and pressed Enter
}

// Bounds of what is kept of accesses.
const (
	MaxAccesses = 16
	MaxBy       = 128 // bytes

	maxAccess = 8 + 8 + 1 + 1 + 2 + MaxBy
)

// NewAccess describes an opening that is about to be.
func NewAccess(at time.Time, r Reason, by string) (Access, error) {
	a := Access{Time: at.UTC().Truncate(time.Second), Reason: r, By: by}
	rand.Read(a.ID[:])
	switch {
	case r.String() == "unknown":
		return a, errors.New("the vault is opened for no reason that there is")
	case by == "" || len(by) > MaxBy:
		return a, errors.New("say who opens the vault, in at most 128 bytes")
	case !isName(by):
		return a, errors.New("who opens the vault is a name, without anything that does not show")
	}
	return a, nil
}

func isName(s string) bool {
	for _, c := range s {
		if c == utf8.RuneError || !unicode.IsPrint(c) {
			return false
		}
	}
	return true
}

// add notes an access, and forgets the oldest that the person was told of, or else
// the oldest, where there are too many.
func (a *Account) add(x Access) {
	list := append([]Access(nil), a.Accesses...)
	if len(list) >= MaxAccesses {
		oldest := 0
		for i := range list {
			if list[i].Told {
				oldest = i
				break
			}
		}
		list = append(list[:oldest], list[oldest+1:]...)
	}
	a.Accesses = append(list, x)
}

// Untold returns the accesses that the person was not told of yet.
func (a *Account) Untold() (list []Access) {
	for _, x := range a.Accesses {
		if !x.Told {
			list = append(list, x)
		}
	}
	return list
}

// Told notes in the vault that the person was told of all accesses.
func (o *Opened) Told() error {
	a := o.account
	a.Accesses = append([]Access(nil), a.Accesses...)
	for i := range a.Accesses {
		a.Accesses[i].Told = true
	}
	return o.SaveAccount(&a)
}

const accessTold = 1

func appendAccesses(b []byte, list []Access) []byte {
	b = append(b, byte(len(list)))
	for _, x := range list {
		b = append(b, x.ID[:]...)
		b = binary.BigEndian.AppendUint64(b, uint64(x.Time.Unix()))
		var flags byte
		if x.Told {
			flags |= accessTold
		}
		b = append(b, byte(x.Reason), flags)
		b = binary.BigEndian.AppendUint16(b, uint16(len(x.By)))
		b = append(b, x.By...)
	}
	return b
}

func (r *reader) accesses() (list []Access) {
	n := int(r.byte())
	if n == 0 || n > MaxAccesses {
		r.bad = true
		return nil
	}
	for range n {
		var x Access
		copy(x.ID[:], r.next(len(x.ID)))
		x.Time = time.Unix(int64(r.uint64()), 0).UTC()
		x.Reason = Reason(r.byte())
		flags := r.byte()
		x.Told = flags == accessTold
		size := int(r.uint16())
		if flags > accessTold || size > MaxBy || x.Time.Year() < 1 || x.Time.Year() > 9999 {
			r.bad = true
			return nil
		}
		if x.By = string(r.next(size)); !isName(x.By) {
			r.bad = true
		}
		list = append(list, x)
	}
	return list
}
