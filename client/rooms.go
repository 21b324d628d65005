package client

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"mellium.im/xmpp/jid"

	"sotto/client/audit"
	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/text"
	"sotto/client/wire"
)

// Rooms (XEP-0045) are conversations among many. Only those are used that are
// for members, who see each other's addresses: who writes has to know who reads.
//
// What a room says of people is its relay's word. It decides whom to ask for keys
// and what to show, and nothing else: a message counts as from whoever's device
// it decrypts with, and what is written goes to nobody whom the person was not
// shown (see readers.go).

// phase is how far the own client is into a room.
type phase int

const (
	outside phase = iota
	entering
	inside
)

// room is what is known about one room in this session. Run owns it.
type room struct {
	peer     string // its bare JID
	wanted   bool   // the person wants to be in it
	phase    phase
	nick     string
	join     string            // id of the presence that enters
	conflict func() bool       // tries another nick; false if enough were
	fresh    bool              // it was just made, by this client
	people   map[string]string // nick to bare JID, of who is in
	why      string            // why nothing can be sent there; "" if it can
	done     []func(error)     // who waits for the end of entering

	members  map[string]bool               // as the store has them
	roles    map[string]stanza.Affiliation // of members, as the room has given them
	listed   bool                          // and as the room has given them in this session
	listing  bool                          // or is being asked for
	expelled map[string]bool               // who has left the organisation, and was taken out
	since    time.Time                     // when it was listed

	pinging bool
	archive roomArchive
	name    string
}

// Bounds and patience.
const (
	maxRooms      = 250              // that the own account is in
	roomRetry     = 20 * time.Second // until a room is entered again
	roomPatience  = 30 * time.Second // for a room to let us in
	roomPing      = 10 * time.Minute // between two questions whether we are still in
	maxRoomName   = 200              // bytes
	maxNicks      = 5                // that are tried
	echoPatience  = 20 * time.Second // for the room to show what was sent to it
	lookedLongAgo = 5 * time.Minute  // after that the devices of members are asked for again
)

// Why a room cannot be used.
var (
	errNotRoom   = errors.New("there is no room of this address, or you do not belong to it. Ask somebody in it to invite you")
	errOpen      = errors.New("this room lets in more than its members, so nobody can say who reads there. sotto does not use such rooms")
	errVeiled    = errors.New("this room hides who is in it, so nobody can say who reads there. sotto does not use such rooms")
	errNotIn     = errors.New("you are not in this room. /join enters it")
	errNoRooms   = errors.New("this relay has no rooms (XEP-0045). Ask its administrator to turn them on")
	errTooMuch   = fmt.Errorf("you are in %d rooms already. Leave one first: /leave", maxRooms)
	errPerson    = errors.New("this is the address of a person and not of a room")
	errNotStored = errors.New("it could not be stored")
	errNoPeople  = errors.New("there is nobody else in this room yet. Invite people first: /invite NAME")
)

// enterRooms enters, at the start of a session, the rooms that the person wants
// to be in.
func (c *Client) enterRooms() {
	old := c.rooms
	c.rooms, c.services = make(map[string]*room), nil
	for _, r := range old {
		c.entered(r, errOffline)
	}
	err := c.store.View(c.ctx, func(tx *store.Tx) error {
		list, err := tx.Rooms()
		if err != nil {
			return err
		}
		for i := range list {
			r := newRoom(list[i].Address, list[i].Nick)
			r.wanted, r.name = list[i].Joined, list[i].Name
			members, err := tx.Members(r.peer)
			if err != nil {
				return err
			}
			for _, m := range members {
				r.members[m.Address] = true
			}
			c.rooms[r.peer] = r
		}
		return nil
	})
	if err != nil {
		c.log.Error("read the rooms", "err", err)
		c.later(storeRetry, c.enterRooms)
		return
	}
	for _, r := range c.rooms {
		if r.wanted {
			c.enter(r, nil)
		}
	}
	c.askBookmarks()
	c.later(roomPing, c.pingRooms)
}

func newRoom(peer, nick string) *room {
	return &room{peer: peer, nick: nick, people: make(map[string]string), members: make(map[string]bool), roles: make(map[string]stanza.Affiliation)}
}

// here reports whether r is still what is known of its room: a session that ended
// meanwhile has made it anew.
func (c *Client) here(r *room) bool { return c.rooms[r.peer] == r }

// enter asks a room what it is, and enters it if it can be used. done, which may
// be nil, is called with the end of it.
func (c *Client) enter(r *room, done func(error)) {
	if done != nil {
		r.done = append(r.done, done)
	}
	switch r.phase {
	case inside:
		if r.listed || r.why != "" {
			c.entered(r, nil)
		}
		return
	case entering:
		return
	}
	r.phase, r.join, r.why = entering, "", ""
	c.inspect(r, func(err error) {
		switch {
		case !c.here(r) || r.phase != entering:
		case err != nil:
			c.entered(r, err)
		default:
			c.knock(r, maxNicks)
		}
	})
}

// inspect asks a room what it is; an error says why it cannot be used.
func (c *Client) inspect(r *room, done func(error)) {
	c.ask("get", r.peer, stanza.InfoQuery(""), func(e *stanza.Element, err error) {
		if err != nil {
			done(err)
			return
		}
		info, err := stanza.ReadRoomInfo(e)
		switch {
		case err != nil:
			err = errNotRoom
		case !info.MembersOnly:
			err = errOpen
		case !info.NonAnonymous:
			err = errVeiled
		default:
			r.archive.none = !info.Archive
			if name := bounded(strings.TrimSpace(info.Name), maxRoomName); name != "" {
				r.name = name
			}
		}
		done(err)
	})
}

// knock sends the presence that enters.
func (c *Client) knock(r *room, nicks int) {
	if r.nick == "" {
		r.nick = c.selfID.Localpart()
	}
	to, err := jid.Parse(r.peer + "/" + r.nick)
	if err != nil {
		c.entered(r, fmt.Errorf("enter the room: %w", err))
		return
	}
	id := rand.Text()
	r.phase, r.join = entering, id
	clear(r.people)
	c.out.send(wire.Send{ID: id, Stanza: stanza.JoinRoom(to.String(), 0).With("id", id).Bytes()})
	c.later(roomPatience, func() {
		if c.here(r) && r.phase == entering && r.join == id {
			c.entered(r, errNoAnswer)
		}
	})
	r.conflict = func() bool {
		if nicks--; nicks <= 0 {
			return false
		}
		r.nick = c.selfID.Localpart() + "-" + strings.ToLower(rand.Text()[:4])
		c.knock(r, nicks)
		return true
	}
}

// entered ends entering, one way or the other.
func (c *Client) entered(r *room, err error) {
	waiting := r.done
	r.done = nil
	if err != nil && r.phase == entering {
		r.phase = outside
		switch {
		case passing(err) || condition(err) == "conflict":
			c.later(roomRetry, func() { c.reenter(r) })
		case r.wanted:
			r.why = c.roomRefusal(err).Error()
			c.log.Warn("room not entered", "room", r.peer, "err", err)
			c.sayOnce(r.peer, "%s cannot be entered: %s", c.short(r.peer), r.why)
		}
	}
	for _, done := range waiting {
		done(err)
	}
	c.kick()
}

// reenter enters a room again that should be entered.
func (c *Client) reenter(r *room) {
	if c.here(r) && r.wanted && r.phase == outside {
		c.enter(r, nil)
	}
}

// roomRefusal puts into words why a room does not do what it was asked to.
func (c *Client) roomRefusal(err error) error {
	switch condition(err) {
	case "registration-required", "item-not-found":
		return errNotRoom
	case "forbidden", "not-allowed":
		return errors.New("only those who run this room may do that")
	case "remote-server-not-found":
		return errors.New("the relay finds no server of that name")
	}
	return err
}

// isInside goes on once the room has let us in.
func (c *Client) isInside(r *room) {
	if r.fresh { // whoever made it configures it first
		c.entered(r, nil)
		return
	}
	known := true
	ok := c.update("store a room", func(tx *store.Tx, fx *effects) error {
		old, err := tx.Room(r.peer)
		if err != nil {
			return err
		}
		known = old != nil && old.Joined
		now := store.Room{Address: r.peer, Name: r.name, Nick: r.nick, Joined: true}
		if old != nil {
			now.Topic = old.Topic
		}
		if err := tx.PutRoom(now); err != nil || known {
			return err
		}
		if err := tx.SetValue(invitedName(r.peer), nil); err != nil {
			return err
		}
		if err := c.audit(tx, audit.Event{Kind: audit.RoomJoined, Peer: audit.PersonOf(r.peer)}); err != nil {
			return err
		}
		fx.list = true
		return c.noteInRoom(tx, fx, r.peer, "You are in this room now. /members shows who can read", true)
	})
	if !ok {
		c.shut(r, errNoAnswer)
		return
	}
	r.wanted = true
	c.rename(r)
	if !known {
		c.publishBookmark(r, true)
	}
	c.askMembers(r) // who waits is told once they are known
}

// rename has the room called by its name.
func (c *Client) rename(r *room) {
	c.mu.Lock()
	c.names[r.peer] = r.name
	c.mu.Unlock()
	c.events.put(ConversationsChanged{})
}

// noteInRoom puts a line of ours into a room's conversation. One that is no news
// counts as read.
func (c *Client) noteInRoom(tx *store.Tx, fx *effects, peer, words string, read bool) error {
	row := store.Message{Peer: peer, Sender: peer, Time: time.Now(), Body: text.Line(words).String(), Kind: store.Notice, Read: read}
	if _, err := tx.AddMessage(&row); err != nil {
		return err
	}
	return fx.added(tx, &row)
}

// shut leaves a room that cannot be used.
func (c *Client) shut(r *room, why error) {
	if r.phase == outside {
		return
	}
	c.sayGoodbye(r)
	r.phase = entering // for entered
	c.entered(r, why)
}

// sayGoodbye sends the presence that leaves.
func (c *Client) sayGoodbye(r *room) {
	if to, err := jid.Parse(r.peer + "/" + r.nick); err == nil {
		id := rand.Text()
		c.out.send(wire.Send{ID: id, Stanza: stanza.LeaveRoom(to.String()).With("id", id).Bytes()})
	}
	clear(r.people)
	r.phase, r.listed = outside, false
}

// tellRooms has a screen read again who can read in rooms, where somebody's
// devices have changed.
func (c *Client) tellRooms(fx *effects) {
	changed := make(map[string]bool)
	for _, e := range fx.events {
		d, ok := e.(DevicesChanged)
		if !ok || c.rooms[d.Peer] != nil {
			continue
		}
		for _, r := range c.rooms {
			if r.members[d.Peer] {
				changed[r.peer] = true
			}
		}
	}
	for peer := range changed {
		fx.events = append(fx.events, DevicesChanged{peer})
	}
}
