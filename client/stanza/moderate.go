package stanza

import "mellium.im/xmpp/jid"

// NSModerate is XEP-0425.
const NSModerate = "urn:xmpp:message-moderate:1"

// ModerateRequest asks a room to take back somebody's message (payload of an IQ
// set to the room). id is the one that the room gave it.
func ModerateRequest(id, reason string) *Element {
	e := New(NSModerate, "moderate", New(NSRetract, "retract")).With("id", id)
	if reason != "" {
		e.Add(TextElement(NSModerate, "reason", reason))
	}
	return e
}

// ReadModerateRequest reads that payload.
func ReadModerateRequest(e *Element) (id, reason string, ok bool) {
	id = readID(e.Get("id"))
	return id, e.Child(NSModerate, "reason").Text(),
		e.Is(NSModerate, "moderate") && id != "" && e.Child(NSRetract, "retract") != nil
}

// Moderation is a room's word that a moderator took back a message. Reason is
// as the moderator wrote it.
type Moderation struct {
	ID         string // of the message, as the room gave it
	By         string // the moderator's address in the room; "" if it does not say
	OccupantID string // the moderator's (XEP-0421); "" if it does not say
	Reason     string
}

// Element builds the child of the room's message to everybody in it.
func (m Moderation) Element() *Element {
	e := New(NSRetract, "retract", moderated(m.By, m.OccupantID)).With("id", m.ID)
	if m.Reason != "" {
		e.Add(TextElement(NSRetract, "reason", m.Reason))
	}
	return e
}

func moderated(by, occupant string) *Element {
	e := New(NSModerate, "moderated")
	if by != "" {
		e.Set("by", by)
	}
	if occupant != "" {
		e.Add(OccupantID(occupant))
	}
	return e
}

// ReadModeration reads a moderation. It counts only if it comes from the room
// itself: a groupchat message from a bare address. Anything else is forged.
func ReadModeration(e *Element) (Moderation, bool) {
	from, err := jid.Parse(e.Get("from"))
	r := e.Child(NSRetract, "retract")
	x := r.Child(NSModerate, "moderated")
	m := Moderation{ID: readID(r.Get("id")), By: x.Get("by"), OccupantID: ReadOccupantID(x), Reason: r.Child(NSRetract, "reason").Text()}
	ok := e.Is(NSClient, "message") && e.Get("type") == "groupchat" && err == nil &&
		from.Localpart() != "" && from.Resourcepart() == "" && x != nil && m.ID != ""
	if !ok {
		return Moderation{}, false
	}
	return m, true
}
