package stanza

// Publish-subscribe, of which we use the personal kind (XEP-0163).
const (
	NSPubSub       = "http://jabber.org/protocol/pubsub" // XEP-0060
	NSPubSubErrors = NSPubSub + "#errors"
	NSPubSubEvent  = NSPubSub + "#event"
	NSPubSubOwner  = NSPubSub + "#owner"

	formOptions = NSPubSub + "#publish-options"
	formConfig  = NSPubSub + "#node_config"
)

// Item is one item of a node. Payload may be nil.
type Item struct {
	ID      string
	Payload *Element
}

// Publish publishes one item (payload of an IQ set) and asks that the node be
// made, or be, as the options say (XEP-0060 section 7.1.5).
func Publish(node, id string, payload *Element, options ...Field) *Element {
	e := New(NSPubSub, "pubsub", New(NSPubSub, "publish",
		New(NSPubSub, "item", payload).With("id", id)).With("node", node))
	if len(options) > 0 {
		e.Add(New(NSPubSub, "publish-options", Form(formOptions, options...)))
	}
	return e
}

// ItemsRequest asks for the items of a node (payload of an IQ get).
func ItemsRequest(node string) *Element {
	return New(NSPubSub, "pubsub", New(NSPubSub, "items").With("node", node))
}

// ReadItems reads the answer to ItemsRequest. False means it is none for this node.
func ReadItems(iq *Element, node string) ([]Item, bool) {
	items := iq.Child(NSPubSub, "pubsub").Child(NSPubSub, "items")
	if items == nil || items.Get("node") != node {
		return nil, false
	}
	return readItems(items, NSPubSub), true
}

// Event is a notification of a node's change (XEP-0060 section 7.1.2.1).
type Event struct {
	Node    string
	Items   []Item
	Removed bool // the node was deleted or purged, or items were retracted
}

// ReadEvent reads the notification in a message stanza, if there is one.
func ReadEvent(e *Element) (Event, bool) {
	ev := e.Child(NSPubSubEvent, "event")
	if items := ev.Child(NSPubSubEvent, "items"); items != nil {
		return Event{Node: items.Get("node"), Items: readItems(items, NSPubSubEvent),
			Removed: items.Child(NSPubSubEvent, "retract") != nil}, true
	}
	for _, what := range []string{"delete", "purge"} {
		if d := ev.Child(NSPubSubEvent, what); d != nil {
			return Event{Node: d.Get("node"), Removed: true}, true
		}
	}
	return Event{}, false
}

func readItems(items *Element, space string) []Item {
	var out []Item
	for e := range items.Elements() {
		if e.Is(space, "item") {
			out = append(out, Item{ID: readID(e.Get("id")), Payload: e.Child("", "")})
		}
	}
	return out
}

// Configure changes the configuration of an own node (payload of an IQ set,
// XEP-0060 section 8.2). Fields that are not given stay as they are.
func Configure(node string, fields ...Field) *Element {
	return New(NSPubSubOwner, "pubsub",
		New(NSPubSubOwner, "configure", Form(formConfig, fields...)).With("node", node))
}

// DeleteNode removes an own node with all its items (payload of an IQ set, XEP-0060
// section 8.4).
func DeleteNode(node string) *Element {
	return New(NSPubSubOwner, "pubsub", New(NSPubSubOwner, "delete").With("node", node))
}

// Field is one field of a form.
type Field struct{ Var, Value string }

// Form builds the submission of a data form (XEP-0004).
func Form(typ string, fields ...Field) *Element {
	value := func(v string) *Element { return TextElement(nsData, "value", v) }
	f := New(nsData, "x", New(nsData, "field", value(typ)).With("var", "FORM_TYPE").With("type", "hidden")).With("type", "submit")
	for _, fl := range fields {
		f.Add(New(nsData, "field", value(fl.Value)).With("var", fl.Var))
	}
	return f
}

// AccessOpen lets everybody read a node, as OMEMO needs of device lists and
// bundles: a person must be able to write to somebody who has never met them.
func AccessOpen() []Field {
	return []Field{{"pubsub#persist_items", "true"}, {"pubsub#access_model", "open"}}
}
