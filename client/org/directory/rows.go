package directory

import (
	"fmt"

	"sotto/client/org"
	"sotto/client/org/head"
)

// Row returns the entry as a database keeps it, one entry a row, so that an update
// rewrites the entries that it changes and no others.
func (e *Entry) Row() string { return e.text() }

// Restore takes the place of all that is in by rows that a database has kept, and by
// the update that they stand after. They are not signed: what the own database gives
// back is trusted. After an error nothing has changed.
func (d *Directory) Restore(at head.Mark, rows []string) error {
	if len(rows) > MaxEntries || (at.Serial == 0) != (len(rows) == 0) {
		return fmt.Errorf("reading the directory: %w: %d entries after update %d", org.ErrMalformed, len(rows), at.Serial)
	}
	people := make(map[string]*person, len(rows))
	for _, row := range rows {
		r := org.NewLines(row)
		e := read(r)
		if err := r.End(); err != nil {
			return fmt.Errorf("reading the directory: %w", err)
		}
		if people[e.Address] != nil || e.Changed > at.Serial {
			return fmt.Errorf("reading the directory: %w: the entry of %s", org.ErrMalformed, e.Address)
		}
		people[e.Address] = newPerson(e)
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
