package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mellium.im/xmpp/jid"

	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/text"
	"sotto/client/wire"
)

// Member is somebody who belongs to a room.
type Member struct {
	Address     string
	Name        text.Safe
	Affiliation string // "owner", "admin" or "member"
	Own         bool   // ourselves
	New         bool   // the person was not shown yet that they can read
	Devices     []Device
}

// JoinRoom enters a room that somebody has invited to. It waits for the relay. An
// error says why it cannot be entered, or must not be used.
func (c *Client) JoinRoom(ctx context.Context, peer string) error {
	peer, err := c.address(peer)
	if err != nil {
		return err
	}
	err = c.do(ctx, func(done chan<- error) {
		person := false
		err := c.store.View(c.ctx, func(tx *store.Tx) (err error) {
			person, err = c.isPerson(tx, peer)
			return err
		})
		r := c.rooms[peer]
		switch {
		case err != nil:
			done <- err
			return
		case person || peer == c.self:
			done <- errPerson
			return
		case r == nil && c.countRooms() >= maxRooms:
			done <- errTooMuch
			return
		case r == nil:
			r = newRoom(peer, "")
			c.rooms[peer] = r
		}
		c.enter(r, func(err error) {
			if err != nil {
				known := false
				c.store.View(c.ctx, func(tx *store.Tx) error {
					row, err := tx.Room(peer)
					known = row != nil || err != nil
					return err
				})
				if !known {
					c.dropRoom(r)
				}
			}
			done <- err
		})
	})
	if err != nil {
		return fmt.Errorf("enter the room: %w", c.roomRefusal(err))
	}
	return nil
}

// inRoom has Run do f with a room that we are in. Its error is in words.
func (c *Client) inRoom(ctx context.Context, peer, doing string, f func(r *room, done func(error))) error {
	err := c.do(ctx, func(done chan<- error) {
		r := c.rooms[peer]
		switch {
		case r == nil || !r.wanted:
			done <- errNotIn
		case r.phase != inside:
			done <- errOffline
		default:
			f(r, func(err error) { done <- err })
		}
	})
	if err != nil {
		return fmt.Errorf("%s: %w", doing, c.roomRefusal(err))
	}
	return nil
}

// Invite makes somebody a member of a room, and tells them (XEP-0249). Whoever
// invites has thereby seen that they can read.
func (c *Client) Invite(ctx context.Context, peer, who string) error {
	who, err := c.address(who)
	if err != nil {
		return err
	}
	return c.inRoom(ctx, peer, "invite", func(r *room, done func(error)) {
		j, err := jid.Parse(who)
		if err != nil || who == c.self || c.rooms[who] != nil {
			done(errors.New("invite a person: an address looks like okafor@mercy.example"))
			return
		}
		if err := c.mayTalk(who); err != nil {
			done(err)
			return
		}
		tell := func() {
			id := rand.Text()
			e := stanza.NewChat(who, id, stanza.DirectInvite(r.peer, ""), stanza.StoreHint()).With("type", "normal")
			c.note(wire.Send{ID: id, Stanza: e.Bytes()})
			done(nil)
		}
		if r.members[who] {
			tell() // once more
			return
		}
		item := stanza.RoomItem{Affiliation: stanza.Member, JID: j}
		c.ask("set", r.peer, stanza.SetAffiliations(item), func(_ *stanza.Element, err error) {
			if err != nil {
				if condition(err) == "item-not-found" { // the person, for in the room we are
					err = fmt.Errorf("the relay knows nobody of the address %s. Check how it is written", who)
				}
				done(err)
				return
			}
			ok := c.update("store a member of a room", func(tx *store.Tx, fx *effects) error {
				if err := c.changeMember(tx, fx, r, item); err != nil {
					return err
				}
				return c.accept(tx, r.peer, who)
			})
			if !ok {
				done(errNotStored)
				return
			}
			tell()
		})
	})
}

// Remove takes somebody out of a room for good. What is written from then on is
// not encrypted to them.
func (c *Client) Remove(ctx context.Context, peer, who string) error {
	return c.inRoom(ctx, peer, "remove from the room", func(r *room, done func(error)) {
		j, err := jid.Parse(who)
		if err != nil || !r.members[who] || who == c.self {
			done(errors.New("nobody else of that address belongs to this room"))
			return
		}
		item := stanza.RoomItem{Affiliation: stanza.None, JID: j}
		c.ask("set", r.peer, stanza.SetAffiliations(item), func(_ *stanza.Element, err error) {
			if err == nil {
				c.memberChanged(r, item)
			}
			done(err)
		})
	})
}

// SetTopic says what a room is about, for everybody in it. It is not encrypted.
func (c *Client) SetTopic(ctx context.Context, peer, topic string) error {
	topic = strings.Join(strings.Fields(strings.ToValidUTF8(topic, "")), " ")
	if len(topic) > 1024 {
		return errors.New("this topic is too long")
	}
	return c.inRoom(ctx, peer, "set the topic", func(r *room, done func(error)) {
		id := rand.Text()
		c.note(wire.Send{ID: id, Stanza: stanza.RoomSubject(r.peer, id, topic).Bytes()})
		done(nil)
	})
}

// Members returns who belongs to a room, ourselves too, by address.
func (c *Client) Members(ctx context.Context, peer string) (list []Member, err error) {
	err = c.store.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.Members(peer)
		if err != nil {
			return err
		}
		rs, err := c.readers(tx, peer)
		if err != nil {
			return err
		}
		for _, row := range rows {
			m := Member{Address: row.Address, Name: c.nameFor(row.Address), Affiliation: row.Affiliation, Own: row.Address == c.self}
			m.New = slices.ContainsFunc(rs.fresh, func(r Reader) bool { return r.Address == row.Address })
			devices, err := tx.Devices(row.Address)
			if err != nil {
				return err
			}
			if c.Membership() != nil {
				devices = c.judgedIn(row.Address, devices)
			}
			if m.Own {
				m.Devices = append(m.Devices, c.thisDevice())
			}
			for i := range devices {
				if m.Own && devices[i].ID == c.device.ID() {
					continue
				}
				m.Devices = append(m.Devices, deviceOf(&devices[i]))
			}
			list = append(list, m)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the members: %w", err)
	}
	return list, nil
}

// Recipients returns how far an own message has come with each who shall have it,
// by address; nothing if it was not written to a room.
func (c *Client) Recipients(ctx context.Context, id int64) (list []store.Recipient, err error) {
	err = c.store.View(ctx, func(tx *store.Tx) (err error) {
		list, err = tx.Recipients(id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the recipients: %w", err)
	}
	return list, nil
}

// Room is what a room says of itself, fit for a screen.
type Room struct {
	Name   text.Safe
	Topic  text.Safe
	Joined bool // the person wants to be in it
}

// Room returns what is known of a room; nil if peer is none.
func (c *Client) Room(ctx context.Context, peer string) (r *Room, err error) {
	err = c.store.View(ctx, func(tx *store.Tx) error {
		row, err := tx.Room(peer)
		if row != nil {
			r = &Room{Name: nameOf(row.Name, peer), Topic: text.Line(row.Topic), Joined: row.Joined}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the room: %w", err)
	}
	return r, nil
}
