package client

import (
	"time"

	"sotto/client/audit"
	"sotto/client/stanza"
	"sotto/client/store"
)

// marks handles receipts and read markers. Nothing proves who made them but the
// address that relays put there (OMEMO 0.3 does not cover them): so they count only
// for what was sent to that very address, and from one of its clients.
func (c *Client) marks(tx *store.Tx, fx *effects, x *envelope) error {
	if x.Receipt != "" && !x.outgoing {
		if done, err := c.roomReceipt(tx, fx, x); done || err != nil {
			return err
		}
		m, err := c.confirmed(tx, x, x.Receipt)
		if err == nil && m != nil {
			err = c.reached(tx, fx, x.peer, x.Receipt, store.Delivered)
		}
		if err != nil {
			return err
		}
	}
	if x.Read == "" {
		return nil
	}
	if x.outgoing { // another own client showed it
		m, err := tx.MessageByOrigin(x.peer, x.Read)
		if err != nil || m == nil || m.Outgoing {
			return err
		}
		read, err := tx.MarkRead(x.peer, m.ID)
		fx.list = fx.list || len(read) > 0
		return err
	}
	m, err := c.confirmed(tx, x, x.Read)
	if err != nil || m == nil {
		return err
	}
	if err := c.reached(tx, fx, x.peer, x.Read, store.Read); err != nil {
		return err
	}
	before, err := tx.OutgoingBefore(x.peer, m.ID, 50)
	for i := range before {
		// Who has seen this one has seen what was delivered before it; what was
		// not may never have arrived.
		if b := &before[i]; err == nil && b.State == store.Delivered {
			err = c.reached(tx, fx, x.peer, b.OriginID, store.Read)
		}
	}
	return err
}

// confirmed returns the own message that a receipt or marker is about; nil if there
// is none that its sender can have got.
func (c *Client) confirmed(tx *store.Tx, x *envelope, id string) (*store.Message, error) {
	m, err := tx.MessageByOrigin(x.peer, id)
	if err != nil {
		return nil, err
	}
	why := ""
	switch {
	case m == nil || !m.Outgoing:
		why = "no such message was sent to them"
	case x.From.Resourcepart() == "":
		why = "it is not from a client"
	case m.State == store.Queued:
		if left, err := tx.Encrypted(m.ID); err != nil {
			return nil, err
		} else if !left {
			why = "the message was not sent yet"
		}
	}
	if why != "" {
		c.log.Warn("confirmation ignored: "+why, "from", x.From.String())
		return nil, nil
	}
	return m, nil
}

// reached moves an own message forward: it needs no more sending.
func (c *Client) reached(tx *store.Tx, fx *effects, peer, id string, s store.State) error {
	m, err := tx.MessageByOrigin(peer, id)
	if err != nil || m == nil {
		return err
	}
	changed, err := tx.SetState(peer, id, s)
	if err != nil || !changed {
		return err
	}
	if err := c.auditProgress(tx, m, s); err != nil {
		return err
	}
	if err := c.got(tx, fx, m.ID, s); err != nil {
		return err
	}
	if m.Kind == store.Retraction {
		if err := tx.SetValue(digestName(m.ID), nil); err != nil {
			return err
		}
	}
	if _, err := tx.SetRecipientState(m.ID, peer, s, time.Now()); err != nil {
		return err
	}
	fx.settled = append(fx.settled, id)
	return fx.changed(tx, m.ID, "")
}

// bounced handles a message that came back: an own one has failed.
func (c *Client) bounced(tx *store.Tx, fx *effects, e *stanza.Element, m *stanza.Message) error {
	peer := m.From.Bare().String()
	own, err := tx.MessageByOrigin(peer, m.ID)
	if err != nil || m.ID == "" || own == nil || !own.Outgoing {
		return err
	}
	if own.State == store.Queued {
		if left, err := tx.Encrypted(own.ID); err != nil || !left {
			c.log.Warn("bounce of what was not sent yet", "from", m.From.String())
			return err
		}
	}
	why := "it was refused"
	if refusal := stanza.ReadError(e); refusal != nil {
		why = refusal.Error()
		switch refusal.Condition {
		case "gone", "jid-malformed":
			why = "there is no " + peer + ". Check the address"
		case "item-not-found", "service-unavailable", "remote-server-not-found":
			unknown, err := isStranger(tx, peer)
			if err != nil {
				return err
			}
			if unknown {
				why += ". Check the address: " + peer
			}
		}
	}
	return c.failed(tx, fx, own, audit.GivenUp, "Not delivered: "+why)
}

// failed marks an own message as failed and says why.
func (c *Client) failed(tx *store.Tx, fx *effects, m *store.Message, reason audit.Reason, why string) error {
	changed, err := tx.SetState(m.Peer, m.OriginID, store.Failed)
	if err != nil || !changed {
		return err
	}
	if err := c.auditNotSent(tx, m, reason); err != nil {
		return err
	}
	if err := tx.RemoveOut(m.ID); err != nil {
		return err
	}
	fx.settled = append(fx.settled, m.OriginID)
	return fx.changed(tx, m.ID, why)
}

// onEvent handles a notification of the personal eventing protocol (XEP-0163).
func (c *Client) onEvent(tx *store.Tx, fx *effects, m *stanza.Message, own bool, ev stanza.Event) error {
	if ev.Node == stanza.NSBookmarks && own {
		fx.after = append(fx.after, c.askBookmarks)
		return nil
	}
	if ev.Node != stanza.NodeDevices {
		return nil
	}
	who := m.From.Bare().String()
	if own {
		who = c.self
	} else if m.From.Resourcepart() != "" {
		c.log.Warn("device list from a client and not from its account", "from", m.From.String())
		return nil
	}
	if who != c.self && c.peers[who] == nil {
		// A relay can name as many people as it likes. Whoever is written to is asked.
		known, err := tx.Known(who)
		if err != nil {
			return err
		}
		if !known || len(c.peers) >= maxPeers {
			c.log.Warn("device list of somebody unknown", "of", who)
			if len(c.ignored) < maxPeers {
				c.ignored[who] = true // a relay may send it before the roster that has them
			}
			return nil
		}
	}
	ids, ok := newestList(ev.Items)
	switch {
	case !ok && ev.Items[0].Payload == nil:
		fx.relist = append(fx.relist, who) // a notification without the list
		return nil
	case !ok:
		c.log.Warn("device list is malformed", "of", who)
		return nil
	}
	return c.deviceList(tx, fx, who, ids)
}
