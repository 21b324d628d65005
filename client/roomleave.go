package client

import (
	"context"
	"errors"
	"slices"
	"time"

	"mellium.im/xmpp/jid"

	"sotto/client/audit"
	"sotto/client/stanza"
	"sotto/client/store"
)

// Leave leaves a room on all own devices, and gives up belonging to it, so that
// nobody encrypts to them any more. An owner who is the last one makes the admin
// or member who has been there longest the owner; whoever is alone closes the room.
func (c *Client) Leave(ctx context.Context, peer string) error {
	return c.inRoom(ctx, peer, "leave the room", func(r *room, done func(error)) {
		var members []store.Member
		err := c.store.View(c.ctx, func(tx *store.Tx) (err error) {
			members, err = tx.Members(r.peer)
			return err
		})
		if err != nil {
			done(err)
			return
		}
		items, alone := leaving(members, c.selfID)
		request := stanza.SetAffiliations(items...)
		if alone {
			request = stanza.DestroyRoom("")
		}
		r.wanted = false // whatever the room says now is no news
		c.ask("set", r.peer, request, func(_ *stanza.Element, err error) {
			switch {
			case !c.here(r): // another session has begun; it enters the room again
				done(errOffline)
				return
			case err == nil:
				c.left(r, nil)
				done(nil)
				return
			}
			c.resign(r, func(err error) {
				if c.here(r) {
					c.left(r, err)
				}
				done(nil)
			})
		})
	})
}

// resign gives up being a member where only those who run a room change its lists
// (section 7.10). Not every relay that agrees does so: the list tells.
func (c *Client) resign(r *room, done func(error)) {
	request := stanza.New(stanza.NSRegister, "query", stanza.New(stanza.NSRegister, "remove"))
	c.ask("set", r.peer, request, func(_ *stanza.Element, err error) {
		if err != nil {
			done(err)
			return
		}
		c.ask("get", r.peer, stanza.AffiliationsQuery(stanza.Member), func(e *stanza.Element, err error) {
			if err != nil { // who is no member is not told
				done(nil)
				return
			}
			items, err := stanza.ReadRoomItems(e.Child(stanza.NSMUCAdmin, "query"))
			if err == nil && slices.ContainsFunc(items, func(i stanza.RoomItem) bool { return i.JID.Bare().Equal(c.selfID) }) {
				err = errors.New("the relay has kept us as a member")
			}
			done(err)
		})
	})
}

// leaving are the changes with which we stop belonging to a room.
func leaving(members []store.Member, self jid.JID) (items []stanza.RoomItem, alone bool) {
	var heir *store.Member
	mine := ""
	owners := 0
	for i := range members {
		m := &members[i]
		if m.Affiliation == string(stanza.Owner) {
			owners++
		}
		if m.Address == self.String() {
			mine = m.Affiliation
			continue
		}
		admin := m.Affiliation == string(stanza.Admin)
		if heir == nil || admin && heir.Affiliation != string(stanza.Admin) ||
			admin == (heir.Affiliation == string(stanza.Admin)) && m.Since.Before(heir.Since) {
			heir = m
		}
	}
	if mine == string(stanza.Owner) && owners == 1 {
		if heir == nil {
			return nil, true
		}
		if j, err := jid.Parse(heir.Address); err == nil {
			items = append(items, stanza.RoomItem{Affiliation: stanza.Owner, JID: j})
		}
	}
	return append(items, stanza.RoomItem{Affiliation: stanza.None, JID: self}), false
}

// left notes that the person has left a room; refused is why we belong to it still.
func (c *Client) left(r *room, refused error) {
	words := "You have left this room"
	if refused != nil {
		c.log.Warn("leave a room", "room", r.peer, "err", refused)
		words += ". The relay still lists you as one of its people, so others may encrypt to your devices: ask whoever runs the room to remove you"
	}
	c.sayGoodbye(r) // even if this desk has not entered it: the link's session may be in it
	c.update("store a room", func(tx *store.Tx, fx *effects) error {
		old, err := tx.Room(r.peer)
		if err != nil || old == nil {
			return err
		}
		old.Joined = false
		if err := tx.PutRoom(*old); err != nil {
			return err
		}
		if err := c.audit(tx, audit.Event{Kind: audit.RoomLeft, Peer: audit.PersonOf(r.peer), Reason: audit.ByPerson}); err != nil {
			return err
		}
		if err := tx.MarkShown(r.peer, nil, time.Now()); err != nil {
			return err
		}
		fx.list = true
		fx.events = append(fx.events, DevicesChanged{r.peer})
		return c.noteInRoom(tx, fx, r.peer, words, true)
	})
	c.publishBookmark(r, false)
	c.flush()
}
