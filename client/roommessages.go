package client

import (
	"strings"
	"time"

	"sotto/client/stanza"
	"sotto/client/store"
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
		if f := c.filling; f != nil && f.room == r && m.From.Resourcepart() == "" && res.QueryID == f.query {
			if ok, err := c.inGap(tx, fx, f, res); !ok || err != nil {
				return true, err
			}
			return true, c.roomArchived(tx, fx, r, res, f)
		}
		if m.From.Resourcepart() != "" || r.archive.query == "" || res.QueryID != r.archive.query {
			c.log.Warn("archived message that nobody asked for", "from", m.From.String())
			return true, nil
		}
		if ok, err := c.result(tx, fx, peer, &r.archive.pager, res); !ok || err != nil {
			return true, err
		}
		if fx.roomPositions == nil {
			fx.roomPositions = make(map[string]roomPosition)
		}
		p := fx.roomPositions[peer]
		if p.id = res.ID; !res.Time.IsZero() {
			p.at = res.Time
		}
		fx.roomPositions[peer] = p
		return true, c.roomArchived(tx, fx, r, res, nil)
	case stanza.IsCarbon(e):
		c.log.Warn("forged copy of a message", "from", m.From.String())
		return true, nil
	case m.Type == "error" && m.From.Resourcepart() != "": // as good as a private message: it says nothing of what the room took
		c.log.Warn("error of a member, and not of the room", "from", m.From.String())
		return true, nil
	case m.Type == "error":
		return true, c.roomBounced(tx, fx, r, e, m)
	case m.Type != "groupchat" && m.From.Resourcepart() == "":
		if inv, ok := stanza.ReadDecline(e); ok {
			return true, c.turnedDown(tx, fx, r, inv)
		}
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
	if mod, ok := stanza.ReadModeration(e); ok {
		return true, c.onModeration(tx, fx, r, mod, m.Delay)
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
func (c *Client) roomArchived(tx *store.Tx, fx *effects, r *room, res stanza.MAMResult, f *filling) error {
	m, err := stanza.ReadMessage(res.Stanza)
	if err != nil || m.Type != "groupchat" || m.From.Bare().String() != r.peer {
		c.log.Warn("archived message refused", "room", r.peer, "err", err)
		return nil
	}
	if mod, ok := stanza.ReadModeration(res.Stanza); ok {
		return c.onModeration(tx, fx, r, mod, res.Time)
	}
	if _, ok := stanza.ReadRoomSubject(res.Stanza); ok || m.From.Resourcepart() == "" {
		return nil
	}
	x := envelope{Message: m, stanza: res.Stanza, origin: archived, archiveID: res.ID, at: res.Time, room: r, peer: r.peer, fill: f}
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
	if out, err := c.outsider(tx, fx, x); out || err != nil {
		return err
	}
	if what, id, ok := stanza.ReadMarker(x.stanza); ok {
		return c.roomMarker(tx, fx, x, what, id)
	}
	enc := x.stanza.Child(stanza.NSOmemo, "encrypted")
	if enc == nil {
		if done, err := c.gestures(tx, fx, x); done || err != nil || strings.TrimSpace(x.Body) == "" {
			return err
		}
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
	if err := c.keepUnderstood(tx, fx, x, &row); err != nil {
		return err
	}
	if row.Kind != store.Notice && row.Encrypted {
		c.oweRoom(fx, x)
	}
	return nil
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
	if m.Kind == store.Retraction {
		if err := tx.SetValue(digestName(m.ID), nil); err != nil {
			return err
		}
	}
	changed, err := tx.SetState(m.Peer, m.OriginID, store.Sent)
	if err != nil || !changed {
		return err
	}
	if err := c.auditSent(tx, m); err != nil {
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
