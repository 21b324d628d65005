package relay

import "sotto/client/stanza"

// Notifications of PEP (XEP-0163 section 4): events go to those who said
// through their capabilities that they want them, and may see the node.

func itemsEvent(node string, items ...*stanza.Element) *stanza.Element {
	return stanza.New(nsPubSubEvent, "items", items...).With("node", node)
}

// eventFrom writes an event of owner, without "to".
func eventFrom(owner *account, event *stanza.Element) []byte {
	return stanza.New(stanza.NSClient, "message", stanza.New(nsPubSubEvent, "event", event)).
		With("type", "headline").With("from", owner.bare).With("id", randomID()).Bytes()
}

// notifyAll tells everyone of an event at a node of owner.
func (c *core) notifyAll(owner *account, n *node, event *stanza.Element) {
	data := eventFrom(owner, event)
	tell := func(a *account) {
		for _, o := range a.sessions {
			if o.available && o.notify[n.name] && !owner.blocking(a, o.full) && !a.blocking(owner, owner.bare) {
				c.sendTo(o, data, o.full)
			}
		}
	}
	if n.access == "whitelist" {
		tell(owner)
		return
	}
	for _, a := range c.accounts {
		tell(a)
	}
}

// sendLastItems tells s the last item of everybody's node of that name.
func (c *core) sendLastItems(s *session, name string) {
	for _, it := range c.store.lastItems(name) {
		owner := c.byID[it.account]
		if owner == nil || it.access == "whitelist" && owner != s.account ||
			owner.blocking(s.account, s.full) || s.account.blocking(owner, owner.bare) {
			continue
		}
		data := eventFrom(owner, itemsEvent(name, stanza.New(nsPubSubEvent, "item", it.payload).With("id", it.id)))
		c.sendTo(s, data, s.full)
	}
}
