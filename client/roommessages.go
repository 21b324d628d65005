package client

import (
	"crypto/rand"
	"strings"
	"time"

	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/text"
	"sotto/client/wire"
)

// roomStanza handles a message stanza that comes from a room or invites to one;
// false if it does neither.
func (c *Client) roomStanza(tx *store.Tx, fx *effects, e *stanza.Element, m *stanza.Message) (bool, error) {
	peer := m.From.Bare().String()
	r := c.rooms[peer]
	if inv, ok := stanza.ReadInvitation(e); ok && (r == nil || !inv.Direct) {
		return true, c.invited(tx, fx, inv, m.ID)
	}
	if r == nil {
		return m.Type == "groupchat", nil // of a room that we are not in
	}
	res, archived := stanza.ReadMAMResult(e)
	switch {
	case archived:
		if m.From.Resourcepart() != "" || r.archive.query == "" || res.QueryID != r.archive.query {
			c.log.Warn("archived message that nobody asked for", "from", m.From.String())
			return true, nil
		}
		if fx.roomPositions == nil {
			fx.roomPositions = make(map[string]roomPosition)
		}
		p := fx.roomPositions[peer]
		if p.id = res.ID; !res.Time.IsZero() {
			p.at = res.Time
		}
		fx.roomPositions[peer] = p
		return true, c.roomArchived(tx, fx, r, res)
	case stanza.IsCarbon(e):
		c.log.Warn("forged copy of a message", "from", m.From.String())
		return true, nil
	case m.Type == "error":
		return true, c.roomBounced(tx, fx, r, e, m)
	case m.Type != "groupchat" && m.From.Resourcepart() == "":
		u, _ := stanza.ReadRoomUser(e)
		for _, i := range u.Items { // of somebody who is not there
			if err := c.changeMember(tx, fx, r, i); err != nil {
				return true, err
			}
		}
		return true, nil
	case m.Type != "groupchat":
		c.log.Warn("private message through a room", "from", m.From.String())
		return true, nil
	}
	if u, ok := stanza.ReadRoomUser(e); ok && m.From.Resourcepart() == "" && len(u.Status) > 0 {
		fx.after = append(fx.after, func() { c.reinspect(r) })
	}
	if topic, ok := stanza.ReadRoomSubject(e); ok {
		return true, c.topic(tx, fx, r, topic)
	}
	x := envelope{Message: *m, stanza: e, at: m.Delay, room: r, archiveID: stanza.ArchiveID(e, m.From.Bare()), peer: peer}
	if x.sender = r.people[m.From.Resourcepart()]; x.sender == "" {
		switch {
		case m.From.Resourcepart() == "":
		case r.phase != inside: // it waited in the link, and the archive has it
			c.log.Info("message from before the room was entered", "from", m.From.String())
		default:
			c.log.Warn("message of nobody in the room", "from", m.From.String())
		}
		return true, nil
	}
	if !r.members[x.sender] && r.listed {
		c.log.Warn("message of somebody who does not belong to the room", "from", m.From.String(), "of", x.sender)
		return true, nil
	}
	return true, c.roomChat(tx, fx, &x)
}

// roomArchived handles a result of a room's archive. It names the sender's real
// address (XEP-0313 section 6.1.2); what it names wrongly does not decrypt.
func (c *Client) roomArchived(tx *store.Tx, fx *effects, r *room, res stanza.MAMResult) error {
	m, err := stanza.ReadMessage(res.Stanza)
	if err != nil || m.Type != "groupchat" || m.From.Bare().String() != r.peer {
		c.log.Warn("archived message refused", "room", r.peer, "err", err)
		return nil
	}
	if _, ok := stanza.ReadRoomSubject(res.Stanza); ok || m.From.Resourcepart() == "" {
		return nil
	}
	x := envelope{Message: m, stanza: res.Stanza, origin: archived, archiveID: res.ID, at: res.Time, room: r, peer: r.peer}
	u, _ := stanza.ReadRoomUser(res.Stanza)
	item := u.Item()
	if item.JID.Localpart() != "" {
		x.sender = item.JID.Bare().String()
	} else if x.sender = r.people[m.From.Resourcepart()]; x.sender == "" {
		c.log.Warn("archived message of an unknown sender", "from", m.From.String())
		return nil
	}
	// Whoever has left since did belong to it: by the same relay's word.
	if !r.members[x.sender] && !belongs(item.Affiliation) {
		c.log.Warn("archived message of somebody who does not belong to the room", "from", m.From.String(), "of", x.sender)
		return nil
	}
	return c.roomChat(tx, fx, &x)
}

// roomChat handles what a member wrote; see chat.
func (c *Client) roomChat(tx *store.Tx, fx *effects, x *envelope) error {
	x.outgoing = x.sender == c.self
	if x.id = x.OriginID; x.id == "" {
		x.id = x.ID
	}
	now := time.Now()
	if x.at.IsZero() || x.at.After(now) {
		x.at = now
	}
	if what, id, ok := stanza.ReadMarker(x.stanza); ok {
		return c.roomMarker(tx, fx, x, what, id)
	}
	enc := x.stanza.Child(stanza.NSOmemo, "encrypted")
	if enc == nil && strings.TrimSpace(x.Body) == "" {
		return nil
	}
	if done, err := c.echo(tx, fx, x, enc); done || err != nil {
		return err
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
	added, err := c.put(tx, fx, x, &row)
	if err != nil {
		return err
	}
	if added {
		if err := fx.added(tx, &row); err != nil {
			return err
		}
	}
	if row.Kind == store.Text && row.Encrypted {
		c.oweRoom(fx, x)
	}
	return nil
}

// oweRoom notes the receipt for a message of a room that asks for markers. It goes
// to the sender alone (XEP-0184), not to the room: everybody would get one from
// everybody, and the archive would hold little else.
func (c *Client) oweRoom(fx *effects, x *envelope) {
	if x.Markable && !x.outgoing && x.id != "" {
		fx.receipts = append(fx.receipts, receipt{x.sender, x.id})
	}
}

// echo handles what this device wrote and the room shows: only then is it sent.
func (c *Client) echo(tx *store.Tx, fx *effects, x *envelope, enc *stanza.Element) (bool, error) {
	if !x.outgoing || x.id == "" {
		return false, nil
	}
	old, err := tx.MessageByOrigin(x.peer, x.id)
	if err != nil || old == nil || !old.Outgoing || old.Device != c.device.ID() {
		return false, err
	}
	if r, err := stanza.ReadEncrypted(enc); err != nil || r.SID != c.device.ID() {
		return false, nil
	}
	if x.origin == archived {
		if err := c.settle(tx, fx, x, old); err != nil {
			return false, err
		}
	} else if x.archiveID != "" { // a repeat, which teaches the id
		again := store.Message{Peer: x.peer, Outgoing: true, Sender: c.self, OriginID: x.id, ArchiveID: x.archiveID, Time: x.at}
		if _, err := tx.AddMessage(&again); err != nil {
			return false, err
		}
	}
	if _, err := tx.SetRecipientState(old.ID, "", store.Sent, time.Now()); err != nil {
		return false, err
	}
	return true, c.shown(tx, fx, old)
}

// shown notes that a room has shown an own message.
func (c *Client) shown(tx *store.Tx, fx *effects, m *store.Message) error {
	if err := tx.RemoveOut(m.ID); err != nil {
		return err
	}
	fx.settled = append(fx.settled, m.OriginID)
	changed, err := tx.SetState(m.Peer, m.OriginID, store.Sent)
	if err != nil || !changed {
		return err
	}
	return fx.changedAs(tx, m.ID)
}

// changedAs is changed, for the same reason as before.
func (fx *effects) changedAs(tx *store.Tx, id int64) error {
	why, err := tx.Value(whyName(id))
	if err != nil {
		return err
	}
	return fx.changed(tx, id, string(why))
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
	before, err := tx.Messages(x.peer, m.ID, 50)
	for i := range before {
		if err == nil && before[i].Outgoing {
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
	changed, err := tx.SetRecipientState(m.ID, who, s, time.Now())
	if err != nil || !changed {
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
			if _, err := tx.SetState(m.Peer, m.OriginID, all.s); err != nil {
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
	if r := c.rooms[peer]; r == nil || r.phase != inside {
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

// roomBounced handles what a room has sent back.
func (c *Client) roomBounced(tx *store.Tx, fx *effects, r *room, e *stanza.Element, m *stanza.Message) error {
	own, err := tx.MessageByOrigin(r.peer, m.ID)
	if err != nil || m.ID == "" || own == nil || !own.Outgoing {
		return err
	}
	if refusal := stanza.ReadError(e); refusal != nil && refusal.Condition == "not-acceptable" && r.wanted {
		fx.after = append(fx.after, func() { // it takes us for gone
			if o := c.outs[m.ID]; o != nil {
				o.handed, o.settled = false, time.Time{}
			}
			if r.phase == inside {
				r.phase, r.listed, r.archive.done = outside, false, false
				c.enter(r, nil)
			}
		})
		return nil
	}
	return c.bounced(tx, fx, e, m)
}

// topic takes over what a room is about.
func (c *Client) topic(tx *store.Tx, fx *effects, r *room, topic string) error {
	topic = bounded(topic, 4096)
	known, err := tx.Room(r.peer)
	if err != nil || known == nil || known.Topic == topic {
		return err
	}
	known.Topic = topic
	fx.events = append(fx.events, DevicesChanged{r.peer})
	if err := tx.PutRoom(*known); err != nil || topic == "" || !c.mayWarn(r.peer) {
		return err
	}
	return c.noteInRoom(tx, fx, r.peer, "The topic here is: "+topic, true)
}

// reinspect looks whether a room whose configuration has changed can still be used.
func (c *Client) reinspect(r *room) {
	if !c.here(r) || r.phase != inside {
		return
	}
	c.inspect(r, func(err error) {
		switch {
		case !c.here(r) || r.phase != inside || passing(err):
		case err != nil:
			c.shut(r, err)
		default:
			c.rename(r)
			c.askMembers(r)
		}
	})
}

// maxInvitations bounds the rooms that strangers can put into the list.
const maxInvitations = 50

// invited shows an invitation. Nothing proves who it is from: it is a line in a
// conversation, and nothing is joined until the person says so.
func (c *Client) invited(tx *store.Tx, fx *effects, inv stanza.Invitation, id string) error {
	peer := inv.Room.Bare().String()
	if r := c.rooms[peer]; r != nil && r.wanted || peer == c.self {
		return nil
	}
	by := inv.From.Bare().String()
	if by == "" {
		by = peer
	}
	person, err := c.isPerson(tx, peer)
	if err != nil {
		return err
	}
	if person || c.invitations >= maxInvitations || !c.mayWarn(peer) {
		c.log.Warn("invitation ignored", "to", peer, "by", by)
		return nil
	}
	words := c.short(by) + " (" + by + ") invites you to this room. /join accepts"
	if by == peer {
		words = "You are invited to this room. /join accepts"
	}
	if reason := text.Line(bounded(inv.Reason, 500)); !reason.Empty() {
		words += ". They write: " + reason.String()
	}
	row := store.Message{Peer: peer, Sender: by, OriginID: strings.TrimSpace("invitation " + id), Time: time.Now(), Body: text.Line(words).String(), Kind: store.Notice}
	added, err := tx.AddMessage(&row)
	if err != nil || !added {
		return err
	}
	c.invitations++
	if err := tx.SetValue(invitedName(peer), []byte{1}); err != nil {
		return err
	}
	return fx.added(tx, &row)
}

// invitedName names the note that the person is invited to a room that was never
// entered.
func invitedName(peer string) string { return "room.invited." + peer }

// onlyInvited is the error of a message to a room that was not entered yet: it
// must not go there as if it were a person.
func (c *Client) onlyInvited(tx *store.Tx, peer string) error {
	v, err := tx.Value(invitedName(peer))
	if err != nil || v == nil {
		return err
	}
	person, err := c.isPerson(tx, peer)
	if err != nil || person {
		return err
	}
	return declined{errNotIn}
}

// isPerson reports whether an address is known as a person's.
func (c *Client) isPerson(tx *store.Tx, peer string) (bool, error) {
	if r, err := tx.Room(peer); err != nil || r != nil {
		return false, err
	}
	stranger, err := isStranger(tx, peer)
	if err != nil || !stranger {
		return !stranger, err
	}
	row, err := tx.Conversation(peer)
	return err == nil && row != nil && row.Contact, err
}
