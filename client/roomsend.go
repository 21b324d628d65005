package client

import (
	"slices"
	"time"

	"sotto/client/audit"
	"sotto/client/omemo"
	"sotto/client/stanza"
	"sotto/client/store"
)

// sendToRoom encrypts messages for everybody in a room, or asks for what is
// missing.
func (c *Client) sendToRoom(r *room, list []store.OutHead) {
	switch {
	case !c.noPEP.Empty():
		c.refuse(list, "Not sent: "+c.noPEP.String())
		return
	case !r.wanted:
		c.refuse(list, "Not sent: "+errNotIn.Error())
		return
	case r.why != "":
		c.explain(list, "Waiting: "+r.why)
		return
	case !c.roomReady(r.peer):
		return // what it waits for brings us back
	}
	c.askDevices(r)
	self := c.peer(c.self)
	waits := len(self.fetching) > 0
	for who := range r.members {
		p := c.peers[who]
		if p != nil && who != c.self && (!p.listed && p.asking || len(p.fetching) > 0) {
			waits = true
		}
	}
	if p := c.peer(r.peer); waits { // but not for somebody's server that does not answer
		if p.unfound.IsZero() {
			p.unfound = time.Now()
			c.later(c.listPatience+time.Second, c.kick)
		}
		if time.Since(p.unfound) < c.listPatience {
			return
		}
	}
	c.peer(r.peer).unfound = time.Time{}
	for len(list) > 0 {
		if !c.window.room() {
			c.window.held = true
			return
		}
		n := min(len(list), encryptAtOnce)
		if !c.encryptToRoom(r, list[:n]) {
			return
		}
		list = list[n:]
	}
}

// encryptToRoom encrypts messages, once, to all devices that the person was shown
// as able to read, and the own ones. Whoever is left out for want of keys does not
// keep the others waiting for long: the message says so.
func (c *Client) encryptToRoom(r *room, list []store.OutHead) bool {
	var (
		missing, unseen []omemo.Address
		left            []string // who cannot read it
		heard           int      // devices of others
		fresh           bool
	)
	type ready struct {
		id     string
		stanza []byte
	}
	var done []ready
	ok := c.update("encrypt a message", func(tx *store.Tx, fx *effects) error {
		done, missing, unseen, left, heard, fresh = nil, nil, nil, nil, 0, false
		rs, err := c.readers(tx, r.peer)
		if err != nil {
			return err
		}
		fresh = len(rs.fresh) > 0
		var to []omemo.Address
		for _, who := range rs.people {
			t, err := c.targets(tx, who)
			if err != nil {
				return err
			}
			missing, unseen = append(missing, rs.only(t.missing)...), append(unseen, t.unseen...)
			mine := rs.only(t.ready)
			if len(mine) == 0 {
				left = append(left, who)
			}
			to = append(to, mine...)
		}
		heard = len(to)
		ours, err := c.targets(tx, c.self)
		if err != nil {
			return err
		}
		missing, to = append(missing, ours.missing...), append(to, ours.ready...)
		if heard == 0 || len(missing) > 0 {
			return nil
		}
		if rs.settles {
			if err := tx.MarkShown(r.peer, rs.shown, time.Now()); err != nil {
				return err
			}
		}
		for i := range list {
			b, err := c.encryptOne(tx, fx, r, list[i].MessageID, to, rs.people, left)
			if err != nil {
				return err
			}
			if b != nil {
				done = append(done, ready{list[i].OriginID, b})
			}
		}
		return nil
	})
	if !ok {
		return false
	}
	for _, a := range unseen {
		c.askBundle(a, toLook)
	}
	for _, a := range missing {
		c.askBundle(a, toSend)
	}
	switch {
	case len(missing) > 0:
		return false
	case heard == 0:
		c.nobodyInRoom(r, list, fresh)
		return false
	}
	c.peer(r.peer).absent = time.Time{}
	for _, d := range done {
		if o := c.outs[d.id]; o != nil {
			o.fresh = true
		}
		c.hand(d.id, d.stanza)
	}
	return true
}

// encryptOne puts one message into the outbox; nil if that is not possible any more.
func (c *Client) encryptOne(tx *store.Tx, fx *effects, r *room, id int64, to []omemo.Address, people, left []string) ([]byte, error) {
	m, err := tx.Message(id)
	if err != nil {
		return nil, err
	}
	if m == nil || m.State != store.Queued {
		return nil, tx.RemoveOut(id)
	}
	more, err := extras(tx, m)
	if err != nil {
		return nil, err
	}
	enc, err := c.encryptText(tx, to, m)
	if err != nil {
		c.log.Error("encrypt", "to", r.peer, "err", err)
		return nil, c.failed(tx, fx, m, audit.GivenUp, "Not sent: it could not be encrypted. Try again")
	}
	e := stanza.NewGroupchat(r.peer, m.OriginID, enc, stanza.Markable(),
		stanza.EncryptedWith(stanza.NSOmemo, "OMEMO"), stanza.StoreHint(), stanza.Body(fallback))
	if m.Urgency == store.Stat {
		e.Add(stanza.UrgencyHigh())
	}
	b := e.Add(more...).Bytes()
	if err := tx.SetOut(m.ID, b); err != nil {
		return nil, err
	}
	if err := tx.SetRecipients(m.ID, people); err != nil {
		return nil, err
	}
	known, err := tx.Recipients(m.ID)
	if err != nil {
		return nil, err
	}
	for _, x := range known {
		state := store.Queued // if it had failed
		if slices.Contains(left, x.Address) || !slices.Contains(people, x.Address) {
			state = store.Failed
		}
		if _, err := tx.SetRecipientState(m.ID, x.Address, state, time.Now()); err != nil {
			return nil, err
		}
	}
	if len(left) == 0 {
		return b, fx.clearWhy(tx, m.ID)
	}
	return b, fx.changed(tx, m.ID, "not for "+c.people(left)+": no trusted device of theirs is found")
}

// nobodyInRoom deals with messages to a room in which nobody can read.
func (c *Client) nobodyInRoom(r *room, list []store.OutHead, fresh bool) {
	others := len(r.members)
	if r.members[c.self] {
		others--
	}
	switch {
	case fresh:
		c.explain(list, "Waiting: others can read here now than when you last looked. Look who, with /members")
	case others == 0:
		c.refuse(list, "Not sent: "+errNoPeople.Error())
	case c.await(c.peer(r.peer), list, "Waiting: nobody in this room has a device that reads encrypted messages yet. They are looked for again"):
		for who := range r.members {
			if p := c.peer(who); who != c.self {
				p.listed = false
				clear(p.failed)
			}
		}
	default:
		c.refuseFor(list, audit.Untrusted, "Not sent: nobody in this room has a trusted device that reads encrypted messages. /members shows why")
	}
}

// roomReady reports whether messages to peer may go out: if it is a room, once we
// are in it and have seen what its archive holds, our own messages among it.
func (c *Client) roomReady(peer string) bool {
	r := c.rooms[peer]
	return r == nil || r.phase == inside && r.listed && r.archive.done
}
