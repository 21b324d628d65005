package directory

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"sotto/client/org"
	"sotto/client/org/head"
)

// part is one of the parts of a snapshot. What is above part is the same in all.
type part struct {
	directory string
	at        head.Mark
	issued    time.Time
	total     int
	state     org.Hash // of all entries
	number    int      // from 1
	of        int
	entries   []Entry
}

func (p *part) text(organisation string) string {
	w := org.NewWriter(org.KindSnapshot, organisation)
	w.Line("directory", p.directory)
	w.Line("after", p.at.String())
	w.Time("issued", p.issued)
	w.Number("entries", uint64(p.total))
	w.Line("state", p.state.String())
	w.Line("part", number(p.number, p.of))
	for i := range p.entries {
		w.Blank()
		p.entries[i].write(w)
	}
	return w.String()
}

func parsePart(s *org.Statement) (*part, error) {
	r := org.NewReader(s)
	p := &part{directory: r.Line("directory", 300)}
	var ok bool
	if p.at, ok = head.ParseMark(r.Line("after", 100)); !ok || p.at.Serial == 0 {
		r.Fail("it does not say what update it comes after")
	}
	p.issued, p.total, p.state = r.Time("issued"), count(r, "entries", MaxEntries), r.Hash("state")
	n, of, _ := strings.Cut(r.Line("part", 20), " of ")
	var err, err2 error
	p.number, err = strconv.Atoi(n)
	p.of, err2 = strconv.Atoi(of)
	if err != nil || err2 != nil || p.number < 1 || p.number > p.of || p.of > maxParts {
		r.Fail("it is no part of a snapshot")
	}
	p.entries = readEntries(r)
	for _, e := range p.entries {
		if e.Changed == 0 || e.Changed > p.at.Serial {
			r.Fail("the entry of %s has the serial %d", e.Address, e.Changed)
		}
	}
	if err := r.End(); err != nil {
		return nil, err
	}
	return p, org.Same(s, p.text(s.Organisation))
}

// Snapshot signs the whole directory as it is, in parts.
func (d *Directory) Snapshot(signer note.Signer, now time.Time) (notes [][]byte, err error) {
	d.mu.RLock()
	list, at := sorted(d.people), d.at
	d.mu.RUnlock()
	if at.Serial == 0 {
		return nil, fmt.Errorf("signing a snapshot: the directory is empty")
	}
	var parts []part
	size := org.MaxText
	for _, p := range list {
		n := len(p.text()) + 1
		if size += n; size > org.MaxText {
			parts = append(parts, part{directory: d.name, at: at, issued: now, total: len(list), state: digest(list)})
			size = 1024 + n
		}
		last := &parts[len(parts)-1]
		last.entries = append(last.entries, p.Entry)
	}
	for i := range parts {
		parts[i].number, parts[i].of = i+1, len(parts)
		b, err := org.Seal(parts[i].text(d.organisation), signer)
		if err != nil {
			return nil, err
		}
		notes = append(notes, b)
	}
	return notes, nil
}

// Load takes the place of all that is in by a snapshot, of which all parts are
// given, in any order. Every one has to be signed by key and of the same snapshot.
// Where entries are in already, none may be missing, go back or differ without its
// serial having moved on. After an error nothing has changed.
func (d *Directory) Load(notes [][]byte, key org.Key) ([]Change, error) {
	if len(notes) == 0 || len(notes) > maxParts {
		return nil, fmt.Errorf("%w: a snapshot of %d parts", org.ErrGap, len(notes))
	}
	var first *part
	parts := make([]*part, len(notes))
	for _, b := range notes {
		s, err := org.Open(b, org.KindSnapshot, d.organisation, key)
		if err != nil {
			return nil, err
		}
		p, err := parsePart(s)
		if err != nil {
			return nil, err
		}
		if first == nil {
			first = p
		}
		switch {
		case p.directory != d.name:
			return nil, fmt.Errorf("%w: it is of the directory %q, not %q", org.ErrSignature, p.directory, d.name)
		case p.at != first.at || p.state != first.state || p.total != first.total || p.of != first.of || !p.issued.Equal(first.issued):
			return nil, fmt.Errorf("%w: parts of different snapshots are mixed", org.ErrGap)
		case p.of != len(notes):
			return nil, fmt.Errorf("%w: %d parts of a snapshot of %d", org.ErrGap, len(notes), p.of)
		case parts[p.number-1] != nil:
			return nil, fmt.Errorf("%w: part %d of a snapshot comes twice", org.ErrGap, p.number)
		}
		parts[p.number-1] = p
	}
	people := make(map[string]*person, first.total)
	list := make([]*person, 0, first.total)
	for _, p := range parts {
		for _, e := range p.entries {
			if n := len(list); n > 0 && list[n-1].Address >= e.Address {
				return nil, fmt.Errorf("%w: the entry of %s is out of order", org.ErrMalformed, e.Address)
			}
			one := newPerson(e)
			list = append(list, one)
			people[e.Address] = one
		}
	}
	if len(list) != first.total || digest(list) != first.state {
		return nil, fmt.Errorf("%w: the parts of a snapshot do not make what they say", org.ErrMalformed)
	}
	owners, err := ownersOf(people)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.follows(first.at, people); err != nil {
		return nil, err
	}
	var changes []Change
	for _, p := range list {
		old := d.people[p.Address]
		if old != nil && old.sum == p.sum {
			continue
		}
		after := p.clone()
		c := Change{After: &after}
		if old != nil {
			before := old.clone()
			c.Before = &before
		}
		changes = append(changes, c)
	}
	d.replace(first.at, people, owners)
	return changes, nil
}

// follows says why a directory cannot come after the one that is in.
func (d *Directory) follows(at head.Mark, people map[string]*person) error {
	switch {
	case at.Serial < d.at.Serial:
		return fmt.Errorf("%w: a snapshot of directory %d after %d", org.ErrRollback, at.Serial, d.at.Serial)
	case at.Serial == d.at.Serial && at.Hash != d.at.Hash:
		return fmt.Errorf("%w: directory %d", org.ErrFork, at.Serial)
	}
	for address, old := range d.people {
		p := people[address]
		switch {
		case p == nil:
			return fmt.Errorf("%w: %s is missing from a snapshot", org.ErrRollback, address)
		case p.Changed < old.Changed:
			return fmt.Errorf("%w: the entry of %s goes back from %d to %d", org.ErrRollback, address, old.Changed, p.Changed)
		case p.Changed == old.Changed && p.sum != old.sum:
			return fmt.Errorf("%w: entry %d of %s", org.ErrFork, p.Changed, address)
		case p.Changed != old.Changed && p.Changed <= d.at.Serial:
			return fmt.Errorf("%w: the entry of %s has changed in what is known already", org.ErrFork, address)
		}
	}
	for address, p := range people {
		if d.people[address] == nil && p.Changed <= d.at.Serial {
			return fmt.Errorf("%w: %s has appeared in what is known already", org.ErrFork, address)
		}
	}
	return nil
}

// MarshalText writes the directory for the device's own database. It is not signed:
// what the database gives back is trusted.
func (d *Directory) MarshalText() ([]byte, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var w org.Writer
	w.Line("organisation", d.organisation)
	w.Line("directory", d.name)
	w.Line("after", d.at.String())
	for _, p := range sorted(d.people) {
		w.Blank()
		p.write(&w)
	}
	return []byte(w.String()), nil
}

// UnmarshalText reads what MarshalText wrote, of the same directory.
func (d *Directory) UnmarshalText(b []byte) error {
	r := org.NewLines(string(b))
	organisation, name := r.Line("organisation", 300), r.Line("directory", 300)
	at, ok := head.ParseMark(r.Line("after", 100))
	if !ok {
		r.Fail("it does not say what update it comes after")
	}
	people := make(map[string]*person)
	if r.More() {
		for _, e := range readEntries(r) {
			people[e.Address] = newPerson(e)
		}
	}
	if err := r.End(); err != nil {
		return fmt.Errorf("reading the directory: %w", err)
	}
	if organisation != d.organisation || name != d.name || len(people) > MaxEntries {
		return fmt.Errorf("reading the directory: it is %s of %s", name, organisation)
	}
	owners, err := ownersOf(people)
	if err != nil {
		return fmt.Errorf("reading the directory: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.replace(at, people, owners)
	return nil
}

// Part says which part of a snapshot a note is, of how many, and after which update
// that stands. Its signature is checked, and nothing else of it: so who fetches parts
// one by one keeps none that somebody else has made up.
func Part(b []byte, organisation string, key org.Key) (n, of int, after head.Mark, err error) {
	s, err := org.Open(b, org.KindSnapshot, organisation, key)
	if err != nil {
		return 0, 0, after, err
	}
	p, err := parsePart(s)
	if err != nil {
		return 0, 0, after, err
	}
	return p.number, p.of, p.at, nil
}
