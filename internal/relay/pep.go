package relay

import (
	"errors"

	"sotto/client/stanza"
)

// The personal eventing service (XEP-0163): each account is a pubsub service
// with nodes that its owner alone writes.

// pubsub answers a request to the PEP service of q.at.
func (c *core) pubsub(q *request) {
	var verb *stanza.Element
	for e := range q.payload.Elements() {
		if e.Space == q.payload.Space && e.Local != "publish-options" && !(verb != nil && e.Local == "configure") {
			if verb != nil {
				c.no(q, "modify", "bad-request", "")
				return
			}
			verb = e
		}
	}
	if verb == nil {
		c.no(q, "modify", "bad-request", "")
		return
	}
	name := verb.Get("node")
	if name == "" || len(name) > 512 {
		c.no(q, "modify", "bad-request", "", stanza.New(nsPubSubErrors, "nodeid-required"))
		return
	}
	key := verb.Local
	if q.payload.Space == nsPubSubOwner {
		key = "owner " + key
	}
	if key == "items" && !q.set {
		c.getItems(q, verb, name)
		return
	}
	if !q.own() {
		c.no(q, "auth", "forbidden", "")
		return
	}
	switch {
	case key == "publish" && q.set:
		c.publish(q, verb, name)
	case key == "retract" && q.set:
		c.retract(q, verb, name)
	case key == "create" && q.set:
		c.createNode(q, name)
	case key == "owner configure":
		c.configureNode(q, verb, name)
	case key == "owner delete" && q.set:
		c.deleteNode(q, name)
	case key == "owner purge" && q.set:
		c.purgeNode(q, name)
	default:
		c.no(q, "cancel", "feature-not-implemented", "", stanza.New(nsPubSubErrors, "unsupported").With("feature", verb.Local))
	}
}

// noNode answers a request for a node that is not there.
func (c *core) noNode(q *request) { c.no(q, "cancel", "item-not-found", "") }

// getItems answers with the items of a node, newest last (XEP-0060 section 6.5).
func (c *core) getItems(q *request, verb *stanza.Element, name string) {
	n := c.store.node(q.at.id, name)
	if n == nil {
		c.noNode(q)
		return
	}
	if !n.readable(q) {
		c.no(q, "auth", "forbidden", "")
		return
	}
	limit := c.limits.Items
	if v := verb.Get("max_items"); v != "" {
		k, ok := number(v)
		if !ok || k < 1 {
			c.no(q, "modify", "bad-request", "")
			return
		}
		limit = min(limit, k)
	}
	wanted := map[string]bool{}
	for e := range verb.Elements() {
		if e.Is(nsPubSub, "item") && e.Get("id") != "" {
			wanted[e.Get("id")] = true
		}
	}
	items := stanza.New(nsPubSub, "items").With("node", name)
	for _, it := range c.store.items(q.at.id, name) {
		if len(wanted) == 0 || wanted[it.id] {
			items.Add(stanza.New(nsPubSub, "item", it.payload).With("id", it.id))
		}
	}
	if len(items.Children) > limit {
		items.Children = items.Children[len(items.Children)-limit:]
	}
	answer := resultReply(q.iq, stanza.New(nsPubSub, "pubsub", items)).Bytes()
	if len(answer) > stanza.MaxSize {
		c.no(q, "modify", "policy-violation", "the items are too large for one answer: ask for fewer")
		return
	}
	c.send(q.s, answer)
}

// publish stores an item and tells who wants to know (XEP-0060 section 7.1).
func (c *core) publish(q *request, verb *stanza.Element, name string) {
	var it *stanza.Element
	count := 0
	for e := range verb.Elements() {
		it = e
		count++
	}
	if count != 1 || !it.Is(nsPubSub, "item") {
		c.no(q, "modify", "bad-request", "publish one item at a time", stanza.New(nsPubSubErrors, "item-required"))
		return
	}
	var payload *stanza.Element
	count = 0
	for e := range it.Elements() {
		payload = e
		count++
	}
	if count != 1 {
		c.no(q, "modify", "bad-request", "", stanza.New(nsPubSubErrors, "invalid-payload"))
		return
	}
	id := it.Get("id")
	if id == "" {
		id = randomID()
	}
	data := payload.Bytes()
	if len(data) > c.limits.ItemBytes || len(id) > 512 {
		c.no(q, "modify", "not-acceptable", "this item is larger than the relay accepts", stanza.New(nsPubSubErrors, "payload-too-big"))
		return
	}
	options, err := c.readOptions(q.payload.Child(nsPubSub, "publish-options").Child(nsData, "x"), nsPubSubOptions)
	if err != nil {
		c.no(q, "modify", "bad-request", err.Error())
		return
	}
	n := c.store.node(q.at.id, name)
	switch {
	case n == nil:
		if n = c.newNode(q, name, options); n == nil {
			return
		}
	case !options.metBy(n):
		c.no(q, "cancel", "conflict", "", stanza.New(nsPubSubErrors, "precondition-not-met"))
		return
	}
	c.store.putItem(n, id, data)
	c.yes(q, stanza.New(nsPubSub, "pubsub",
		stanza.New(nsPubSub, "publish", stanza.New(nsPubSub, "item").With("id", id)).With("node", name)))
	c.notifyAll(q.at, n, itemsEvent(name, stanza.New(nsPubSubEvent, "item", payload).With("id", id)))
}

// retract removes items (section 7.2).
func (c *core) retract(q *request, verb *stanza.Element, name string) {
	n := c.store.node(q.at.id, name)
	if n == nil {
		c.noNode(q)
		return
	}
	event := itemsEvent(name)
	for e := range verb.Elements() {
		id := e.Get("id")
		if !e.Is(nsPubSub, "item") || id == "" {
			c.no(q, "modify", "bad-request", "", stanza.New(nsPubSubErrors, "item-required"))
			return
		}
		if !c.store.hasItem(n, id) {
			c.noNode(q)
			return
		}
		event.Add(stanza.New(nsPubSubEvent, "retract").With("id", id))
	}
	if len(event.Children) == 0 {
		c.no(q, "modify", "bad-request", "", stanza.New(nsPubSubErrors, "item-required"))
		return
	}
	for e := range event.Elements() {
		c.store.deleteItem(n, e.Get("id"))
	}
	c.yes(q)
	if v := verb.Get("notify"); v == "1" || v == "true" {
		c.notifyAll(q.at, n, event)
	}
}

var errFormType = errors.New("this form is of another type")
