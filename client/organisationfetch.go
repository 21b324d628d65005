package client

import (
	"errors"
	"fmt"

	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/head"
	"sotto/client/stanza"
	"sotto/client/store"
)

// Bounds of what is fetched.
const (
	fetchAtOnce  = 8   // items of a directory that are asked for at the same time
	maxCatchUp   = 256 // updates that are fetched; beyond, a snapshot is
	maxPartItems = 4096
	maxPartners  = 256
)

// errWithheld is what is not shown although the organisation has signed it.
var errWithheld = fmt.Errorf("%w: the relay does not show it", org.ErrGap)

// errLater is why a partner's directory is not fetched further: the own organisation
// has said something new.
var errLater = errors.New("the rest is fetched later")

// fetchItem asks the organisation's account for the note in an item of one of its
// nodes. done runs once, in Run's goroutine. The note is nil, without an error, where
// there is no such item. Nothing of it is checked.
func (c *Client) fetchItem(node, id string, done func(note []byte, err error)) {
	c.fetchItemOf(c.Membership().Contact(), node, id, done)
}

// fetchItemOf is fetchItem of any account.
func (c *Client) fetchItemOf(account, node, id string, done func(note []byte, err error)) {
	c.ask("get", c.askTo(account), stanza.ItemRequest(node, id), func(e *stanza.Element, err error) {
		switch {
		case condition(err) == "item-not-found":
			done(nil, nil)
		case err != nil:
			done(nil, err)
		default:
			done(stanza.ReadItemNote(e, node, id))
		}
	})
}

// askTo is how a request names an account: the own one is not named.
func (c *Client) askTo(account string) string {
	if account == c.self {
		return ""
	}
	return account
}

// book is a directory and where it is fetched from.
type book struct {
	what              string // in words
	account           string
	updates, snapshot string // nodes
	organisation      string
	key               org.Key
	dir               *directory.Directory
	apply             func(tx *store.Tx, updates ...[]byte) ([]directory.Change, error)
	load              func(parts [][]byte) (save func(*store.Tx) error, changes []directory.Change, err error)
}

// bring fetches what is missing of a directory up to what a head names. done gets why
// it is not there: an error of package org, or of a request.
func (c *Client) bring(b *book, want head.Mark, done func(error)) {
	at := b.dir.At()
	switch {
	case want.Serial == 0 || at.Serial > want.Serial:
		done(nil)
	case at.Serial == want.Serial:
		done(want.Against(b.what, at))
	case at.Serial == 0 || want.Serial-at.Serial > maxCatchUp:
		c.bringSnapshot(b, func(err error) {
			if err != nil && !errors.Is(err, errWithheld) {
				done(err)
				return
			}
			c.bringUpdates(b, want, false, done)
		})
	default:
		c.bringUpdates(b, want, true, done)
	}
}

// bringUpdates fetches updates one after the other, or several at once. Where one is
// not there any more, a snapshot is fetched if that may help.
func (c *Client) bringUpdates(b *book, want head.Mark, mayLoad bool, done func(error)) {
	at := b.dir.At()
	if at.Serial >= want.Serial {
		done(want.Against(b.what, at))
		return
	}
	if b.account != c.Membership().Contact() && c.following.again { // a partner could go on for ever
		done(errLater)
		return
	}
	n := int(min(want.Serial-at.Serial, fetchAtOnce))
	c.fetchMany(b.account, b.updates, at.Serial+1, n, func(notes [][]byte, err error) {
		missing := err != nil
		for i := range notes {
			if notes[i] == nil {
				notes, missing = notes[:i], true
				break
			}
		}
		if len(notes) > 0 {
			if refused, ok := c.takeUpdates(b, notes); !ok || refused != nil {
				done(refused)
				return
			}
		}
		switch {
		case err != nil:
			done(err)
		case !missing:
			c.bringUpdates(b, want, mayLoad, done)
		case mayLoad:
			c.bringSnapshot(b, func(err error) {
				if err != nil {
					done(err)
					return
				}
				c.bringUpdates(b, want, false, done)
			})
		default:
			done(fmt.Errorf("%s %d: %w", b.what, b.dir.At().Serial+1, errWithheld))
		}
	})
}

// fetchMany fetches the items numbered from first. Of those that are not there the
// note is nil; the error is the first of a request.
func (c *Client) fetchMany(account, node string, first uint64, n int, done func(notes [][]byte, err error)) {
	notes := make([][]byte, n)
	var failed error
	left := n
	for i := range notes {
		c.fetchItemOf(account, node, stanza.NumberItem(first+uint64(i)), func(note []byte, err error) {
			notes[i] = note
			if failed == nil {
				failed = err
			}
			if left--; left == 0 {
				done(notes, failed)
			}
		})
	}
}

// takeUpdates takes updates in. refused says why one was not; false that the store
// has failed.
func (c *Client) takeUpdates(b *book, notes [][]byte) (refused error, ok bool) {
	ok = c.take("keep the directory", func(tx *store.Tx, fx *effects) error {
		changes, err := b.apply(tx, notes...)
		if failed := c.directoryChanged(tx, fx, b, changes); failed != nil {
			return failed
		}
		return err
	}, &refused)
	return refused, ok
}

// bringSnapshot fetches a snapshot, part by part, and loads it. The parts are checked
// as they come, so that nothing is kept that somebody else has made up; and all of
// them together beside Run, as they may be thousands of people.
func (c *Client) bringSnapshot(b *book, done func(error)) {
	c.fetchItemOf(b.account, b.snapshot, stanza.NumberItem(1), func(note []byte, err error) {
		if err == nil && note == nil {
			err = fmt.Errorf("%s: %w", b.what, errWithheld)
		}
		if err != nil {
			done(err)
			return
		}
		_, of, after, err := directory.Part(note, b.organisation, b.key)
		if err == nil && after.Serial < b.dir.At().Serial {
			err = fmt.Errorf("%s %d: %w", b.what, b.dir.At().Serial+1, errWithheld) // it would be refused
		}
		if err != nil {
			done(err)
			return
		}
		c.bringParts(b, [][]byte{note}, of, after, done)
	})
}

func (c *Client) bringParts(b *book, parts [][]byte, of int, after head.Mark, done func(error)) {
	if len(parts) == of {
		c.loadSnapshot(b, parts, done)
		return
	}
	n := min(of-len(parts), fetchAtOnce)
	c.fetchMany(b.account, b.snapshot, uint64(len(parts)+1), n, func(notes [][]byte, err error) {
		if err != nil {
			done(err)
			return
		}
		for _, note := range notes {
			if note == nil {
				done(fmt.Errorf("%s: part %d: %w", b.what, len(parts)+1, errWithheld))
				return
			}
			number, of2, after2, err := directory.Part(note, b.organisation, b.key)
			switch {
			case err != nil:
				done(err)
				return
			case number != len(parts)+1 || of2 != of || after2 != after:
				done(fmt.Errorf("%s: %w: parts of different snapshots are mixed", b.what, org.ErrGap))
				return
			}
			parts = append(parts, note)
		}
		c.bringParts(b, parts, of, after, done)
	})
}

// loadSnapshot takes a snapshot in whose parts are all there.
func (c *Client) loadSnapshot(b *book, parts [][]byte, done func(error)) {
	go func() {
		save, changes, err := b.load(parts)
		c.call(func() {
			if err != nil {
				done(err)
				return
			}
			var refused error
			c.take("keep the directory", func(tx *store.Tx, fx *effects) error {
				if err := save(tx); err != nil {
					return err
				}
				return c.directoryChanged(tx, fx, b, changes)
			}, &refused)
			done(refused)
		})
	}()
}

// take runs a transaction that takes a statement in. An error that says what is wrong
// with the statement goes to refused, and what was done before it is kept; any other
// undoes the transaction, and the result is false.
func (c *Client) take(doing string, fn func(tx *store.Tx, fx *effects) error, refused *error) bool {
	return c.update(doing, func(tx *store.Tx, fx *effects) error {
		*refused = nil
		err := fn(tx, fx)
		if isRefusal(err) {
			*refused, err = err, nil
		}
		return err
	})
}

// isRefusal reports whether an error says what is wrong with a statement.
func isRefusal(err error) bool {
	for _, kind := range []error{org.ErrMalformed, org.ErrSignature, org.ErrRollback, org.ErrFork, org.ErrGap, org.ErrKey, stanza.ErrOrganisation} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}
