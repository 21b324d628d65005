package stanza

import (
	"errors"
	"strings"
	"testing"
)

func TestReadFeatures(t *testing.T) {
	f, ok := ReadFeatures(mustParse(t, `<stream:features xmlns:stream="http://etherx.jabber.org/streams"><mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><mechanism>PLAIN</mechanism><mechanism>SCRAM-SHA-256</mechanism><other>X</other></mechanisms><sasl-channel-binding xmlns="urn:xmpp:sasl-cb:0"><channel-binding type="tls-exporter"/></sasl-channel-binding><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/><sm xmlns="urn:xmpp:sm:3"/><csi xmlns="urn:xmpp:csi:0"/></stream:features>`))
	if !ok || strings.Join(f.Mechanisms, " ") != "PLAIN SCRAM-SHA-256" || strings.Join(f.Bindings, " ") != "tls-exporter" || !f.Bind || !f.SM || !f.CSI {
		t.Errorf("%+v %v", f, ok)
	}
	if _, ok := ReadFeatures(New(NSClient, "features")); ok {
		t.Error("features of another namespace were accepted")
	}
	many := New(NSSASL, "mechanisms")
	for range 1000 {
		many.Add(TextElement(NSSASL, "mechanism", "X"))
	}
	if f, _ := ReadFeatures(New(NSStream, "features", many)); len(f.Mechanisms) > maxMechanisms {
		t.Errorf("%d mechanisms kept", len(f.Mechanisms))
	}
}

func FuzzReadFeatures(f *testing.F) {
	f.Add([]byte(`<stream:features xmlns:stream="http://etherx.jabber.org/streams"><mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><mechanism>PLAIN</mechanism></mechanisms></stream:features>`))
	f.Add([]byte(`<error xmlns="http://etherx.jabber.org/streams"><conflict xmlns="urn:ietf:params:xml:ns:xmpp-streams"/></error>`))
	f.Add([]byte(`<success xmlns="urn:ietf:params:xml:ns:xmpp-sasl">dj0=</success>`))
	f.Add([]byte(`<enabled xmlns="urn:xmpp:sm:3" id="x" resume="1" max="600" h="4294967295"/>`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := Parse(b)
		if err != nil {
			return
		}
		feat, _ := ReadFeatures(e)
		if len(feat.Mechanisms) > maxMechanisms || len(feat.Bindings) > maxMechanisms {
			t.Fatal("unbounded list")
		}
		StreamErrorCondition(e)
		SASLData(e)
		SASLFailure(e)
		ReadSMEnabled(e)
		ReadSMCount(e)
		ReadBind(e)
		ReadInfo(e)
		ReadError(e)
	})
}

func TestSASLData(t *testing.T) {
	b, err := SASLData(mustParse(t, Response([]byte("c=biws")).String()))
	if err != nil || string(b) != "c=biws" {
		t.Errorf("%q %v", b, err)
	}
	if got, want := Response(nil).String(), `<response xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>`; got != want {
		t.Errorf("an empty response is written %s", got)
	}
	for _, s := range []string{"!", "YQ", "YR==", strings.Repeat("A", 16<<10)} {
		if _, err := SASLData(TextElement(NSSASL, "challenge", s)); !errors.Is(err, ErrSASL) {
			t.Errorf("%.10q: %v", s, err)
		}
	}
}

func TestStreamManagement(t *testing.T) {
	for s, want := range map[string]SMEnabled{
		`<enabled xmlns="urn:xmpp:sm:3" id="x" resume="true" max="600"/>`:                         {"x", 600, true},
		`<enabled xmlns="urn:xmpp:sm:3" id="x" resume="1" max="-3"/>`:                             {"x", 0, true},
		`<enabled xmlns="urn:xmpp:sm:3" id="x"/>`:                                                 {"", 0, false},
		`<enabled xmlns="urn:xmpp:sm:3" resume="1" id="` + strings.Repeat("x", MaxSMID+1) + `"/>`: {"", 0, false},
	} {
		if got := ReadSMEnabled(mustParse(t, s)); got != want {
			t.Errorf("%.60s: %+v, want %+v", s, got, want)
		}
	}
	if h, there, err := ReadSMCount(SMAnswer(1<<32 - 1)); h != 1<<32-1 || !there || err != nil {
		t.Errorf("%d %v %v", h, there, err)
	}
	if _, there, err := ReadSMCount(New(NSSM, "failed")); there || err != nil {
		t.Errorf("%v %v", there, err)
	}
	for _, s := range []string{"", "-1", "4294967296", "0x1", "1 "} {
		if _, _, err := ReadSMCount(New(NSSM, "a").With("h", s)); err == nil {
			t.Errorf("h=%q was accepted", s)
		}
	}
}

func TestReadBind(t *testing.T) {
	j, err := ReadBind(mustParse(t, `<iq xmlns="jabber:client" type="result" id="1"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><jid>a@b.example/r</jid></bind></iq>`))
	if err != nil || j.String() != "a@b.example/r" {
		t.Errorf("%v %v", j, err)
	}
	for _, s := range []string{"a@b.example", "", "@/"} {
		if _, err := ReadBind(NewIQ("result", "", "1", New(NSBind, "bind", TextElement(NSBind, "jid", s)))); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
	if _, err := ReadBind(NewIQ("error", "", "1", New(NSClient, "error", New(NSStanzas, "conflict")))); !errors.Is(err, &StanzaError{Condition: "conflict"}) {
		t.Errorf("%v", err)
	}
}
