package client

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

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

// RoomServices returns the domains on which rooms can be made. It waits for the
// relay.
func (c *Client) RoomServices(ctx context.Context) (services []string, err error) {
	err = c.do(ctx, func(done chan<- error) {
		c.findServices(func(err error) {
			services = slices.Clone(c.services)
			done <- err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("look for rooms: %w", err)
	}
	return services, nil
}

// maxServices bounds those of a relay's services that are asked what they are.
const maxServices = 32

// findServices finds out where rooms can be made (XEP-0045 section 6.1).
func (c *Client) findServices(done func(error)) {
	if c.services != nil {
		done(nil)
		return
	}
	c.ask("get", c.selfID.Domainpart(), stanza.ItemsQuery(""), func(e *stanza.Element, err error) {
		var items []stanza.DiscoItem
		if err == nil {
			items, err = stanza.ReadDiscoItems(e)
		}
		if err != nil {
			done(err)
			return
		}
		var found []string
		items = items[:min(len(items), maxServices)]
		left := 1
		one := func() {
			if left--; left > 0 {
				return
			}
			if len(found) == 0 {
				done(errNoRooms)
				return
			}
			slices.Sort(found)
			c.services = found
			done(nil)
		}
		for _, i := range items {
			j, err := jid.Parse(i.JID)
			if err != nil || j.Localpart() != "" {
				continue
			}
			left++
			c.ask("get", j.String(), stanza.InfoQuery(""), func(e *stanza.Element, err error) {
				if err == nil {
					info, err := stanza.ReadInfo(e)
					if err == nil && info.Has(stanza.NSMUC) && slices.ContainsFunc(info.Identities, func(x stanza.Identity) bool { return x.Category == "conference" }) {
						found = append(found, j.String())
					}
				}
				one()
			})
		}
		one()
	})
}

// CreateRoom makes a room for members who see each other's addresses, with a
// name, and returns its address. It waits for the relay. An error says, in words,
// why there is none.
func (c *Client) CreateRoom(ctx context.Context, name string) (peer string, err error) {
	name = strings.Join(strings.Fields(strings.ToValidUTF8(name, "")), " ")
	switch {
	case name == "":
		return "", errors.New("a room needs a name")
	case len(name) > maxRoomName:
		return "", fmt.Errorf("this name is too long for a room: %d bytes of at most %d", len(name), maxRoomName)
	}
	err = c.do(ctx, func(done chan<- error) {
		if c.countRooms() >= maxRooms {
			done <- errTooMuch
			return
		}
		c.findServices(func(err error) {
			if err != nil {
				done <- err
				return
			}
			peer = roomAddress(name) + "@" + c.services[0]
			r := newRoom(peer, "")
			r.name = name
			c.rooms[peer] = r
			r.done = append(r.done, func(err error) {
				switch {
				case err != nil:
					c.dropRoom(r)
					done <- err
				case !r.fresh:
					c.sayGoodbye(r)
					c.dropRoom(r)
					done <- errors.New("there is such a room already. Try again")
				default:
					c.configure(r, func(err error) { done <- err })
				}
			})
			c.knock(r, maxNicks)
		})
	})
	if err != nil {
		return "", fmt.Errorf("make a room: %w", c.roomRefusal(err))
	}
	return peer, nil
}

// roomAddress makes a localpart for a room's name: what it has of plain letters,
// so that other apps show something readable, and a random end.
func roomAddress(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() >= 24 {
			break
		}
	}
	return strings.Trim(cmp.Or(strings.Trim(b.String(), "-"), "room")+"-"+strings.ToLower(rand.Text()[:8]), "-")
}

func (c *Client) countRooms() int {
	n := 0
	for _, r := range c.rooms {
		if r.wanted || r.phase != outside {
			n++
		}
	}
	return n
}

// dropRoom forgets a room that came to nothing.
func (c *Client) dropRoom(r *room) {
	if c.here(r) && !r.wanted {
		delete(c.rooms, r.peer)
	}
}

// needed are the settings without which a room cannot be used; wished those that
// services call by different names, or lack.
var (
	needed = []stanza.Field{{Var: "muc#roomconfig_membersonly", Value: "1"}, {Var: "muc#roomconfig_whois", Value: "anyone"},
		{Var: "muc#roomconfig_persistentroom", Value: "1"}}
	wished = []stanza.Field{{Var: "muc#roomconfig_publicroom", Value: "0"}, {Var: "public_list", Value: "0"},
		{Var: "muc#roomconfig_moderatedroom", Value: "0"}, {Var: "muc#roomconfig_passwordprotectedroom", Value: "0"},
		{Var: "muc#roomconfig_changesubject", Value: "1"}, {Var: "muc#roomconfig_allowinvites", Value: "0"},
		{Var: "allow_private_messages", Value: "0"}, {Var: "allow_query_users", Value: "0"},
		{Var: "muc#roomconfig_enablearchiving", Value: "1"}, {Var: "mam", Value: "1"}}
)

// configure sets up a room that was just made (section 10.1.3), or ends it again.
func (c *Client) configure(r *room, done func(error)) {
	fail := func(err error) {
		c.ask("set", r.peer, stanza.DestroyRoom(""), func(*stanza.Element, error) {})
		r.phase = outside
		c.dropRoom(r)
		done(err)
	}
	c.ask("get", r.peer, stanza.RoomConfigQuery(), func(e *stanza.Element, err error) {
		var form stanza.DataForm
		if err == nil {
			form, err = stanza.ReadRoomConfig(e)
		}
		if err != nil {
			fail(err)
			return
		}
		want := slices.Concat(needed, wished, []stanza.Field{{Var: "muc#roomconfig_roomname", Value: r.name}})
		answer, missing := form.Answer(want...)
		for _, n := range needed {
			if slices.Contains(missing, n.Var) {
				fail(errors.New("this relay makes no rooms for members who see each other's addresses"))
				return
			}
		}
		c.ask("set", r.peer, stanza.RoomConfig(answer), func(_ *stanza.Element, err error) {
			if err != nil {
				fail(err)
				return
			}
			name := r.name
			c.inspect(r, func(err error) {
				if err != nil {
					fail(err)
					return
				}
				r.name, r.fresh = name, false
				r.done = append(r.done, done)
				c.isInside(r)
			})
		})
	})
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
	if r.phase == inside {
		c.sayGoodbye(r)
	}
	r.phase, r.listed = outside, false
	c.update("store a room", func(tx *store.Tx, fx *effects) error {
		old, err := tx.Room(r.peer)
		if err != nil || old == nil {
			return err
		}
		old.Joined = false
		if err := tx.PutRoom(*old); err != nil {
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
			for i := range devices {
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
