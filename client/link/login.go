package link

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/awnumar/memguard"
	"github.com/coder/websocket"
	"mellium.im/xmpp/jid"

	"sotto/client/stanza"
)

// Bounds of the stanzas that a relay may send before the login is done.
const (
	maxEarly      = 64
	maxEarlyBytes = 1 << 20
)

// job is what one attempt to log in needs. It is a copy: the attempt runs in a
// goroutine of its own and shares nothing with the owner.
type job struct {
	address  jid.JID // bare
	relay    *url.URL
	resource string
	legacy   bool
	trust    trust
	password *memguard.Enclave
	smID     string   // of the session to resume; empty: begin a new one
	h        uint32   // how many of that session's stanzas are handled
	known    *url.URL // where discovery once led; may be nil
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	heard    *heard
	timeout  time.Duration
	log      *slog.Logger
}

// entry is what a successful attempt ends with.
type entry struct {
	stream   *stream
	relay    *url.URL // where the stream leads
	address  jid.JID  // full; zero when resumed
	features stanza.Features
	resumed  bool
	resumedH uint32 // resumed: how many of our stanzas the relay has handled
	failedH  uint32 // of a session that is lost, how many were handled, if failedN
	failedN  bool
	sm       bool
	smID     string
	early    []inbound // stanzas that came between bind and the end of the login
}

// login connects and logs in. Its error is always a *failure.
func (j *job) login(ctx context.Context) (*entry, error) {
	ctx, cancel := context.WithTimeout(ctx, j.timeout)
	defer cancel()
	tr := j.transport()
	defer tr.CloseIdleConnections()
	relay := j.relay
	if relay == nil {
		var err error
		if relay, err = j.find(ctx, tr); err != nil {
			return nil, asFailure(err)
		}
	}
	ws, state, err := j.connect(ctx, tr, relay)
	if err != nil {
		return nil, asFailure(err)
	}
	n := &negotiation{job: j, ws: ws}
	e, err := n.run(ctx, state)
	if err != nil {
		ws.CloseNow()
		return nil, asFailure(err)
	}
	e.relay = relay
	e.stream = newStream(ws, j.heard)
	return e, nil
}

// find discovers the relay. Where it was known before, discovery gets a third of
// the time, and need not succeed: only the domain's website may be down.
func (j *job) find(ctx context.Context, tr *http.Transport) (*url.URL, error) {
	c := &http.Client{Transport: tr, CheckRedirect: httpsRedirect}
	if j.known == nil {
		return discover(ctx, c, j.address.Domainpart())
	}
	ctx, cancel := context.WithTimeout(ctx, j.timeout/3)
	defer cancel()
	relay, err := discover(ctx, c, j.address.Domainpart())
	if err != nil {
		j.log.Info("discovery failed: going where it led before", "err", err)
		relay = j.known
	}
	return relay, nil
}

// transport makes connections as the job's trust and the rule for ws: ask. A
// proxy is not used: the link's environment names none.
func (j *job) transport() *http.Transport {
	return &http.Transport{
		TLSClientConfig:        j.trust.config(j.legacy),
		TLSHandshakeTimeout:    j.timeout,
		MaxResponseHeaderBytes: 64 << 10,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := j.dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return hearing{c, j.heard}, nil
		},
	}
}

// connect opens the WebSocket (RFC 7395 section 3.1).
func (j *job) connect(ctx context.Context, tr *http.Transport, relay *url.URL) (*websocket.Conn, *tls.ConnectionState, error) {
	host := relay.Hostname()
	if relay.Scheme == "ws" {
		tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := j.dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			if !loopbackConn(c) {
				c.Close()
				return nil, &failure{words: "The relay's address begins with ws: but leads to another computer. Use wss:.", course: never}
			}
			return hearing{c, j.heard}, nil
		}
	}
	ws, resp, err := websocket.Dial(ctx, relay.String(), &websocket.DialOptions{
		Subprotocols: []string{"xmpp"},
		HTTPHeader:   http.Header{"User-Agent": {"sotto"}},
		HTTPClient: &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}},
	})
	switch {
	case err != nil && resp != nil && resp.StatusCode != http.StatusSwitchingProtocols:
		f := &failure{
			words:  fmt.Sprintf("%s answered with HTTP status %d instead of opening a WebSocket. Check the path in the relay's address.", host, resp.StatusCode),
			course: later, cause: err,
		}
		if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests { // a proxy whose relay restarts
			f.words = fmt.Sprintf("%s answered with HTTP status %d: the relay behind it may be down. Tell your administrator if it lasts.", host, resp.StatusCode)
			f.course = soon
		}
		return nil, nil, f
	case err != nil && resp != nil:
		return nil, nil, &failure{words: fmt.Sprintf("%s does not open a WebSocket as it should. Check the relay's address.", host), course: later, cause: err}
	case err != nil:
		return nil, nil, dialFailure(host, err)
	}
	if ws.Subprotocol() != "xmpp" {
		ws.CloseNow()
		return nil, nil, &failure{words: fmt.Sprintf("%s opens WebSockets but does not speak XMPP there. Check the path in the relay's address.", host), course: later}
	}
	ws.SetReadLimit(stanza.MaxSize)
	return ws, resp.TLS, nil
}

// negotiation is a stream until it is ready for stanzas.
type negotiation struct {
	*job
	ws    *websocket.Conn
	early []inbound
	bytes int // of early
}

func (n *negotiation) send(ctx context.Context, e *stanza.Element) error {
	return n.ws.Write(ctx, websocket.MessageText, e.Bytes())
}

func (n *negotiation) receive(ctx context.Context) (*stanza.Element, error) {
	in := read(ctx, n.ws)
	if in.err != nil {
		return nil, in.err
	}
	return in.e, n.ended(in.e)
}

// ended returns why the relay ends the stream, if e says that it does.
func (n *negotiation) ended(e *stanza.Element) error { return ending(n.address.Domainpart(), e) }

// run logs in on an open WebSocket, then resumes the session or begins one.
func (n *negotiation) run(ctx context.Context, state *tls.ConnectionState) (*entry, error) {
	f, err := n.open(ctx)
	if err != nil {
		return nil, err
	}
	m, err := mechanism(f, state, n.legacy)
	if err != nil {
		return nil, err
	}
	if err := n.authenticate(ctx, m, state, f.Mechanisms); err != nil {
		return nil, err
	}
	n.log.Debug("logged in", "mechanism", m.Name)
	e := &entry{}
	if e.features, err = n.open(ctx); err != nil {
		return nil, err
	}
	if n.smID != "" && e.features.SM {
		if err := n.resume(ctx, e); err != nil || e.resumed {
			return e, err
		}
	}
	if e.address, err = n.bind(ctx, n.resource); err != nil {
		return nil, err
	}
	if e.features.SM {
		if err := n.enable(ctx, e); err != nil {
			return nil, err
		}
	}
	e.early = n.early
	return e, nil
}

// open opens or restarts the stream (RFC 7395 sections 3.4 and 3.5).
func (n *negotiation) open(ctx context.Context) (stanza.Features, error) {
	if err := n.send(ctx, stanza.Open(n.address.Domainpart())); err != nil {
		return stanza.Features{}, err
	}
	e, err := n.receive(ctx)
	if err != nil {
		return stanza.Features{}, err
	}
	if !e.Is(stanza.NSFraming, "open") {
		return stanza.Features{}, violation(errors.New("the relay did not open the stream"))
	}
	if e, err = n.receive(ctx); err != nil {
		return stanza.Features{}, err
	}
	f, ok := stanza.ReadFeatures(e)
	if !ok {
		return f, violation(errors.New("the relay sent no stream features"))
	}
	return f, nil
}

// resume asks for the old session (XEP-0198 section 5). Without an error and
// without e.resumed, that session is lost and a new one can begin.
func (n *negotiation) resume(ctx context.Context, e *entry) error {
	if err := n.send(ctx, stanza.SMResume(n.smID, n.h)); err != nil {
		return err
	}
	x, err := n.receive(ctx)
	if err != nil {
		return err
	}
	h, there, err := stanza.ReadSMCount(x)
	if err != nil {
		return violation(err)
	}
	switch {
	case x.Is(stanza.NSSM, "resumed"):
		if !there || x.Get("previd") != n.smID {
			return violation(errors.New("the relay resumed another session"))
		}
		e.resumed, e.resumedH, e.sm, e.smID = true, h, true, n.smID
	case x.Is(stanza.NSSM, "failed"):
		e.failedH, e.failedN = h, there
	default:
		return violation(errors.New("the relay did not answer whether it resumes"))
	}
	return nil
}

// bind asks for a resource; if another client holds it, the relay chooses one.
func (n *negotiation) bind(ctx context.Context, resource string) (jid.JID, error) {
	id := "bind-" + rand.Text()
	if err := n.send(ctx, stanza.Bind(id, resource)); err != nil {
		return jid.JID{}, err
	}
	x, err := n.await(ctx, func(e *stanza.Element) bool { return e.Is(stanza.NSClient, "iq") && e.Get("id") == id })
	if err != nil {
		return jid.JID{}, err
	}
	full, err := stanza.ReadBind(x)
	switch {
	case errors.Is(err, &stanza.StanzaError{Condition: "conflict"}) && resource != "":
		return n.bind(ctx, "")
	case errors.Is(err, &stanza.StanzaError{Condition: "resource-constraint"}):
		return jid.JID{}, &failure{words: "The relay has no room for another connection of this account. Close one elsewhere.", course: later, cause: err}
	case err != nil:
		return jid.JID{}, &failure{words: "The relay did not give this device an address. Tell your administrator.", course: later, cause: err}
	case !full.Bare().Equal(n.address):
		return jid.JID{}, &failure{words: "The relay logged in another account than was asked for. Tell your administrator.", course: later}
	}
	return full, nil
}

// enable turns stream management on. A relay that refuses goes without.
func (n *negotiation) enable(ctx context.Context, e *entry) error {
	if err := n.send(ctx, stanza.SMEnable()); err != nil {
		return err
	}
	x, err := n.await(ctx, func(e *stanza.Element) bool { return e.Space == stanza.NSSM })
	if err != nil {
		return err
	}
	if x.Is(stanza.NSSM, "enabled") {
		e.sm, e.smID = true, stanza.ReadSMEnabled(x).ID
	}
	return nil
}

// await returns the element that is asked for and keeps stanzas before it.
func (n *negotiation) await(ctx context.Context, want func(*stanza.Element) bool) (*stanza.Element, error) {
	for {
		in := read(ctx, n.ws)
		if in.err != nil {
			return nil, in.err
		}
		if err := n.ended(in.e); err != nil {
			return nil, err
		}
		if want(in.e) {
			return in.e, nil
		}
		if n.bytes += len(in.raw); len(n.early) == maxEarly || n.bytes > maxEarlyBytes {
			return nil, violation(errors.New("too many stanzas before the login was done"))
		}
		n.early = append(n.early, in)
	}
}
