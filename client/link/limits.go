package link

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/url"
	"strings"

	"sotto/client/wire"
)

// Errors about a policy under which the relay is not connected to.
var (
	errNotListed = errors.New("the relay is not on the list")
	errNoURL     = errors.New("the list has what is no address")
	errNoPin     = errors.New("a pin is no digest of a key")
)

// limit holds the account to the relays and the keys that the organisation's policy
// names, a line each; empty where it names none. An account that is set up for no
// relay goes to the first of them: discovery is anybody's who has the domain's
// website. A key has to be in the chain besides those that the person has pinned.
func (a *account) limit(relays, pins string) error {
	var allowed []*url.URL
	for s := range strings.Lines(relays) {
		u, err := relayURL(strings.TrimSuffix(s, "\n"))
		if err != nil {
			return &failure{words: "Your organisation's policy names a relay whose address is no URL such as wss://relay.example.org/ws. Tell your administrator.", course: never, cause: errors.Join(errNoURL, err)}
		}
		allowed = append(allowed, u)
	}
	switch {
	case allowed == nil:
	case a.relay == nil:
		a.relay = allowed[0]
	case !contains(allowed, a.relay):
		return &failure{words: "This account is set up for " + a.relay.Hostname() + ", and your organisation lets it connect to " + hosts(allowed) + " only. Nothing was sent. Tell your administrator.", course: never, cause: errNotListed}
	}
	for s := range strings.Lines(pins) {
		b, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(s, "\n"))
		if err != nil || len(b) != sha256.Size && len(b) != wire.ShortPin {
			return &failure{words: "Your organisation's policy names a relay's key that is none. Nothing was sent. Tell your administrator.", course: never, cause: errors.Join(errNoPin, err)}
		}
		a.trust.required = append(a.trust.required, b)
	}
	return nil
}

func contains(list []*url.URL, u *url.URL) bool {
	for _, x := range list {
		if x.Scheme == u.Scheme && strings.EqualFold(x.Host, u.Host) && x.EscapedPath() == u.EscapedPath() && x.RawQuery == u.RawQuery {
			return true
		}
	}
	return false
}

// hosts names relays in a sentence.
func hosts(list []*url.URL) string {
	names := make([]string, 0, 3)
	for i, u := range list {
		if i == 2 && len(list) > 3 {
			names = append(names, "others")
			break
		}
		names = append(names, u.Hostname())
	}
	return strings.Join(names, " and ")
}
