package relay

import "sotto/client/stanza"

// Message carbons (XEP-0280): a person's other devices see the conversation.

// carbonCopies sends copies of l to the sessions on both sides that did not
// get it themselves and asked for copies.
func (c *core) carbonCopies(l *letter) {
	if l.private || !copied(l.m, l.typ) {
		return
	}
	if l.to.account != l.from.account { // what is sent to oneself arrives anyway
		for _, o := range l.from.account.all() {
			if o.carbons && o != l.from {
				c.send(o, carbon("sent", o, l.sent))
			}
		}
	}
next:
	for _, o := range l.to.account.all() {
		if !o.carbons || o == l.from {
			continue
		}
		for _, r := range l.recipients {
			if r == o {
				continue next
			}
		}
		c.send(o, carbon("received", o, l.m))
	}
}

// copied says which messages are copied (XEP-0280 section 6.1).
func copied(m *stanza.Element, typ string) bool {
	if typ == "chat" {
		return true
	}
	if typ != "normal" {
		return false
	}
	for e := range m.Elements() {
		switch {
		case e.Is(stanza.NSClient, "body"), e.Local == "encrypted", e.Space == nsReceipts, e.Space == nsMarkers:
			return true
		}
	}
	return false
}

// carbon wraps m for o. It comes from the account itself, which is how the
// client knows that it can be believed (section 11).
func carbon(direction string, o *session, m *stanza.Element) []byte {
	return stanza.New(stanza.NSClient, "message",
		stanza.New(nsCarbons, direction, stanza.New(nsForward, "forwarded", m))).
		With("type", messageType(m)).With("from", o.account.bare).With("to", o.full).Bytes()
}
