package client

import (
	"context"
	"crypto/rand"
	"errors"

	"mellium.im/xmpp/jid"

	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/wire"
)

// SetAffiliation makes a member of a room an admin or owner of it, or a member and
// nothing more. It waits for the relay, which says who may do that. Who runs a room
// reads no more than others, and decides who else can.
func (c *Client) SetAffiliation(ctx context.Context, peer, who string, a stanza.Affiliation) error {
	if a != stanza.Owner && a != stanza.Admin && a != stanza.Member {
		return errors.New("people of a room are owners, admins or members")
	}
	return c.inRoom(ctx, peer, "change who runs the room", func(r *room, done func(error)) {
		j, err := jid.Parse(who)
		if err != nil || !r.members[who] {
			done(errors.New("nobody of that address belongs to this room. /invite first"))
			return
		}
		item := stanza.RoomItem{Affiliation: a, JID: j}
		if who == c.self && a != stanza.Owner {
			others, err := c.otherOwners(r)
			if err != nil || !others {
				if err == nil {
					err = errors.New("you are the only owner of this room. Make somebody else one first: /owner NAME")
				}
				done(err)
				return
			}
		}
		c.ask("set", r.peer, stanza.SetAffiliations(item), func(_ *stanza.Element, err error) {
			if err == nil && c.here(r) {
				c.memberChanged(r, item)
			}
			done(err)
		})
	})
}

// otherOwners reports whether a room has an owner besides us, or we are none.
func (c *Client) otherOwners(r *room) (yes bool, err error) {
	err = c.store.View(c.ctx, func(tx *store.Tx) error {
		members, err := tx.Members(r.peer)
		mine := ""
		for _, m := range members {
			if m.Address == c.self {
				mine = m.Affiliation
			} else if m.Affiliation == string(stanza.Owner) {
				yes = true
			}
		}
		yes = yes || mine != string(stanza.Owner)
		return err
	})
	return yes, err
}

// Decline turns an invitation to a room down. Whoever invites makes one a member,
// to whom others encrypt: that is given up, too, as far as the relay lets one.
func (c *Client) Decline(ctx context.Context, peer string) error {
	peer, err := c.address(peer)
	if err != nil {
		return err
	}
	return c.do(ctx, func(done chan<- error) {
		by := ""
		invited := false
		err := c.store.View(c.ctx, func(tx *store.Tx) error {
			v, err := tx.Value(invitedName(peer))
			invited = v != nil
			if err != nil || !invited {
				return err
			}
			list, err := tx.Messages(peer, 0, 50)
			for i := range list {
				if list[i].Kind == store.Notice && list[i].Sender != peer && !list[i].Outgoing {
					by = list[i].Sender
				}
			}
			return err
		})
		r := c.rooms[peer]
		switch {
		case err != nil:
			done <- err
			return
		case r != nil && r.wanted:
			done <- errors.New("you are in this room. /leave leaves it")
			return
		case !invited:
			done <- errors.New("you are not invited to this room")
			return
		case !c.online:
			done <- errOffline
			return
		case r == nil:
			r = newRoom(peer, "")
		}
		if _, err := jid.Parse(by); by != "" && err == nil {
			id := rand.Text()
			c.note(wire.Send{ID: id, Stanza: stanza.DeclineInvite(peer, id, by, "").Bytes()})
		}
		c.resign(r, func(refused error) {
			ok := c.update("decline an invitation", func(tx *store.Tx, fx *effects) error {
				if err := tx.SetValue(invitedName(peer), nil); err != nil {
					return err
				}
				words := "You have turned this invitation down"
				if refused != nil {
					c.log.Info("give up being a member", "room", peer, "err", refused)
					words += ". The relay may still list you as one of its people, so others may encrypt to your devices: ask whoever invited you to take you out"
				}
				fx.list = true
				return c.noteInRoom(tx, fx, peer, words, true)
			})
			if !ok {
				done <- errNotStored
				return
			}
			done <- nil
		})
	})
}

// turnedDown tells whoever runs a room that somebody has turned an invitation down,
// by the room's word.
func (c *Client) turnedDown(tx *store.Tx, fx *effects, r *room, inv stanza.Invitation) error {
	who := inv.From.Bare().String()
	if who == "" || who == c.self || !c.mayWarn(r.peer) {
		return nil
	}
	fx.after = append(fx.after, func() { c.askMembers(r) })
	return c.noteInRoom(tx, fx, r.peer, c.short(who)+" has turned the invitation to this room down", true)
}
