package relaycheck

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sotto/internal/doctor"
)

// site is a web server with a certificate that is a root of its own.
type site struct {
	days     int    // that the certificate has left
	name     string // in the certificate
	oldest   uint16 // TLS version
	newest   uint16
	document string // host-meta.json
	stranger bool   // nobody trusts it
}

// look runs a check against a site.
func (s site) look(t *testing.T, c Config) Result {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(time.Duration(s.days)*oneDay + time.Hour)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: s.name}, DNSNames: []string{s.name},
		NotBefore: until.Add(-400 * oneDay), NotAfter: until, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: s.oldest, MaxVersion: s.newest},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if s.document == "" || !strings.HasSuffix(r.URL.Path, ".json") {
				http.NotFound(w, r)
				return
			}
			fmt.Fprint(w, s.document)
		}),
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.ServeTLS(ln, "", "") }()
	t.Cleanup(func() { server.Close(); <-done })
	if !s.stranger {
		c.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	c.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, ln.Addr().String())
	}
	return Run(t.Context(), c)
}

func finds(r Result, id string) doctor.Check {
	i := slices.IndexFunc(r.Checks, func(c doctor.Check) bool { return c.ID == id })
	return r.Checks[i]
}

func TestCertificate(t *testing.T) {
	for name, c := range map[string]struct {
		site    site
		verdict doctor.Verdict
		found   string
	}{
		"good":      {site{days: 80, name: "relay.example"}, doctor.Good, "80 days"},
		"soon":      {site{days: 3, name: "relay.example"}, doctor.Weak, "3 days"},
		"expired":   {site{days: -2, name: "relay.example"}, doctor.Bad, "expired"},
		"misnamed":  {site{days: 80, name: "other.example"}, doctor.Bad, "not for relay.example"},
		"untrusted": {site{days: 80, name: "relay.example", stranger: true}, doctor.Bad, "not trusted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := c.site.look(t, Config{Relay: "wss://relay.example/ws"})
			got := finds(r, "tls.certificate")
			if got.Verdict != c.verdict || !strings.Contains(got.Found, c.found) {
				t.Errorf("%+v", got)
			}
			if r.Reached || r.Code() != 2 {
				t.Errorf("exit code %d where no relay is", r.Code())
			}
			if v := finds(r, "tls.version"); v.Verdict != doctor.Good {
				t.Errorf("%+v", v)
			}
		})
	}
}

func TestVersions(t *testing.T) {
	for name, c := range map[string]struct {
		oldest, newest uint16
		version, older doctor.Verdict
	}{
		"1.3":         {tls.VersionTLS13, 0, doctor.Good, doctor.Good},
		"1.2 too":     {tls.VersionTLS12, 0, doctor.Good, doctor.Good},
		"1.0 too":     {tls.VersionTLS10, 0, doctor.Good, doctor.Bad},
		"1.2 at most": {tls.VersionTLS12, tls.VersionTLS12, doctor.Weak, doctor.Good},
		"1.1 at most": {tls.VersionTLS10, tls.VersionTLS11, doctor.Bad, doctor.Skipped},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := site{days: 80, name: "relay.example", oldest: c.oldest, newest: c.newest}.look(t, Config{Relay: "wss://relay.example/ws"})
			if v, o := finds(r, "tls.version"), finds(r, "tls.older"); v.Verdict != c.version || o.Verdict != c.older {
				t.Errorf("%+v\n%+v", v, o)
			}
		})
	}
}

func TestDiscovery(t *testing.T) {
	document := func(href string) string {
		return `{"links":[{"rel":"urn:xmpp:alt-connections:websocket","href":"` + href + `"}]}`
	}
	for name, c := range map[string]struct {
		document, relay string
		json, xml       doctor.Verdict
	}{
		"good":            {document("wss://relay.example/ws"), "", doctor.Good, doctor.Weak},
		"plain":           {document("ws://relay.example/ws"), "", doctor.Bad, doctor.Bad},
		"nothing":         {"", "", doctor.Bad, doctor.Bad},
		"nothing, named":  {"", "wss://relay.example/ws", doctor.Weak, doctor.Weak},
		"somewhere else":  {document("wss://evil.example/ws"), "wss://relay.example/ws", doctor.Weak, doctor.Weak},
		"not a document":  {"<html>", "", doctor.Bad, doctor.Bad},
		"a hostile title": {document("wss://relay.example/\\u001b[2J"), "", doctor.Bad, doctor.Bad},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := site{days: 80, name: "relay.example", document: c.document}.look(t, Config{Domain: "relay.example", Relay: c.relay})
			if j, x := finds(r, "discovery.json"), finds(r, "discovery.xml"); j.Verdict != c.json || x.Verdict != c.xml || strings.Contains(j.Found, "\x1b") {
				t.Errorf("%+v\n%+v", j, x)
			}
		})
	}
}

// Every check has a name of its own, belongs to a group that stands together,
// and fits the page.
func TestNames(t *testing.T) {
	var groups []string
	seen := map[string]bool{}
	for _, id := range names {
		group, name, ok := strings.Cut(id, ".")
		if !ok || seen[id] || len(group) > 9 || len(name) > 12 {
			t.Errorf("%s is twice there, or too long", id)
		}
		seen[id] = true
		if len(groups) == 0 || groups[len(groups)-1] != group {
			if slices.Contains(groups, group) {
				t.Errorf("%s stands apart from its group", id)
			}
			groups = append(groups, group)
		}
	}
	for _, p := range parts {
		if p.needs != "" && !seen[p.needs] {
			t.Errorf("%s is no check", p.needs)
		}
	}
	for _, n := range needs {
		if !seen[n.id] || n.without.meaning == "" || n.without.remedy == "" {
			t.Errorf("%s is no check, or does not say what to do", n.id)
		}
	}
}

func TestJUnit(t *testing.T) {
	r := Result{doctor.Report{Checks: []doctor.Check{
		{ID: "tls.version", Group: "tls", Verdict: doctor.Good, Found: "TLS 1.3"},
		{ID: "tls.older", Group: "tls", Verdict: doctor.Bad, Found: `"<&`, Meaning: "broken", Remedy: "mend"},
		{ID: "login.plain", Group: "login", Verdict: doctor.Weak, Found: "offered"},
		{ID: "login.before", Group: "login", Verdict: doctor.Skipped, Found: "not reached"},
	}}, true}
	var b bytes.Buffer
	if err := r.JUnit(&b); err != nil {
		t.Fatal(err)
	}
	var got suites
	if err := xml.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Tests != 4 || got.Failures != 1 || got.Skipped != 1 || len(got.Suites) != 2 || got.Suites[0].Cases[1].Failure.Message != `"<&` ||
		got.Suites[1].Cases[0].Failure != nil || !strings.HasPrefix(got.Suites[1].Cases[0].Out, "weak: ") || r.Code() != 1 {
		t.Errorf("%s", b.String())
	}
}
