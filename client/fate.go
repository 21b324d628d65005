package client

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sotto/client/store"
	"sotto/client/text"
)

// aboutOf fills in what a message has to do with others, and what became of it.
func aboutOf(tx *store.Tx, r *store.Message, m *Message) error {
	if m.Gone != store.Here {
		if !r.Outgoing || r.Gone != store.Recalled {
			return nil
		}
		devices, err := tx.RecallDevices(r.ID)
		for _, d := range devices {
			m.CarriedOf++
			if d.Outcome == store.CarriedOut {
				m.Carried++
			}
		}
		if err != nil {
			return err
		}
		return ownRecall(tx, r, m)
	}
	if r.Kind == store.Notice {
		return nil
	}
	about, err := targetOf(tx, r)
	if err != nil {
		return err
	}
	if r.Kind == store.Retraction && about != nil && about.Gone != store.Recalled {
		about = nil // it is another's, which stays
	}
	if r.Kind == store.Text {
		_, old, err := tx.Corrects(r.ID)
		if err != nil {
			return err
		}
		if old != nil {
			about, m.Corrects = old, true
		}
		by, err := tx.CorrectedBy(r.ID)
		if err != nil {
			return err
		}
		if by != nil {
			m.CorrectedBy, m.Corrected = by.ID, by.Time
		}
	}
	if about != nil {
		m.About, m.AboutTime = about.ID, about.Time
	}
	if r.Urgency > store.Routine {
		acks, err := tx.Acknowledgements(r.ID)
		if err != nil {
			return err
		}
		for _, a := range acks {
			m.Acks = append(m.Acks, Acknowledgement{text.Line(a.Sender), a.Time})
		}
	}
	reactions, err := tx.Reactions(r.ID)
	for _, x := range reactions {
		m.Reactions = append(m.Reactions, Reaction{text.Line(x.Sender), text.Line(strings.Join(x.Set, " "))})
	}
	return err
}

// Fate is how a message stands with everybody who shall have it.
type Fate struct {
	Message    Message
	ID         text.Safe   // by which everybody else knows it (XEP-0359): what an order or the audit log names
	Recipients []Recipient // of an own message, by address
	Recall     []Recalled  // of an own message that was taken back, by address
}

// Recipient is how far a message has come with somebody.
type Recipient struct {
	Address string
	Name    text.Safe
	State   store.State
	Time    time.Time // when it came so far
}

// Recalled is what became of a recall on a device that may have had the message.
// One that is Waiting has not answered: it is offline, or is of an app that never
// answers, and of which nobody can tell.
type Recalled struct {
	Address string
	Name    text.Safe // whose device it is
	Own     bool      // it is another one of this person's
	Device  uint32
	Outcome store.Outcome
	Time    time.Time // of its answer
}

// Fate returns how the message with an id stands.
func (c *Client) Fate(ctx context.Context, id int64) (f Fate, err error) {
	err = c.store.View(ctx, func(tx *store.Tx) error {
		f = Fate{}
		r, err := tx.Message(id)
		if err != nil {
			return err
		}
		if r == nil {
			return errGone
		}
		f.ID = text.Line(r.OriginID)
		if f.Message, err = messageOf(tx, r); err != nil || !r.Outgoing {
			return err
		}
		list, err := tx.Recipients(id)
		if err != nil {
			return err
		}
		for _, x := range list {
			f.Recipients = append(f.Recipients, Recipient{x.Address, c.nameFor(x.Address), x.State, x.Time})
		}
		devices, err := tx.RecallDevices(id)
		for _, d := range devices {
			f.Recall = append(f.Recall, Recalled{d.JID, c.nameFor(d.JID), d.JID == c.self, d.Device, d.Outcome, d.Time})
		}
		return err
	})
	if err != nil {
		return f, fmt.Errorf("read who has the message: %w", err)
	}
	return f, nil
}
