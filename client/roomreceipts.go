package client

import (
	"crypto/rand"
	"time"

	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/wire"
)

// oweRoom notes the receipt for a message of a room that asks for markers. It goes
// to the sender alone (XEP-0184), not to the room: everybody would get one from
// everybody, and the archive would hold little else.
func (c *Client) oweRoom(fx *effects, x *envelope) {
	if x.Markable && !x.ended && !x.outgoing && x.id != "" {
		fx.receipts = append(fx.receipts, receipt{x.sender, x.id})
	}
}

// roomMarker handles a marker (XEP-0333). It names a message by the id that the
// room gave it, and stands for those before it. Nothing proves it but the relay's
// word of who sent it.
func (c *Client) roomMarker(tx *store.Tx, fx *effects, x *envelope, what, id string) error {
	m, err := tx.ByArchive(x.peer, id)
	if err == nil && m == nil {
		m, err = tx.MessageByOrigin(x.peer, id)
	}
	if err != nil || m == nil {
		return err
	}
	if x.outgoing { // another own client showed it
		if what != "displayed" {
			return nil
		}
		read, err := tx.MarkRead(x.peer, m.ID)
		fx.list = fx.list || len(read) > 0
		return err
	}
	state := store.Read
	if what == "received" {
		return c.reachedOne(tx, fx, m, x.sender, store.Delivered, false)
	}
	if err := c.reachedOne(tx, fx, m, x.sender, state, false); err != nil {
		return err
	}
	before, err := tx.OutgoingBefore(x.peer, m.ID, 50)
	for i := range before {
		if err == nil {
			err = c.reachedOne(tx, fx, &before[i], x.sender, state, true)
		}
	}
	return err
}

// reachedOne moves an own message forward with one recipient; with after, only if
// it was delivered to them. The message has come as far as it has with everybody.
func (c *Client) reachedOne(tx *store.Tx, fx *effects, m *store.Message, who string, s store.State, after bool) error {
	if !m.Outgoing {
		return nil
	}
	if after {
		list, err := tx.Recipients(m.ID)
		if err != nil {
			return err
		}
		delivered := false
		for _, x := range list {
			delivered = delivered || x.Address == who && x.State == store.Delivered
		}
		if !delivered {
			return nil
		}
	}
	fresh, err := tx.SetRecipientState(m.ID, who, store.Delivered, time.Now())
	if err == nil && fresh {
		err = c.auditDelivered(tx, m, who)
	}
	if err != nil {
		return err
	}
	changed, err := tx.SetRecipientState(m.ID, who, s, time.Now())
	if err != nil || !changed && !fresh {
		return err
	}
	p, err := tx.Progress(m.ID)
	if err != nil {
		return err
	}
	for _, all := range []struct {
		n int
		s store.State
	}{{p.Delivered, store.Delivered}, {p.Read, store.Read}} {
		if all.n == p.Of {
			changed, err := tx.SetState(m.Peer, m.OriginID, all.s)
			if err == nil && changed && m.State == store.Queued {
				err = c.auditSent(tx, m)
			}
			if err != nil {
				return err
			}
		}
	}
	return fx.changedAs(tx, m.ID)
}

// roomReceipt handles a receipt for a message that was written to a room; false
// if it is for none.
func (c *Client) roomReceipt(tx *store.Tx, fx *effects, x *envelope) (bool, error) {
	if len(c.rooms) == 0 || x.From.Resourcepart() == "" {
		return false, nil
	}
	if m, err := tx.MessageByOrigin(x.peer, x.Receipt); err != nil || m != nil {
		return false, err
	}
	for peer := range c.rooms {
		m, err := tx.MessageByOrigin(peer, x.Receipt)
		if err != nil {
			return false, err
		}
		if m == nil || !m.Outgoing {
			continue
		}
		if m.State == store.Queued {
			if left, err := tx.Encrypted(m.ID); err != nil || !left {
				c.log.Warn("confirmation of what was not sent yet", "from", x.From.String())
				return true, err
			}
		}
		return true, c.reachedOne(tx, fx, m, x.sender, store.Delivered, false)
	}
	return false, nil
}

// sendRoomMarker tells a room that the person has seen what was written there.
func (c *Client) sendRoomMarker(peer, archiveID string) {
	if r := c.rooms[peer]; r == nil || r.phase != inside || !c.mayTellRead() {
		return
	}
	id := rand.Text()
	c.note(wire.Send{ID: id, Stanza: stanza.NewGroupchat(peer, id, stanza.Displayed(archiveID), stanza.StoreHint()).Bytes()})
}

// roomSettled notes that the relay has messages to a room. They count as sent when
// the room shows them: it may have taken us for gone meanwhile.
func (c *Client) roomSettled(o *outgoing) bool {
	if c.rooms[o.peer] == nil {
		return false
	}
	o.settled = time.Now()
	return true
}
