package link

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"testing"
)

// TestInspectUnderAPolicy: an inspection says whether a policy keeps sotto from a relay.
func TestInspectUnderAPolicy(t *testing.T) {
	const here, elsewhere = "wss://relay.example/ws", "wss://elsewhere.example/ws"
	ca := newAuthority(t)
	cert := ca.server(-1, 1, "relay.example")
	key := func(c *x509.Certificate) string {
		sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
		return base64.StdEncoding.EncodeToString(sum[:])
	}
	other := key(newAuthority(t).cert)
	for name, c := range map[string]struct {
		relay, relays, pins string
		more                []byte // in the file of authorities
		step                Step
		words               string
		excluded            Exclusion
	}{
		"none":          {here, "", "", nil, Greeted, "", NotExcluded},
		"listed":        {here, elsewhere + "\n" + here, "", nil, Greeted, "", NotExcluded},
		"discovered":    {"", here, "", nil, Greeted, "", NotExcluded},
		"its key":       {here, here, other + "\n" + key(cert.Leaf), nil, Greeted, "", NotExcluded},
		"its CA's key":  {here, "", key(ca.cert), nil, Greeted, "", NotExcluded},
		"not listed":    {here, elsewhere, "", nil, Nowhere, "elsewhere.example only", NotListed},
		"another key":   {here, "", other, nil, Reached, "another key than the one pinned", NotPinned},
		"one's own pin": {here, "", "", pin(newAuthority(t).cert), Reached, "another key than the one pinned", NotExcluded},
		"no URL":        {here, "nonsense", "", nil, Nowhere, "no URL", NoURL},
		"no key":        {here, "", "nonsense", nil, Nowhere, "key that is none", NoPin},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, script{}, &tls.Config{Certificates: []tls.Certificate{cert}})
			i := inspected(t, Target{Domain: "h.example", Relay: c.relay, CA: append(ca.pem(), c.more...), Relays: c.relays, Pins: c.pins}, toward(s.http.Listener.Addr().String()))
			i.want(t, c.step, c.words)
			if i.Excluded != c.excluded {
				t.Errorf("excluded: %d, want %d", i.Excluded, c.excluded)
			}
		})
	}
}
