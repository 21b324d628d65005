package stanza

import "time"

// Carbons and forwarding.
const (
	NSCarbons = "urn:xmpp:carbons:2" // XEP-0280
	NSForward = "urn:xmpp:forward:0" // XEP-0297
)

// ReadCarbon returns the message that a carbon copy carries, and whether this
// account sent it; nil if e is no carbon. It does not look at who sent the
// copy: that must be the account's own bare address (XEP-0280 section 11), or
// anyone could put words into anyone's mouth.
func ReadCarbon(e *Element) (inner *Element, sent bool) {
	wrap := e.Child(NSCarbons, "sent")
	sent = wrap != nil
	if wrap == nil {
		wrap = e.Child(NSCarbons, "received")
	}
	inner, _ = readForwarded(wrap)
	return inner, sent
}

// IsCarbon reports whether e claims to be a carbon copy.
func IsCarbon(e *Element) bool {
	return e.Child(NSCarbons, "sent") != nil || e.Child(NSCarbons, "received") != nil
}

// readForwarded returns the message forwarded inside e and when it was first
// received (XEP-0297); nil if there is none.
func readForwarded(e *Element) (*Element, time.Time) {
	f := e.Child(NSForward, "forwarded")
	var at time.Time
	if d := f.Child(NSDelay, "delay"); d != nil {
		if t, err := time.Parse(time.RFC3339, d.Get("stamp")); err == nil {
			at = t
		}
	}
	return f.Child(NSClient, "message"), at
}
