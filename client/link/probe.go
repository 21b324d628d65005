package link

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/awnumar/memguard"
	"mellium.im/xmpp/jid"

	"sotto/client/stanza"
)

// Probe is one stream to a relay for those who examine relays instead of using
// them. It is made, secured and logged in by the code that a login runs, so what
// a probe meets is what sotto meets. Send and Receive may be called at the same
// time, each by one goroutine. A context that ends during a call ends the stream.
type Probe struct {
	Offer    *stanza.Element // the features as the relay sent them, after Login the later ones
	Features stanza.Features // the same, read

	n     *negotiation
	tr    *http.Transport
	state *tls.ConnectionState
	tcp   *lastConn
}

// lastConn remembers the connection that was dialled last.
type lastConn struct {
	mu sync.Mutex
	c  net.Conn
}

// dialOf is what a target is reached with.
func (t Target) dialOf() func(context.Context, string, string) (net.Conn, error) {
	if t.Dial != nil {
		return t.Dial
	}
	return (&net.Dialer{}).DialContext
}

// job makes the copy of settings that an attempt runs on; TLS 1.2 and
// SCRAM-SHA-1 are taken, so that an old relay can be told what else is wrong.
func (t Target) job() (*job, error) {
	trust, err := readTrust(t.CA, t.Roots)
	if err != nil {
		return nil, &failure{words: "The CA file holds no readable PEM certificate. Ask your administrator for another.", cause: err}
	}
	return &job{legacy: true, trust: trust, dial: t.dialOf(), heard: newHeard(), timeout: time.Minute, log: slog.New(slog.DiscardHandler)}, nil
}

// Open opens a stream to t.Relay, up to what it offers before a login. t.Domain
// is what the stream is opened to, by default the host of the URL.
func (t Target) Open(ctx context.Context) (*Probe, error) {
	j, err := t.job()
	if err != nil {
		return nil, err
	}
	relay, err := relayURL(t.Relay)
	if err != nil {
		return nil, err
	}
	if j.address, err = (&inspector{target: t}).domain(relay); err != nil {
		return nil, err
	}
	tcp, dial := &lastConn{}, j.dial
	j.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err == nil {
			tcp.mu.Lock()
			tcp.c = c
			tcp.mu.Unlock()
		}
		return c, err
	}
	p := &Probe{tr: j.transport(), tcp: tcp}
	ws, state, err := j.connect(ctx, p.tr, relay)
	if err != nil {
		p.tr.CloseIdleConnections()
		return nil, asFailure(err)
	}
	p.n, p.state = &negotiation{job: j, ws: ws}, state
	if err := p.open(ctx); err != nil {
		p.Close()
		return nil, asFailure(err)
	}
	return p, nil
}

// open is negotiation.open, and keeps the features as they came.
func (p *Probe) open(ctx context.Context) error {
	if err := p.n.send(ctx, stanza.Open(p.n.address.Domainpart())); err != nil {
		return err
	}
	e, err := p.n.receive(ctx)
	if err != nil {
		return err
	}
	if !e.Is(stanza.NSFraming, "open") {
		return violation(errors.New("the relay did not open the stream"))
	}
	if e, err = p.n.receive(ctx); err != nil {
		return err
	}
	f, ok := stanza.ReadFeatures(e)
	if !ok {
		return violation(errors.New("the relay sent no stream features"))
	}
	p.Offer, p.Features = e, f
	return nil
}

// Login logs in and restarts the stream. A password is only ever used with SCRAM.
func (p *Probe) Login(ctx context.Context, address jid.JID, password *memguard.Enclave) error {
	p.n.address, p.n.password = address.Bare(), password
	m, err := mechanism(p.Features, p.state, true)
	if err != nil {
		return err
	}
	if err := p.n.authenticate(ctx, m, p.state, p.Features.Mechanisms); err != nil {
		return asFailure(err)
	}
	if err := p.open(ctx); err != nil {
		return asFailure(err)
	}
	return nil
}

// Bind asks for a resource and returns the full address.
func (p *Probe) Bind(ctx context.Context, resource string) (jid.JID, error) {
	return p.n.bind(ctx, resource)
}

// Send sends one element.
func (p *Probe) Send(ctx context.Context, e *stanza.Element) error { return p.n.send(ctx, e) }

// Receive returns the next element. What ends the stream is an error.
func (p *Probe) Receive(ctx context.Context) (*stanza.Element, error) { return p.n.receive(ctx) }

// Cut breaks the TCP connection as a network does: with a reset, and without a
// word to the relay above it.
func (p *Probe) Cut() {
	p.tcp.mu.Lock()
	defer p.tcp.mu.Unlock()
	if c, ok := p.tcp.c.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	if p.tcp.c != nil {
		p.tcp.c.Close()
	}
	p.n.ws.CloseNow()
}

// Close ends the stream, without waiting for the relay's word on it.
func (p *Probe) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = p.n.send(ctx, stanza.Close())
	p.n.ws.CloseNow()
	p.tr.CloseIdleConnections()
}

// Words says for people why a call to a probe failed. Nothing that a server
// wrote is in it.
func Words(err error) string { return asFailure(err).words }

// Client returns an HTTP client that trusts and dials as the target says, and
// follows no redirect away from TLS. Close its idle connections after use.
func (t Target) Client() (*http.Client, error) {
	j, err := t.job()
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: j.transport(), CheckRedirect: httpsRedirect}, nil
}

// Authorities returns whom the target trusts: nil is the system's.
func (t Target) Authorities() (*x509.CertPool, error) {
	trust, err := readTrust(t.CA, t.Roots)
	return trust.roots, err
}

// DocumentLimit is how long one document of discovery may take, usually.
const DocumentLimit = 8 * time.Second

// HostMeta is one of the two documents of XEP-0156.
type HostMeta struct {
	URL   *url.URL // the first wss relay it names; nil if none
	Plain bool     // it names a relay without TLS
	Words string   // why it could not be read, for people; "" if it was
}

// Discover reads both documents of t.Domain: JSON, then XML. Each may take as long as
// limit says.
func (t Target) Discover(ctx context.Context, limit time.Duration) (found [2]HostMeta) {
	c, err := t.Client()
	if err != nil {
		return [2]HostMeta{{Words: Words(err)}, {Words: Words(err)}}
	}
	defer c.CloseIdleConnections()
	var wait sync.WaitGroup
	for i, f := range []struct {
		path, accept string
		parse        func([]byte) ([]string, error)
	}{
		{"/.well-known/host-meta.json", "application/json", hostMetaJSON},
		{"/.well-known/host-meta", "application/xrd+xml", hostMetaXML},
	} {
		wait.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, limit)
			defer cancel()
			b, err := fetch(ctx, c, "https://"+t.Domain+f.path, f.accept)
			var links []string
			if err == nil {
				links, err = f.parse(b)
			}
			found[i] = hostMeta(t.Domain, links, err)
		})
	}
	wait.Wait()
	return found
}

// hostMeta judges the links of one document, or why there is none.
func hostMeta(domain string, links []string, err error) (m HostMeta) {
	var status statusError
	switch {
	case errors.As(err, &status):
		m.Words = "The website answered with " + status.Error() + "."
	case errors.Is(err, errHostMeta):
		m.Words = "What is there is not a host-meta document."
	case err != nil:
		m.Words = Words(dialFailure(domain, err))
	}
	for _, s := range links {
		if u, err := url.Parse(s); err == nil && u.Scheme == "ws" {
			m.Plain = true
		}
		if u, err := relayURL(s); err == nil && u.Scheme == "wss" && m.URL == nil {
			m.URL = u
		}
	}
	return m
}
