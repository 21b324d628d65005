package stanza

import "mellium.im/xmpp/jid"

// NSReply is XEP-0461.
const NSReply = "urn:xmpp:reply:0"

// ReplyTo names the message that is answered. In a room id is the one that the
// room gave it, else the one that its sender gave it; to is its sender and may
// be empty.
func ReplyTo(to, id string) *Element {
	e := New(NSReply, "reply").With("id", id)
	if to != "" {
		e.Set("to", to)
	}
	return e
}

// ReadReply returns what e answers. author is the zero JID if it is left out.
func ReadReply(e *Element) (id string, author jid.JID, ok bool) {
	x := e.Child(NSReply, "reply")
	id = readID(x.Get("id"))
	if !e.Is(NSClient, "message") || e.Get("type") == "error" || id == "" {
		return "", jid.JID{}, false
	}
	author, err := optionalJID(x.Get("to"))
	if err != nil {
		author = jid.JID{}
	}
	return id, author, true
}
