package stanza

// NSCorrect is XEP-0308.
const NSCorrect = "urn:xmpp:message-correct:0"

// Replace says that a message is the better version of the sender's earlier one
// with this id. All corrections of a message name the first.
func Replace(id string) *Element { return New(NSCorrect, "replace").With("id", id) }

// ReadReplace returns the id of the message that e corrects. Whether both are
// from the same sender is the caller's to check.
func ReadReplace(e *Element) (id string, ok bool) {
	if !e.Is(NSClient, "message") || e.Get("type") == "error" {
		return "", false
	}
	id = readID(e.Child(NSCorrect, "replace").Get("id"))
	return id, id != ""
}
