package client

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sotto/client/omemo"
	"sotto/client/stanza"
	"sotto/client/store"
)

// askMembers asks a room who belongs to it. Until it has said so, nothing is
// sent there.
func (c *Client) askMembers(r *room) {
	if r.listing {
		return
	}
	r.listing = true
	var list []store.Member
	seen := make(map[string]bool)
	var failed error
	left := 0
	for _, a := range []stanza.Affiliation{stanza.Owner, stanza.Admin, stanza.Member} {
		left++
		c.ask("get", r.peer, stanza.AffiliationsQuery(a), func(e *stanza.Element, err error) {
			var items []stanza.RoomItem
			if err == nil {
				items, err = stanza.ReadRoomItems(e.Child(stanza.NSMUCAdmin, "query"))
			}
			if err != nil && failed == nil {
				failed = err
			}
			for _, i := range items {
				if i.JID.Localpart() == "" && failed == nil {
					failed = fmt.Errorf("everybody of %s belongs to it", i.JID)
				}
				m := store.Member{Address: i.JID.Bare().String(), Nick: i.Nick, Affiliation: string(a)}
				if !seen[m.Address] {
					seen[m.Address] = true
					list = append(list, m)
				}
			}
			if left--; left == 0 {
				r.listing = false
				c.membersListed(r, list, failed)
			}
		})
	}
}

// membersListed takes over who belongs to a room.
func (c *Client) membersListed(r *room, list []store.Member, failed error) {
	if !c.here(r) || r.phase != inside {
		return
	}
	if failed == nil && len(list) > store.MaxMembers {
		failed = fmt.Errorf("%d people belong to it, and sotto writes to at most %d", len(list), store.MaxMembers)
	}
	if failed != nil {
		c.log.Warn("members of a room", "room", r.peer, "err", failed)
		c.entered(r, failed)
		if passing(failed) {
			c.later(roomRetry, func() {
				if c.here(r) && r.phase == inside {
					c.askMembers(r)
				}
			})
			return
		}
		r.listed = false
		r.why = "nothing can be sent to this room: it does not say who reads there. " + c.roomRefusal(failed).Error()
		c.sayOnce(r.peer, "%s", r.why)
		c.kick()
		return
	}
	now := make(map[string]bool, len(list))
	for _, m := range list {
		now[m.Address] = true
	}
	ok := c.update("store the members of a room", func(tx *store.Tx, fx *effects) error {
		before, err := tx.Members(r.peer)
		if err != nil {
			return err
		}
		fresh, err := tx.SetMembers(r.peer, list, time.Now())
		if err != nil {
			return err
		}
		var gone []string
		for _, m := range before {
			if !now[m.Address] {
				gone = append(gone, m.Address)
			}
		}
		return c.readersChanged(tx, fx, r.peer, fresh, gone, len(before) > 0)
	})
	if !ok {
		c.entered(r, errNotStored)
		return
	}
	if r.members = now; !r.listed {
		r.listed, r.since = true, time.Now()
		c.askDevices(r)
		c.catchUpRoom(r)
	}
	r.why = ""
	c.entered(r, nil)
}

// memberChanged takes a room's word that somebody belongs to it now, or does not
// any more.
func (c *Client) memberChanged(r *room, item stanza.RoomItem) {
	c.update("store a member of a room", func(tx *store.Tx, fx *effects) error { return c.changeMember(tx, fx, r, item) })
}

func (c *Client) changeMember(tx *store.Tx, fx *effects, r *room, item stanza.RoomItem) error {
	who := item.JID.Bare().String()
	if item.JID.Localpart() == "" || item.Affiliation == "" {
		return nil
	}
	if known, err := tx.Room(r.peer); err != nil || known == nil {
		return err
	}
	if !belongs(item.Affiliation) {
		before, err := tx.Members(r.peer)
		if err != nil || !slices.ContainsFunc(before, func(m store.Member) bool { return m.Address == who }) {
			return err
		}
		if err := tx.RemoveMember(r.peer, who); err != nil {
			return err
		}
		fx.after = append(fx.after, func() { delete(r.members, who) })
		return c.readersChanged(tx, fx, r.peer, nil, []string{who}, true)
	}
	fresh, err := tx.PutMember(r.peer, store.Member{Address: who, Nick: item.Nick, Affiliation: string(item.Affiliation)}, time.Now())
	if err != nil {
		// More than can be written to: the lists tell, and say so.
		c.log.Warn("member of a room", "room", r.peer, "err", err)
		fx.after = append(fx.after, func() { c.askMembers(r) })
		return nil
	}
	fx.after = append(fx.after, func() {
		r.members[who] = true
		c.askDevicesOf(who)
	})
	if !fresh {
		return nil
	}
	return c.readersChanged(tx, fx, r.peer, []string{who}, nil, true)
}

// readersChanged forgets that the person was shown those who are gone, and says
// in the room's conversation who is new and who is gone, if that is news.
func (c *Client) readersChanged(tx *store.Tx, fx *effects, peer string, fresh, gone []string, news bool) error {
	fx.events = append(fx.events, DevicesChanged{peer})
	fresh = slices.DeleteFunc(slices.Clone(fresh), func(a string) bool { return a == c.self })
	gone = slices.DeleteFunc(gone, func(a string) bool { return a == c.self })
	if len(gone) > 0 {
		shown, err := tx.Shown(peer)
		if err != nil {
			return err
		}
		if shown {
			rs, err := c.readers(tx, peer)
			if err != nil {
				return err
			}
			if err := tx.MarkShown(peer, rs.shown, time.Now()); err != nil {
				return err
			}
		}
	}
	if !news || len(fresh)+len(gone) == 0 || !c.mayWarn(peer) {
		return nil
	}
	words := ""
	switch {
	case len(fresh) > 0 && len(gone) > 0:
		words = c.people(fresh) + " can read here now, and " + c.people(gone) + " cannot any more"
	case len(fresh) > 0:
		words = c.people(fresh) + " can read here now"
	default:
		words = c.people(gone) + " cannot read here any more"
	}
	return c.noteInRoom(tx, fx, peer, words, true)
}

// people names people within a sentence: "Okafor, Lind and 3 others".
func (c *Client) people(list []string) string {
	const most = 3
	names := make([]string, 0, most+1)
	for i, a := range list {
		if i == most && len(list) > most+1 {
			names = append(names, fmt.Sprintf("%d others", len(list)-most))
			break
		}
		names = append(names, c.short(a))
	}
	if len(names) == 1 {
		return names[0]
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// askDevices asks for the devices of everybody in a room whose devices were not
// asked for lately: nothing else tells of those who are no contacts.
func (c *Client) askDevices(r *room) {
	for who := range r.members {
		c.askDevicesOf(who)
	}
}

func (c *Client) askDevicesOf(who string) {
	if p := c.peer(who); who != c.self && (!p.listed || time.Since(p.asked) > lookedLongAgo) && p.retry.IsZero() {
		c.askList(who)
	}
}

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
	plaintext := []byte(m.Body)
	enc, err := c.device.Encrypt(tx, to, plaintext)
	clear(plaintext)
	if err != nil {
		c.log.Error("encrypt", "to", r.peer, "err", err)
		return nil, c.failed(tx, fx, m, "Not sent: it could not be encrypted. Try again")
	}
	e := stanza.NewGroupchat(r.peer, m.OriginID, enc, stanza.Markable(),
		stanza.EncryptedWith(stanza.NSOmemo, "OMEMO"), stanza.StoreHint(), stanza.Body(fallback))
	if m.Urgency == store.Stat {
		e.Add(stanza.UrgencyHigh())
	}
	b := e.Bytes()
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
		c.refuse(list, "Not sent: nobody in this room has a trusted device that reads encrypted messages. /members shows why")
	}
}

// roomReady reports whether messages to peer may go out: if it is a room, once we
// are in it and have seen what its archive holds, our own messages among it.
func (c *Client) roomReady(peer string) bool {
	r := c.rooms[peer]
	return r == nil || r.phase == inside && r.listed && r.archive.done
}

// mayWarn counts the lines of ours in one conversation.
func (c *Client) mayWarn(who string) bool {
	w := c.warned[who]
	if time.Since(w.since) > time.Hour {
		w = warnings{since: time.Now()}
	}
	w.n++
	c.warned[who] = w
	return w.n <= maxWarnings
}
