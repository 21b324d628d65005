package invitation

import (
	"bytes"
	"crypto/hmac"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/awnumar/memguard"

	"sotto/client/org"
	"sotto/client/org/directory"
)

// Bounds of invitations.
const (
	Attempts = 5 // wrong PINs after which one is void
	MaxLife  = 30 * 24 * time.Hour
	MaxOpen  = 1 << 14 // in a Book
)

// Person is who is invited.
type Person struct {
	Address    string
	Name       string
	Roles      []string
	Department string
}

// Invitation is one, as the organisation knows it.
type Invitation struct {
	ID      string
	For     Person
	Expires time.Time
	Wrong   int      // PINs so far
	Void    bool     // withdrawn
	Used    org.Hash // the device that has used it; zero before

	// Outdated says that the organisation has changed its key since, which the code names.
	Outdated bool

	keys *memguard.Enclave // of the code, and of both
}

// Open reports whether somebody can still join with it.
func (i *Invitation) Open(now time.Time) bool {
	return i.Used.IsZero() && !i.Void && !i.Outdated && i.Wrong < Attempts && now.Before(i.Expires)
}

// Book are an organisation's invitations. It is for one caller at a time, who
// stores it before a code is given out and before a request is answered: else a
// crash would give back attempts.
//
// It also holds the passwords of the accounts whose first device has joined, which
// that device has made and told: the code for a further device carries it, and so
// nothing changes for the devices that are there, whether they are online or not.
type Book struct {
	key       org.Anchor
	open      map[string]*Invitation
	passwords map[string]*memguard.Enclave // as bits, by address
}

// NewBook returns the invitations of an organisation, of which there are none yet.
// After a change of the organisation's key a new one is begun: codes name the key.
func NewBook(key org.Anchor) *Book {
	return &Book{key, make(map[string]*Invitation), make(map[string]*memguard.Enclave)}
}

// Renewed returns the book after a change of the organisation's key: with the
// passwords, and with the invitations only to know who comes with one of them. Their
// codes name the key before, so that no answer to them would be believed.
func (b *Book) Renewed(key org.Anchor) *Book {
	next := NewBook(key)
	maps.Copy(next.passwords, b.passwords)
	for id, i := range b.open {
		old := *i
		old.Outdated = true
		next.open[id] = &old
	}
	return next
}

// HasPassword reports whether the password of an account is known, so that a code
// for it carries it. There is nothing to be set at the relay then.
func (b *Book) HasPassword(address string) bool { return b.passwords[address] != nil }

// ForgetPassword makes the next code for an account one that makes its password: the
// relay has to be given it, and the account's devices so far are locked out. That is
// for accounts whose devices are all lost, and for those whose password was changed
// otherwise.
func (b *Book) ForgetPassword(address string) { delete(b.passwords, address) }

// Issue invites somebody. It returns the code, the one-time PIN, which the caller
// destroys, and the keys, whose Password the account is to have, if it has not
// already (HasPassword), and which the caller destroys too.
// The terms are those of the policy in force.
func (b *Book) Issue(p Person, contact, relay string, terms Terms, now, expires time.Time) (Code, *memguard.LockedBuffer, *Keys, error) {
	entry := directory.Entry{Address: p.Address, Name: p.Name, Roles: slices.Clone(p.Roles), Department: p.Department, State: directory.Active}
	slices.Sort(entry.Roles)
	if err := entry.Check(); err != nil {
		return Code{}, nil, nil, fmt.Errorf("inviting: %w", err)
	}
	switch {
	case !expires.After(now) || expires.Sub(now) > MaxLife:
		return Code{}, nil, nil, fmt.Errorf("inviting %s: an invitation expires within %d days", p.Address, MaxLife/(24*time.Hour))
	case len(b.open) >= MaxOpen:
		return Code{}, nil, nil, errors.New("inviting: there are too many invitations; forget the old ones first")
	}
	c, err := newCode(p.Address, contact, relay, terms, b.key.Key)
	if err != nil {
		return Code{}, nil, nil, err
	}
	pin := NewPIN()
	keys, err := c.Keys(pin.Bytes())
	if err != nil {
		pin.Destroy()
		return Code{}, nil, nil, err
	}
	if e := b.passwords[p.Address]; e != nil {
		password, err := e.Open()
		if err != nil {
			pin.Destroy()
			keys.Destroy()
			return Code{}, nil, nil, fmt.Errorf("inviting %s: %w", p.Address, err)
		}
		c.carry(keys, password.Bytes())
		password.Destroy()
	}
	p.Roles = entry.Roles
	kept := memguard.NewBuffer(2 * keySize)
	kept.Copy(keys.all.Bytes()[:2*keySize])
	b.open[c.ID()] = &Invitation{ID: c.ID(), For: p, Expires: expires.UTC().Truncate(time.Second), keys: kept.Seal()}
	return c, pin, keys, nil
}

// All returns the invitations, the first to expire first.
func (b *Book) All() []Invitation {
	var all []Invitation
	for _, i := range b.open {
		all = append(all, *i)
	}
	slices.SortFunc(all, func(x, y Invitation) int {
		if c := x.Expires.Compare(y.Expires); c != 0 {
			return c
		}
		return strings.Compare(x.ID, y.ID)
	})
	return all
}

// Withdraw makes an invitation void.
func (b *Book) Withdraw(id string) bool {
	i := b.open[id]
	if i != nil {
		i.Void = true
	}
	return i != nil
}

// Forget removes the invitations that expired before a time. A request for one of
// them is not answered any more.
func (b *Book) Forget(before time.Time) {
	maps.DeleteFunc(b.open, func(_ string, i *Invitation) bool { return i.Expires.Before(before) })
}

// Why a request gets no answer. It is not the sender's business.
var (
	ErrUnknown = errors.New("a request to join names no invitation of ours")
	ErrForged  = errors.New("a request to join was made by somebody who does not have the code, or was changed on its way")

	// ErrOutdated is the administrator's to mend.
	ErrOutdated = errors.New("its invitation is from before the change of the organisation's key. If this person is to join, invite them again")
)

// Admission is a request that was answered.
type Admission struct {
	Person Person
	Device directory.Device // to be put into the directory, if the verdict is Welcome
	Answer Answer           // to be signed and sent
	Again  bool             // the device was let in before
}

// Receive judges a request. Where there is no error there is an answer; where its
// verdict is Welcome, the device belongs into the directory (Admission.Entry), signed
// before the answer is sent. A wrong PIN counts only where the code is right: nobody
// else can use up the attempts.
func (b *Book) Receive(request []byte, now time.Time) (*Admission, error) {
	q, err := openRequest(request, b.key.Key.Name())
	if err != nil {
		return nil, err
	}
	i := b.open[q.invitation]
	if i == nil {
		return nil, ErrUnknown
	}
	keys, err := i.keys.Open()
	if err != nil {
		return nil, fmt.Errorf("judging a request to join: %w", err)
	}
	defer keys.Destroy()
	code, both := q.prove(keys.Bytes())
	if !hmac.Equal(code[:], q.code[:]) || q.address != i.For.Address {
		return nil, ErrForged
	}
	if i.Outdated {
		return nil, ErrOutdated
	}
	a := &Admission{Person: i.For, Device: q.device,
		Answer: Answer{Invitation: i.ID, Request: q.hash, Issued: now, Anchor: b.key}}
	switch {
	case i.Used == q.same():
		a.Again, a.Answer.Verdict = true, Welcome
	case !i.Used.IsZero():
		a.Answer.Verdict = Used
	case i.Void || i.Wrong >= Attempts:
		a.Answer.Verdict = Void
	case !now.Before(i.Expires):
		a.Answer.Verdict = Expired
	case !hmac.Equal(both[:], q.both[:]):
		i.Wrong++
		a.Answer.Verdict, a.Answer.Left = WrongPIN, uint64(Attempts-i.Wrong)
		if i.Wrong >= Attempts {
			a.Answer.Verdict = Void
		}
	default:
		i.Used = q.same()
		a.Answer.Verdict = Welcome
	}
	if a.Answer.Verdict == Welcome && !a.Again { // else somebody could play back a password of before
		if bits := unseal(keys.Bytes(), q.password); bits != nil && hmac.Equal(both[:], q.both[:]) {
			b.passwords[i.For.Address] = bits.Seal()
		} else if bits != nil {
			bits.Destroy()
		}
	}
	return a, nil
}

// Entry returns the entry that an admission makes of the one that the directory has
// of the address, or of nothing: with the device in it, dated by the organisation.
func (a *Admission) Entry(d *directory.Directory, now time.Time) directory.Entry {
	e, ok := d.Entry(a.Person.Address)
	if !ok || e.State == directory.Removed {
		e = directory.Entry{Address: a.Person.Address, State: directory.Active}
	}
	e.Name, e.Roles, e.Department = a.Person.Name, slices.Clone(a.Person.Roles), a.Person.Department
	device := a.Device
	device.Added = now.UTC().Truncate(time.Second)
	e.Devices = slices.DeleteFunc(e.Devices, func(d directory.Device) bool { return d.ID == device.ID })
	e.Devices = append(e.Devices, device)
	return e
}

// Append writes the book onto b, for the administrator's own database. It holds the
// keys of the invitations: the caller clears it.
func (b *Book) Append(out []byte) ([]byte, error) {
	for _, i := range b.All() {
		var w org.Writer
		w.Line("invitation", i.ID)
		w.Line("address", i.For.Address)
		w.Line("name", i.For.Name)
		for _, r := range i.For.Roles {
			w.Line("role", r)
		}
		w.Optional("department", i.For.Department)
		w.Time("expires", i.Expires)
		w.Number("wrong", uint64(i.Wrong))
		if i.Void {
			w.Line("void", "yes")
		}
		if i.Outdated {
			w.Line("outdated", "yes")
		}
		if !i.Used.IsZero() {
			w.Line("used", i.Used.String())
		}
		out = append(out, w.String()...)
		keys, err := i.keys.Open()
		if err != nil {
			return out, fmt.Errorf("storing invitations: %w", err)
		}
		out = append(out, "keys: "...)
		out = hex.AppendEncode(out, keys.Bytes())
		out = append(out, '\n')
		keys.Destroy()
	}
	for _, address := range slices.Sorted(maps.Keys(b.passwords)) {
		out = append(append(append(out, "account: "...), address...), "\npassword: "...)
		password, err := b.passwords[address].Open()
		if err != nil {
			return out, fmt.Errorf("storing invitations: %w", err)
		}
		out = append(hex.AppendEncode(out, password.Bytes()), '\n')
		password.Destroy()
	}
	return out, nil
}

// ReadBook reads what Append wrote. It clears nothing of b, which the caller does.
func ReadBook(key org.Anchor, b []byte) (*Book, error) {
	book := NewBook(key)
	var public []byte // the lines before one of keys, which never become a string
	for line := range bytes.Lines(b) {
		if digits, ok := bytes.CutPrefix(line, []byte("password: ")); ok {
			if err := book.readPassword(public, bytes.TrimSuffix(digits, []byte("\n"))); err != nil {
				return nil, err
			}
			public = nil
			continue
		}
		digits, secret := bytes.CutPrefix(line, []byte("keys: "))
		if !secret {
			public = append(public, line...)
			continue
		}
		r := org.NewLines(string(public))
		i := &Invitation{ID: r.Line("invitation", 16), For: Person{Address: r.Line("address", org.MaxAddress), Name: r.Line("name", 200)}}
		for r.Has("role") {
			i.For.Roles = append(i.For.Roles, r.Line("role", org.MaxRole))
		}
		i.For.Department = r.Optional("department", 200)
		i.Expires, i.Wrong = r.Time("expires"), int(min(r.Number("wrong"), Attempts))
		i.Void = r.Optional("void", 3) != ""
		i.Outdated = r.Optional("outdated", 3) != ""
		if r.Has("used") {
			i.Used = r.Hash("used")
		}
		if err := r.End(); err != nil {
			return nil, fmt.Errorf("reading invitations: %w", err)
		}
		digits = bytes.TrimSuffix(digits, []byte("\n"))
		if len(digits) != 4*keySize || len(book.open) >= MaxOpen || book.open[i.ID] != nil {
			return nil, fmt.Errorf("reading invitations: %w: the one of %s", org.ErrMalformed, i.For.Address)
		}
		keys := memguard.NewBuffer(2 * keySize)
		if _, err := hex.Decode(keys.Bytes(), digits); err != nil {
			keys.Destroy()
			return nil, fmt.Errorf("reading invitations: %w: the one of %s", org.ErrMalformed, i.For.Address)
		}
		i.keys = keys.Seal()
		book.open[i.ID] = i
		public = nil
	}
	if len(public) > 0 {
		return nil, fmt.Errorf("reading invitations: %w: the last has no keys", org.ErrMalformed)
	}
	return book, nil
}

// readPassword reads the password of an account, whose name is in the line before.
func (b *Book) readPassword(public, digits []byte) error {
	r := org.NewLines(string(public))
	address := r.Line("account", org.MaxAddress)
	if err := r.End(); err != nil {
		return fmt.Errorf("reading invitations: %w", err)
	}
	bits := memguard.NewBuffer(passwordSize)
	if len(digits) == 2*passwordSize && org.ValidAddress(address) && b.passwords[address] == nil {
		if _, err := hex.Decode(bits.Bytes(), digits); err == nil {
			b.passwords[address] = bits.Seal()
			return nil
		}
	}
	bits.Destroy()
	return fmt.Errorf("reading invitations: %w: the password of an account", org.ErrMalformed)
}
