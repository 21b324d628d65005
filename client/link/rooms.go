package link

import (
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"mellium.im/xmpp/jid"

	"sotto/client/stanza"
)

// Rooms (XEP-0045) forget who was in them when a session ends. While a desk is
// attached, entering them again is its work. While none is, the link does it, so
// that what is written there goes on to be counted and to ring. It remembers where
// the desk has entered, and asks a room what it is before: never does it make one,
// or enter one that sotto does not use.

// Bounds of what is remembered.
const (
	maxRooms = 250 // as many as a desk enters
	maxNicks = 5   // that are tried
)

// room is one that the desk has entered in this login.
type room struct {
	occupant jid.JID // the own address in it: the room's with the own nick

	// In this session:
	asked   bool      // it was entered, or is being entered
	inquiry string    // id of the question what it is; "" when none is out
	join    string    // id of the presence that entered it last
	own     bool      // which was the link's
	nicks   int       // that the link has tried
	next    time.Time // not to be asked before
}

// roomSent takes note of presence that the desk sends.
func (o *owner) roomSent(e *stanza.Element) {
	if e.Local != "presence" {
		return
	}
	if e.Get("to") == "" {
		if e.Get("type") == "unavailable" {
			clear(o.rooms)
		}
		return
	}
	to, err := jid.Parse(e.Get("to"))
	if err != nil {
		return
	}
	bare := to.Bare().String()
	if e.Get("type") == "unavailable" {
		delete(o.rooms, bare)
		return
	}
	if _, ok := stanza.ReadRoomJoin(e); !ok || to.Resourcepart() == "" || len(o.rooms) >= maxRooms && o.rooms[bare] == nil {
		return
	}
	if o.rooms == nil {
		o.rooms = make(map[string]*room)
	}
	o.rooms[bare] = &room{occupant: to, asked: true, join: strings.Clone(e.Get("id"))}
}

// roomsLost notes that a session has begun in which no room was entered yet.
func (o *owner) roomsLost() {
	for bare, r := range o.rooms {
		o.rooms[bare] = &room{occupant: r.occupant}
	}
}

// enterRooms enters the rooms that this session is not in, unless there is a desk
// to do it.
func (o *owner) enterRooms() {
	if o.stream == nil || o.desk != nil && o.desk.ready {
		return
	}
	now := time.Now()
	for _, bare := range slices.Sorted(maps.Keys(o.rooms)) {
		r := o.rooms[bare]
		if r.asked || now.Before(r.next) {
			continue
		}
		id := o.newID()
		if !o.out.push(outgoing{b: stanza.NewIQ("get", bare, id, stanza.InfoQuery("")).Bytes()}) {
			return
		}
		r.asked, r.inquiry, r.nicks = true, id, 0
	}
}

// roomAnswered takes the answer of a room that was asked what it is.
func (o *owner) roomAnswered(q stanza.IQ, e *stanza.Element) {
	from, err := jid.Parse(q.From)
	if err != nil {
		return
	}
	r := o.rooms[from.String()]
	if r == nil || r.inquiry != q.ID {
		return
	}
	r.inquiry = ""
	if _, err := stanza.CheckIQ(e); err != nil {
		o.roomRefused(r, err)
		return
	}
	if info, err := stanza.ReadRoomInfo(e); err != nil || !info.MembersOnly || !info.NonAnonymous {
		delete(o.rooms, from.String())
		return
	}
	o.knock(r)
}

// knock sends the presence that enters. The past is left to the room's archive,
// which the next desk reads. A desk that has come meanwhile enters by itself.
func (o *owner) knock(r *room) {
	id := o.newID()
	if o.desk != nil && o.desk.ready || !o.out.push(outgoing{b: stanza.JoinRoom(r.occupant.String(), 0).With("id", id).Bytes()}) {
		o.roomLater(r)
		return
	}
	r.join, r.own = id, true
	r.nicks++
}

// roomLater has a room be entered after a while.
func (o *owner) roomLater(r *room) {
	r.asked, r.next = false, time.Now().Add(o.pingEvery()/2)
}

// roomRefused takes the word of a room that it lets nobody in, or of its server
// that it cannot be reached. Only what may pass is tried again.
func (o *owner) roomRefused(r *room, err error) {
	s, _ := errors.AsType[*stanza.StanzaError](err)
	switch {
	case s == nil:
	case s.Condition == "conflict" && r.own && r.nicks < maxNicks:
		nick := o.acct.address.Localpart() + "-" + strings.ToLower(rand.Text()[:4])
		if occupant, err := r.occupant.WithResource(nick); err == nil {
			r.occupant = occupant
			o.knock(r)
			return
		}
	case s.Type == "wait", s.Condition == "remote-server-timeout", s.Condition == "remote-server-not-found",
		s.Condition == "recipient-unavailable", s.Condition == "internal-server-error":
		o.roomLater(r)
		return
	}
	o.cfg.Logger.Info("room not entered", "room", r.occupant.Bare().String(), "err", err)
	delete(o.rooms, r.occupant.Bare().String())
}

// roomPresence takes presence from a room.
func (o *owner) roomPresence(e *stanza.Element) {
	p, err := stanza.ReadPresence(e)
	if err != nil {
		return
	}
	bare := p.From.Bare().String()
	r := o.rooms[bare]
	if r == nil {
		return
	}
	if p.Type == "error" {
		if r.join != "" && e.Get("id") == r.join {
			r.join = ""
			o.roomRefused(r, stanza.ReadError(e))
		}
		return
	}
	u, _ := stanza.ReadRoomUser(e)
	switch {
	case !u.Has(stanza.StatusSelf) || p.From.Resourcepart() == "":
	case p.Type == "" && u.Has(stanza.StatusCreated) && r.own:
		// The room has gone since it said what it is: who leaves it unmade takes it back.
		o.out.push(outgoing{b: stanza.LeaveRoom(p.From.String()).Bytes()})
		delete(o.rooms, bare)
	case p.Type == "":
		r.occupant, r.asked = p.From, true
	case p.Type == "unavailable":
		o.roomLeft(bare, r, u)
	}
}

// roomLeft takes the word of a room that we are in it no longer. Where people have
// seen to that, it stays so; where the room shuts down or takes us for gone, it is
// entered again.
func (o *owner) roomLeft(bare string, r *room, u stanza.RoomUser) {
	if u.Has(stanza.StatusRenamed) {
		if occupant, err := r.occupant.WithResource(u.Item().Nick); err == nil && u.Item().Nick != "" {
			r.occupant = occupant
		}
		return
	}
	if u.Destroyed || u.Has(stanza.StatusUnaffiliated) || u.Has(stanza.StatusBanned) || u.Has(stanza.StatusClosed) ||
		u.Has(stanza.StatusKicked) && !u.Has(stanza.StatusFailed) {
		delete(o.rooms, bare)
		return
	}
	o.roomLater(r)
}

// roomNews reports whether a message of type groupchat is news: written by
// somebody else, and now.
func (o *owner) roomNews(e *stanza.Element) bool {
	from, err := jid.Parse(e.Get("from"))
	if err != nil || from.Resourcepart() == "" { // the room itself
		return false
	}
	if d := e.Child(stanza.NSDelay, "delay"); d != nil {
		// The own relay delays, too, what comes after a broken connection.
		by, err := jid.Parse(d.Get("from"))
		if err != nil || by.Bare().Equal(from.Bare()) {
			return false
		}
	}
	if r := o.rooms[from.Bare().String()]; r != nil && r.occupant.Equal(from) {
		return false
	}
	who, err := stanza.Parse(o.present.newest[from.String()])
	if err != nil {
		return true
	}
	u, _ := stanza.ReadRoomUser(who)
	return !u.Item().JID.Bare().Equal(o.acct.address)
}
