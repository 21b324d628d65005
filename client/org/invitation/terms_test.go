package invitation

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"sotto/client/org"
)

// pinOf is the digest of a relay's key as a policy has it.
func pinOf(key string) string {
	sum := org.HashOf(key)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func TestTermsComeBack(t *testing.T) {
	one, four, many, bad := Terms{}, Terms{PINLength: 8}, Terms{PINMixed: true}, Terms{}
	one.SetPins([]string{pinOf("a")})
	four.SetPins([]string{pinOf("a"), pinOf("b"), pinOf("c"), pinOf("d")})
	many.SetPins([]string{pinOf("a"), pinOf("b"), pinOf("c"), pinOf("d"), pinOf("e")})
	bad.SetPins([]string{pinOf("a"), "cGlu"})
	if bad != (Terms{}) || many != (Terms{PINMixed: true}) {
		t.Errorf("%+v, %+v: some of the keys would keep out the others", bad, many)
	}
	for _, x := range []struct {
		terms Terms
		pins  int
	}{{Terms{}, 0}, {one, 1}, {four, 4}, {many, 0}, {terms, 2}, {Terms{PINLength: 6}, 0}, {Terms{PINLength: 64, OnlyRelay: true}, 0}} {
		for _, carries := range []bool{false, true} {
			c := invite().code
			c.Terms, c.carries = x.terms, carries
			got, err := ParseCode(c.Append(nil))
			if err != nil || got != c {
				t.Errorf("%+v came back as %+v, %v", c, got, err)
			}
			relays, pins := got.Limits()
			if got := len(strings.Fields(pins)); got != x.pins {
				t.Errorf("%d pins, want %d", got, x.pins)
			}
			if x.terms.OnlyRelay != (relays == relay) || !x.terms.OnlyRelay && relays != "" {
				t.Errorf("only %q", relays)
			}
		}
	}
	if _, pins := (&Code{Terms: one}).Limits(); !strings.HasPrefix(pinOf("a"), pins) || len(pins) != 16 {
		t.Errorf("the pin %q, and not the beginning of %q", pins, pinOf("a"))
	}
	c := Code{Relay: relay, Terms: Terms{OnlyRelay: true}}
	if c.MeetRelay("") != nil || c.MeetRelay(relay) != nil || c.MeetRelay("wss://other.example/ws") == nil {
		t.Error("another relay than the only one")
	}
	c.Terms.OnlyRelay = false
	if c.MeetRelay("wss://other.example/ws") != nil {
		t.Error("any relay is allowed")
	}
	for _, bad := range []Terms{{PINLength: 5}, {PINLength: 65}} {
		if _, _, _, err := NewBook(anchor).Issue(person, DefaultContact(alice), relay, bad, noon, expiry); err == nil {
			t.Errorf("issued with %+v", bad)
		}
	}
	if _, _, _, err := NewBook(anchor).Issue(person, DefaultContact(alice), "", Terms{OnlyRelay: true}, noon, expiry); err == nil {
		t.Error("issued for only one relay, and names none")
	}
}

// TestLoweredTerms has somebody who carries the code, and does not know the PIN, make
// one of it that asks for less. It opens no account, and is a wrong PIN to the
// organisation.
func TestLoweredTerms(t *testing.T) {
	i := invite()
	lowered := i.code
	lowered.Terms = Terms{}
	given, err := ParseCode(lowered.Append(nil)) // with a checksum of its own
	if err != nil || given.ID() != i.code.ID() {
		t.Fatalf("%v", err)
	}
	keys, err := given.Keys(i.pin)
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Destroy()
	mine, right := keys.Password(), i.keys.Password()
	defer mine.Destroy()
	defer right.Destroy()
	if bytes.Equal(mine.Bytes(), right.Bytes()) {
		t.Error("the account opens with terms that were lowered")
	}
	request, _ := i.request(t, keys, laptop)
	if a, err := i.book(t).Receive(request, noon); err != nil || a.Answer.Verdict != WrongPIN {
		t.Errorf("%+v, %v", a, err)
	}
}
