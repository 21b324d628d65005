package stanza

import "mellium.im/xmpp/jid"

// NSRoster is the contact list of RFC 6121 section 2.
const NSRoster = "jabber:iq:roster"

// RosterItem is one contact. Name and Groups are as the relay sent them: not
// yet fit for a screen.
type RosterItem struct {
	JID          jid.JID // bare
	Name         string
	Groups       []string
	Subscription string // "none", "to", "from", "both" or, in a push, "remove"
}

// RosterQuery asks for the whole roster (payload of an IQ get).
func RosterQuery() *Element { return New(NSRoster, "query") }

// ReadRoster reads the query element of a roster result or push. Items without
// a valid address are left out, so that one of them cannot hide the others.
func ReadRoster(query *Element) []RosterItem {
	if !query.Is(NSRoster, "query") {
		return nil
	}
	var items []RosterItem
	for e := range query.Elements() {
		if !e.Is(NSRoster, "item") {
			continue
		}
		j, err := jid.Parse(e.Get("jid"))
		if err != nil {
			continue
		}
		item := RosterItem{JID: j.Bare(), Name: e.Get("name"), Subscription: e.Get("subscription")}
		switch item.Subscription {
		case "to", "from", "both", "remove":
		default:
			item.Subscription = "none"
		}
		for g := range e.Elements() {
			if g.Is(NSRoster, "group") {
				item.Groups = append(item.Groups, g.Text())
			}
		}
		items = append(items, item)
	}
	return items
}
