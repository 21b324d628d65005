package stanza

import (
	"fmt"

	"mellium.im/xmpp/jid"
)

// Bind builds the request for a resource (RFC 6120 section 7). An empty resource
// lets the relay choose.
func Bind(id, resource string) *Element {
	b := New(NSBind, "bind")
	if resource != "" {
		b.Add(TextElement(NSBind, "resource", resource))
	}
	return NewIQ("set", "", id, b)
}

// ReadBind returns the full address that the relay bound. A refusal is a
// *StanzaError.
func ReadBind(iq *Element) (jid.JID, error) {
	if err := ReadError(iq); err != nil {
		return jid.JID{}, err
	}
	j, err := jid.Parse(iq.Child(NSBind, "bind").Child(NSBind, "jid").Text())
	if err != nil {
		return jid.JID{}, fmt.Errorf("read bound address: %w", err)
	}
	if j.Resourcepart() == "" {
		return jid.JID{}, fmt.Errorf("read bound address: it has no resource")
	}
	return j, nil
}
