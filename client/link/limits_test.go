package link

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"

	"sotto/client/wire"
)

func TestOnlyTheRelaysOfThePolicy(t *testing.T) {
	const two = "wss://a.example/ws\nwss://b.example:5443/ws"
	for _, x := range []struct{ relay, relays, goes, words string }{
		{"wss://a.example/ws", "", "wss://a.example/ws", ""},
		{"", "", "", ""},
		{"wss://b.example:5443/ws", two, "wss://b.example:5443/ws", ""},
		{"wss://A.example/ws", two, "wss://A.example/ws", ""},
		{"", two, "wss://a.example/ws", ""}, // not where discovery leads
		{"wss://b.example/ws", two, "", "set up for b.example, and your organisation lets it connect to a.example and b.example only"},
		{"wss://a.example/other", two, "", "only"},
		{"wss://evil.example/ws", two, "", "set up for evil.example"},
		{"", "http://a.example", "", "Tell your administrator"},
		{"wss://a.example/ws", "wss://a.example/ws\n\x1b[2J", "", "Tell your administrator"},
	} {
		a, err := (&owner{Link: new(Link)}).newAccount(wire.Login{Address: "ng@mercy.example", Relay: x.relay, Relays: x.relays, Password: []byte("pw")})
		switch {
		case x.words != "":
			if err == nil || !strings.Contains(err.Error(), x.words) {
				t.Errorf("%q within %q: %v, want %q", x.relay, x.relays, err, x.words)
			}
		case err != nil:
			t.Errorf("%q within %q: %v", x.relay, x.relays, err)
		case a.relay == nil && x.goes != "" || a.relay != nil && a.relay.String() != x.goes:
			t.Errorf("%q within %q goes to %v", x.relay, x.relays, a.relay)
		}
	}
}

func TestTheKeysOfThePolicy(t *testing.T) {
	chain := func(keys ...string) tls.ConnectionState {
		var list []*x509.Certificate
		for _, k := range keys {
			list = append(list, &x509.Certificate{RawSubjectPublicKeyInfo: []byte(k)})
		}
		return tls.ConnectionState{VerifiedChains: [][]*x509.Certificate{list}}
	}
	pin := func(key string) string {
		sum := sha256.Sum256([]byte(key))
		return base64.StdEncoding.EncodeToString(sum[:])
	}
	a, err := (&owner{Link: new(Link)}).newAccount(wire.Login{Address: "ng@mercy.example", Pins: pin("new") + "\n" + pin("old"), Password: []byte("pw")})
	if err != nil {
		t.Fatal(err)
	}
	check := a.trust.config(false).VerifyConnection
	if check == nil {
		t.Fatal("nothing is checked")
	}
	for keys, ok := range map[string]bool{"old": true, "new": true, "leaf new": true, "other": false, "": false} {
		if err := check(chain(strings.Fields(keys)...)); (err == nil) != ok {
			t.Errorf("a chain of %q: %v", keys, err)
		}
	}
	// What the person has pinned has to be there, too.
	mine := sha256.Sum256([]byte("mine"))
	a.trust.pins = [][]byte{mine[:]}
	for keys, ok := range map[string]bool{"old": false, "mine": false, "mine old": true} {
		if err := check(chain(strings.Fields(keys)...)); ok && err != nil {
			t.Errorf("a chain of %q: %v", keys, err)
		}
		if err := a.trust.checkPins(chain(strings.Fields(keys)...)); (err == nil) != ok {
			t.Errorf("a chain of %q with a pin of one's own: %v", keys, err)
		}
	}
	// An invitation has the beginning of each.
	short := func(key string) string { return pin(key)[:base64.StdEncoding.EncodedLen(wire.ShortPin)] }
	if a, err = (&owner{Link: new(Link)}).newAccount(wire.Login{Address: "ng@mercy.example", Pins: short("new") + "\n" + short("old"), Password: []byte("pw")}); err != nil {
		t.Fatal(err)
	}
	for keys, ok := range map[string]bool{"old": true, "leaf new": true, "other": false, "": false} {
		if err := a.trust.checkPins(chain(strings.Fields(keys)...)); (err == nil) != ok {
			t.Errorf("a chain of %q against beginnings: %v", keys, err)
		}
	}
	for _, bad := range []string{"x", "YWJj", "MTIzNDU2Nzg5MDE=", pin("new") + "\n" + "\n"} {
		if _, err := (&owner{Link: new(Link)}).newAccount(wire.Login{Address: "ng@mercy.example", Pins: bad, Password: []byte("pw")}); err == nil {
			t.Errorf("took the pins %q", bad)
		}
	}
	one := &account{login: wire.Login{Pins: "a"}}
	if one.same(&account{login: wire.Login{Pins: "b"}}) || one.same(&account{login: wire.Login{Pins: "a", Relays: "x"}}) {
		t.Error("a stream under another policy serves this one")
	}
}
