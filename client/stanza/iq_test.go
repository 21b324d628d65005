package stanza

import (
	"errors"
	"testing"
)

func mustParse(t testing.TB, s string) *Element {
	t.Helper()
	e, err := Parse([]byte(s))
	if err != nil {
		t.Fatalf("parse %s: %v", s, err)
	}
	return e
}

func TestIQAnswers(t *testing.T) {
	req := mustParse(t, `<iq xmlns="jabber:client" type="get" id="a&quot;1" from="ward@h.example/x"><ping xmlns="urn:xmpp:ping"/></iq>`)
	if !IsPing(req) {
		t.Error("a ping was not seen as one")
	}
	if got, want := Result(req, nil).String(), `<iq xmlns="jabber:client" type="result" id="a&quot;1" to="ward@h.example/x"/>`; got != want {
		t.Errorf("Result: %s, want %s", got, want)
	}
	e := mustParse(t, ErrorReply(req, "cancel", "service-unavailable").String())
	_, err := CheckIQ(e)
	if !errors.Is(err, &StanzaError{Condition: "service-unavailable"}) || errors.Is(err, &StanzaError{Condition: "conflict"}) {
		t.Errorf("error reply reads as %v", err)
	}
	if err.Error() == "" {
		t.Error("an error without words")
	}
}

func TestReadIQRefuses(t *testing.T) {
	for _, s := range []string{
		`<iq xmlns="jabber:client" type="get"/>`,
		`<iq xmlns="jabber:client" id="1"/>`,
		`<iq xmlns="jabber:client" id="1" type="ask"/>`,
		`<iq xmlns="other" id="1" type="get"/>`,
		`<message xmlns="jabber:client" id="1" type="get"/>`,
	} {
		if _, err := ReadIQ(mustParse(t, s)); !errors.Is(err, ErrNotIQ) {
			t.Errorf("%s: %v", s, err)
		}
	}
	if _, err := CheckIQ(mustParse(t, `<iq xmlns="jabber:client" id="1" type="set"/>`)); err == nil {
		t.Error("a request was taken for an answer")
	}
}

func TestReadErrorUnknownCondition(t *testing.T) {
	e := mustParse(t, `<iq xmlns="jabber:client" type="error" id="1"><error type="x"><made-up xmlns="urn:ietf:params:xml:ns:xmpp-stanzas"/><text xmlns="urn:ietf:params:xml:ns:xmpp-stanzas">hi</text></error></iq>`)
	s := ReadError(e)
	if s.Condition != "undefined-condition" || s.Type != "" || s.Text != "hi" || s.Error() == "" {
		t.Errorf("%+v %q", s, s.Error())
	}
	if ReadError(mustParse(t, `<iq xmlns="jabber:client" type="result" id="1"/>`)) != nil {
		t.Error("a result was read as an error")
	}
}

// The example of XEP-0115 section 5.2 and 5.3.
func TestCapsVer(t *testing.T) {
	simple := Info{
		Identities: []Identity{{Category: "client", Type: "pc", Name: "Exodus 0.9.1"}},
		Features:   []string{"http://jabber.org/protocol/muc", NSDiscoInfo, NSDiscoItems, NSCaps},
	}
	if ver, ok := CapsVer(simple); !ok || ver != "QgayPKawpkPSDYmwT/WM94uAlu0=" {
		t.Errorf("ver %q %v", ver, ok)
	}
	simple.Features = append(simple.Features, "a<b")
	if _, ok := CapsVer(simple); ok {
		t.Error("a part with '<' was accepted")
	}
}

func TestInfoRoundTrip(t *testing.T) {
	in := Info{Node: "n#v", Identities: []Identity{{"client", "console", "en", "sotto"}}, Features: []string{"a", "b"}}
	out, err := ReadInfo(mustParse(t, NewIQ("result", "x@y", "1", in.Element()).String()))
	if err != nil || out.Node != in.Node || len(out.Identities) != 1 || out.Identities[0] != in.Identities[0] || !out.Has("b") || out.Has("c") {
		t.Errorf("%+v, %v", out, err)
	}
}
