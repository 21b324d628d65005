package link

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/url"
	"strings"
)

// errPin is returned in the TLS handshake when no certificate has a pinned key.
var errPin = errors.New("no certificate in the chain has a pinned key")

// trust is whose certificates are accepted.
type trust struct {
	roots *x509.CertPool // nil: the system's
	pins  [][]byte       // SHA-256 of SubjectPublicKeyInfo; none: no pinning

	required [][]byte // the same, or their beginnings, as the organisation says
}

// readTrust reads PEM. CERTIFICATE blocks take the place of the system's roots;
// PUBLIC KEY blocks are pins: besides the usual checks, one certificate of the
// chain must hold one of these keys. Empty input trusts roots, unpinned.
func readTrust(b []byte, roots *x509.CertPool) (trust, error) {
	t := trust{roots: roots}
	if len(b) == 0 {
		return t, nil
	}
	var pool *x509.CertPool
	for len(b) > 0 {
		var p *pem.Block
		if p, b = pem.Decode(b); p == nil {
			break
		}
		switch p.Type {
		case "CERTIFICATE":
			c, err := x509.ParseCertificate(p.Bytes)
			if err != nil {
				return trust{}, err
			}
			if pool == nil {
				pool = x509.NewCertPool()
			}
			pool.AddCert(c)
		case "PUBLIC KEY":
			if _, err := x509.ParsePKIXPublicKey(p.Bytes); err != nil {
				return trust{}, err
			}
			sum := sha256.Sum256(p.Bytes)
			t.pins = append(t.pins, sum[:])
		}
	}
	if pool == nil && t.pins == nil {
		return trust{}, errors.New("no certificate and no public key in it")
	}
	if pool != nil {
		t.roots = pool
	}
	return t, nil
}

// config returns the TLS settings for a relay: version 1.3, or 1.2 where legacy
// permits, no session tickets, HTTP/1.1 only.
func (t trust) config(legacy bool) *tls.Config {
	c := &tls.Config{
		MinVersion:             tls.VersionTLS13,
		RootCAs:                t.roots,
		NextProtos:             []string{"http/1.1"},
		SessionTicketsDisabled: true,
	}
	if legacy {
		c.MinVersion = tls.VersionTLS12
	}
	if len(t.pins)+len(t.required) > 0 {
		c.VerifyConnection = t.checkPins
	}
	return c
}

func (t trust) checkPins(s tls.ConnectionState) error {
	for _, pins := range [][][]byte{t.pins, t.required} {
		if len(pins) > 0 && !pinned(s, pins) {
			return errPin
		}
	}
	return nil
}

// pinned reports whether a verified chain has one of these keys.
func pinned(s tls.ConnectionState, pins [][]byte) bool {
	for _, chain := range s.VerifiedChains {
		for _, cert := range chain {
			sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
			for _, pin := range pins {
				if subtle.ConstantTimeCompare(sum[:len(pin)], pin) == 1 {
					return true
				}
			}
		}
	}
	return false
}

// relayURL checks the address of a relay: wss, or ws to this very computer.
func relayURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" || !plainHost(u.Hostname()) {
		return nil, &failure{words: "The relay's address is not a URL such as wss://relay.example.org/ws. Check it.", course: never, cause: err}
	}
	switch u.Scheme {
	case "wss":
	case "ws":
		if !loopbackName(u.Hostname()) {
			return nil, &failure{words: "The relay's address begins with ws:, which is not encrypted and only allowed on this computer itself. Use wss:.", course: never}
		}
	default:
		return nil, &failure{words: "The relay's address does not begin with wss:. Check it.", course: never}
	}
	return u, nil
}

// plainHost reports whether a host name can stand in a sentence as it is.
func plainHost(h string) bool {
	for _, r := range h {
		if r < 0x80 && !strings.ContainsRune("-.:%_", r) && !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
			return false
		}
		if r >= 0x80 && r < 0xA0 || r >= 0x2000 && r <= 0x206F || r > 0xFFFF {
			return false
		}
	}
	return len(h) <= 253
}

func loopbackName(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// loopbackConn reports whether c leads to this computer; a connection without
// an IP address (a pipe) does.
func loopbackConn(c net.Conn) bool {
	a, ok := c.RemoteAddr().(*net.TCPAddr)
	return !ok || a.IP.IsLoopback()
}
