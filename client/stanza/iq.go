package stanza

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNotIQ is returned for an element that is no usable IQ stanza.
var ErrNotIQ = errors.New("not an iq stanza with type and id")

// NewIQ builds an IQ of type "get", "set", "result" or "error" (RFC 6120
// section 8.2.3). An empty to addresses the own account; payload may be nil.
func NewIQ(typ, to, id string, payload *Element) *Element {
	e := New(NSClient, "iq").With("type", typ).With("id", id)
	if to != "" {
		e.Set("to", to)
	}
	return e.Add(payload)
}

// Result answers a request; payload may be nil.
func Result(iq, payload *Element) *Element {
	return NewIQ("result", iq.Get("from"), iq.Get("id"), payload)
}

// ErrorReply answers a request with a stanza error: typ is "cancel", "modify",
// "auth", "wait" or "continue" and condition one of RFC 6120 section 8.3.3.
func ErrorReply(iq *Element, typ, condition string) *Element {
	return NewIQ("error", iq.Get("from"), iq.Get("id"),
		New(NSClient, "error", New(NSStanzas, condition)).With("type", typ))
}

// IQ is the envelope of an IQ stanza.
type IQ struct {
	Type    string // "get", "set", "result" or "error"
	ID      string
	From    string   // as written; empty when the relay left it out
	Payload *Element // the first child; nil if there is none
}

// ReadIQ reads the envelope of an IQ stanza. It refuses one without an id, with
// an id over MaxID bytes or of an unknown type.
func ReadIQ(e *Element) (IQ, error) {
	q := IQ{Type: e.Get("type"), ID: readID(e.Get("id")), From: e.Get("from")}
	if !e.Is(NSClient, "iq") || q.ID == "" {
		return IQ{}, ErrNotIQ
	}
	switch q.Type {
	case "get", "set", "result", "error":
	default:
		return IQ{}, ErrNotIQ
	}
	q.Payload = e.Child("", "")
	return q, nil
}

// StanzaError is the error of an IQ, message or presence of type "error"
// (RFC 6120 section 8.3). Text is what the other side wrote: not fit for a
// screen before it was sanitised, so Error leaves it out.
type StanzaError struct {
	Type      string // "cancel", "modify", "auth", "wait" or "continue"; else ""
	Condition string // one of section 8.3.3; "undefined-condition" if it is unknown
	Text      string
	App       *Element // an application's own condition; may be nil
}

// ReadError returns the error of a stanza of type "error", or nil when e is none.
func ReadError(e *Element) *StanzaError {
	if e.Get("type") != "error" {
		return nil
	}
	x := e.Child(NSClient, "error")
	s := &StanzaError{Condition: "undefined-condition"}
	switch t := x.Get("type"); t {
	case "auth", "cancel", "continue", "modify", "wait":
		s.Type = t
	}
	for c := range x.Elements() {
		switch {
		case c.Is(NSStanzas, "text"):
			s.Text = c.Text()
		case c.Space == NSStanzas:
			if _, known := conditionWords[c.Local]; known {
				s.Condition = c.Local
			}
		case s.App == nil:
			s.App = c
		}
	}
	return s
}

// Error says what went wrong in words.
func (s *StanzaError) Error() string {
	if w := conditionWords[s.Condition]; w != "" {
		return w
	}
	return "the other side reported an error without saying which"
}

// Is lets errors.Is compare conditions: a target with a condition matches a
// StanzaError with the same one.
func (s *StanzaError) Is(target error) bool {
	t, ok := target.(*StanzaError)
	return ok && t.Condition == s.Condition
}

// CheckIQ returns the payload of a result, or the error of an IQ of type error.
func CheckIQ(e *Element) (*Element, error) {
	q, err := ReadIQ(e)
	if err != nil {
		return nil, err
	}
	switch q.Type {
	case "result":
		return q.Payload, nil
	case "error":
		return nil, ReadError(e)
	}
	return nil, fmt.Errorf("read answer: an iq of type %s answers nothing", strings.ToLower(q.Type))
}

// conditionWords are the stanza errors of RFC 6120 section 8.3.3 for people.
var conditionWords = map[string]string{
	"bad-request":             "the relay did not understand what was asked",
	"conflict":                "something with that name exists already",
	"feature-not-implemented": "the relay cannot do that",
	"forbidden":               "the relay does not allow that",
	"gone":                    "that address is no longer in use",
	"internal-server-error":   "the relay has a problem of its own; try again later",
	"item-not-found":          "there is nothing there under that name",
	"jid-malformed":           "that address is not written correctly",
	"not-acceptable":          "the other side does not accept that",
	"not-allowed":             "the relay does not allow that",
	"not-authorized":          "the relay wants other credentials for that",
	"payment-required":        "the relay wants a payment for that",
	"policy-violation":        "the relay's policy forbids that",
	"recipient-unavailable":   "the recipient cannot be reached now",
	"redirect":                "that address has moved",
	"registration-required":   "the relay wants a registration first",
	"remote-server-not-found": "the recipient's relay cannot be found",
	"remote-server-timeout":   "the recipient's relay does not answer",
	"resource-constraint":     "the relay is too busy; try again later",
	"service-unavailable":     "nobody takes that at this address",
	"subscription-required":   "the recipient has to accept you as a contact first",
	"undefined-condition":     "",
	"unexpected-request":      "the relay did not expect that now",
}
