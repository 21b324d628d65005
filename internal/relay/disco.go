package relay

import "sotto/client/stanza"

// Service discovery (XEP-0030): what the relay and its accounts can do.

var relayFeatures = []string{
	nsDiscoInfo, nsDiscoItems, nsPing, nsTime, nsVersion, nsBlocking, nsCarbons, nsRegister, nsVCard, nsCSI, nsCommands,
	"urn:xmpp:carbons:rules:0", "msgoffline",
}

var accountFeatures = []string{
	nsDiscoInfo, nsDiscoItems, nsMAM, nsStanzaID, nsPubSub, nsVCard,
	nsPubSub + "#access-open", nsPubSub + "#access-presence", nsPubSub + "#access-whitelist",
	nsPubSub + "#auto-create", nsPubSub + "#auto-subscribe", nsPubSub + "#config-node", nsPubSub + "#config-node-max",
	nsPubSub + "#create-and-configure", nsPubSub + "#create-nodes", nsPubSub + "#delete-items", nsPubSub + "#delete-nodes",
	nsPubSub + "#filtered-notifications", nsPubSub + "#item-ids", nsPubSub + "#last-published", nsPubSub + "#multi-items",
	nsPubSub + "#owner", nsPubSub + "#persistent-items", nsPubSub + "#presence-notifications", nsPubSub + "#presence-subscribe",
	nsPubSub + "#publish", nsPubSub + "#publish-options", nsPubSub + "#purge-nodes", nsPubSub + "#retract-items", nsPubSub + "#retrieve-items",
}

func (c *core) disco(q *request) {
	answer := stanza.New(q.payload.Space, "query")
	node := q.payload.Get("node")
	if node != "" {
		answer.Set("node", node)
	}
	info := q.payload.Space == nsDiscoInfo
	switch {
	case q.at != nil && node != "":
		if n := c.store.node(q.at.id, node); n == nil || !n.readable(q) {
			c.no(q, "cancel", "item-not-found", "")
			return
		}
		if info {
			answer.Add(identity("pubsub", "leaf", ""), feature(nsPubSub))
			break
		}
		for _, id := range c.store.itemIDs(q.at.id, node) { // XEP-0060 section 5.5
			answer.Add(stanza.New(nsDiscoItems, "item").With("jid", q.at.bare).With("name", id))
		}
	case node == nsCommands && !info:
		c.discoCommands(q, answer)
		return
	case node != "":
		c.no(q, "cancel", "item-not-found", "")
		return
	case q.at != nil && info:
		answer.Add(identity("account", "registered", ""), identity("pubsub", "pep", ""))
		for _, f := range accountFeatures {
			answer.Add(feature(f))
		}
	case q.at != nil:
		for _, n := range c.store.nodes(q.at.id) {
			if n.readable(q) {
				answer.Add(stanza.New(nsDiscoItems, "item").With("jid", q.at.bare).With("node", n.name))
			}
		}
	case !info:
		answer.Add(stanza.New(nsDiscoItems, "item").With("jid", c.roomService).With("name", "Rooms"),
			stanza.New(nsDiscoItems, "item").With("jid", c.uploadService).With("name", "Files"))
	default:
		answer.Add(identity("server", "im", "sotto relay"))
		for _, f := range relayFeatures {
			answer.Add(feature(f))
		}
		answer.Add(stanza.RetentionInfo(c.cfg.Keep))
	}
	c.yes(q, answer)
}

func identity(category, typ, name string) *stanza.Element {
	e := stanza.New(nsDiscoInfo, "identity").With("category", category).With("type", typ)
	if name != "" {
		e.Set("name", name)
	}
	return e
}

func feature(name string) *stanza.Element {
	return stanza.New(nsDiscoInfo, "feature").With("var", name)
}
