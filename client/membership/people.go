package membership

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"sotto/client/org/directory"
)

// Why somebody cannot be talked to, beside the errors of packages directory and partner.
var (
	ErrNoDirectory = errors.New("the organisation's directory has not arrived yet")
	ErrOut         = errors.New("you cannot write to anybody now")
	ErrTwice       = errors.New("is in the directories of two partners")
	ErrUnheard     = errors.New("the partner was not heard for too long, so who has left it is not known")
)

// Yourself says to the person themselves why the directory lets nobody write to them: an
// error of directory.Directory.Member in the second person.
func Yourself(err error) error {
	switch {
	case errors.Is(err, directory.ErrSuspended):
		return &yourself{"you are suspended", err}
	case errors.Is(err, directory.ErrRemoved):
		return &yourself{"you do not belong to the organisation any more", err}
	case errors.Is(err, directory.ErrStranger):
		return &yourself{"you are not in the organisation's directory", err}
	}
	return err
}

// yourself says an error in other words.
type yourself struct {
	words string
	why   error
}

func (e *yourself) Error() string { return e.words }

func (e *yourself) Unwrap() error { return e.why }

// Person is somebody in the directory, or in what a partner shows of its own.
type Person struct {
	directory.Entry
	Partner string // the partner's name; "" for the own organisation
}

// Find returns who has an address, in the own directory first. Whom two partners list
// nobody has: each could pass off its own devices as the other's.
func (m *Membership) Find(address string) (Person, error) {
	if m == nil {
		return Person{}, fmt.Errorf("%s %w", address, directory.ErrStranger)
	}
	d := m.Directory()
	if e, ok := d.Entry(address); ok {
		return Person{Entry: e}, nil
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	var p Person
	for _, name := range slices.Sorted(maps.Keys(m.agreements)) {
		if e, ok := m.agreements[name].book.get().Entry(address); ok {
			if p.Partner != "" {
				return Person{}, fmt.Errorf("%s %w, %s and %s", address, ErrTwice, p.Partner, name)
			}
			p = Person{e, name}
		}
	}
	switch {
	case p.Partner != "":
		return p, nil
	case d.At().Serial == 0:
		return Person{}, ErrNoDirectory
	}
	return Person{}, fmt.Errorf("%s %w", address, directory.ErrStranger)
}

// MayTalk returns nil if messages go to an address and come from it: a member, or
// somebody whom a partner has opened and to whom this person is open. Otherwise the
// error says why not, for people.
func (m *Membership) MayTalk(address string, now time.Time) error {
	if m == nil || address == m.address {
		return nil
	}
	p, err := m.Find(address)
	if err != nil {
		return err
	}
	d := m.Directory()
	if err := d.Member(m.address); err != nil {
		return fmt.Errorf("%w: %w", ErrOut, Yourself(err))
	}
	if p.Partner == "" {
		return d.Member(address)
	}
	own, _ := d.Entry(m.address)
	m.mu.RLock()
	defer m.mu.RUnlock()
	switch p.State { // an agreement opens neither, which is not why
	case directory.Suspended:
		return fmt.Errorf("%s of %s %w", p.Name, p.Partner, directory.ErrSuspended)
	case directory.Removed:
		return fmt.Errorf("%s of %s %w", p.Name, p.Partner, directory.ErrRemoved)
	}
	if err := m.partners.Allows(&own, p.Partner, &p.Entry, now); err != nil {
		return fmt.Errorf("%s of %s: %w", p.Name, p.Partner, err)
	}
	// What a partner shows is worth as much as its newest head is young: its relay
	// could hold back that somebody was removed.
	if a := m.agreements[p.Partner]; a == nil || now.Sub(a.head.Issued) >= m.policy.Lease() {
		return fmt.Errorf("%s of %s: %w", p.Name, p.Partner, ErrUnheard)
	}
	return nil
}

// Vouched reports whether somebody active is listed with this device and fingerprint.
// Whether there is an agreement that lets them talk is MayTalk's.
func (m *Membership) Vouched(address string, device uint32, fingerprint [32]byte) bool {
	if m == nil {
		return false
	}
	p, err := m.Find(address)
	if err != nil || p.State != directory.Active {
		return false
	}
	d := p.Device(device)
	return d != nil && d.Fingerprint == fingerprint
}
