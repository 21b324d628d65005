package stanza

// ReadMarker returns what a chat marker (XEP-0333) says and of which message:
// "received", "displayed" or "acknowledged". Only "displayed" is left in the
// current version; older clients send the others. In a room id is the one that
// the room gave the message.
func ReadMarker(e *Element) (what, id string, ok bool) {
	if !e.Is(NSClient, "message") || e.Get("type") == "error" {
		return "", "", false
	}
	for c := range e.Elements() {
		if c.Space != NSMarkers {
			continue
		}
		switch c.Local {
		case "received", "displayed", "acknowledged":
			if id = readID(c.Get("id")); id != "" {
				return c.Local, id, true
			}
		}
	}
	return "", "", false
}
