package client

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"sync"
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
	return c.auditAt(tx, time.Now(), e)
}

// auditAt is audit for what happened before.
func (c *Client) auditAt(tx *store.Tx, at time.Time, e audit.Event) error {
	e = fitting(e)
	err := tx.Log(c.auditLog, at, e)
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

// auditProgress says that an own message to one person has come further. m is as
// it was before.
func (c *Client) auditProgress(tx *store.Tx, m *store.Message, s store.State) error {
	if m.State == store.Queued {
		if err := c.auditSent(tx, m); err != nil {
			return err
		}
	}
	if s == store.Sent || m.State == store.Delivered {
		return nil
	}
	return c.auditDelivered(tx, m, "")
}

// auditSent says that the relay has an own message.
func (c *Client) auditSent(tx *store.Tx, m *store.Message) error {
	if m.Kind != store.Text { // a recall is told of when it is made
		return nil
	}
	if err := c.audit(tx, about(audit.MessageSent, m)); err != nil {
		return err
	}
	return c.auditFiles(tx, audit.FileSent, m)
}

// auditForwarded says that an own message hands on what another says.
func (c *Client) auditForwarded(tx *store.Tx, m *store.Message, what audit.ID) error {
	e := about(audit.MessageForwarded, m)
	e.Ref = what
	return c.audit(tx, e)
}

// auditDelivered says that an own message has arrived; in a room, with whom.
func (c *Client) auditDelivered(tx *store.Tx, m *store.Message, with string) error {
	if m.Kind != store.Text {
		return nil
	}
	e := about(audit.MessageDelivered, m)
	e.By = audit.PersonOf(with)
	return c.audit(tx, e)
}

func (c *Client) auditNotSent(tx *store.Tx, m *store.Message, reason audit.Reason) error {
	e := about(audit.MessageNotSent, m)
	e.Reason = reason
	return c.audit(tx, e)
}

// auditReceived says that a message came: that it is here, or why not.
func (c *Client) auditReceived(tx *store.Tx, x *envelope, row *store.Message) error {
	e := about(audit.MessageReceived, row)
	switch {
	case row.Kind == store.Retraction:
		return nil // told of already
	case row.Kind == store.Notice && x.refused == 0:
		return nil // our own words
	case row.Kind == store.Notice:
		e.Kind, e.Reason = audit.MessageRefused, x.refused
	}
	e.Device = row.Device
	if x.sender != x.peer {
		e.By = audit.PersonOf(x.sender)
	}
	return c.audit(tx, e)
}

// auditCorrected says that row is a better version of the message that first names.
func (c *Client) auditCorrected(tx *store.Tx, row *store.Message, first string) error {
	e := about(audit.MessageCorrected, row)
	e.Ref = audit.IDOf(first)
	if !row.Outgoing {
		e.By, e.Device = audit.PersonOf(row.Sender), row.Device
	}
	return c.audit(tx, e)
}

// auditRecalled says that a message's text is gone because somebody took it back.
func (c *Client) auditRecalled(tx *store.Tx, m *store.Message, e audit.Event) error {
	e.Kind, e.Peer, e.Message = audit.MessageRecalled, audit.PersonOf(m.Peer), idOf(m)
	return c.audit(tx, e)
}

// auditShown says that messages of others were on the screen while the person was
// there; or were handed to the program that takes them.
func (c *Client) auditShown(tx *store.Tx, list []store.Message) error {
	for i := range list {
		if list[i].Outgoing || list[i].Kind != store.Text {
			continue
		}
		if err := c.audit(tx, about(audit.MessageShown, &list[i])); err != nil {
			return err
		}
	}
	return nil
}

// expiredAtOnce bounds the messages that are said to have expired in one transaction.
const expiredAtOnce = 1000

// auditExpired says which messages have expired since it was said last, while no
// desk ran, too.
func (c *Client) auditExpired() {
	for more := true; more; {
		more = c.update("note what has expired", func(tx *store.Tx, _ *effects) error {
			list, err := tx.TakeExpired(expiredAtOnce)
			for i := range list {
				e := about(audit.MessageExpired, &store.Message{Peer: list[i].Peer, OriginID: list[i].OriginID})
				if list[i].ByPolicy {
					e.Reason = audit.ByPolicy
				}
				if err == nil {
					err = c.audit(tx, e)
				}
			}
			more = len(list) == expiredAtOnce
			return err
		}) && more
	}
}

// auditFiles says something of the files of a message.
func (c *Client) auditFiles(tx *store.Tx, kind audit.Kind, m *store.Message) error {
	if !mayHaveFiles(m.Body) {
		return nil
	}
	list, err := tx.Attachments(m.ID)
	for i := range list {
		clear(list[i].Key)
		if err == nil {
			err = c.auditFile(tx, kind, &list[i])
		}
	}
	return err
}

// auditFile says something of a file. What it is called by, its address at the relay,
// is the same for whoever sends and gets it.
func (c *Client) auditFile(tx *store.Tx, kind audit.Kind, a *store.Attachment) error {
	m, err := tx.Message(a.MessageID)
	if err != nil || m == nil {
		return err
	}
	e := about(kind, m)
	e.Ref = fileRef(a.URL)
	if kind == audit.FileReceived && m.Sender != m.Peer {
		e.By = audit.PersonOf(m.Sender)
	}
	return c.audit(tx, e)
}

// fileRef is the ref of a file with an address. What is sent of it (XEP-0454) does not
// say how the relay has written it, nor whether a relay for trying things has no TLS.
func fileRef(address string) audit.ID {
	if u, err := url.Parse(address); err == nil {
		u.Scheme = "https"
		address = u.String()
	}
	return audit.IDOf(address)
}

// auditTrust says what is thought of a device from now on.
func (c *Client) auditTrust(tx *store.Tx, d *store.PeerDevice, reason audit.Reason) error {
	e := audit.Event{Kind: audit.DeviceTrusted, Peer: audit.PersonOf(d.Peer), Device: d.ID, Ref: audit.IDOf(hex.EncodeToString(d.Fingerprint)), Reason: reason}
	if d.Trust != store.Verified && d.Trust != store.FirstUse {
		e.Kind = audit.DeviceDistrusted
		if reason == audit.Compared {
			e.Reason = audit.ByPerson
		}
	}
	return c.audit(tx, e)
}

// auditMembers says who has come to a room, and who is gone.
func (c *Client) auditMembers(tx *store.Tx, room string, fresh, gone []string) error {
	for i, list := range [][]string{fresh, gone} {
		kind := audit.RoomMemberAdded
		if i == 1 {
			kind = audit.RoomMemberRemoved
		}
		for _, who := range list {
			if err := c.audit(tx, audit.Event{Kind: kind, Peer: audit.PersonOf(who), Room: audit.PersonOf(room)}); err != nil {
				return err
			}
		}
	}
	return nil
}

// A search is made with each key, and is one event: when nothing was typed for
// searchRests, or when the client ends.
const searchRests = time.Second

type searches struct {
	mu   sync.Mutex
	peer string
	n    int
	at   time.Time // of the last key; zero: there is none to tell of
}

func (c *Client) searched(q Query, found int) {
	s := &c.searches
	s.mu.Lock()
	defer s.mu.Unlock()
	if q.After == (store.Cursor{}) {
		s.n = 0
	}
	s.peer, s.n, s.at = q.Peer, s.n+found, time.Now()
}

// tickAudit writes what waits to be written.
func (c *Client) tickAudit(now time.Time) {
	s := &c.searches
	s.mu.Lock()
	due := !s.at.IsZero() && (now.Sub(s.at) >= searchRests || now.Before(s.at))
	s.mu.Unlock()
	if due {
		c.auditSearch(c.ctx)
	}
	c.tickOpening()
	c.sendAudit(now)
}

// endAudit writes what still waits when the client ends.
func (c *Client) endAudit() {
	ctx, cancel := context.WithTimeout(context.Background(), lastWords)
	defer cancel()
	c.auditSearch(ctx)
}

func (c *Client) auditSearch(ctx context.Context) {
	s := &c.searches
	s.mu.Lock()
	e, was := audit.Event{Kind: audit.Searched, Peer: audit.PersonOf(s.peer), Count: uint32(s.n)}, s.at
	s.mu.Unlock()
	if was.IsZero() {
		return
	}
	if err := c.auditNow(ctx, e); err != nil {
		c.log.Error("note a search", "err", err)
		return
	}
	s.mu.Lock()
	if s.at.Equal(was) {
		s.at = time.Time{}
	}
	s.mu.Unlock()
}
