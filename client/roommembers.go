package client

import (
	"fmt"
	"slices"
	"strings"
	"time"

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
	clear(r.roles)
	for _, m := range list {
		r.roles[m.Address] = stanza.Affiliation(m.Affiliation)
	}
	if r.members = now; !r.listed {
		r.listed, r.since = true, time.Now()
		c.askDevices(r)
		c.catchUpRoom(r)
	}
	r.why = ""
	c.entered(r, nil)
	c.expelFrom(r)
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
		r.members[who], r.roles[who] = true, item.Affiliation
		c.askDevicesOf(who)
	})
	if !fresh { // what it may do has changed, perhaps
		fx.events = append(fx.events, DevicesChanged{r.peer})
		return nil
	}
	return c.readersChanged(tx, fx, r.peer, []string{who}, nil, true)
}

// readersChanged forgets that the person was shown those who are gone, and says
// in the room's conversation who is new and who is gone, if that is news.
func (c *Client) readersChanged(tx *store.Tx, fx *effects, peer string, fresh, gone []string, news bool) error {
	fx.events = append(fx.events, DevicesChanged{peer})
	if err := c.auditMembers(tx, peer, fresh, gone); err != nil {
		return err
	}
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
	if c.mayTalk(who) != nil {
		return
	}
	if p := c.peer(who); who != c.self && (!p.listed || time.Since(p.asked) > lookedLongAgo) && p.retry.IsZero() {
		c.askList(who)
	}
}
