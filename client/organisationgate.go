package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mellium.im/xmpp/jid"

	"sotto/client/audit"
	"sotto/client/membership"
	"sotto/client/omemo"
	"sotto/client/org/directory"
	"sotto/client/stanza"
	"sotto/client/store"
)

// Only people of the organisation are written to, invited and read, and those whom a
// partner has opened. What others write does not reach the screen but the log. Who
// writes may belong to the organisation by an update of the directory that is not
// here yet, so what comes from somebody unknown is held, encrypted as it came, for a
// day: it is not decrypted, so that the keys it was encrypted with are there when it
// is its turn, and no receipt is sent.

const (
	heldFor       = 24 * time.Hour
	strangerEvery = time.Minute // a stranger has the head looked at at most so often
	maxRefusals   = 200         // of outsiders' messages that are written to the audit log in an hour
)

// errOutside is wrapped by errors about people who do not belong to the organisation.
var errOutside = errors.New("only people of the organisation can be written to")

// outsideError says in words why somebody may not be talked to.
type outsideError struct {
	why          error
	organisation string
}

func (e *outsideError) Error() string {
	if errors.Is(e.why, membership.ErrNoDirectory) || errors.Is(e.why, membership.ErrOut) {
		return e.why.Error()
	}
	return fmt.Sprintf("%v. Only people of %s can be written to", e.why, e.organisation)
}

func (e *outsideError) Unwrap() []error { return []error{e.why, errOutside} }

// mayTalk returns nil if somebody may be written to and read, and otherwise why not.
func (c *Client) mayTalk(who string) error {
	m := c.Membership()
	if err := m.MayTalk(who, time.Now()); err != nil {
		return &outsideError{err, m.Organisation()}
	}
	return nil
}

// declineOutsider is mayTalk for who writes a message now.
func (c *Client) declineOutsider(who string) error {
	if err := c.mayTalk(who); err != nil {
		return declined{err}
	}
	if err := nobodyReads(c.Membership(), who); err != nil {
		return declined{err}
	}
	return nil
}

// errNobodyReads is wrapped by errors about accounts behind which there is no person.
var errNobodyReads = errors.New("nobody reads what is written to it")

// nobodyReads is the error about writing to the organisation's own account, which is a
// program's; nil about anybody else's.
func nobodyReads(m *membership.Membership, who string) error {
	if contact := m.Contact(); contact == "" || who != contact || who == m.Address() {
		return nil
	}
	return fmt.Errorf("%s is the account of %s itself: %w. Ask your administrator, or a colleague", who, m.Organisation(), errNobodyReads)
}

// auditDeclined writes that somebody tried to write where that can't be: to an
// outsider, or from where it does not go any more.
func (c *Client) auditDeclined(ctx context.Context, peer string, why declined) {
	e := audit.Event{Kind: audit.MessageNotSent, Peer: audit.PersonOf(peer)}
	switch {
	case errors.Is(why.error, errOutside):
		e.Reason = audit.NotMember
	case errors.Is(why.error, errNobodyReads), errors.Is(why.error, errRemoved), errors.Is(why.error, errNotIn), errors.Is(why.error, errNoPeople):
		e.Reason = audit.NotPossible
	default: // a question to the person, or a wrong input
		return
	}
	err := c.auditNow(ctx, e)
	if err != nil {
		c.log.Error("write the audit log", "err", err)
	}
}

// hold keeps messages from going to somebody who may not be talked to, or not yet. It
// reports false if they may go.
func (c *Client) hold(who string, list []store.OutHead) bool {
	switch err := c.mayTalk(who); {
	case err == nil:
		return false
	case errors.Is(err, membership.ErrNoDirectory):
		c.explain(list, "Waiting: "+err.Error())
	default:
		c.refuseFor(list, audit.NotMember, "Not sent: "+err.Error())
	}
	return true
}

// organisationStanza handles a nudge; false if a message is none. What else is between
// devices and the organisation goes the way of messages, through archives.
func (c *Client) organisationStanza(tx *store.Tx, fx *effects, e *stanza.Element, m *stanza.Message) (bool, error) {
	note := stanza.ReadNudge(e)
	if note == nil {
		return false, nil
	}
	if c.Membership() == nil {
		c.log.Info("head of an organisation, without belonging to one", "from", m.From.String())
		return false, nil
	}
	if from := m.From.String(); m.Type != "error" {
		fx.after = append(fx.after, func() { c.nudged(note, from) })
	}
	return true, nil
}

// outsider reports whether a message is not to be looked at because its sender does
// not belong to the organisation.
func (c *Client) outsider(tx *store.Tx, fx *effects, x *envelope) (bool, error) {
	m := c.Membership()
	if m == nil || x.outgoing {
		return false, nil
	}
	why := c.mayTalk(x.sender)
	if why == nil {
		return false, nil
	}
	c.log.Warn("message refused", "from", x.sender, "err", why)
	if x.stanza.Child(stanza.NSOmemo, "encrypted").Child(stanza.NSOmemo, "payload") == nil && x.Body == "" {
		return true, nil // nothing that anybody would miss
	}
	if !c.comesEarly(x, why) && c.mayAuditRefusal() {
		e := audit.Event{Kind: audit.MessageRefused, Peer: audit.PersonOf(x.sender), Reason: audit.NotMember}
		if x.room != nil {
			e.Peer, e.By = audit.PersonOf(x.peer), audit.PersonOf(x.sender)
		}
		if x.id != "" {
			e.Message = audit.IDOf(x.id)
		}
		if err := c.audit(tx, e); err != nil {
			return true, err
		}
	}
	if !errors.Is(why, directory.ErrStranger) && !errors.Is(why, membership.ErrNoDirectory) && !errors.Is(why, membership.ErrOut) {
		return true, nil
	}
	h := store.Held{Sender: x.sender, Origin: int(x.origin), Archive: x.archiveID, Time: x.at, Stanza: x.stanza.Bytes()}
	if x.room != nil {
		h.Room = x.peer
	}
	if _, err := tx.Hold(h); err != nil {
		return true, err
	}
	fx.after = append(fx.after, func() {
		if f := &c.following; time.Since(f.stranger) > strangerEvery {
			f.stranger = time.Now()
			f.soon(time.Now())
		}
	})
	return true, nil
}

// mayAuditRefusal counts the refusals that are written to the audit log: whoever is
// outside could fill it otherwise. The program's own log has all.
func (c *Client) mayAuditRefusal() bool {
	w := &c.following.refusals
	if time.Since(w.since) > time.Hour {
		*w = warnings{since: time.Now()}
	}
	w.n++
	return w.n <= maxRefusals
}

// fromWithdrawn refuses a message from a device that the organisation has taken out of
// its directory. It was decrypted, so that the keys with the device are as it has them.
func (c *Client) fromWithdrawn(tx *store.Tx, x *envelope, got *omemo.Decrypted) error {
	c.log.Warn("message refused: the organisation has taken its device out", "from", got.From.String())
	if !c.mayAuditRefusal() {
		return nil
	}
	e := audit.Event{Kind: audit.MessageRefused, Peer: audit.PersonOf(x.peer), Device: got.From.Device, Reason: audit.Untrusted}
	if x.room != nil {
		e.By = audit.PersonOf(x.sender)
	}
	if x.id != "" {
		e.Message = audit.IDOf(x.id)
	}
	return c.audit(tx, e)
}

// releaseHeld takes what was held of people who turn out to belong to the organisation.
func (c *Client) releaseHeld() {
	c.update("take the messages of who is known now", func(tx *store.Tx, fx *effects) error {
		if err := tx.DropHeld(time.Now().Add(-heldFor)); err != nil {
			return err
		}
		senders, err := tx.HeldSenders()
		if err != nil {
			return err
		}
		for _, who := range senders {
			if c.mayTalk(who) != nil {
				continue
			}
			list, err := tx.Release(who)
			if err != nil {
				return err
			}
			for i := range list {
				if err := c.released(tx, fx, &list[i]); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// released takes a message that was held. What its way here proved was checked when
// it came.
func (c *Client) released(tx *store.Tx, fx *effects, h *store.Held) error {
	e, err := stanza.Parse(h.Stanza)
	if err != nil {
		return nil // it was parsed when it came
	}
	m, err := stanza.ReadMessage(e)
	if err != nil {
		return nil
	}
	x := envelope{Message: m, stanza: e, origin: origin(h.Origin), archiveID: h.Archive, at: h.Time, sender: h.Sender}
	if h.Room == "" {
		return c.chat(tx, fx, &x)
	}
	r := c.rooms[h.Room]
	if r == nil || !r.members[h.Sender] {
		c.log.Info("held message of who is not in its room any more", "room", h.Room)
		return nil
	}
	x.room, x.peer = r, h.Room
	return c.roomChat(tx, fx, &x)
}

// giveUpOutsiders takes what waits to be sent, or sent again, to people who may not be
// talked to any more out of the outbox.
func (c *Client) giveUpOutsiders(tx *store.Tx, fx *effects) error {
	unsent, err := tx.Outbox()
	if err != nil {
		return err
	}
	for i := range unsent {
		o := &unsent[i]
		if why, out := c.isOutsider(tx, o.Peer); out {
			m, err := tx.Message(o.MessageID)
			if err != nil {
				return err
			}
			if m == nil {
				continue
			}
			if err := c.failed(tx, fx, m, audit.NotMember, "Not sent: "+why.Error()); err != nil {
				return err
			}
		}
	}
	sent, err := tx.Unconfirmed()
	if err != nil {
		return err
	}
	for i := range sent {
		if _, out := c.isOutsider(tx, sent[i].Peer); out {
			if err := tx.RemoveOut(sent[i].MessageID); err != nil {
				return err
			}
		}
	}
	return nil
}

// isOutsider reports whether a conversation is with somebody who may not be talked to.
func (c *Client) isOutsider(tx *store.Tx, peer string) (why error, out bool) {
	why = c.mayTalk(peer)
	if why == nil || errors.Is(why, membership.ErrNoDirectory) {
		return nil, false
	}
	if r, err := tx.Room(peer); r != nil || err != nil {
		return nil, false
	}
	return why, true
}

// expel takes somebody who has left the organisation out of a room.
func (c *Client) expel(r *room, who string) {
	j, err := jid.Parse(who)
	if err != nil {
		return
	}
	item := stanza.RoomItem{Affiliation: stanza.None, JID: j}
	c.ask("set", r.peer, stanza.SetAffiliations(item), func(_ *stanza.Element, err error) {
		if err != nil {
			c.log.Warn("take somebody who has left out of a room", "room", r.peer, "who", who, "err", err)
			if passing(err) {
				c.later(roomRetry, func() {
					if c.here(r) {
						delete(r.expelled, who)
						c.expelFrom(r)
					}
				})
			}
			return
		}
		if c.here(r) {
			c.memberChanged(r, item)
		}
	})
}
