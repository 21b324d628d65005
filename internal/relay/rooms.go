package relay

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
	"sotto/client/stanza"
)

// Rooms (XEP-0045). All of them are members-only, non-anonymous, persistent and
// archived: people who write to each other end to end encrypted have to know
// who reads. Members are people of this relay.
//
// A person is in a room under one nick, with however many devices. A room is in
// memory while somebody is in it or just used it.

// level is an affiliation, in order.
type level int

const (
	outcast level = iota - 1
	none
	member
	admin
	owner
)

var levelNames = map[level]stanza.Affiliation{outcast: stanza.Outcast, none: stanza.None, member: stanza.Member, admin: stanza.Admin, owner: stanza.Owner}

func readLevel(a stanza.Affiliation) (level, bool) {
	for l, name := range levelNames {
		if name == a {
			return l, true
		}
	}
	return none, false
}

func (l level) role() stanza.Role {
	switch {
	case l >= admin:
		return stanza.Moderator
	case l == member:
		return stanza.Participant
	}
	return stanza.NoRole
}

// room is one room. It belongs to the core.
type room struct {
	id      int64
	name    string // localpart
	bare    string
	title   string
	about   string
	public  bool // shown to people who are not members
	invites bool // members may invite
	topics  bool // members may set the subject
	subject subject
	secret  []byte          // behind occupant ids
	levels  map[int64]level // by account; without none
	fresh   bool            // just made, its configuration not yet accepted

	occupants map[int64]*occupant // by account
}

type subject struct {
	text, from string // from is a nick
	time       int64  // microseconds since 1970
}

// occupant is a person who is in a room, with one seat for each device.
type occupant struct {
	account *account
	nick    string
	id      string // XEP-0421
	seats   []*seat
}

type seat struct {
	session *session
	shown   []*stanza.Element // what its presence says
}

const (
	maxRoomName    = 128 // bytes of a room's localpart
	maxNick        = 128
	maxRoomTitle   = 256
	maxRoomAbout   = 4096
	maxRoomSubject = 4096
	maxReason      = 1024
)

// findRoom returns the room called name, or nil.
func (c *core) findRoom(name string) *room {
	if r := c.rooms[name]; r != nil {
		return r
	}
	r := c.store.room(name)
	if r == nil {
		return nil
	}
	r.bare = name + "@" + c.roomService
	c.rooms[name] = r
	return r
}

// reloadRooms brings rooms in memory in line with the database, after a batch
// was undone or an account was removed.
func (c *core) reloadRooms() {
	for name, r := range c.rooms {
		now := c.store.room(name)
		if now == nil || now.id != r.id {
			c.closeRoom(r)
			continue
		}
		now.bare, now.fresh, now.occupants = r.bare, r.fresh, r.occupants
		*r = *now
		for id, o := range r.occupants {
			if r.levels[id] < member {
				c.remove(r, o, removal{code: stanza.StatusUnaffiliated, level: none})
			}
		}
	}
}

// closeRoom forgets a room that is not there any more.
func (c *core) closeRoom(r *room) {
	delete(c.rooms, r.name)
	for _, o := range r.occupants {
		for _, t := range o.seats {
			delete(t.session.rooms, r)
		}
	}
	r.occupants = map[int64]*occupant{}
}

// idleRooms lets go of rooms that nobody is in.
func (c *core) idleRooms() {
	for name, r := range c.rooms {
		if len(r.occupants) == 0 {
			delete(c.rooms, name)
		}
	}
}

// makeRoomFor makes a room that s enters. It has answered where it returns nil.
func (c *core) makeRoomFor(s *session, p *stanza.Element, name string) *room {
	switch {
	case len(name) > maxRoomName:
		c.refuse(s, p, "modify", "jid-malformed", "this name is too long for a room")
		return nil
	case c.store.number(`SELECT count(*) FROM rooms WHERE creator=?`, s.account.id) >= int64(c.limits.RoomsEach),
		c.store.number(`SELECT count(*) FROM rooms`) >= int64(c.limits.Rooms):
		c.refuse(s, p, "wait", "resource-constraint", "there are as many rooms as the relay allows")
		return nil
	}
	r := &room{name: name, bare: name + "@" + c.roomService, topics: true, fresh: true, secret: make([]byte, 32),
		levels: map[int64]level{}, occupants: map[int64]*occupant{}}
	rand.Read(r.secret)
	c.store.addRoom(r, s.account.id, c.now())
	c.setLevel(r, s.account.id, owner)
	c.rooms[name] = r
	return r
}

// setLevel changes what an account is to r.
func (c *core) setLevel(r *room, account int64, l level) {
	if l == none {
		delete(r.levels, account)
		c.store.exec(`DELETE FROM affiliations WHERE room=? AND account=?`, r.id, account)
		return
	}
	r.levels[account] = l
	c.store.exec(`INSERT INTO affiliations VALUES(?,?,?) ON CONFLICT DO UPDATE SET level=excluded.level`, r.id, account, int(l))
}

// occupantID names a person in r whatever their nick (XEP-0421).
func (r *room) occupantID(a *account) string {
	h := hmac.New(sha256.New, r.secret)
	h.Write([]byte(a.bare))
	return hex.EncodeToString(h.Sum(nil)[:20])
}

// seat returns the occupant and the seat of s in r, or nil.
func (r *room) seat(s *session) (*occupant, *seat) {
	o := r.occupants[s.account.id]
	if o == nil {
		return nil, nil
	}
	if i := slices.IndexFunc(o.seats, func(t *seat) bool { return t.session == s }); i >= 0 {
		return o, o.seats[i]
	}
	return nil, nil
}

// called returns the occupant with a nick, or nil.
func (r *room) called(nick string) *occupant {
	for _, o := range r.occupants {
		if o.nick == nick {
			return o
		}
	}
	return nil
}

// everyone returns the sessions that are in r.
func (r *room) everyone() []*session {
	var all []*session
	for _, o := range r.occupants {
		for _, t := range o.seats {
			all = append(all, t.session)
		}
	}
	return all
}

// label is what people see as the name of r.
func (r *room) label() string {
	if r.title != "" {
		return r.title
	}
	return r.name
}

// sameName reports whether people would take two nicks for one.
func sameName(a, b string) bool {
	fold := func(s string) string { return strings.ToLower(strings.Join(strings.Fields(s), " ")) }
	return fold(a) == fold(b)
}

// room reads a room and its affiliations.
func (s *store) room(name string) (r *room) {
	s.each(`SELECT id, title, description, public, invites, topics, subject, subject_from, subject_time, secret FROM rooms WHERE name=?`,
		func(st *sqlite3.Stmt) bool {
			r = &room{id: st.ColumnInt64(0), name: name, title: st.ColumnText(1), about: st.ColumnText(2),
				public: st.ColumnBool(3), invites: st.ColumnBool(4), topics: st.ColumnBool(5),
				subject: subject{st.ColumnText(6), st.ColumnText(7), st.ColumnInt64(8)}, secret: st.ColumnBlob(9, nil),
				levels: map[int64]level{}, occupants: map[int64]*occupant{}}
			return false
		}, name)
	if r != nil {
		s.each(`SELECT account, level FROM affiliations WHERE room=?`, func(st *sqlite3.Stmt) bool {
			r.levels[st.ColumnInt64(0)] = level(st.ColumnInt(1))
			return true
		}, r.id)
	}
	return r
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (s *store) addRoom(r *room, creator int64, now time.Time) {
	s.exec(`INSERT INTO rooms(name, creator, created, title, description, public, invites, topics, subject, subject_from, subject_time, secret)
		VALUES(?,?,?,?,?,?,?,?,'','',0,?)`, r.name, creator, micros(now), r.title, r.about, flag(r.public), flag(r.invites), flag(r.topics), r.secret)
	r.id = s.db.LastInsertRowID()
}

func (s *store) saveRoom(r *room) {
	s.exec(`UPDATE rooms SET title=?, description=?, public=?, invites=?, topics=?, subject=?, subject_from=?, subject_time=? WHERE id=?`,
		r.title, r.about, flag(r.public), flag(r.invites), flag(r.topics), r.subject.text, r.subject.from, r.subject.time, r.id)
}

// removeRoom removes a room; its archive goes bit by bit.
func (s *store) removeRoom(id int64) {
	s.exec(`DELETE FROM rooms WHERE id=?`, id)
	s.exec(`DELETE FROM affiliations WHERE room=?`, id)
	s.exec(`INSERT INTO garbage VALUES(?) ON CONFLICT DO NOTHING`, -id)
}

// removeMember takes a person who is being removed out of all rooms. A room
// that has no owner then gets the member of the highest level, and of those who
// was added first to the relay; one that has no members goes.
func (s *store) removeMember(account int64) {
	var rooms []int64
	s.each(`SELECT room FROM affiliations WHERE account=?`, func(st *sqlite3.Stmt) bool {
		rooms = append(rooms, st.ColumnInt64(0))
		return true
	}, account)
	s.exec(`DELETE FROM affiliations WHERE account=?`, account)
	for _, id := range rooms {
		var heir int64
		l := none
		s.each(`SELECT account, level FROM affiliations WHERE room=? ORDER BY level DESC, account LIMIT 1`, func(st *sqlite3.Stmt) bool {
			heir, l = st.ColumnInt64(0), level(st.ColumnInt(1))
			return false
		}, id)
		switch {
		case l < member:
			s.removeRoom(id)
		case l < owner:
			s.exec(`UPDATE affiliations SET level=? WHERE room=? AND account=?`, int(owner), id, heir)
		}
	}
}
