package membership

import (
	"fmt"
	"sync"

	"sotto/client/org/directory"
	"sotto/client/org/head"
	"sotto/client/store"
)

// book is a directory with where it is kept: its entries in rows, a row each, and in
// a value up to which update they are.
type book struct {
	table        string // name of its rows
	organisation string
	name         string

	loaded chan struct{} // closed once directory is there
	once   sync.Once
	dir    *directory.Directory
}

func newBook(organisation, name, table string) *book {
	return &book{table: table, organisation: organisation, name: name, loaded: make(chan struct{}), dir: directory.New(organisation, name)}
}

// ready ends the waiting for what read has begun.
func (b *book) ready() { b.once.Do(func() { close(b.loaded) }) }

// get returns the directory, once it is read.
func (b *book) get() *directory.Directory {
	<-b.loaded
	return b.dir
}

func (b *book) value() string { return "directory " + b.table }

// stored returns up to which update the rows are.
func (b *book) stored(tx *store.Tx) (at head.Mark, err error) {
	s, err := tx.Value(b.value())
	if err != nil || s == nil {
		return at, err
	}
	at, ok := head.ParseMark(string(s))
	if !ok {
		return at, fmt.Errorf("the directory is at %q", s)
	}
	return at, nil
}

// read reads the rows, and makes the directory of them while it returns: ten thousand
// people take longer than somebody who unlocks is to wait. Rows that make none are
// as none: the directory is then fetched anew, and until then nobody is in it.
func (b *book) read(tx *store.Tx) error {
	at, err := b.stored(tx)
	if err != nil {
		return err
	}
	rows, err := tx.DirectoryRows(b.table)
	if err != nil {
		return err
	}
	go func() {
		defer b.ready()
		_ = b.dir.Restore(at, rows)
	}()
	return nil
}

// save writes what has changed since before, which is where the directory stood when
// the changes were made. If the rows stand elsewhere, because an earlier transaction
// failed, all are written.
func (b *book) save(tx *store.Tx, before head.Mark, changes []directory.Change) error {
	d := b.get()
	at, err := b.stored(tx)
	if err != nil {
		return err
	}
	if at != before {
		if err := tx.ClearDirectory(b.table); err != nil {
			return err
		}
		for _, e := range d.All() {
			if err := tx.SetDirectoryRow(b.table, e.Address, e.Row()); err != nil {
				return err
			}
		}
	} else {
		for _, c := range changes {
			if err := tx.SetDirectoryRow(b.table, c.After.Address, c.After.Row()); err != nil {
				return err
			}
		}
	}
	return tx.SetValue(b.value(), []byte(d.At().String()))
}

func (b *book) clear(tx *store.Tx) error {
	if err := tx.ClearDirectory(b.table); err != nil {
		return err
	}
	return tx.SetValue(b.value(), nil)
}
