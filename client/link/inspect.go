package link

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"time"

	"mellium.im/xmpp/jid"

	"sotto/client/stanza"
)

// Target is a relay to inspect. Domain or Relay must be given.
type Target struct {
	Domain string         // of the addresses it serves; "" takes the host of Relay
	Relay  string         // WebSocket URL; "" discovers it from Domain
	CA     []byte         // PEM, as in wire.Login; may be empty
	Roots  *x509.CertPool // nil: the system's

	// Relays and Pins are what an organisation's policy has of them, as in wire.Login.
	Relays, Pins string

	// Dial makes the connections; nil is the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Step is how far an inspection came.
type Step int

// The steps, each of which needs those before it.
const (
	Nowhere    Step = iota
	Discovered      // the relay's address is known
	Reached         // a TCP connection was made
	Secured         // TLS is up, or the relay is on this computer without it
	Opened          // a WebSocket that speaks XMPP is open
	Greeted         // the relay has said how to log in
)

// Inspection is what was found at a relay before any login. What a server wrote
// is in Mechanisms only, and not fit to be shown as it is.
type Inspection struct {
	Step       Step
	Words      string // why it came no further, for people; "" after Greeted
	URL        string
	Addresses  []string // that the host's name stands for
	Address    string   // that was reached, with its port
	TLS        uint16   // version, such as tls.VersionTLS13; 0 without TLS
	Expires    time.Time
	Mechanisms []string // SASL, at most 64
	Mechanism  string   // what sotto would use; "" if nothing is safe enough
	Legacy     bool     // that takes leave to use TLS 1.2 or SCRAM-SHA-1
	Refused    string   // why no mechanism is safe enough, for people

	Excluded Exclusion // why Relays or Pins keep sotto from connecting
}

// Exclusion is why a policy keeps sotto from connecting to a relay.
type Exclusion int

// The reasons.
const (
	NotExcluded Exclusion = iota
	NotListed             // Relays does not have it
	NotPinned             // none of its certificates has a key of Pins
	NoURL                 // Relays has what is no address
	NoPin                 // Pins has what is no digest of a key
)

func exclusionOf(err error) Exclusion {
	for e, is := range map[Exclusion]error{NotListed: errNotListed, NotPinned: errPin, NoURL: errNoURL, NoPin: errNoPin} {
		if errors.Is(err, is) {
			return e
		}
	}
	return NotExcluded
}

// Inspect looks at a relay as a login would, up to what the relay offers. No
// address of a person and no credentials are sent. It ends when ctx does.
func Inspect(ctx context.Context, t Target) Inspection {
	return inspect(ctx, t, t.dialOf())
}

func inspect(ctx context.Context, t Target, dial func(context.Context, string, string) (net.Conn, error)) Inspection {
	i := &inspector{target: t, dial: dial}
	if err := i.run(ctx); err != nil {
		i.found.Words, i.found.Excluded = asFailure(err).words, exclusionOf(err)
		if t.Pins == "" && i.found.Excluded == NotPinned { // it is the person's own pin
			i.found.Excluded = NotExcluded
		}
	}
	i.mu.Lock() // a dial that lost the race may still be at its end
	defer i.mu.Unlock()
	return i.found
}

type inspector struct {
	target Target
	dial   func(context.Context, string, string) (net.Conn, error)

	mu    sync.Mutex
	found Inspection
}

func (i *inspector) reach(s Step) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.found.Step = max(i.found.Step, s)
}

func (i *inspector) run(ctx context.Context) error {
	t, err := readTrust(i.target.CA, i.target.Roots)
	if err != nil {
		return &failure{words: "The CA file holds no readable PEM certificate. Ask your administrator for another.", cause: err}
	}
	a := account{trust: t}
	if i.target.Relay != "" {
		if a.relay, err = relayURL(i.target.Relay); err != nil {
			return err
		}
	}
	if err := a.limit(i.target.Relays, i.target.Pins); err != nil {
		return err
	}
	limit := time.Minute
	if end, limited := ctx.Deadline(); limited {
		limit = time.Until(end)
	}
	// Legacy, so that an old relay can be told what is wrong with it.
	j := &job{legacy: true, trust: a.trust, dial: i.dial, heard: newHeard(), timeout: limit, log: slog.New(slog.DiscardHandler)}
	relay := a.relay
	if relay == nil {
		if relay, err = i.find(ctx, j); err != nil {
			return err
		}
	}
	i.found.URL = relay.String()
	i.reach(Discovered)
	if j.address, err = i.domain(relay); err != nil {
		return err
	}
	if net.ParseIP(relay.Hostname()) == nil {
		// Only to be told; the dialer asks again.
		i.found.Addresses, _ = net.DefaultResolver.LookupHost(ctx, relay.Hostname())
	}
	return i.connect(ctx, j, relay)
}

// find discovers the relay's address.
func (i *inspector) find(ctx context.Context, j *job) (*url.URL, error) {
	if i.target.Domain == "" {
		return nil, &failure{words: "There is no address to discover the relay from."}
	}
	tr := j.transport()
	defer tr.CloseIdleConnections()
	return discover(ctx, &http.Client{Transport: tr, CheckRedirect: httpsRedirect}, i.target.Domain)
}

// domain is what the stream is opened to.
func (i *inspector) domain(relay *url.URL) (jid.JID, error) {
	name := i.target.Domain
	if name == "" {
		name = relay.Hostname()
	}
	d, err := jid.New("", name, "")
	if err != nil {
		return d, &failure{words: "The relay's domain is not a name. Check it.", cause: err}
	}
	return d, nil
}

// connect makes the connection and reads what the relay offers.
func (i *inspector) connect(ctx context.Context, j *job, relay *url.URL) error {
	tr := j.transport()
	defer tr.CloseIdleConnections()
	trace := &httptrace.ClientTrace{
		GotConn: func(c httptrace.GotConnInfo) {
			i.mu.Lock()
			defer i.mu.Unlock()
			i.found.Address = c.Conn.RemoteAddr().String()
		},
		ConnectDone: func(_, _ string, err error) {
			if err == nil {
				i.reach(Reached)
			}
		},
		TLSHandshakeDone: func(s tls.ConnectionState, err error) { i.shook(&s, err) },
		WroteHeaders:     func() { i.reach(Secured) },
	}
	ws, state, err := j.connect(httptrace.WithClientTrace(ctx, trace), tr, relay)
	if err != nil {
		return err
	}
	defer ws.CloseNow()
	i.reach(Opened)
	n := &negotiation{job: j, ws: ws}
	f, err := n.open(ctx)
	if err != nil {
		return err
	}
	i.reach(Greeted)
	i.offers(f, state)
	_ = n.send(ctx, stanza.Close())
	return nil
}

// shook notes what TLS agreed on, or the certificate that it was given up for.
func (i *inspector) shook(s *tls.ConnectionState, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	chain := s.PeerCertificates
	var verify *tls.CertificateVerificationError
	if errors.As(err, &verify) {
		chain = verify.UnverifiedCertificates
	}
	if len(chain) > 0 {
		i.found.Expires = chain[0].NotAfter
	}
	if err == nil {
		i.found.TLS = s.Version
	}
}

// offers chooses as a login does, first without leave for what is old.
func (i *inspector) offers(f stanza.Features, state *tls.ConnectionState) {
	i.found.Mechanisms = f.Mechanisms
	m, err := mechanism(f, state, false)
	if err != nil {
		i.found.Refused = asFailure(err).words
		if m, err = mechanism(f, state, true); err == nil {
			i.found.Legacy = true
		}
	}
	if err == nil {
		i.found.Mechanism = m.Name
	}
}
