package relay

import (
	"strconv"

	"sotto/client/stanza"
)

// Nodes of a PEP service and their configuration (XEP-0060 sections 8.1 to 8.5).

// node is a PEP node. Only what has an effect is configurable.
type node struct {
	account  int64
	name     string
	access   string // open, presence or whitelist
	maxItems int
	sendLast bool // tell who becomes available of the last item
}

// readable reports whether who asks may see items of n. Everybody here is
// subscribed to everybody's presence, so that "presence" lets all local people
// in; a whitelist holds the owner alone.
func (n *node) readable(q *request) bool {
	return n.account == q.s.account.id || n.access != "whitelist"
}

// nodeOptions are the fields of a form that were given.
type nodeOptions struct {
	access   *string
	maxItems *int
	sendLast *bool
}

const (
	fieldAccess   = "pubsub#access_model"
	fieldMaxItems = "pubsub#max_items"
	fieldPersist  = "pubsub#persist_items"
	fieldSendLast = "pubsub#send_last_published_item"
)

// optionError explains a field that cannot be had.
type optionError string

func (e optionError) Error() string { return string(e) }

// readOptions reads publish-options or a node configuration; x may be nil.
// Fields that have no effect here are ignored.
func (c *core) readOptions(x *stanza.Element, formType string) (o nodeOptions, err error) {
	for f := range x.Elements() {
		v := f.Child(nsData, "value").Text()
		switch f.Get("var") {
		case "FORM_TYPE":
			if v != formType {
				return o, errFormType
			}
		case fieldAccess:
			switch v {
			case "open", "presence", "whitelist":
				o.access = &v
			default:
				return o, optionError("the access model has to be open, presence or whitelist")
			}
		case fieldMaxItems:
			n := c.limits.Items
			if v != "max" {
				k, ok := number(v)
				if !ok || k < 1 {
					return o, optionError("max_items has to be a number from 1, or max")
				}
				n = min(n, k)
			}
			o.maxItems = &n
		case fieldPersist:
			if v == "0" || v == "false" { // kept all the same, but only the last one
				n := 1
				o.maxItems = &n
			}
		case fieldSendLast:
			yes := v != "never"
			o.sendLast = &yes
		}
	}
	return o, nil
}

// metBy reports whether n is configured as o demands (section 7.1.5).
func (o nodeOptions) metBy(n *node) bool {
	return (o.access == nil || *o.access == n.access) &&
		(o.maxItems == nil || *o.maxItems == n.maxItems) &&
		(o.sendLast == nil || *o.sendLast == n.sendLast)
}

func (o nodeOptions) apply(n *node) {
	if o.access != nil {
		n.access = *o.access
	}
	if o.maxItems != nil {
		n.maxItems = *o.maxItems
	}
	if o.sendLast != nil {
		n.sendLast = *o.sendLast
	}
}

// newNode makes a node with the defaults of PEP (XEP-0163 section 2.1.3), or
// answers that it cannot and returns nil.
func (c *core) newNode(q *request, name string, o nodeOptions) *node {
	if c.store.number(`SELECT count(*) FROM nodes WHERE account=?`, q.at.id) >= int64(c.limits.Nodes) {
		c.no(q, "wait", "resource-constraint", "this account has as many nodes as the relay allows")
		return nil
	}
	n := &node{account: q.at.id, name: name, access: "presence", maxItems: 1, sendLast: true}
	o.apply(n)
	c.store.putNode(n)
	return n
}

func (c *core) createNode(q *request, name string) {
	if c.store.node(q.at.id, name) != nil {
		c.no(q, "cancel", "conflict", "")
		return
	}
	o, err := c.readOptions(q.payload.Child(nsPubSub, "configure").Child(nsData, "x"), nsPubSubConfig)
	if err != nil {
		c.no(q, "modify", "not-acceptable", err.Error())
		return
	}
	if c.newNode(q, name, o) != nil {
		c.yes(q, stanza.New(nsPubSub, "pubsub", stanza.New(nsPubSub, "create").With("node", name)))
	}
}

// configureNode shows the form of a node or takes it (section 8.2).
func (c *core) configureNode(q *request, verb *stanza.Element, name string) {
	n := c.store.node(q.at.id, name)
	if n == nil {
		c.noNode(q)
		return
	}
	if !q.set {
		c.yes(q, stanza.New(nsPubSubOwner, "pubsub", stanza.New(nsPubSubOwner, "configure", n.form()).With("node", name)))
		return
	}
	x := verb.Child(nsData, "x")
	if x == nil {
		c.no(q, "modify", "bad-request", "")
		return
	}
	if x.Get("type") == "cancel" {
		c.yes(q)
		return
	}
	o, err := c.readOptions(x, nsPubSubConfig)
	if err != nil {
		c.no(q, "modify", "not-acceptable", err.Error())
		return
	}
	o.apply(n)
	c.store.putNode(n)
	c.store.trimItems(n)
	c.yes(q)
}

func (n *node) form() *stanza.Element {
	field := func(name, typ, value string, options ...string) *stanza.Element {
		f := stanza.New(nsData, "field", stanza.TextElement(nsData, "value", value)).With("var", name).With("type", typ)
		for _, o := range options {
			f.Add(stanza.New(nsData, "option", stanza.TextElement(nsData, "value", o)))
		}
		return f
	}
	last := "on_sub_and_presence"
	if !n.sendLast {
		last = "never"
	}
	return stanza.New(nsData, "x",
		field("FORM_TYPE", "hidden", nsPubSubConfig),
		field(fieldAccess, "list-single", n.access, "open", "presence", "whitelist"),
		field(fieldMaxItems, "text-single", strconv.Itoa(n.maxItems)),
		field(fieldPersist, "boolean", "1"),
		field(fieldSendLast, "list-single", last, "never", "on_sub_and_presence"),
	).With("type", "form")
}

func (c *core) deleteNode(q *request, name string) {
	n := c.store.node(q.at.id, name)
	if n == nil {
		c.noNode(q)
		return
	}
	c.store.deleteNode(n)
	c.yes(q)
	c.notifyAll(q.at, n, stanza.New(nsPubSubEvent, "delete").With("node", name))
}

func (c *core) purgeNode(q *request, name string) {
	n := c.store.node(q.at.id, name)
	if n == nil {
		c.noNode(q)
		return
	}
	c.store.deleteItems(n)
	c.yes(q)
	c.notifyAll(q.at, n, stanza.New(nsPubSubEvent, "purge").With("node", name))
}

// number reads a small number that is not negative.
func number(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 31)
	return int(n), err == nil
}
