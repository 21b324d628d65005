package stanza

import "strings"

// NSHeaders is XEP-0131.
const NSHeaders = "http://jabber.org/protocol/shim"

// UrgencyHigh marks a message as urgent in the clear (XEP-0131 section 3.5), so
// that a link which cannot read it can still ring.
func UrgencyHigh() *Element {
	return New(NSHeaders, "headers", TextElement(NSHeaders, "header", "high").With("name", "Urgency"))
}

// readUrgency reports whether the headers element says Urgency: high.
func readUrgency(headers *Element) bool {
	for h := range headers.Elements() {
		if h.Is(NSHeaders, "header") && strings.EqualFold(h.Get("name"), "Urgency") &&
			strings.EqualFold(strings.TrimSpace(h.Text()), "high") {
			return true
		}
	}
	return false
}
