package relay

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"sotto/client/stanza"
)

func TestLoginRefused(t *testing.T) {
	s := startRelay(t, Config{}, "alice")
	c := s.dial()
	c.open()
	if m := c.features.Child(stanza.NSSASL, "mechanisms"); m.Child("", "").Text() != "SCRAM-SHA-256" || len(m.Children) != 1 {
		t.Errorf("offered %s", m)
	}
	for _, who := range []string{"alice", "nobody", "\u0007"} {
		c := s.dial()
		c.open()
		if err := c.auth(who, "not the password"); err == nil || !strings.Contains(err.Error(), "not-authorized") {
			t.Errorf("%q with a wrong password: %v", who, err)
		}
	}
	for range maxLogins {
		if err := c.auth("alice", "wrong"); err == nil {
			t.Fatal("logged in with a wrong password")
		}
	}
	if got := c.ended(); got != "policy-violation" {
		t.Errorf("after %d failures: %q", maxLogins, got)
	}
	if err := func() error { c := s.dial(); c.open(); return c.auth("alice", password("alice")) }(); err != nil {
		t.Errorf("the right password after wrong ones: %v", err)
	}
}

func TestLoginHostile(t *testing.T) {
	s := startRelay(t, Config{}, "alice")
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	auth := func(mechanism, text string) string {
		return `<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="` + mechanism + `">` + text + `</auth>`
	}
	for name, c := range map[string]struct{ in, want string }{
		"plain":             {auth("PLAIN", b64("\x00alice\x00"+password("alice"))), "invalid-mechanism"},
		"plus without TLS":  {auth("SCRAM-SHA-256-PLUS", b64("p=tls-exporter,,n=alice,r=abcdefgh")), "invalid-mechanism"},
		"not base64":        {auth("SCRAM-SHA-256", "???"), "incorrect-encoding"},
		"empty":             {auth("SCRAM-SHA-256", "="), "malformed-request"},
		"no nonce":          {auth("SCRAM-SHA-256", b64("n,,n=alice")), "malformed-request"},
		"short nonce":       {auth("SCRAM-SHA-256", b64("n,,n=alice,r=a")), "malformed-request"},
		"bad quoting":       {auth("SCRAM-SHA-256", b64("n,,n=al=ice,r=abcdefgh")), "malformed-request"},
		"extension":         {auth("SCRAM-SHA-256", b64("n,,m=x,n=alice,r=abcdefgh")), "malformed-request"},
		"binding flag":      {auth("SCRAM-SHA-256", b64("p=tls-exporter,,n=alice,r=abcdefgh")), "malformed-request"},
		"stanza before":     {`<message xmlns="jabber:client" to="alice@ward.example"><body>x</body></message>`, "malformed-request"},
		"response too soon": {`<response xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>`, "malformed-request"},
	} {
		k := s.dial()
		k.open()
		k.raw(c.in)
		f := k.expect(name, func(e *stanza.Element) bool { return e.Is(stanza.NSSASL, "failure") })
		if got := f.Child("", "").Local; got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	for name, c := range map[string]struct{ in, want string }{
		"restricted":     {`<!DOCTYPE x><x/>`, "restricted-xml"},
		"malformed":      {`<open`, "not-well-formed"},
		"other host":     {`<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="other.example"/>`, "host-unknown"},
		"not an opening": {`<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl"/>`, "invalid-namespace"},
		"large":          {`<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="` + strings.Repeat("x", preAuthBytes) + `"/>`, ""},
	} {
		k := s.dial()
		k.raw(c.in)
		if got := k.ended(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestLoginTime(t *testing.T) {
	t.Parallel()
	const long = 15 * time.Second // enough to log in on a busy machine
	s := startRelay(t, Config{Limits: Limits{LoginTime: long}}, "alice")
	bound := s.connect("alice", "a")
	over := time.After(long * 3 / 2)
	silent := s.dial()
	unbound := s.login("alice")
	silent.ended()
	unbound.ended()
	eventually(t, "the waiting room to be empty", func() bool { return s.waiting.Load() == 0 })
	<-over
	bound.sync()
}

// TestWaitingRoom has room for one who has not bound yet.
func TestWaitingRoom(t *testing.T) {
	s := startRelay(t, Config{Limits: Limits{LoginTime: time.Hour, Unauthenticated: 1}}, "alice")
	c := s.login("alice") // logs in and does not bind
	_, _, err := websocket.Dial(t.Context(), "ws://"+s.addr+"/ws", &websocket.DialOptions{Subprotocols: []string{"xmpp"}})
	if err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("a second one in the waiting room: %v", err)
	}
	c.ws.CloseNow()
	eventually(t, "the waiting room to be empty again", func() bool { return s.waiting.Load() == 0 })
	s.connect("alice", "a").sync()
}

func TestSubprotocol(t *testing.T) {
	s := startRelay(t, Config{})
	ws, _, err := websocket.Dial(t.Context(), "ws://"+s.addr+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := ws.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("without the subprotocol: %v", err)
	}
}

func TestChannelBinding(t *testing.T) {
	creds, err := newCredentials([]byte("a good password"), minIterations)
	if err != nil {
		t.Fatal(err)
	}
	run := func(gs2 string, plus bool, serverBinding, clientBinding []byte) error {
		x := scram{binding: serverBinding, plus: plus}
		if err := x.first([]byte(gs2 + "n=a,r=abcdefghij")); err != nil {
			return err
		}
		x.challenge(creds)
		bind := base64.StdEncoding.EncodeToString(append([]byte(gs2), clientBinding...))
		final := "c=" + bind + ",r=" + x.nonce
		_, err := x.final([]byte(final + ",p=" + clientProof(t, "a good password", creds, x.bare+","+x.serverFirst+","+final)))
		return err
	}
	key, other := []byte(strings.Repeat("k", 32)), []byte(strings.Repeat("o", 32))
	for name, c := range map[string]struct {
		err  error
		want error
	}{
		"plain":                {run("n,,", false, nil, nil), nil},
		"no binding possible":  {run("y,,", false, nil, nil), nil},
		"client does not bind": {run("n,,", false, key, nil), nil},
		"stripped from list":   {run("y,,", false, key, nil), errNotAuthorized},
		"bound":                {run("p=tls-exporter,,", true, key, key), nil},
		"other connection":     {run("p=tls-exporter,,", true, key, other), errNotAuthorized},
		"header changed":       {run("n,,", false, nil, key), errNotAuthorized},
		"plus without binding": {run("n,,", true, key, nil), errMalformedRequest},
		"tls-unique":           {run("p=tls-unique,,", true, key, key), errMalformedRequest},
	} {
		if c.err != c.want {
			t.Errorf("%s: %v, want %v", name, c.err, c.want)
		}
	}
}

func TestTLS(t *testing.T) {
	s := startRelay(t, Config{}, "alice")
	web := httptest.NewUnstartedServer(nil) // for its certificate
	web.StartTLS()
	defer web.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.ServeTLS(ctx, ln, web.TLS) }()
	ws, _, err := websocket.Dial(t.Context(), "wss://"+ln.Addr().String()+"/ws", &websocket.DialOptions{
		Subprotocols: []string{"xmpp"}, HTTPClient: web.Client()})
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	ws.Write(t.Context(), websocket.MessageText, []byte(`<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="ward.example"/>`))
	var features string
	for range 2 {
		_, b, err := ws.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		features = string(b)
	}
	if !strings.Contains(features, "SCRAM-SHA-256-PLUS") || !strings.Contains(features, "tls-exporter") {
		t.Errorf("with TLS 1.3 offered %s", features)
	}
	if c, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{MaxVersion: tls.VersionTLS12, InsecureSkipVerify: true}); err == nil {
		c.Close()
		t.Error("TLS 1.2 was accepted")
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestPlainNeedsLoopback(t *testing.T) {
	s := startRelay(t, Config{})
	ln, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(t.Context(), ln); err != ErrPlain {
		t.Errorf("without TLS on every address: %v", err)
	}
}
