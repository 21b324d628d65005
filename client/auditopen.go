package client

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"sotto/client/audit"
	"sotto/client/store"
)

// Happened is an event that came about while nothing could be written: a wrong PIN,
// a lock, the end of the connection.
type Happened struct {
	Event audit.Event
	At    time.Time
}

// Opening is what the audit log says when a client begins.
type Opening struct {
	Reason  audit.Reason // audit.Unattended, or 0 for a person
	Past    []Happened   // since the last client, in their order
	PINMark []byte       // another value whenever the PIN was changed; nil if that is not known

	// Accesses are the openings of the vault with the recovery key that it knows of, the
	// oldest first. With Recovered the last of them is this opening.
	Accesses  []Access
	Recovered bool
}

// The values in the store about opening and closing.
const (
	valueOpen    = "audit.open"    // it was unlocked, and not locked since, by the log
	valuePast    = "audit.past"    // until when what happened was written
	valuePINMark = "audit.pinmark" // of the PIN, as the log knows it
)

// opening waits to be written.
type opening struct {
	mu   sync.Mutex
	what *Opening
}

// Unlocked writes into the audit log that the device was unlocked, and before it what
// happened since it was locked. If the log says nothing of a lock, and nobody else
// does, the last client has crashed. Accesses that were not written before are: this
// opening's behind the unlocking, those that led to none before it.
//
// Where it cannot be written now, as with a full disk, it is written as soon as it can:
// whoever has the PIN is not kept from what may be needed. With ErrUnloggedAccess it
// must not be opened: the vault was opened with the recovery key, this time or before,
// and who has the PIN by now may be whoever has set it then.
func (c *Client) Unlocked(ctx context.Context, o Opening) error {
	o.Past = slices.Clone(o.Past)
	slices.SortStableFunc(o.Past, func(a, b Happened) int { return a.At.Compare(b.At) })
	c.opening.mu.Lock()
	defer c.opening.mu.Unlock()
	c.opening.what = &o
	err := c.writeOpening(ctx)
	if err != nil && c.unlogged(ctx, o.Accesses) {
		return fmt.Errorf("%w: %w", ErrUnloggedAccess, err)
	}
	return err
}

// tickOpening tries again what could not be written.
func (c *Client) tickOpening() {
	c.opening.mu.Lock()
	defer c.opening.mu.Unlock()
	if c.opening.what != nil && c.writeOpening(c.ctx) == nil {
		c.events.put(ConversationsChanged{}) // an access is told of there, too
	}
}

func (c *Client) writeOpening(ctx context.Context) error {
	err := c.store.Update(ctx, func(tx *store.Tx) error { return c.opened(tx, c.opening.what, time.Now()) })
	if err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	c.opening.what = nil
	return nil
}

func (c *Client) opened(tx *store.Tx, o *Opening, now time.Time) error {
	until, err := tx.Value(valuePast)
	if err != nil {
		return err
	}
	if bytes.Compare(until, []byte(now.UTC().Format(stampFormat))) > 0 {
		until = nil // the clock was ahead then
	}
	open, err := tx.Value(valueOpen)
	if err != nil {
		return err
	}
	past := slices.DeleteFunc(slices.Clone(o.Past), func(h Happened) bool {
		stamp := []byte(h.At.UTC().Format(stampFormat))
		return bytes.Compare(stamp, until) <= 0 // written already
	})
	for i := range past { // of another clock, or the clock was set back
		if past[i].At.After(now) {
			past[i].At = now
		}
	}
	wrote := open == nil // the lock, by the last client itself
	at := now
	if len(past) > 0 {
		at = past[0].At
	}
	if !wrote && !slices.ContainsFunc(past, func(h Happened) bool { return h.Event.Kind == audit.Locked }) {
		wrote = true
		if err := c.auditAt(tx, at, audit.Event{Kind: audit.Locked, Reason: audit.Crashed}); err != nil {
			return err
		}
	}
	for _, h := range past {
		if h.Event.Kind == audit.Locked {
			if wrote {
				continue
			}
			wrote = true
		}
		if err := c.auditAt(tx, h.At, h.Event); err != nil {
			return err
		}
		if err := tx.SetValue(valuePast, []byte(h.At.UTC().Format(stampFormat))); err != nil {
			return err
		}
	}
	if o.PINMark != nil {
		mark, err := tx.Value(valuePINMark)
		if err == nil && mark != nil && !bytes.Equal(mark, o.PINMark) {
			err = c.audit(tx, audit.Event{Kind: audit.PINChanged})
		}
		if err == nil {
			err = tx.SetValue(valuePINMark, o.PINMark)
		}
		if err != nil {
			return err
		}
	}
	before, these := o.Accesses, []Access(nil)
	if n := len(before); o.Recovered && n > 0 {
		before, these = before[:n-1], before[n-1:]
	}
	if err := c.accessed(tx, before, true, now); err != nil {
		return err
	}
	if err := c.auditAt(tx, now, audit.Event{Kind: audit.Unlocked, Reason: o.Reason}); err != nil {
		return err
	}
	if err := c.accessed(tx, these, false, now); err != nil {
		return err
	}
	return tx.SetValue(valueOpen, []byte{1})
}

// stampFormat orders as times do.
const stampFormat = "2006-01-02T15:04:05.000000000Z"

// Locked writes into the audit log that the device is being locked, and why, and
// signs the log as it is: that is what shows a missing end. With leaves it is logged
// off, too. An unlocking that could not be written yet is written before it.
func (c *Client) Locked(ctx context.Context, reason audit.Reason, leaves bool) error {
	c.opening.mu.Lock()
	defer c.opening.mu.Unlock()
	if c.opening.what != nil {
		if err := c.writeOpening(ctx); err != nil {
			return err
		}
	}
	err := c.store.Update(ctx, func(tx *store.Tx) error {
		if open, err := tx.Value(valueOpen); err != nil || open == nil {
			return err
		}
		if err := c.audit(tx, audit.Event{Kind: audit.Locked, Reason: reason}); err != nil {
			return err
		}
		if leaves {
			if err := c.audit(tx, audit.Event{Kind: audit.LoggedOff, Reason: reason}); err != nil {
				return err
			}
		}
		if err := tx.SetValue(valueOpen, nil); err != nil {
			return err
		}
		key, err := c.auditKey(tx)
		if err != nil {
			return err
		}
		_, err = c.auditLog.Checkpoint(tx, time.Now(), key)
		return err
	})
	if err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	return nil
}
