package stanza

// Receipts and markers.
const (
	NSReceipts = "urn:xmpp:receipts"       // XEP-0184
	NSMarkers  = "urn:xmpp:chat-markers:0" // XEP-0333
)

// ReceiptRequest asks the recipient's client to say that it has the message.
func ReceiptRequest() *Element { return New(NSReceipts, "request") }

// Received says that the message with this id has arrived (XEP-0184).
func Received(id string) *Element { return New(NSReceipts, "received").With("id", id) }

// Markable asks to be told when the message is shown to a person (XEP-0333).
func Markable() *Element { return New(NSMarkers, "markable") }

// Displayed says that the message with this id, and all before it, was shown
// to a person (XEP-0333).
func Displayed(id string) *Element { return New(NSMarkers, "displayed").With("id", id) }
