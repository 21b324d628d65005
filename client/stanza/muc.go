package stanza

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"mellium.im/xmpp/jid"
)

// Rooms (XEP-0045), and how to ask whether one is still in (XEP-0410).
const (
	NSMUC          = "http://jabber.org/protocol/muc"
	NSMUCUser      = NSMUC + "#user"
	NSMUCAdmin     = NSMUC + "#admin"
	NSMUCOwner     = NSMUC + "#owner"
	FormRoomConfig = NSMUC + "#roomconfig"
	FormRoomInfo   = NSMUC + "#roominfo"

	FeatureSelfPing = NSMUC + "#self-ping-optimization" // XEP-0410
	FeatureStableID = NSMUC + "#stable_id"              // the room keeps a message's id
)

// Affiliation is what a person is to a room, for good.
type Affiliation string

// The affiliations of section 5.2.
const (
	Owner   Affiliation = "owner"
	Admin   Affiliation = "admin"
	Member  Affiliation = "member"
	Outcast Affiliation = "outcast"
	None    Affiliation = "none"
)

// Role is what somebody may do in a room while there.
type Role string

// The roles of section 5.1.
const (
	Moderator   Role = "moderator"
	Participant Role = "participant"
	Visitor     Role = "visitor"
	NoRole      Role = "none"
)

// Status codes of section 15.6 that matter here.
const (
	StatusNonAnonymous = 100 // everybody in the room sees everybody's address
	StatusAffiliation  = 101 // the affiliation changed while not in the room
	StatusConfigured   = 104 // the room's configuration changed
	StatusSelf         = 110 // this presence is one's own
	StatusLogged       = 170 // the room has an archive
	StatusCreated      = 201 // the room was just made
	StatusNick         = 210 // the room chose the nick
	StatusBanned       = 301
	StatusRenamed      = 303
	StatusKicked       = 307
	StatusUnaffiliated = 321 // removed, because no longer a member
	StatusClosed       = 322 // removed, because the room became members-only
	StatusShutdown     = 332
	StatusFailed       = 333 // removed for a technical reason
)

// Bounds of what is read.
const (
	maxRoomItems  = 8192
	maxRoomStatus = 32
)

// ErrRoom is returned for an answer about a room that cannot be used.
var ErrRoom = errors.New("not a usable answer of a room")

// RoomItem is one person of a room. Reason and the nicks are as others wrote them.
type RoomItem struct {
	Affiliation Affiliation // "" if left out or unknown
	Role        Role        // "" if left out or unknown
	JID         jid.JID     // zero if left out
	Nick        string
	Actor       string // nick, or else address, of who did it
	Reason      string
}

func (i RoomItem) element(space string) *Element {
	e := New(space, "item")
	for _, a := range [][2]string{{"affiliation", string(i.Affiliation)}, {"role", string(i.Role)}, {"jid", i.JID.String()}, {"nick", i.Nick}} {
		if a[1] != "" {
			e.Set(a[0], a[1])
		}
	}
	if i.Actor != "" {
		e.Add(New(space, "actor").With("nick", i.Actor))
	}
	if i.Reason != "" {
		e.Add(TextElement(space, "reason", i.Reason))
	}
	return e
}

// readRoomItem reads an item; false if its address is none.
func readRoomItem(e *Element) (i RoomItem, ok bool) {
	switch a := Affiliation(e.Get("affiliation")); a {
	case Owner, Admin, Member, Outcast, None:
		i.Affiliation = a
	}
	switch r := Role(e.Get("role")); r {
	case Moderator, Participant, Visitor, NoRole:
		i.Role = r
	}
	i.Nick = e.Get("nick")
	actor := e.Child(e.Space, "actor")
	if i.Actor = actor.Get("nick"); i.Actor == "" {
		i.Actor = actor.Get("jid")
	}
	i.Reason = e.Child(e.Space, "reason").Text()
	var err error
	i.JID, err = optionalJID(e.Get("jid"))
	return i, err == nil
}

// RoomUser is what a room says beside presence, or in a message of its own.
type RoomUser struct {
	Items     []RoomItem
	Status    []int // sorted
	Destroyed bool
	Alternate jid.JID // where to go instead; zero if it does not say
	Reason    string  // why it was destroyed
}

// Has reports whether a status code is there.
func (u RoomUser) Has(code int) bool { return slices.Contains(u.Status, code) }

// Item returns the first item, or a zero one.
func (u RoomUser) Item() RoomItem {
	if len(u.Items) == 0 {
		return RoomItem{}
	}
	return u.Items[0]
}

// Element builds the child of presence or message.
func (u RoomUser) Element() *Element {
	x := New(NSMUCUser, "x")
	for _, i := range u.Items {
		x.Add(i.element(NSMUCUser))
	}
	if u.Destroyed {
		d := New(NSMUCUser, "destroy")
		if !u.Alternate.Equal(jid.JID{}) {
			d.Set("jid", u.Alternate.String())
		}
		if u.Reason != "" {
			d.Add(TextElement(NSMUCUser, "reason", u.Reason))
		}
		x.Add(d)
	}
	for _, s := range u.Status {
		x.Add(New(NSMUCUser, "status").With("code", strconv.Itoa(s)))
	}
	return x
}

// ReadRoomUser reads what a room adds to a presence or message; false if it adds
// nothing. The caller checks that the stanza comes from a room it is in: anybody
// can send such an element.
func ReadRoomUser(e *Element) (u RoomUser, ok bool) {
	x := e.Child(NSMUCUser, "x")
	if x == nil {
		return u, false
	}
	for c := range x.Elements() {
		switch {
		case c.Is(NSMUCUser, "item"):
			if i, ok := readRoomItem(c); ok && len(u.Items) < maxRoomItems {
				u.Items = append(u.Items, i)
			}
		case c.Is(NSMUCUser, "status"):
			if n, err := strconv.ParseUint(c.Get("code"), 10, 10); err == nil && len(u.Status) < maxRoomStatus {
				u.Status = append(u.Status, int(n))
			}
		case c.Is(NSMUCUser, "destroy"):
			u.Destroyed = true
			u.Alternate, _ = optionalJID(c.Get("jid"))
			u.Reason = c.Child(NSMUCUser, "reason").Text()
		}
	}
	slices.Sort(u.Status)
	return u, true
}

// JoinRoom builds presence that enters a room, or makes it (section 7.2).
// occupant is the room's address with the wanted nick as resource. history is
// how many past messages the room shall send, -1 as many as it likes: who reads
// the archive asks for none. Further children, such as Caps, can be given.
func JoinRoom(occupant string, history int, children ...*Element) *Element {
	x := New(NSMUC, "x")
	if history >= 0 {
		x.Add(New(NSMUC, "history").With("maxstanzas", strconv.Itoa(history)))
	}
	return New(NSClient, "presence", x).With("to", occupant).Add(children...)
}

// LeaveRoom builds presence that leaves (section 7.14).
func LeaveRoom(occupant string) *Element {
	return New(NSClient, "presence").With("type", "unavailable").With("to", occupant)
}

// RoomJoin is what presence that enters a room asks for. Numbers are -1 where
// they are left out or none.
type RoomJoin struct {
	MaxStanzas, MaxChars, Seconds int
	Since                         time.Time // zero if left out
}

// ReadRoomJoin reads presence that enters a room; false if it is none.
func ReadRoomJoin(e *Element) (RoomJoin, bool) {
	x := e.Child(NSMUC, "x")
	if x == nil || !e.Is(NSClient, "presence") || e.Get("type") != "" {
		return RoomJoin{}, false
	}
	h := x.Child(NSMUC, "history")
	number := func(name string) int {
		n, err := strconv.ParseUint(h.Get(name), 10, 31)
		if err != nil {
			return -1
		}
		return int(n)
	}
	j := RoomJoin{MaxStanzas: number("maxstanzas"), MaxChars: number("maxchars"), Seconds: number("seconds")}
	if t, err := time.Parse(time.RFC3339, h.Get("since")); err == nil {
		j.Since = t
	}
	return j, true
}

// NewGroupchat builds a message to a room; see NewChat.
func NewGroupchat(room, id string, children ...*Element) *Element {
	return NewChat(room, id, children...).With("type", "groupchat")
}

// RoomSubject builds the message that sets a room's topic (section 8.1); an
// empty text clears it.
func RoomSubject(room, id, text string) *Element {
	return New(NSClient, "message", TextElement(NSClient, "subject", text)).
		With("type", "groupchat").With("to", room).With("id", id)
}

// ReadRoomSubject returns the topic that a groupchat message sets. A message
// with a body or a thread sets none (section 8.1).
func ReadRoomSubject(e *Element) (text string, ok bool) {
	s := e.Child(NSClient, "subject")
	if s == nil || !e.Is(NSClient, "message") || e.Get("type") != "groupchat" ||
		e.Child(NSClient, "body") != nil || e.Child(NSClient, "thread") != nil {
		return "", false
	}
	return s.Text(), true
}

// AffiliationsQuery asks a room who has an affiliation (payload of an IQ get).
func AffiliationsQuery(a Affiliation) *Element { return roomQuery(RoomItem{Affiliation: a}) }

// SetAffiliations changes what people are to a room (payload of an IQ set,
// sections 9 and 10): items need Affiliation and JID, and may have a Reason.
func SetAffiliations(items ...RoomItem) *Element { return roomQuery(items...) }

// Kick removes an occupant, who may come back (payload of an IQ set, section 8.2).
func Kick(nick, reason string) *Element {
	return roomQuery(RoomItem{Nick: nick, Role: NoRole, Reason: reason})
}

func roomQuery(items ...RoomItem) *Element {
	q := New(NSMUCAdmin, "query")
	for _, i := range items {
		q.Add(i.element(NSMUCAdmin))
	}
	return q
}

// ReadRoomItems reads the items of a query to a room, or of its answer: payload
// is the query element. An item with an address that is none is an error.
func ReadRoomItems(payload *Element) ([]RoomItem, error) {
	if !payload.Is(NSMUCAdmin, "query") {
		return nil, ErrRoom
	}
	var items []RoomItem
	for c := range payload.Elements() {
		if !c.Is(NSMUCAdmin, "item") {
			continue
		}
		i, ok := readRoomItem(c)
		if !ok || len(items) == maxRoomItems {
			return nil, ErrRoom
		}
		items = append(items, i)
	}
	return items, nil
}

// RoomItemsResult builds the answer to AffiliationsQuery.
func RoomItemsResult(items []RoomItem) *Element { return roomQuery(items...) }

// RoomConfigQuery asks an own room for its configuration form (payload of an IQ get).
func RoomConfigQuery() *Element { return New(NSMUCOwner, "query") }

// ReadRoomConfig reads the answer to RoomConfigQuery.
func ReadRoomConfig(iq *Element) (DataForm, error) {
	f, err := ReadDataForm(iq.Child(NSMUCOwner, "query").Child(nsData, "x"))
	if err != nil || iq.Get("type") != "result" || f.Type != "form" || f.FormType != "" && f.FormType != FormRoomConfig {
		return DataForm{}, ErrRoom
	}
	return f, nil
}

// RoomConfig sets the configuration (payload of an IQ set); see DataForm.Answer.
func RoomConfig(submission *Element) *Element { return New(NSMUCOwner, "query", submission) }

// InstantRoom takes a new room as it is (payload of an IQ set, section 10.1.2).
func InstantRoom() *Element { return RoomConfig(New(nsData, "x").With("type", "submit")) }

// DestroyRoom ends a room for everybody (payload of an IQ set, section 10.9).
func DestroyRoom(reason string) *Element {
	d := New(NSMUCOwner, "destroy")
	if reason != "" {
		d.Add(TextElement(NSMUCOwner, "reason", reason))
	}
	return New(NSMUCOwner, "query", d)
}

// RoomInfo is what a room says about itself (section 6.4). Texts are as the
// other side sent them.
type RoomInfo struct {
	Name, Description, Subject string
	Occupants                  int // -1 if it does not say

	MembersOnly, NonAnonymous, Persistent, Hidden, Moderated, Password bool

	Archive     bool // XEP-0313
	OccupantIDs bool // XEP-0421
	Moderation  bool // XEP-0425
	SelfPing    bool // XEP-0410: the room answers a ping to oneself
	StableIDs   bool // the room keeps a message's id, so that the echo is known by it
}

// ReadRoomInfo reads a room's disco#info answer.
func ReadRoomInfo(iq *Element) (RoomInfo, error) {
	info, err := ReadInfo(iq)
	if err != nil || !info.Has(NSMUC) {
		return RoomInfo{}, ErrRoom
	}
	r := RoomInfo{Occupants: -1,
		MembersOnly: info.Has("muc_membersonly"), NonAnonymous: info.Has("muc_nonanonymous"),
		Persistent: info.Has("muc_persistent"), Hidden: info.Has("muc_hidden"),
		Moderated: info.Has("muc_moderated"), Password: info.Has("muc_passwordprotected"),
		Archive: info.Has(NSMAM), OccupantIDs: info.Has(NSOccupantID), Moderation: info.Has(NSModerate),
		SelfPing: info.Has(FeatureSelfPing), StableIDs: info.Has(FeatureStableID)}
	for _, id := range info.Identities {
		if id.Category == "conference" && r.Name == "" {
			r.Name = id.Name
		}
	}
	for e := range iq.Child(NSDiscoInfo, "query").Elements() {
		f, err := ReadDataForm(e)
		if err != nil || f.FormType != FormRoomInfo {
			continue
		}
		r.Description, r.Subject = f.Value("muc#roominfo_description"), f.Value("muc#roominfo_subject")
		if name := f.Value("muc#roomconfig_roomname"); name != "" {
			r.Name = name
		}
		if n, err := strconv.ParseUint(strings.TrimSpace(f.Value("muc#roominfo_occupants")), 10, 31); err == nil {
			r.Occupants = int(n)
		}
	}
	return r, nil
}

// ReadSelfPing reads the answer to a ping of one's own address in a room
// (XEP-0410 section 3.2): whether one is still in it. known is false where the
// answer does not tell, and one should ask again later.
func ReadSelfPing(iq *Element) (joined, known bool) {
	switch iq.Get("type") {
	case "result":
		return true, true
	case "error":
		switch ReadError(iq).Condition {
		case "service-unavailable", "feature-not-implemented", "item-not-found":
			return true, true
		case "remote-server-not-found", "remote-server-timeout":
			return false, false
		}
		return false, true
	}
	return false, false
}
