package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sotto/client/audit"
	"sotto/client/store"
)

// What happens here is written into this device's audit log, in the transaction of
// what it tells of: both are on the disk, or neither is. docs/audit.md says what
// is written and what is not.
//
// Where the log cannot be written, the transaction fails, with what it was for.
// That loses no message: one that comes is acknowledged to the relay only after
// its transaction, and comes again; one that is written here stays in the
// composer, with the reason. The other way round, a full disk would have people
// read and write without a trace. What must not stop anything is an event that
// the log has no form for: that would be a mistake of ours, which somebody else
// may have found out how to cause, and a message that can never be stored would
// keep all others away. Such an event is made to fit, or left out and said in the
// program's own log.

// audit adds an event to the log, in the transaction of what it tells of.
func (c *Client) audit(tx *store.Tx, e audit.Event) error {
	e = fitting(e)
	err := tx.Log(c.auditLog, time.Now(), e)
	if errors.Is(err, audit.ErrEvent) {
		c.log.Error("an event has no form in the audit log", "event", e.Kind.String(), "err", err)
		return nil
	}
	return err
}

// auditNow writes an event that has no transaction of its own: something that was
// refused, above all. It returns when that is on the disk.
func (c *Client) auditNow(ctx context.Context, e audit.Event) error {
	if err := c.store.Update(ctx, func(tx *store.Tx) error { return c.audit(tx, e) }); err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	return nil
}

// fitting is an event without what others have chosen so that it fits nowhere.
func fitting(e audit.Event) audit.Event {
	if e.Device >= 1<<31 {
		e.Device = 0
	}
	return e
}

// who is somebody other than this person, for an event's By.
func (c *Client) who(jid string) audit.Person {
	if jid == c.self {
		return audit.Person{}
	}
	return audit.PersonOf(jid)
}

// noID stands for the id of a message that came without one.
const noID = "a message without an id"

// idOf is how the log names a message: by its sender's id for it, which is the same
// on each device, or else by the archive's.
func idOf(m *store.Message) audit.ID {
	switch {
	case m.OriginID != "":
		return audit.IDOf(m.OriginID)
	case m.ArchiveID != "":
		return audit.IDOf(m.ArchiveID)
	}
	return audit.IDOf(noID)
}

// about is an event about a message.
func about(kind audit.Kind, m *store.Message) audit.Event {
	return audit.Event{Kind: kind, Peer: audit.PersonOf(m.Peer), Message: idOf(m)}
}
