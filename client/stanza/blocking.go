package stanza

import "mellium.im/xmpp/jid"

// NSBlocking is XEP-0191.
const NSBlocking = "urn:xmpp:blocking"

// BlockList asks for the addresses that are blocked (payload of an IQ get).
func BlockList() *Element { return New(NSBlocking, "blocklist") }

// Block blocks an address (payload of an IQ set).
func Block(address string) *Element {
	return New(NSBlocking, "block", New(NSBlocking, "item").With("jid", address))
}

// Unblock lets an address through again (payload of an IQ set).
func Unblock(address string) *Element {
	return New(NSBlocking, "unblock", New(NSBlocking, "item").With("jid", address))
}

// ReadBlocking reads the addresses in a blocklist, block or unblock element.
func ReadBlocking(e *Element) []jid.JID {
	var out []jid.JID
	for item := range e.Elements() {
		if !item.Is(NSBlocking, "item") {
			continue
		}
		if j, err := jid.Parse(item.Get("jid")); err == nil {
			out = append(out, j)
		}
	}
	return out
}
