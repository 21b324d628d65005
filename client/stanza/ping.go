package stanza

// NSPing is XEP-0199.
const NSPing = "urn:xmpp:ping"

// Ping is the payload of a ping request (type "get").
func Ping() *Element { return New(NSPing, "ping") }

// IsPing reports whether e is a ping request.
func IsPing(e *Element) bool {
	return e.Is(NSClient, "iq") && e.Get("type") == "get" && e.Child(NSPing, "ping") != nil
}
