package stanza

import (
	"fmt"
	"time"

	"mellium.im/xmpp/jid"
)

// Namespaces of what goes with a message.
const (
	NSStanzaID = "urn:xmpp:sid:0" // XEP-0359
	NSHints    = "urn:xmpp:hints" // XEP-0334
	NSEME      = "urn:xmpp:eme:0" // XEP-0380
	NSDelay    = "urn:xmpp:delay" // XEP-0203
)

// MaxID is the longest stanza, origin or archive id that is read, in bytes. A
// longer one counts as none: ids are kept in the store.
const MaxID = 255

// Message is what the envelope of a message stanza says. Body is as the other
// side sent it: not yet fit for a screen.
type Message struct {
	From, To jid.JID // zero if left out
	Type     string  // "chat", "normal", "groupchat", "headline" or "error"
	ID       string
	OriginID string // XEP-0359, else ""
	Body     string
	HasBody  bool
	Delay    time.Time // XEP-0203; zero when the message is live
	Receipt  string    // id of the message this is a receipt for (XEP-0184), else ""
	Asks     bool      // asks for a receipt (XEP-0184)
	Read     string    // id of the message that was shown to a person (XEP-0333), else ""
	Markable bool      // asks to be told when it is shown (XEP-0333)
	Method   string    // XEP-0380 namespace of an encryption, else ""
	Urgent   bool      // XEP-0131 Urgency: high
}

// ReadMessage reads the envelope of a message stanza.
func ReadMessage(e *Element) (Message, error) {
	if !e.Is(NSClient, "message") {
		return Message{}, fmt.Errorf("read message: not a message stanza")
	}
	m := Message{Type: e.Get("type"), ID: readID(e.Get("id"))}
	switch m.Type {
	case "chat", "groupchat", "headline", "error":
	default:
		m.Type = "normal" // RFC 6121 section 5.2.2
	}
	var err error
	if m.From, err = optionalJID(e.Get("from")); err != nil {
		return Message{}, fmt.Errorf("read message: from: %w", err)
	}
	if m.To, err = optionalJID(e.Get("to")); err != nil {
		return Message{}, fmt.Errorf("read message: to: %w", err)
	}
	for c := range e.Elements() {
		switch {
		case c.Is(NSClient, "body"):
			if !m.HasBody {
				m.Body, m.HasBody = c.Text(), true
			}
		case c.Is(NSStanzaID, "origin-id"):
			m.OriginID = readID(c.Get("id"))
		case c.Is(NSDelay, "delay"):
			if t, err := time.Parse(time.RFC3339, c.Get("stamp")); err == nil && m.Delay.IsZero() {
				m.Delay = t
			}
		case c.Is(NSReceipts, "received"):
			m.Receipt = readID(c.Get("id"))
		case c.Is(NSReceipts, "request"):
			m.Asks = true
		case c.Is(NSMarkers, "displayed"):
			m.Read = readID(c.Get("id"))
		case c.Is(NSMarkers, "markable"):
			m.Markable = true
		case c.Is(NSEME, "encryption"):
			m.Method = c.Get("namespace")
		case c.Is(NSHeaders, "headers"):
			m.Urgent = readUrgency(c)
		}
	}
	return m, nil
}

// ArchiveID returns the id under which the archive of by keeps the stanza
// (XEP-0359 stanza-id), or "". Only an id said to be given by the archive that
// is asked counts; section 6 asks for the relay's support, which the caller
// checks by trusting only its own account's archive.
func ArchiveID(e *Element, by jid.JID) string {
	for c := range e.Elements() {
		if !c.Is(NSStanzaID, "stanza-id") {
			continue
		}
		if j, err := jid.Parse(c.Get("by")); err == nil && j.Equal(by) {
			return readID(c.Get("id"))
		}
	}
	return ""
}

// NewChat builds a chat message to a bare or full address. The id is also its
// origin-id, so that every copy of it can be told to be one (XEP-0359).
func NewChat(to, id string, children ...*Element) *Element {
	return New(NSClient, "message").With("type", "chat").With("to", to).With("id", id).
		Add(children...).Add(New(NSStanzaID, "origin-id").With("id", id))
}

// Body holds a message's plain text.
func Body(s string) *Element { return TextElement(NSClient, "body", s) }

// StoreHint asks archives to keep a message they might take for noise (XEP-0334).
func StoreHint() *Element { return New(NSHints, "store") }

// NoStoreHint asks archives not to keep a message (XEP-0334).
func NoStoreHint() *Element { return New(NSHints, "no-store") }

// EncryptedWith says how a message is encrypted, for a client that cannot read
// it (XEP-0380).
func EncryptedWith(namespace, name string) *Element {
	return New(NSEME, "encryption").With("namespace", namespace).With("name", name)
}

func readID(s string) string {
	if len(s) > MaxID {
		return ""
	}
	return s
}

func optionalJID(s string) (jid.JID, error) {
	if s == "" {
		return jid.JID{}, nil
	}
	return jid.Parse(s)
}
