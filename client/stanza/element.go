// Package stanza reads and builds the XML that sotto exchanges with a relay.
//
// In RFC 7395 every WebSocket message is one whole XML element, so there is no
// stream parser here: Parse takes the bytes of one message, checks them against
// fixed bounds and against the restricted XML of RFC 6120 section 11, and
// returns a tree of Elements. The other files each hold one protocol extension:
// pure functions that build its elements and read them, with no I/O.
//
// Everything that Parse accepts comes from a relay and is hostile until it has
// been read by one of those functions; none of them panics on any Element.
package stanza

import (
	"iter"
	"strings"
)

// Namespaces that more than one file needs.
const (
	NSClient  = "jabber:client"                        // RFC 6120 section 4.8.2
	NSStream  = "http://etherx.jabber.org/streams"     // RFC 6120 section 4.8.1
	NSFraming = "urn:ietf:params:xml:ns:xmpp-framing"  // RFC 7395 section 3.3.2
	NSSASL    = "urn:ietf:params:xml:ns:xmpp-sasl"     // RFC 6120 section 6
	NSBind    = "urn:ietf:params:xml:ns:xmpp-bind"     // RFC 6120 section 7
	NSStanzas = "urn:ietf:params:xml:ns:xmpp-stanzas"  // RFC 6120 section 8.3
	NSStreams = "urn:ietf:params:xml:ns:xmpp-streams"  // RFC 6120 section 4.9
	NSSM      = "urn:xmpp:sm:3"                        // XEP-0198
	NSXML     = "http://www.w3.org/XML/1998/namespace" // the prefix "xml"
	NSXMLNS   = "http://www.w3.org/2000/xmlns/"        // the prefix "xmlns"
)

// Attr is one attribute. Space is empty for the plain attributes that XMPP uses
// almost everywhere, and NSXML for xml:lang.
type Attr struct {
	Space, Local, Value string
}

// Element is one XML element, or, when Local is empty, a run of character data
// held in Data. Namespace declarations are not kept as attributes: Space says
// which namespace an element is in, and the writer declares what it needs.
//
// The reading methods accept a nil receiver and answer as for an empty element,
// so that a path into a tree needs no check at each step.
type Element struct {
	Space, Local string
	Attrs        []Attr
	Children     []*Element
	Data         string
}

// New returns an element with the given children.
func New(space, local string, children ...*Element) *Element {
	return &Element{Space: space, Local: local, Children: children}
}

// Text returns a run of character data, to be used as a child.
func Text(s string) *Element { return &Element{Data: s} }

// TextElement returns an element that holds only the text s.
func TextElement(space, local, s string) *Element {
	if s == "" {
		return New(space, local)
	}
	return New(space, local, Text(s))
}

// With sets an attribute without a namespace and returns e, for chaining.
func (e *Element) With(local, value string) *Element {
	e.Set(local, value)
	return e
}

// Add appends children and returns e, for chaining. Nil children are left out.
func (e *Element) Add(children ...*Element) *Element {
	for _, c := range children {
		if c != nil {
			e.Children = append(e.Children, c)
		}
	}
	return e
}

// Is reports whether e is the element local in namespace space.
func (e *Element) Is(space, local string) bool {
	return e != nil && e.Local == local && e.Local != "" && e.Space == space
}

// Get returns the value of an attribute without a namespace, or "".
func (e *Element) Get(local string) string {
	v, _ := e.Lookup(local)
	return v
}

// Lookup returns the value of an attribute without a namespace, and whether it is there.
func (e *Element) Lookup(local string) (string, bool) {
	if e == nil {
		return "", false
	}
	for i := range e.Attrs {
		if e.Attrs[i].Space == "" && e.Attrs[i].Local == local {
			return e.Attrs[i].Value, true
		}
	}
	return "", false
}

// Set sets an attribute without a namespace, replacing an earlier value.
func (e *Element) Set(local, value string) {
	for i := range e.Attrs {
		if e.Attrs[i].Space == "" && e.Attrs[i].Local == local {
			e.Attrs[i].Value = value
			return
		}
	}
	e.Attrs = append(e.Attrs, Attr{Local: local, Value: value})
}

// Del removes an attribute without a namespace.
func (e *Element) Del(local string) {
	for i := range e.Attrs {
		if e.Attrs[i].Space == "" && e.Attrs[i].Local == local {
			e.Attrs = append(e.Attrs[:i:i], e.Attrs[i+1:]...)
			return
		}
	}
}

// Child returns the first child element called local in namespace space, or nil.
// An empty space matches any namespace; an empty local matches any name.
func (e *Element) Child(space, local string) *Element {
	for c := range e.Elements() {
		if (local == "" || c.Local == local) && (space == "" || c.Space == space) {
			return c
		}
	}
	return nil
}

// Elements yields the children that are elements, in order.
func (e *Element) Elements() iter.Seq[*Element] {
	return func(yield func(*Element) bool) {
		if e == nil {
			return
		}
		for _, c := range e.Children {
			if c != nil && c.Local != "" && !yield(c) {
				return
			}
		}
	}
}

// Text returns the character data directly inside e, joined.
func (e *Element) Text() string {
	if e == nil {
		return ""
	}
	if len(e.Children) == 1 && e.Children[0] != nil && e.Children[0].Local == "" {
		return e.Children[0].Data
	}
	var b strings.Builder
	for _, c := range e.Children {
		if c != nil && c.Local == "" {
			b.WriteString(c.Data)
		}
	}
	return b.String()
}

// Clone returns a deep copy of e.
func (e *Element) Clone() *Element {
	if e == nil {
		return nil
	}
	c := *e
	c.Attrs = append([]Attr(nil), e.Attrs...)
	if e.Children != nil {
		c.Children = make([]*Element, len(e.Children))
		for i, k := range e.Children {
			c.Children[i] = k.Clone()
		}
	}
	return &c
}
