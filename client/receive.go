package client

import (
	"strings"
	"time"

	"sotto/client/aesgcm"
	"sotto/client/audit"
	"sotto/client/stanza"
	"sotto/client/store"
)

// origin says how a message stanza came here.
type origin int

const (
	live     origin = iota // addressed to this client or this account
	carbon                 // a copy of what another own client sent or got (XEP-0280)
	archived               // from the own archive (XEP-0313)
)

// envelope is a message stanza whose way here was checked.
type envelope struct {
	stanza.Message
	stanza    *stanza.Element
	origin    origin
	archiveID string
	at        time.Time    // when it was sent, as far as the own relay says
	peer      string       // the other side, a bare JID
	sender    string       // a bare JID: peer or ourselves
	id        string       // the sender's id for it
	outgoing  bool         // written by another of our own clients
	room      *room        // nil: it is between two people
	file      *aesgcm.Link // what its text was the link to, if it was one
	ended     bool         // its time to live was over when it came
	fill      *filling     // the gap that it is in; nil: it comes next in its archive
	refused   audit.Reason // why it is not shown as what its sender wrote; 0: it is
}

// messages stores a run of message stanzas in one transaction. Only an error of
// the store is an error; whatever is wrong with a stanza is logged, and the
// stanza is done with.
func (c *Client) messages(list []inbound) error {
	var fx effects
	err := c.store.Update(c.ctx, func(tx *store.Tx) error {
		fx = effects{}
		for i := range list {
			if err := c.message(tx, &fx, list[i].stanza); err != nil {
				return err
			}
		}
		if err := c.keepRoomPositions(tx, &fx); err != nil {
			return err
		}
		if err := keepFilled(tx, &fx); err != nil {
			return err
		}
		return c.keepPosition(tx, &fx)
	})
	if err != nil {
		return err
	}
	c.tidying.stirred()
	c.apply(&fx)
	return nil
}

// message handles one message stanza: it finds out what it is and whether
// whoever sent it may.
func (c *Client) message(tx *store.Tx, fx *effects, e *stanza.Element) error {
	m, err := stanza.ReadMessage(e)
	if err != nil {
		c.log.Warn("message refused", "err", err)
		return nil
	}
	if done, err := c.joinStanza(tx, fx, e, &m); done || err != nil {
		return err
	}
	if done, err := c.organisationStanza(tx, fx, e, &m); done || err != nil {
		return err
	}
	if done, err := c.roomStanza(tx, fx, e, &m); done || err != nil {
		return err
	}
	// What comes without an address is from the own account (RFC 6120 section 8.1.2.1).
	own := m.From.Equal(c.selfID) || e.Get("from") == ""
	if r, ok := stanza.ReadMAMResult(e); ok {
		if f := c.filling; own && f != nil && f.room == nil && r.QueryID == f.query {
			if ok, err := c.inGap(tx, fx, f, r); !ok || err != nil {
				return err
			}
			return c.forwarded(tx, fx, r.Stanza, envelope{origin: archived, archiveID: r.ID, at: r.Time, fill: f})
		}
		if !own || c.archive.query == "" || r.QueryID != c.archive.query {
			c.log.Warn("archived message that nobody asked for", "from", m.From.String())
			return nil
		}
		if ok, err := c.result(tx, fx, c.self, &c.archive.pager, r); !ok || err != nil {
			return err
		}
		fx.position, fx.stamp = r.ID, r.Time
		return c.forwarded(tx, fx, r.Stanza, envelope{origin: archived, archiveID: r.ID, at: r.Time})
	}
	if stanza.IsCarbon(e) {
		inner, sent := stanza.ReadCarbon(e)
		if !own || inner == nil {
			c.log.Warn("forged copy of a message", "from", m.From.String())
			return nil
		}
		return c.forwarded(tx, fx, inner, envelope{origin: carbon, outgoing: sent})
	}
	if ev, ok := stanza.ReadEvent(e); ok {
		return c.onEvent(tx, fx, &m, own, ev)
	}
	if m.Type == "error" {
		return c.bounced(tx, fx, e, &m)
	}
	x := envelope{Message: m, stanza: e, at: m.Delay, archiveID: stanza.ArchiveID(e, c.selfID)}
	x.sender = m.From.Bare().String()
	if own {
		x.sender = c.self
	}
	return c.chat(tx, fx, &x)
}

// forwarded handles the message inside a copy or an archive's result. It must
// be from or to the own account.
func (c *Client) forwarded(tx *store.Tx, fx *effects, e *stanza.Element, x envelope) error {
	m, err := stanza.ReadMessage(e)
	if err != nil {
		c.log.Warn("forwarded message refused", "err", err)
		return nil
	}
	x.Message, x.stanza = m, e
	x.sender = m.From.Bare().String()
	if e.Get("from") == "" {
		x.sender = c.self
	}
	mine := x.sender == c.self
	toMe := m.To.Bare().String() == c.self || e.Get("to") == ""
	if x.origin == carbon {
		x.archiveID = stanza.ArchiveID(e, c.selfID)
		x.at = m.Delay
		if x.outgoing && !mine || !x.outgoing && !toMe {
			c.log.Warn("copy of a message between others", "from", m.From.String(), "to", m.To.String())
			return nil
		}
	} else if !mine && !toMe {
		c.log.Warn("archived message between others", "from", m.From.String(), "to", m.To.String())
		return nil
	}
	if done, err := c.joinStanza(tx, fx, e, &m); done || err != nil {
		return err
	}
	if inv, ok := stanza.ReadInvitation(e); ok {
		if mine || x.origin == archived && c.archive.past {
			return nil
		}
		return c.invited(tx, fx, inv, m.ID)
	}
	return c.chat(tx, fx, &x)
}

// chat handles a message of a conversation between two people.
func (c *Client) chat(tx *store.Tx, fx *effects, x *envelope) error {
	if x.Type != "chat" && x.Type != "normal" {
		return nil
	}
	x.outgoing = x.sender == c.self
	x.peer = x.sender
	if x.outgoing {
		if x.peer = x.To.Bare().String(); x.peer == "" {
			x.peer = c.self
		}
	}
	if x.id = x.OriginID; x.id == "" {
		x.id = x.ID
	}
	now := time.Now()
	if x.at.IsZero() || x.at.After(now) {
		x.at = now
	}
	if done, err := c.letter(tx, fx, x); done || err != nil {
		return err
	}
	if out, err := c.outsider(tx, fx, x); out || err != nil {
		return err
	}
	if err := c.marks(tx, fx, x); err != nil {
		return err
	}
	enc := x.stanza.Child(stanza.NSOmemo, "encrypted")
	if enc == nil {
		if done, err := c.gestures(tx, fx, x); done || err != nil || strings.TrimSpace(x.Body) == "" {
			return err
		}
	}
	if done, err := c.repeated(tx, fx, x); done || err != nil {
		return err
	}
	row := store.Message{
		Peer: x.peer, Outgoing: x.outgoing, Sender: x.sender, OriginID: x.id, ArchiveID: x.archiveID, Time: x.at,
	}
	if x.outgoing {
		row.State = store.Sent
	}
	show, err := c.fill(tx, fx, x, enc, &row)
	if !show || err != nil {
		return err
	}
	if err := c.keepUnderstood(tx, fx, x, &row); err != nil {
		return err
	}
	if row.Kind == store.Notice {
		return nil
	}
	c.owe(fx, x)
	if !row.Encrypted || x.room != nil {
		return nil
	}
	return c.noteMarking(tx, fx, x)
}

// fill fills row with what a message says; false if there is nothing to show.
func (c *Client) fill(tx *store.Tx, fx *effects, x *envelope, enc *stanza.Element, row *store.Message) (show bool, err error) {
	switch {
	case enc != nil:
		if show, err = c.decrypt(tx, fx, x, enc, row); !show || err != nil {
			return false, err
		}
	case x.Method != "":
		x.refused = audit.Undecipherable
		row.Kind, row.Body = store.Notice, "This message is encrypted in a way that sotto does not read. Ask for it with OMEMO (XEP-0384 version 0.3)."
	default:
		row.Body = x.Body
	}
	if row.Kind == store.Text {
		row.Body = strings.ToValidUTF8(row.Body, "\ufffd")
		x.fleeting(row)
		if err := x.outdated(tx, row); err != nil {
			return false, err
		}
		if len(row.Body) > MaxBody {
			row.Body = strings.ToValidUTF8(row.Body[:MaxBody], "") + "\n[the rest of this message is too long to be shown]"
		}
		x.takeOffer(row)
		row.Urgency = urgencyOf(row.Body)
		if !row.Encrypted {
			return true, c.unprotected(tx, fx, x, row)
		}
	}
	return true, nil
}

// owe notes the receipt that a message asks for. Copies of what went to another
// own client are that client's to answer.
func (c *Client) owe(fx *effects, x *envelope) {
	if x.Asks && !x.ended && !x.outgoing && x.origin != carbon && x.ID != "" {
		fx.receipts = append(fx.receipts, receipt{x.sender, x.ID})
	}
}

// repeated reports whether a message is here already. A repeat that came live
// is answered again, because the first answer may have been lost. Only a notice
// in place of a message may be replaced, so that is not a repeat.
func (c *Client) repeated(tx *store.Tx, fx *effects, x *envelope) (bool, error) {
	if x.id == "" {
		return false, nil
	}
	old, err := tx.MessageByOrigin(x.peer, x.id)
	if err != nil || old == nil || old.Sender != x.sender || old.Outgoing != x.outgoing || old.Kind == store.Notice {
		return false, err
	}
	if err := c.settle(tx, fx, x, old); err != nil {
		return false, err
	}
	if x.outgoing {
		return true, c.reached(tx, fx, x.peer, x.id, store.Sent)
	}
	if x.origin == live {
		c.log.Info("message repeated")
	}
	if x.origin == live && old.Gone != store.RanOut {
		c.owe(fx, x)
	}
	return true, nil
}
