package link

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sotto/internal/relay"
)

func inspected(t *testing.T, target Target, dial func(context.Context, string, string) (net.Conn, error)) Inspection {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return inspect(ctx, target, dial)
}

func (i Inspection) want(t *testing.T, step Step, words string) {
	t.Helper()
	if i.Step != step || !strings.Contains(i.Words, words) || (words == "") != (i.Words == "") {
		t.Errorf("came to step %d and said %q, want %d and %q", i.Step, i.Words, step, words)
	}
}

// The embedded relay with TLS, which also says by host-meta where it is.
func TestInspectEmbeddedRelay(t *testing.T) {
	ca := newAuthority(t)
	r, err := relay.New(relay.Config{Domain: "h.example", URL: "wss://relay.example/ws", Iterations: 4096})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	cert := ca.server(-1, 24*30, "h.example", "relay.example")
	go r.ServeTLS(ctx, ln, &tls.Config{Certificates: []tls.Certificate{cert}})
	for name, target := range map[string]Target{
		"named":      {Domain: "h.example", Relay: "wss://relay.example/ws", CA: ca.pem()},
		"discovered": {Domain: "h.example", CA: ca.pem()},
	} {
		t.Run(name, func(t *testing.T) {
			i := inspected(t, target, toward(ln.Addr().String()))
			i.want(t, Greeted, "")
			if i.URL != "wss://relay.example/ws" || i.Address != ln.Addr().String() || i.TLS != tls.VersionTLS13 {
				t.Errorf("found %+v", i)
			}
			if !i.Expires.Equal(cert.Leaf.NotAfter) {
				t.Errorf("ends %v, want %v", i.Expires, cert.Leaf.NotAfter)
			}
			if i.Mechanism != "SCRAM-SHA-256-PLUS" || i.Legacy || i.Refused != "" || len(i.Mechanisms) < 2 {
				t.Errorf("login: %+v", i)
			}
		})
	}
}

func TestInspectFailures(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	good := ca.server(-1, 1, "relay.example")
	for name, c := range map[string]struct {
		cert  tls.Certificate
		max   uint16
		sc    script
		path  string
		step  Step
		words string
		tls   uint16
		days  bool // the certificate's end is known
	}{
		"good":             {good, 0, script{}, "/ws", Greeted, "", tls.VersionTLS13, true},
		"expired":          {ca.server(-72, -48, "relay.example"), 0, script{}, "/ws", Reached, "ended on", 0, true},
		"another name":     {ca.server(-1, 1, "other.example"), 0, script{}, "/ws", Reached, "for another name", 0, true},
		"not trusted":      {stranger.server(-1, 1, "relay.example"), 0, script{}, "/ws", Reached, "authority that is not trusted", 0, true},
		"TLS 1.2":          {good, tls.VersionTLS12, script{}, "/ws", Greeted, "", tls.VersionTLS12, true},
		"TLS 1.1":          {good, tls.VersionTLS11, script{}, "/ws", Reached, "old version of TLS", 0, false},
		"another protocol": {good, 0, script{protocol: "chat"}, "/ws", Secured, "does not speak XMPP", tls.VersionTLS13, true},
		"another path":     {good, 0, script{}, "/nothing", Secured, "HTTP status 404", tls.VersionTLS13, true},
		"no open":          {good, 0, script{afterOpen: func(p *peer) { p.read(); p.write(`<message xmlns="jabber:client"/>`) }}, "/ws", Opened, "does not allow", tls.VersionTLS13, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, c.sc, &tls.Config{Certificates: []tls.Certificate{c.cert}, MaxVersion: c.max, MinVersion: tls.VersionTLS10})
			i := inspected(t, Target{Domain: "h.example", Relay: "wss://relay.example" + c.path, CA: ca.pem()}, toward(s.http.Listener.Addr().String()))
			i.want(t, c.step, c.words)
			if i.TLS != c.tls || i.Expires.IsZero() == c.days || c.days && !i.Expires.Equal(c.cert.Leaf.NotAfter) {
				t.Errorf("TLS %x until %v", i.TLS, i.Expires)
			}
			if _, logins, _ := s.counts(); logins != 0 {
				t.Error("it logged in")
			}
		})
	}
}

// What is sent is no more than the opening and the end of a stream.
func TestInspectSendsNoName(t *testing.T) {
	sent := make(chan string, 1)
	s := newServer(t, script{afterOpen: func(p *peer) {
		_, b, _ := p.ws.Read(p.ctx)
		all := string(b)
		p.write(`<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" from="h.example" id="s" version="1.0"/>`)
		p.write(`<stream:features xmlns:stream="http://etherx.jabber.org/streams"><mechanisms xmlns="urn:ietf:params:xml:ns:xmpp-sasl"><mechanism>SCRAM-SHA-256</mechanism></mechanisms></stream:features>`)
		for {
			_, b, err := p.ws.Read(p.ctx)
			if err != nil {
				break
			}
			all += string(b)
		}
		sent <- all
	}}, nil)
	i := inspected(t, Target{Domain: "h.example", Relay: s.url}, (&net.Dialer{}).DialContext)
	i.want(t, Greeted, "")
	if i.TLS != 0 || i.Mechanism != "SCRAM-SHA-256" {
		t.Errorf("found %+v", i)
	}
	all := await(t, sent, "end of the stream")
	if strings.Count(all, "<") != 2 || !strings.Contains(all, `<open `) || !strings.Contains(all, `<close `) || strings.Contains(all, "@") {
		t.Errorf("it sent %q", all)
	}
}

func TestInspectLogins(t *testing.T) {
	for name, c := range map[string]struct {
		offers          []string
		mechanism, says string
		legacy          bool
	}{
		"good":  {[]string{"PLAIN", "SCRAM-SHA-256"}, "SCRAM-SHA-256", "", false},
		"old":   {[]string{"SCRAM-SHA-1"}, "SCRAM-SHA-1", "only SCRAM-SHA-1", true},
		"plain": {[]string{"PLAIN"}, "", "only PLAIN", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, script{mechanisms: c.offers}, nil)
			i := inspected(t, Target{Domain: "h.example", Relay: s.url}, (&net.Dialer{}).DialContext)
			if i.Step != Greeted || i.Mechanism != c.mechanism || i.Legacy != c.legacy || !strings.Contains(i.Refused, c.says) {
				t.Errorf("found %+v", i)
			}
		})
	}
}

func TestInspectNobody(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	dial := (&net.Dialer{}).DialContext
	inspected(t, Target{Domain: "h.example", Relay: "wss://" + addr + "/ws"}, dial).want(t, Discovered, "refused the connection")
	inspected(t, Target{Domain: "h.example", Relay: "https://relay.example/"}, dial).want(t, Nowhere, "does not begin with wss:")
	inspected(t, Target{Domain: "h.example", Relay: "wss://127.0.0.1/ws", CA: []byte("what")}, dial).want(t, Nowhere, "no readable PEM")
	inspected(t, Target{}, dial).want(t, Nowhere, "no address to discover")
}

// One that takes the connection and says nothing.
func TestInspectSilence(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var i Inspection
	for d := 200 * time.Millisecond; d < patience && i.Step < Reached; d *= 3 { // longer, where even reaching it takes that long
		ctx, cancel := context.WithTimeout(t.Context(), d)
		i = Inspect(ctx, Target{Domain: "h.example", Relay: "wss://" + ln.Addr().String() + "/ws"})
		cancel()
	}
	i.want(t, Reached, "does not answer")
}

// Discovery that leads nowhere says so.
func TestInspectDiscoveryFails(t *testing.T) {
	ca := newAuthority(t)
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = quiet()
	s.TLS = &tls.Config{Certificates: []tls.Certificate{ca.server(-1, 1, "h.example")}}
	s.StartTLS()
	defer s.Close()
	i := inspected(t, Target{Domain: "h.example", CA: ca.pem()}, toward(s.Listener.Addr().String()))
	i.want(t, Nowhere, "does not say where its relay is")
}
