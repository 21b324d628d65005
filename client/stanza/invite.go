package stanza

import "mellium.im/xmpp/jid"

// NSConference is XEP-0249.
const NSConference = "jabber:x:conference"

// Invitation to a room. Reason is as the other side sent it.
type Invitation struct {
	Room jid.JID // bare
	From jid.JID // who invites, as far as it can be told
	// Direct: a person's own message (XEP-0249), so From is who sent it. If not,
	// the room says so (XEP-0045 section 7.8.2), and only the room's word stands
	// for From.
	Direct bool
	Reason string
}

// DirectInvite goes into a message to whom is invited (XEP-0249). The person
// has to be made a member first; see SetAffiliations.
func DirectInvite(room, reason string) *Element {
	e := New(NSConference, "x").With("jid", room)
	if reason != "" {
		e.Set("reason", reason)
	}
	return e
}

// MediatedInvite asks a room to invite a person (XEP-0045 section 7.8.2). A
// members-only room makes them a member if the sender may do so.
func MediatedInvite(room, id, to, reason string) *Element {
	invite := New(NSMUCUser, "invite").With("to", to)
	if reason != "" {
		invite.Add(TextElement(NSMUCUser, "reason", reason))
	}
	return New(NSClient, "message", New(NSMUCUser, "x", invite)).With("to", room).With("id", id)
}

// DeclineInvite tells who invited that one does not come (section 7.8.2).
func DeclineInvite(room, id, to, reason string) *Element {
	decline := New(NSMUCUser, "decline").With("to", to)
	if reason != "" {
		decline.Add(TextElement(NSMUCUser, "reason", reason))
	}
	return New(NSClient, "message", New(NSMUCUser, "x", decline)).With("to", room).With("id", id)
}

// ReadInvitation reads the invitation in a message. Where a room's own
// invitation carries the older form as well, the room's counts.
func ReadInvitation(e *Element) (Invitation, bool) {
	if !e.Is(NSClient, "message") || e.Get("type") == "error" || e.Get("type") == "groupchat" {
		return Invitation{}, false
	}
	from, err := jid.Parse(e.Get("from"))
	if err != nil {
		return Invitation{}, false
	}
	if x := e.Child(NSMUCUser, "x").Child(NSMUCUser, "invite"); x != nil && from.Localpart() != "" && from.Resourcepart() == "" {
		who, _ := optionalJID(x.Get("from"))
		return Invitation{Room: from, From: who, Reason: x.Child(NSMUCUser, "reason").Text()}, true
	}
	x := e.Child(NSConference, "x")
	room, err := jid.Parse(x.Get("jid"))
	if x == nil || err != nil || room.Localpart() == "" || room.Resourcepart() != "" || room.Equal(from.Bare()) {
		return Invitation{}, false
	}
	return Invitation{Room: room, From: from, Direct: true, Reason: x.Get("reason")}, true
}

// ReadDecline reads a room's word that somebody does not come.
func ReadDecline(e *Element) (Invitation, bool) {
	x := e.Child(NSMUCUser, "x").Child(NSMUCUser, "decline")
	room, err := jid.Parse(e.Get("from"))
	if x == nil || err != nil || e.Get("type") == "error" || room.Resourcepart() != "" {
		return Invitation{}, false
	}
	who, _ := optionalJID(x.Get("from"))
	return Invitation{Room: room, From: who, Reason: x.Child(NSMUCUser, "reason").Text()}, true
}
