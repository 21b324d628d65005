package link

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sotto/client/stanza"
	"sotto/client/wire"
)

// authority is a CA of a test.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{t: t}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a.key = key
	a.cert, _ = a.issue("Test CA", nil, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), key)
	return a
}

func (a *authority) issue(name string, names []string, from, to time.Time, key *ecdsa.PrivateKey) (*x509.Certificate, tls.Certificate) {
	a.t.Helper()
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: from, NotAfter: to, DNSNames: names,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	parent := a.cert
	if parent == nil {
		parent = tmpl
		tmpl.IsCA, tmpl.BasicConstraintsValid, tmpl.KeyUsage, tmpl.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return c, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: c}
}

// server returns a server certificate for names, good from and to hours from now.
func (a *authority) server(from, to int, names ...string) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	now := time.Now()
	_, c := a.issue("relay", names, now.Add(time.Duration(from)*time.Hour), now.Add(time.Duration(to)*time.Hour), key)
	return c
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func pin(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: c.RawSubjectPublicKeyInfo})
}

// toward returns a Dial that leads everywhere to one address.
func toward(addr string) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
}

func TestTLSFailures(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	_, selfSigned := (&authority{t: t, key: ca.key}).issue("self", []string{"relay.example"}, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), ca.key)
	good := ca.server(-1, 1, "relay.example")
	day := func(hours int) string {
		return time.Now().Add(time.Duration(hours) * time.Hour).UTC().Format("2 January 2006")
	}
	for name, c := range map[string]struct {
		cert   tls.Certificate
		max    uint16
		ca     []byte
		legacy bool
		words  string // empty: online
	}{
		"good":             {good, 0, ca.pem(), false, ""},
		"pinned leaf":      {good, 0, append(ca.pem(), pin(good.Leaf)...), false, ""},
		"pinned CA":        {good, 0, append(pin(ca.cert), ca.pem()...), false, ""},
		"pinned another":   {good, 0, append(ca.pem(), pin(stranger.cert)...), false, "another key than the one pinned"},
		"expired":          {ca.server(-72, -48, "relay.example"), 0, ca.pem(), false, "relay.example ended on " + day(-48)},
		"not yet":          {ca.server(48, 72, "relay.example"), 0, ca.pem(), false, "valid only from " + day(48)},
		"another name":     {ca.server(-1, 1, "other.example"), 0, ca.pem(), false, "is for another name"},
		"unknown CA":       {stranger.server(-1, 1, "relay.example"), 0, ca.pem(), false, "authority that is not trusted"},
		"self-signed":      {selfSigned, 0, stranger.pem(), false, "self-signed"},
		"old TLS":          {good, tls.VersionTLS12, ca.pem(), false, "old version of TLS"},
		"old TLS allowed":  {good, tls.VersionTLS12, ca.pem(), true, ""},
		"older TLS":        {good, tls.VersionTLS11, ca.pem(), true, "old version of TLS"},
		"CA is not PEM":    {good, 0, []byte("what"), false, "no readable PEM"},
		"CA is broken PEM": {good, 0, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), false, "no readable PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, script{}, &tls.Config{Certificates: []tls.Certificate{c.cert}, MaxVersion: c.max, MinVersion: tls.VersionTLS10})
			d := attach(t, start(t, Config{Dial: toward(s.http.Listener.Addr().String())}), true)
			m := account1("wss://relay.example/ws")
			m.CA, m.Legacy = c.ca, c.legacy
			d.write(m)
			if c.words == "" {
				d.phase(wire.Online)
				return
			}
			d.words(c.words)
			if tries, _, _ := s.counts(); tries != 0 {
				t.Error("something was sent")
			}
		})
	}
}

func TestDialFailures(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := closed.Addr().String()
	closed.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	var status int
	var mu sync.Mutex
	odd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if status == http.StatusFound {
			w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
		}
		w.WriteHeader(status)
	}))
	defer odd.Close()
	fails := func(err error) func(context.Context, string, string) (net.Conn, error) {
		return func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
		}
	}
	silent := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for name, c := range map[string]struct {
		relay  string
		dial   func(context.Context, string, string) (net.Conn, error)
		status int
		words  string
		phase  wire.Phase
	}{
		"unknown host": {"wss://nowhere.example/", fails(&net.DNSError{Name: "nowhere.example", IsNotFound: true}), 0, "The host nowhere.example is not known", wire.Offline},
		"no DNS":       {"wss://nowhere.example/", fails(&net.DNSError{Name: "nowhere.example", IsTimeout: true}), 0, "could not be looked up", wire.Offline},
		"refused":      {"ws://" + addr + "/ws", nil, 0, "127.0.0.1 refused the connection", wire.Offline},
		"no route":     {"wss://relay.example/", fails(syscall.EHOSTUNREACH), 0, "There is no way to relay.example", wire.Offline},
		"no answer":    {"wss://relay.example/", silent, 0, "relay.example does not answer", wire.Offline},
		"no TLS":       {"wss://" + plain.Listener.Addr().String() + "/", nil, 0, "does not speak TLS", wire.Offline},
		"not found":    {"ws://" + odd.Listener.Addr().String() + "/", nil, 404, "HTTP status 404", wire.Offline},
		"redirect":     {"ws://" + odd.Listener.Addr().String() + "/", nil, 302, "HTTP status 302", wire.Offline},
		"bad gateway":  {"ws://" + odd.Listener.Addr().String() + "/", nil, 502, "HTTP status 502", wire.Offline},
		"just a page":  {"ws://" + odd.Listener.Addr().String() + "/", nil, 200, "HTTP status 200", wire.Offline},
		"ws elsewhere": {"ws://relay.example/ws", nil, 0, "only allowed on this computer", wire.Refused},
		"http":         {"https://relay.example/ws", nil, 0, "does not begin with wss:", wire.Refused},
		"no URL":       {"relay.example", nil, 0, "is not a URL such as", wire.Refused},
		"no host":      {"wss:///ws", nil, 0, "is not a URL such as", wire.Refused},
		"user":         {"wss://a:b@relay.example/", nil, 0, "is not a URL such as", wire.Refused},
		"control":      {"wss://relay\u202e.example/", nil, 0, "is not a URL such as", wire.Refused},
	} {
		t.Run(name, func(t *testing.T) {
			mu.Lock()
			status = c.status
			mu.Unlock()
			limit := time.Hour
			if name == "no answer" {
				limit = 200 * time.Millisecond
			}
			d := attach(t, start(t, Config{Dial: c.dial, Backoff: func(int) time.Duration { return time.Hour }, LoginTimeout: limit}), true)
			d.login(c.relay)
			if st := d.words(c.words); st.Phase != c.phase {
				t.Errorf("%+v", st)
			}
		})
	}
}

// ws: is for this computer only, also when a name leads elsewhere.
func TestPlainOnlyToLoopback(t *testing.T) {
	for s, ok := range map[string]bool{
		"ws://localhost:5280/ws": true, "ws://127.0.0.1/": true, "ws://[::1]/": true,
		"ws://localhost.example/": false, "ws://10.0.0.1/": false, "wss://10.0.0.1/": true,
	} {
		if _, err := relayURL(s); (err == nil) != ok {
			t.Errorf("%s: %v", s, err)
		}
	}
	for a, ok := range map[string]bool{"127.0.0.1": true, "::1": true, "192.0.2.1": false} {
		if loopbackConn(addrConn{ip: net.ParseIP(a)}) != ok {
			t.Errorf("%s", a)
		}
	}
	d := attach(t, start(t, Config{Dial: func(context.Context, string, string) (net.Conn, error) {
		c, _ := net.Pipe()
		return addrConn{c, net.ParseIP("192.0.2.1")}, nil
	}}), true)
	d.login("ws://localhost/ws")
	if st := d.phase(wire.Refused); !strings.Contains(st.Words, "leads to another computer") {
		t.Errorf("%+v", st)
	}
}

type addrConn struct {
	net.Conn
	ip net.IP
}

func (c addrConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: c.ip, Port: 1} }

func TestBackoffBetweenAttempts(t *testing.T) {
	asked := make(chan int, 64)
	s := newServer(t, script{}, nil)
	var mu sync.Mutex
	down := true
	d := attach(t, start(t, Config{
		Backoff: func(n int) time.Duration {
			select {
			case asked <- n:
			default: // the test has not been able to go on for that many attempts
			}
			return time.Millisecond
		},
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			if down {
				return nil, syscall.ECONNREFUSED
			}
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
	}), true)
	d.login(s.url)
	for want := range 5 {
		if n := await(t, asked, "failed attempt"); n != want {
			t.Fatalf("attempt %d was counted as %d", want, n)
		}
	}
	mu.Lock()
	down = false
	mu.Unlock()
	await(t, s.online, "login")
	d.next("a proof that the stream works", func(m wire.Message) bool { st, ok := m.(wire.State); return ok && st.RTT > 0 })
	for len(asked) > 0 {
		<-asked
	}
	s.cut() // at once, without asking how long to wait
	await(t, s.online, "resumption")
	d.next("online", func(m wire.Message) bool { st, ok := m.(wire.State); return ok && st.RTT > 0 })
	if len(asked) > 0 {
		t.Error("waited after a cut")
	}
	mu.Lock()
	down = true
	mu.Unlock()
	s.cut()
	if n := await(t, asked, "failed attempt"); n != 0 {
		t.Errorf("after success attempts are counted from %d", n)
	}
	st := d.next("offline", func(m wire.Message) bool { st, ok := m.(wire.State); return ok && st.Phase == wire.Offline }).(wire.State)
	if !strings.Contains(st.Words, "refused the connection") || st.RetryAt.IsZero() || st.Since.IsZero() {
		t.Errorf("%+v", st)
	}
}

// A network that breaks again and again, and brings something further each time,
// is not taken for one that is down.
func TestWaitsDoNotGrowOverProgress(t *testing.T) {
	asked := make(chan int, 4096)
	s := newServer(t, script{}, nil)
	s.set(func(sc *script) { sc.deaf = true })
	d := attach(t, start(t, Config{Backoff: func(n int) time.Duration { asked <- n; return time.Millisecond }}), true)
	d.login(s.url)
	await(t, s.online, "login")
	waits := 0
	for i := range 40 {
		s.deliver(`<message xmlns="jabber:client" from="b@example.org/x" id="m%d"><body>x</body></message>`, i)
		if _, e := d.inbound(); e.Get("id") != fmt.Sprint("m", i) {
			t.Fatalf("got %v", e)
		}
		s.cut()
		await(t, s.online, "resumption")
		for len(asked) > 0 {
			if n := <-asked; n != 0 {
				t.Fatalf("after cut %d it waits as after %d failures", i, n)
			}
			waits++
		}
	}
	if waits == 0 {
		t.Error("it never waited: the test shows nothing")
	}
}

// A relay that ends every stream just after the login is not hammered.
func TestRelayThatCutsAtOnce(t *testing.T) {
	asked := make(chan int, 4096)
	s := newServer(t, script{}, nil)
	s.set(func(sc *script) { sc.deaf = true })
	d := attach(t, start(t, Config{Backoff: func(n int) time.Duration { asked <- n; return time.Millisecond }}), true)
	d.login(s.url)
	for range 40 {
		await(t, s.online, "login")
		s.cut()
	}
	if await(t, asked, "a wait") != 0 {
		t.Error("the first wait is not the first")
	}
	for n := 0; n < 5; {
		select {
		case n = <-asked:
		case <-s.online:
			s.cut()
		case <-time.After(patience):
			t.Fatal("the waits do not grow")
		}
	}
}

const (
	metaJSON = `{"links":[{"rel":"urn:xmpp:alt-connections:xbosh","href":"https://h.example/bosh"},{"rel":"urn:xmpp:alt-connections:websocket","href":"ws://plain.example/ws"},{"rel":"urn:xmpp:alt-connections:websocket","href":"wss://relay.example/ws"}]}`
	metaXML  = `<?xml version='1.0' encoding='utf-8'?><!-- ours --><XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'><Link rel="urn:xmpp:alt-connections:websocket" href="wss://relay.example/ws"/></XRD>`
)

func TestDiscovery(t *testing.T) {
	ca := newAuthority(t)
	for name, c := range map[string]struct {
		json, xml string
		words     string // empty: online
	}{
		"json":           {metaJSON, "", ""},
		"xml":            {"", metaXML, ""},
		"broken json":    {`{"links":`, metaXML, ""},
		"both missing":   {"", "", "h.example does not say where its relay is"},
		"no TLS":         {`{"links":[{"rel":"urn:xmpp:alt-connections:websocket","href":"ws://127.0.0.1/ws"}]}`, "", "does not say where"},
		"too large":      {metaJSON + strings.Repeat(" ", maxHostMeta), "", "does not say where"},
		"leads nowhere":  {"redirect http://plain.example/", "", "does not say where"},
		"leads on":       {"redirect https://h.example/.well-known/host-meta.json", "", "does not say where"},
		"leads once":     {"redirect https://h.example/other.json", "", ""},
		"hostile json":   {`{"links":{"rel":[` + strings.Repeat("[", 10000), "", "does not say where"},
		"hostile xml":    {"", `<!DOCTYPE x [<!ENTITY a "b">]>` + metaXML, "does not say where"},
		"nested too far": {"", strings.Repeat("<a>", 1000), "does not say where"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, script{}, &tls.Config{Certificates: []tls.Certificate{ca.server(-1, 1, "relay.example", "h.example")}})
			ws := s.http.Config.Handler
			s.http.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body := ""
				switch r.URL.Path {
				case "/.well-known/host-meta.json":
					body = c.json
				case "/.well-known/host-meta":
					body = c.xml
				case "/other.json":
					body = metaJSON
				default:
					ws.ServeHTTP(w, r)
					return
				}
				if to, ok := strings.CutPrefix(body, "redirect "); ok {
					http.Redirect(w, r, to, http.StatusFound)
				} else if body == "" {
					http.NotFound(w, r)
				} else {
					w.Write([]byte(body))
				}
			})
			d := attach(t, start(t, Config{Dial: toward(s.http.Listener.Addr().String())}), true)
			m := account1("")
			m.CA = ca.pem()
			d.write(m)
			if c.words == "" {
				d.phase(wire.Online)
			} else {
				d.words(c.words)
			}
		})
	}
}

func FuzzHostMeta(f *testing.F) {
	f.Add([]byte(metaJSON))
	f.Add([]byte(metaXML))
	f.Add([]byte(`<XRD xmlns="http://docs.oasis-open.org/ns/xri/xrd-1.0"/><!-- -->`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, parse := range []func([]byte) ([]string, error){hostMetaJSON, hostMetaXML} {
			links, err := parse(b)
			if err != nil && links != nil {
				t.Fatal("links of a document that does not parse")
			}
			for _, l := range links {
				if u, err := relayURL(l); err == nil && !plainHost(u.Hostname()) {
					t.Fatalf("host %q could disturb a screen", u.Hostname())
				}
			}
		}
	})
}

// The link uses channel binding where the relay says it can, and only there.
func TestMechanism(t *testing.T) {
	tls13, tls12 := &tls.ConnectionState{Version: tls.VersionTLS13}, &tls.ConnectionState{Version: tls.VersionTLS12}
	all := []string{"PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"}
	exporter := []string{"tls-exporter"}
	for name, c := range map[string]struct {
		f      stanza.Features
		state  *tls.ConnectionState
		legacy bool
		want   string
	}{
		"bound":          {stanza.Features{Mechanisms: all, Bindings: exporter}, tls13, true, "SCRAM-SHA-256-PLUS"},
		"old TLS":        {stanza.Features{Mechanisms: all, Bindings: exporter}, tls12, true, "SCRAM-SHA-256"},
		"no TLS":         {stanza.Features{Mechanisms: all, Bindings: exporter}, nil, true, "SCRAM-SHA-256"},
		"not said":       {stanza.Features{Mechanisms: all}, tls13, true, "SCRAM-SHA-256"},
		"another":        {stanza.Features{Mechanisms: all, Bindings: []string{"tls-unique"}}, tls13, true, "SCRAM-SHA-256"},
		"nothing else":   {stanza.Features{Mechanisms: all[4:]}, tls13, false, "SCRAM-SHA-256-PLUS"},
		"only old":       {stanza.Features{Mechanisms: all[:2]}, tls13, true, "SCRAM-SHA-1"},
		"only old bound": {stanza.Features{Mechanisms: all[:3], Bindings: exporter}, tls13, true, "SCRAM-SHA-1-PLUS"},
		"old forbidden":  {stanza.Features{Mechanisms: all[:3], Bindings: exporter}, tls13, false, ""},
		"plain":          {stanza.Features{Mechanisms: all[:1]}, tls13, true, ""},
		"cannot bind":    {stanza.Features{Mechanisms: all[4:]}, nil, true, ""},
	} {
		m, err := mechanism(c.f, c.state, c.legacy)
		if m.Name != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v", name, m.Name, err)
		}
	}
}
