package relaycheck

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"sotto/client/link"
	"sotto/client/stanza"
)

// The days that a certificate should have left.
const (
	fewDays = 14
	oneDay  = 24 * time.Hour
)

const nsRegisterFeature = "http://jabber.org/features/iq-register" // XEP-0077 section 6

// outside looks at what a relay shows to anybody.
func (x *examination) outside(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, x.limit(outsideLimit))
	defer cancel()
	x.discovery(ctx)
	if x.target.Relay == "" {
		return
	}
	if !x.tls(ctx) {
		return
	}
	p, err := x.target.Open(ctx)
	if err != nil {
		remedy := "Serve RFC 7395 at this address, with the subprotocol xmpp."
		if x.guessed {
			remedy += " If it serves another domain than " + line(x.Domain) + ", name that with --domain, or an account with --as."
		}
		x.set("login.websocket", bad("failed", link.Words(err), remedy))
		return
	}
	x.reached = true
	x.set("login.websocket", good("subprotocol xmpp"))
	x.mechanisms(p)
	x.registration(ctx, p)
	p.Close()
	x.beforeLogin(ctx)
}

// discovery reads the documents of XEP-0156. Who was given a URL can do without.
func (x *examination) discovery(ctx context.Context) {
	if net.ParseIP(x.Domain) != nil {
		x.skipAll("an IP address has no website to discover from", "discovery")
		return
	}
	named := x.Relay != ""
	found := x.target.Discover(ctx, x.limit(link.DocumentLimit))
	for i, id := range []string{"discovery.json", "discovery.xml"} {
		h := found[i]
		switch {
		case h.URL != nil && h.Plain:
			x.set(id, bad(shown(h.URL)+", and one without TLS", "It names a relay without TLS, too. Some clients go there.", "Take the ws:// address out of the document."))
		case h.URL != nil && named && !same(h.URL, x.Relay):
			x.set(id, weak(shown(h.URL), "It names another address than the one looked at.", "Check that both lead to the same relay."))
		case h.URL != nil:
			x.set(id, good("%s", shown(h.URL)))
		case h.Plain:
			x.set(id, bad("only ws://", "It names only a relay without TLS. sotto never goes there.", "Name the wss:// address in the document."))
		case named:
			x.set(id, weak("not found", h.Words+" People have to be told the relay's address: sotto join --relay wss://...", "Serve the document of XEP-0156 at https://"+x.Domain+"/.well-known/."))
		default:
			x.set(id, bad("not found", h.Words+" sotto cannot find this domain's relay.", "Serve the document of XEP-0156 at https://"+x.Domain+"/.well-known/."))
		}
		if x.target.Relay == "" && h.URL != nil {
			x.target.Relay = h.URL.String()
		}
	}
	// One of the two is enough: sotto reads both.
	a, b := x.found["discovery.json"], x.found["discovery.xml"]
	for id, pair := range map[string][2]finding{"discovery.json": {a, b}, "discovery.xml": {b, a}} {
		if pair[0].found == "not found" && pair[1].verdict == "good" {
			x.set(id, weak("not found", "sotto reads the other one. Other clients may look for this one only.", pair[0].remedy))
		}
	}
}

// shown is a URL without what may be secret in it.
func shown(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// same says whether both are at the same host: one relay may listen twice.
func same(u *url.URL, relay string) bool {
	r, err := url.Parse(relay)
	return err == nil && strings.EqualFold(r.Hostname(), u.Hostname())
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return "443"
}

// tls looks at versions and certificate; false means that there is no way in.
func (x *examination) tls(ctx context.Context) bool {
	u, err := url.Parse(x.target.Relay)
	if err != nil || u.Hostname() == "" {
		x.set("tls.version", bad("failed", "The relay's address is not a URL such as wss://relay.example.org/ws.", ""))
		return false
	}
	if u.Scheme == "ws" {
		if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			x.set("tls.version", bad("none", "The address begins with ws: and is not encrypted. sotto never goes there.", "Serve wss:// with a certificate."))
			return false
		}
		x.set("tls.version", weak("none", "The relay is on this computer and not encrypted. Nobody can use it from another one.", "Serve wss:// with a certificate for other computers."))
		x.skipAll("no TLS", "tls")
		return true
	}
	roots, err := x.target.Authorities()
	if err != nil {
		x.set("tls.certificate", bad("failed", link.Words(err), ""))
		return false
	}
	address := net.JoinHostPort(u.Hostname(), port(u))
	base := &tls.Config{RootCAs: roots, ServerName: u.Hostname(), NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
	raw, err := x.dial(ctx, address)
	if err != nil {
		x.set("tls.version", skip("not reached"))
		x.set("login.websocket", bad(shown(u)+" is not reached", "Nothing answers there: "+reason(err)+".", "Check the address, the firewall and whether the relay runs."))
		return false
	}
	raw.Close()
	state, err := x.shake(ctx, address, base)
	var verify *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &verify):
		lax := base.Clone()
		lax.InsecureSkipVerify = true // only to say what is there: nothing is sent
		if state, again := x.shake(ctx, address, lax); again == nil {
			x.versions(ctx, address, lax, state.Version)
		}
		x.untrusted(verify, u.Hostname())
		x.skipAll("the certificate is not accepted", "login")
		return false
	case errors.As(err, &record), err != nil && x.plain(ctx, address):
		x.set("tls.version", bad("none", "The port does not speak TLS: everybody on the way could read along. sotto never logs in there.", "Give the port a certificate, and TLS 1.3."))
		x.skipAll("no TLS", "tls", "login")
		return false
	case err != nil:
		old := base.Clone()
		old.MinVersion, old.InsecureSkipVerify, old.CipherSuites = tls.VersionTLS10, true, everyCipher()
		if state, again := x.shake(ctx, address, old); again == nil {
			x.set("tls.version", bad(tls.VersionName(state.Version), "sotto asks for TLS 1.3, and takes 1.2 only with leave. What is older is broken.", "Enable TLS 1.3 on the relay."))
		} else {
			x.set("tls.version", bad("failed", "TLS fails: "+reason(err)+".", "Check the relay's TLS settings and its log."))
		}
		x.skipAll("TLS fails", "tls", "login")
		return false
	}
	x.versions(ctx, address, base, state.Version)
	x.certificate(state)
	return true
}

func (x *examination) dial(ctx context.Context, address string) (net.Conn, error) {
	if x.Dial != nil {
		return x.Dial(ctx, "tcp", address)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", address)
}

// plain says whether a port answers HTTP without TLS: some servers do not answer
// the beginning of a handshake at all.
func (x *examination) plain(ctx context.Context, address string) bool {
	c, err := x.dial(ctx, address)
	if err != nil {
		return false
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(x.limit(2 * time.Second)))
	answer := make([]byte, 5)
	_, err = io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	if err == nil {
		_, err = io.ReadFull(c, answer)
	}
	return err == nil && string(answer) == "HTTP/"
}

// shake makes one TLS handshake.
func (x *examination) shake(ctx context.Context, address string, c *tls.Config) (tls.ConnectionState, error) {
	ctx, cancel := context.WithTimeout(ctx, x.limit(3*time.Second))
	defer cancel()
	raw, err := x.dial(ctx, address)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer raw.Close()
	t := tls.Client(raw, c)
	if err := t.HandshakeContext(ctx); err != nil {
		return tls.ConnectionState{}, err
	}
	return t.ConnectionState(), nil
}

// everyCipher offers what is outdated, too, so that it is found.
func everyCipher() (ids []uint16) {
	for _, c := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		ids = append(ids, c.ID)
	}
	return ids
}

// versions tries each version by itself.
func (x *examination) versions(ctx context.Context, address string, base *tls.Config, best uint16) {
	if best < tls.VersionTLS13 {
		x.set("tls.version", weak(tls.VersionName(best), "sotto asks for TLS 1.3, and does not log in here unless it is allowed to use less.", "Enable TLS 1.3 on the relay."))
	} else {
		x.set("tls.version", good("%s", tls.VersionName(best)))
	}
	var old []string
	for _, v := range []uint16{tls.VersionTLS11, tls.VersionTLS10} {
		c := base.Clone()
		c.MinVersion, c.MaxVersion, c.CipherSuites = v, v, everyCipher()
		c.InsecureSkipVerify = true // only the version is asked for: nothing is sent
		if _, err := x.shake(ctx, address, c); err == nil {
			old = append(old, tls.VersionName(v))
		}
	}
	if len(old) > 0 {
		x.set("tls.older", bad(strings.Join(old, " and ")+" accepted", "These versions are broken (RFC 8996). sotto does not use them, other clients can be made to.", "Set the relay's least TLS version to 1.2, or better 1.3."))
		return
	}
	c := base.Clone()
	c.MinVersion, c.MaxVersion, c.InsecureSkipVerify = tls.VersionTLS12, tls.VersionTLS12, true
	if _, err := x.shake(ctx, address, c); err == nil {
		x.set("tls.older", good("TLS 1.2 too, nothing older"))
		return
	}
	x.set("tls.older", good("refused"))
}

func (x *examination) certificate(s tls.ConnectionState) {
	leaf := s.PeerCertificates[0]
	left := time.Until(leaf.NotAfter)
	found := fmt.Sprintf("valid until %s, %d days", leaf.NotAfter.UTC().Format("2 Jan 2006"), int(left/oneDay))
	if left < fewDays*oneDay {
		x.set("tls.certificate", weak(found, "It has to be renewed soon; once it has expired nobody gets in.", "Renew it, and let a timer do so from now on."))
		return
	}
	x.set("tls.certificate", good("%s", found))
}

// untrusted says what is wrong with a certificate.
func (x *examination) untrusted(e *tls.CertificateVerificationError, host string) {
	leaf := e.UnverifiedCertificates[0]
	day := leaf.NotAfter.UTC().Format("2 Jan 2006")
	switch {
	case time.Now().After(leaf.NotAfter):
		x.set("tls.certificate", bad("expired "+day, "Nobody gets in with sotto.", "Renew the relay's certificate; check this computer's clock."))
	case leaf.VerifyHostname(host) != nil:
		x.set("tls.certificate", bad("not for "+host, "The certificate is for another name. Nobody gets in with sotto.", "Get a certificate that names "+host+"."))
	default:
		x.set("tls.certificate", bad("not trusted", "No authority that this computer trusts has signed it, or the chain lacks a certificate in between. Nobody gets in with sotto.", "Serve the whole chain; name an authority of your own with --ca."))
	}
}

// mechanisms judges the ways to log in.
func (x *examination) mechanisms(p *link.Probe) {
	m := p.Features.Mechanisms
	has := func(name string) bool { return slices.Contains(m, name) }
	scram := has("SCRAM-SHA-256") || has("SCRAM-SHA-256-PLUS")
	switch {
	case scram && has("SCRAM-SHA-256-PLUS"):
		x.set("login.mechanisms", good("SCRAM-SHA-256-PLUS, of %d ways offered", len(m)))
	case scram:
		x.set("login.mechanisms", good("SCRAM-SHA-256, of %d ways offered", len(m)))
	case has("SCRAM-SHA-1"):
		x.set("login.mechanisms", bad("SCRAM-SHA-1 only", "It is outdated, and sotto uses it only with leave.", "Enable SCRAM-SHA-256. Passwords may have to be set again, because the relay keeps another hash for it."))
	case has("PLAIN"):
		x.set("login.mechanisms", bad("PLAIN only", "It shows the relay the password. sotto never uses it, so nobody gets in.", "Enable SCRAM-SHA-256."))
	default:
		x.set("login.mechanisms", bad(fmt.Sprintf("none that sotto uses, of %d", len(m)), "Nobody gets in with sotto.", "Enable SCRAM-SHA-256."))
	}
	switch {
	case has("PLAIN") && scram:
		x.set("login.plain", weak("PLAIN is offered, too", "A client that is less careful shows the relay its password.", "Disable PLAIN."))
	case has("PLAIN"):
		x.set("login.plain", skip("nothing better is offered"))
	default:
		x.set("login.plain", good("not offered"))
	}
	if has("ANONYMOUS") {
		x.set("login.anonymous", bad("offered", "Anybody gets in without an account, and can write to everybody.", "Disable the mechanism ANONYMOUS."))
	} else {
		x.set("login.anonymous", good("not offered"))
	}
	switch said := slices.Contains(p.Features.Bindings, "tls-exporter"); {
	case !scram:
		x.set("login.binding", skip("no SCRAM-SHA-256"))
	case strings.HasPrefix(x.target.Relay, "ws:"):
		x.set("login.binding", skip("no TLS to bind to"))
	case !has("SCRAM-SHA-256-PLUS"):
		x.set("login.binding", weak("no SCRAM-SHA-256-PLUS", "The login is not bound to TLS: with a false certificate that is trusted somebody could stand between.", "Use a relay that offers SCRAM-SHA-256-PLUS with tls-exporter, where you can."))
	case !said && p.Features.Bindings != nil:
		x.set("login.binding", weak("not tls-exporter", "The login cannot be bound to TLS 1.3.", "Enable the binding tls-exporter (RFC 9266)."))
	default:
		x.set("login.binding", good("tls-exporter"))
	}
}

// registration asks whether anybody can make an account, and makes none: it asks
// for one that is there already, which a relay that is open says, and one that is
// closed refuses before. Without --as no name is known to be taken.
func (x *examination) registration(ctx context.Context, p *link.Probe) {
	offered := p.Offer.Child(nsRegisterFeature, "register") != nil
	form, err := x.ask(ctx, p, stanza.NewIQ("get", x.Domain, x.run+"-r1", stanza.New(stanza.NSRegister, "query")))
	if err != nil || form.Get("type") != "result" || form.Child(stanza.NSRegister, "query") == nil {
		if offered {
			x.set("login.registration", weak("announced, but refused", "Clients offer to make an account here, which then fails.", "Disable in-band registration."))
			return
		}
		x.set("login.registration", good("closed"))
		return
	}
	open := bad("open", "Anybody can make an account, and write to everybody.", "Disable in-band registration; make accounts yourself.")
	if x.As == nil {
		if offered {
			x.set("login.registration", open)
			return
		}
		x.set("login.registration", good("not announced"))
		return
	}
	taken := stanza.New(stanza.NSRegister, "query", stanza.TextElement(stanza.NSRegister, "username", x.As.Address.Localpart()),
		stanza.TextElement(stanza.NSRegister, "password", rand.Text()))
	answer, err := x.ask(ctx, p, stanza.NewIQ("set", x.Domain, x.run+"-r2", taken))
	condition := ""
	if s := stanza.ReadError(answer); err == nil && s != nil {
		condition = s.Condition
	}
	switch condition {
	case "forbidden", "not-allowed", "not-authorized", "service-unavailable", "feature-not-implemented":
		if offered {
			x.set("login.registration", weak("announced, but refused", "Clients offer to make an account here, which then fails.", "Disable in-band registration."))
			return
		}
		x.set("login.registration", good("refused"))
	default:
		x.set("login.registration", open)
	}
}

// ask sends an IQ before a login and waits for the answer, two seconds at most:
// the stream is of no use after that.
func (x *examination) ask(ctx context.Context, p *link.Probe, iq *stanza.Element) (*stanza.Element, error) {
	ctx, cancel := context.WithTimeout(ctx, x.limit(2*time.Second))
	defer cancel()
	if err := p.Send(ctx, iq); err != nil {
		return nil, err
	}
	for {
		e, err := p.Receive(ctx)
		if err != nil {
			return nil, err
		}
		if e.Is(stanza.NSClient, "iq") && e.Get("id") == iq.Get("id") {
			return e, nil
		}
	}
}

// beforeLogin asks for things that nobody should get without one, each on a
// stream of its own, because a relay ends it for that.
func (x *examination) beforeLogin(ctx context.Context) {
	questions := []struct {
		what, typ, to string
		payload       *stanza.Element
	}{
		{"its features", "get", x.Domain, stanza.InfoQuery("")},
		{"a contact list", "get", "", stanza.RosterQuery()},
		{"an archive", "set", "", stanza.MAMQuery{QueryID: "q", Max: 1}.Element()},
	}
	var wait sync.WaitGroup
	answered, failed := make([]bool, len(questions)), make([]error, len(questions))
	for i, q := range questions {
		wait.Go(func() {
			p, err := x.target.Open(ctx)
			if err != nil {
				failed[i] = err
				return
			}
			defer p.Close()
			answer, err := x.ask(ctx, p, stanza.NewIQ(q.typ, q.to, x.run+"-b", q.payload))
			answered[i] = err == nil && answer.Get("type") == "result"
		})
	}
	wait.Wait()
	if i := slices.Index(answered, true); i >= 0 {
		x.set("login.before", bad("answers before a login", "Whoever reaches the relay can ask it for "+questions[i].what+".", "Ask who wrote the relay: RFC 6120 section 4.3.5 forbids it."))
		return
	}
	if err := errors.Join(failed...); err != nil {
		x.set("login.before", skip("%s", link.Words(err)))
		return
	}
	x.set("login.before", good("nothing is answered before a login"))
}

// reason says in words why a connection was not made.
func reason(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	var alert tls.AlertError
	switch {
	case errors.As(err, &dns):
		return "the name is not known"
	case errors.Is(err, context.DeadlineExceeded):
		return "it took too long"
	case errors.As(err, &alert):
		return alert.Error()
	case errors.As(err, &op) && op.Err != nil:
		return op.Err.Error()
	}
	return "the connection ended"
}
