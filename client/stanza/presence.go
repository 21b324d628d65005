package stanza

import (
	"fmt"
	"strconv"

	"mellium.im/xmpp/jid"
)

// Presence is one presence stanza (RFC 6121 section 4). Status is as the other
// side sent it: not yet fit for a screen.
type Presence struct {
	From     jid.JID
	Type     string // "" is available; "unavailable", "subscribe", "error", …
	Show     string // "", "away", "chat", "dnd" or "xa"
	Status   string
	Priority int // -128 to 127
}

// ReadPresence reads a presence stanza. From is the zero JID if the relay left
// it out; an address that is none is an error.
func ReadPresence(e *Element) (Presence, error) {
	if !e.Is(NSClient, "presence") {
		return Presence{}, fmt.Errorf("read presence: not a presence stanza")
	}
	p := Presence{Type: e.Get("type"), Status: e.Child(NSClient, "status").Text()}
	if from := e.Get("from"); from != "" {
		j, err := jid.Parse(from)
		if err != nil {
			return Presence{}, fmt.Errorf("read presence: %w", err)
		}
		p.From = j
	}
	switch show := e.Child(NSClient, "show").Text(); show {
	case "away", "chat", "dnd", "xa":
		p.Show = show
	}
	if n, err := strconv.ParseInt(e.Child(NSClient, "priority").Text(), 10, 8); err == nil {
		p.Priority = int(n)
	}
	return p, nil
}
