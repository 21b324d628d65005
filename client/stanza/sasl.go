package stanza

import (
	"encoding/base64"
	"errors"
)

// NSBindings is XEP-0440: the channel binding types that a relay supports.
const NSBindings = "urn:xmpp:sasl-cb:0"

// maxSASL bounds one decoded SASL message. SCRAM's stay below 1 KiB.
const maxSASL = 8 << 10

// ErrSASL is returned for a SASL element whose content is not base64 or too long.
var ErrSASL = errors.New("malformed SASL element")

// Auth starts an authentication with an initial response, which is not empty in
// any mechanism that sotto uses (RFC 6120 section 6.4.2).
func Auth(mechanism string, initial []byte) *Element {
	return TextElement(NSSASL, "auth", base64.StdEncoding.EncodeToString(initial)).With("mechanism", mechanism)
}

// Response answers a challenge; b may be empty (RFC 6120 section 6.4.3).
func Response(b []byte) *Element {
	return TextElement(NSSASL, "response", base64.StdEncoding.EncodeToString(b))
}

// SASLData returns the decoded content of a <challenge/> or <success/>.
func SASLData(e *Element) ([]byte, error) {
	s := e.Text()
	if s == "" || s == "=" {
		return nil, nil
	}
	if len(s) > base64.StdEncoding.EncodedLen(maxSASL) {
		return nil, ErrSASL
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, ErrSASL
	}
	return b, nil
}

// SASLFailure returns the condition of a <failure/> (RFC 6120 section 6.5).
func SASLFailure(e *Element) string {
	for c := range e.Elements() {
		if c.Space == NSSASL && c.Local != "text" {
			return c.Local
		}
	}
	return "undefined-condition"
}
