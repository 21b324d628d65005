package client

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"mellium.im/xmpp/jid"

	"sotto/client/stanza"
)

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
