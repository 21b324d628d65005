package directory

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"sotto/client/org"
	"sotto/client/org/head"
)

// MaxEntries is how many people one directory can have, removed ones included.
const MaxEntries = 1 << 16

// maxParts bounds the parts of a snapshot.
const maxParts = 4096

// Staff is the name of an organisation's own directory. One that shows a part of it
// to a partner has another name, ForPartner, so that the two cannot be exchanged.
const Staff = "staff"

// ForPartner is the name of the directory that an organisation shows to another.
func ForPartner(organisation string) string { return "for " + organisation }

// Directory is a directory as this device knows it. Its methods may be called at
// the same time.
type Directory struct {
	organisation, name string

	mu      sync.RWMutex
	at      head.Mark // the newest update that is in
	people  map[string]*person
	owners  map[[32]byte]string // the address that a fingerprint is listed with
	byName  []*person           // by folded name, then address
	changed bool                // byName is out of order
}

// person is an entry with what finds it.
type person struct {
	Entry
	sum          org.Hash // of its text
	folded, name string   // words, each with a space before
}

// New returns an empty directory, of an organisation and with a name such as Staff.
func New(organisation, name string) *Directory {
	return &Directory{organisation: organisation, name: name, people: make(map[string]*person), owners: make(map[[32]byte]string)}
}

// At returns the newest update that is in.
func (d *Directory) At() head.Mark {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.at
}

// Len returns the number of entries, removed ones included.
func (d *Directory) Len() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.people)
}

// Change is an entry before and after an update. Before is nil for a new one.
type Change struct{ Before, After *Entry }

// update is an update that was read.
type update struct {
	directory string
	serial    uint64
	previous  org.Hash // zero for the first
	issued    time.Time
	total     int
	entries   []Entry
}

func (u *update) text(organisation string) string {
	w := org.NewWriter(org.KindUpdate, organisation)
	w.Line("directory", u.directory)
	w.Number("serial", u.serial)
	w.Line("previous", u.previous.String())
	w.Time("issued", u.issued)
	w.Number("entries", uint64(u.total))
	for i := range u.entries {
		w.Blank()
		u.entries[i].write(w)
	}
	return w.String()
}

func parseUpdate(s *org.Statement) (*update, error) {
	r := org.NewReader(s)
	u := &update{directory: r.Line("directory", 300), serial: r.Number("serial"), previous: r.Hash("previous"),
		issued: r.Time("issued"), total: count(r, "entries", MaxEntries)}
	u.entries = readEntries(r)
	for _, e := range u.entries {
		if e.Changed != u.serial {
			r.Fail("the entry of %s has the serial %d", e.Address, e.Changed)
		}
	}
	if err := r.End(); err != nil {
		return nil, err
	}
	if u.serial == 0 || u.previous.IsZero() != (u.serial == 1) {
		return nil, fmt.Errorf("%w: update %d does not name the one before it", org.ErrMalformed, u.serial)
	}
	return u, org.Same(s, u.text(s.Organisation))
}

// readEntries reads entries in the order of their addresses, up to the end.
func readEntries(r *org.Reader) (entries []Entry) {
	for r.More() && r.Err() == nil {
		r.Blank()
		e := read(r)
		if n := len(entries); n > 0 && entries[n-1].Address >= e.Address {
			r.Fail("the entry of %s is out of order", e.Address)
		}
		entries = append(entries, e)
	}
	if len(entries) == 0 {
		r.Fail("it has no entries")
	}
	return entries
}

func count(r *org.Reader, name string, most uint64) int {
	n := r.Number(name)
	if n > most {
		r.Fail("%s is more than %d", name, most)
		return 0
	}
	return int(n)
}

// Apply takes an update that key has signed. One that is the newest already changes
// nothing. The error says what a relay that sent it has tried: ErrSignature to
// change or forge, ErrRollback to play back, ErrGap to leave out or reorder, or
// ErrFork that there are two histories.
func (d *Directory) Apply(b []byte, key org.Key) ([]Change, error) {
	s, err := org.Open(b, org.KindUpdate, d.organisation, key)
	if err != nil {
		return nil, err
	}
	u, err := parseUpdate(s)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	hash := s.Hash()
	switch {
	case u.directory != d.name:
		return nil, fmt.Errorf("%w: it is of the directory %q, not %q", org.ErrSignature, u.directory, d.name)
	case u.serial == d.at.Serial && hash == d.at.Hash:
		return nil, nil
	case u.serial == d.at.Serial:
		return nil, fmt.Errorf("%w: directory %d", org.ErrFork, u.serial)
	case u.serial < d.at.Serial:
		return nil, fmt.Errorf("%w: directory %d after %d", org.ErrRollback, u.serial, d.at.Serial)
	case u.serial > d.at.Serial+1:
		return nil, fmt.Errorf("%w: directory %d after %d", org.ErrGap, u.serial, d.at.Serial)
	case u.previous != d.at.Hash:
		return nil, fmt.Errorf("%w: directory %d follows on another %d than is known here", org.ErrFork, u.serial, d.at.Serial)
	}
	total := len(d.people)
	for i := range u.entries {
		if d.people[u.entries[i].Address] == nil {
			total++
		}
	}
	if total != u.total {
		return nil, fmt.Errorf("%w: directory %d has %d entries and says %d", org.ErrMalformed, u.serial, total, u.total)
	}
	if err := d.claim(u.entries); err != nil {
		return nil, fmt.Errorf("%w: directory %d: %w", org.ErrMalformed, u.serial, err)
	}
	changes := make([]Change, 0, len(u.entries))
	for i := range u.entries {
		after := u.entries[i].clone()
		c := Change{After: &after}
		if old := d.people[after.Address]; old != nil {
			before := old.clone()
			c.Before = &before
		}
		d.put(u.entries[i])
		changes = append(changes, c)
	}
	d.at = head.Mark{Serial: u.serial, Hash: hash}
	return changes, nil
}

// put takes an entry in. The caller holds the lock.
func (d *Directory) put(e Entry) {
	p := newPerson(e)
	if old := d.people[e.Address]; old != nil {
		for i := range old.Devices {
			delete(d.owners, old.Devices[i].Fingerprint)
		}
	}
	for i := range e.Devices {
		d.owners[e.Devices[i].Fingerprint] = e.Address
	}
	d.people[e.Address] = p
	d.changed = true
}

// claim says which fingerprint of entries belongs to somebody else already: one that
// two people had would let each pass off as his what the other has written. Who
// hands over a device gives it up in an update before. The caller holds the lock.
func (d *Directory) claim(entries []Entry) error {
	fresh := make(map[[32]byte]bool)
	for i := range entries {
		e := &entries[i]
		for j := range e.Devices {
			print := e.Devices[j].Fingerprint
			if owner := d.owners[print]; fresh[print] || owner != "" && owner != e.Address {
				return fmt.Errorf("the fingerprint of device %d of %s is listed already", e.Devices[j].ID, e.Address)
			}
			fresh[print] = true
		}
	}
	return nil
}

// replace takes whole people in, by address. The caller holds the lock.
func (d *Directory) replace(at head.Mark, people map[string]*person, owners map[[32]byte]string) {
	d.at, d.people, d.owners, d.changed = at, people, owners, true
}

// ownersOf finds whose each fingerprint is, and the error of one that is two people's.
func ownersOf(people map[string]*person) (map[[32]byte]string, error) {
	owners := make(map[[32]byte]string, len(people))
	for _, p := range people {
		for i := range p.Devices {
			print := p.Devices[i].Fingerprint
			if _, twice := owners[print]; twice {
				return nil, fmt.Errorf("%w: the fingerprint of device %d of %s is listed twice", org.ErrMalformed, p.Devices[i].ID, p.Address)
			}
			owners[print] = p.Address
		}
	}
	return owners, nil
}

// ErrNothing is returned by Sign where nothing would change.
var ErrNothing = errors.New("nothing would change in the directory")

// Sign makes updates of entries, as many as their size needs, and takes them in.
// Entries replace those with the same address. It is the organisation's side: where
// signing fails half-way, what was signed so far is returned and taken in. All
// updates before have to be in, and one caller signs at a time.
func (d *Directory) Sign(signer note.Signer, key org.Key, now time.Time, entries ...Entry) (notes [][]byte, err error) {
	sorted := make([]Entry, 0, len(entries))
	for i := range entries {
		e := entries[i].clone()
		e.normal()
		e.Changed = 0
		if err := e.Check(); err != nil {
			return nil, err
		}
		if old, ok := d.Entry(e.Address); ok {
			old.Changed = 0
			if old.text() == e.text() {
				continue
			}
		}
		sorted = append(sorted, e)
	}
	slices.SortFunc(sorted, func(a, b Entry) int { return cmp.Compare(a.Address, b.Address) })
	for i := range sorted {
		if i > 0 && sorted[i-1].Address == sorted[i].Address {
			return nil, fmt.Errorf("changing the directory: %s is in the change twice", sorted[i].Address)
		}
	}
	if len(sorted) == 0 {
		return nil, ErrNothing
	}
	for len(sorted) > 0 {
		d.mu.RLock()
		u := update{directory: d.name, serial: d.at.Serial + 1, previous: d.at.Hash, issued: now, total: len(d.people)}
		n, size := 0, 1024
		for n < len(sorted) {
			sorted[n].Changed = u.serial
			size += len(sorted[n].text()) + 1
			if n > 0 && size > org.MaxText {
				break
			}
			if d.people[sorted[n].Address] == nil {
				u.total++
			}
			n++
		}
		d.mu.RUnlock()
		if u.total > MaxEntries {
			return notes, fmt.Errorf("changing the directory: it would have more than %d entries", MaxEntries)
		}
		u.entries, sorted = sorted[:n], sorted[n:]
		b, err := org.Seal(u.text(d.organisation), signer)
		if err != nil {
			return notes, err
		}
		if _, err := d.Apply(b, key); err != nil {
			return notes, fmt.Errorf("changing the directory: %w", err)
		}
		notes = append(notes, b)
	}
	return notes, nil
}

// digest of the whole: of each entry's, in the order of addresses. The caller holds
// the lock.
func digest(sorted []*person) org.Hash {
	h := sha256.New()
	h.Write([]byte("sotto directory state v1\n"))
	for _, p := range sorted {
		h.Write(p.sum[:])
	}
	return org.Hash(h.Sum(nil))
}

// sorted returns all by address. The caller holds the lock.
func sorted(people map[string]*person) []*person {
	list := make([]*person, 0, len(people))
	for _, p := range people {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *person) int { return strings.Compare(a.Address, b.Address) })
	return list
}

// Entry returns the entry of an address.
func (d *Directory) Entry(address string) (Entry, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if p := d.people[address]; p != nil {
		return p.clone(), true
	}
	return Entry{}, false
}

// Why somebody cannot be written to.
var (
	ErrStranger  = errors.New("is not in the directory")
	ErrSuspended = errors.New("is suspended")
	ErrRemoved   = errors.New("has left")
)

// Member returns nil if messages go to an address and come from it, and otherwise
// why not.
func (d *Directory) Member(address string) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	p := d.people[address]
	switch {
	case p == nil:
		return fmt.Errorf("%s %w", address, ErrStranger)
	case p.State == Suspended:
		return fmt.Errorf("%s %w", p.Entry.Name, ErrSuspended)
	case p.State == Removed:
		return fmt.Errorf("%s %w", p.Entry.Name, ErrRemoved)
	}
	return nil
}

// Vouched reports whether the organisation vouches for a device: it is in the entry
// of somebody active, with this fingerprint.
func (d *Directory) Vouched(address string, id uint32, fingerprint [32]byte) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	p := d.people[address]
	if p == nil || p.State != Active {
		return false
	}
	device := p.Device(id)
	return device != nil && device.Fingerprint == fingerprint
}

// Role returns those who are active and have a role, by name.
func (d *Directory) Role(role string) []Entry {
	return d.pick(func(p *person) bool { return p.State == Active && p.Has(role) }, MaxEntries)
}

// All returns the whole directory by name, removed ones included.
func (d *Directory) All() []Entry { return d.pick(func(*person) bool { return true }, MaxEntries) }

func (d *Directory) pick(want func(*person) bool, most int) (found []Entry) {
	d.order()
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, p := range d.byName {
		if len(found) < most && want(p) {
			found = append(found, p.clone())
		}
	}
	return found
}

// number writes a part's number.
func number(part, parts int) string { return strconv.Itoa(part) + " of " + strconv.Itoa(parts) }
