package test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/awnumar/memguard"
	"mellium.im/xmpp/jid"

	"sotto/internal/doctor"
	"sotto/internal/relaycheck"
	"sotto/test/server"
)

// The people of these tests. They are no contacts of each other.
var (
	prober   = server.Person{Name: "probe", Display: "Probe", Password: "Correct-Probe-Battery"}
	stranger = server.Person{Name: "stranger", Display: "Stranger", Password: "Correct-Stranger-Battery"}
)

// hardened starts a server with a configuration of docs/relays.
func hardened(t *testing.T, start func(context.Context, string, server.Hardened) (*server.Server, error), h server.Hardened) *server.Server {
	t.Helper()
	h.Docs, h.People = filepath.Join("..", "docs", "relays"), []server.Person{prober, stranger}
	s, err := start(t.Context(), t.TempDir(), h)
	if err != nil {
		missing(t, err)
	}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Log(s.Log(25))
		}
	})
	exercised(t, s.Name+" "+s.Version)
	return s
}

// checked runs a check against a domain of a server. Every name leads to it.
func checked(t *testing.T, s *server.Server, c relaycheck.Config, domain string) relaycheck.Result {
	t.Helper()
	ca, err := os.ReadFile(s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	account := func(p server.Person) *relaycheck.Account {
		a, err := jid.Parse(p.Name + "@" + domain)
		if err != nil {
			t.Fatal(err)
		}
		return &relaycheck.Account{Address: a, Password: memguard.NewEnclave([]byte(p.Password))}
	}
	c.CA, c.As, c.And = ca, account(prober), account(stranger)
	if c.Dial == nil {
		c.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, s.Addr)
		}
	}
	r := relaycheck.Run(t.Context(), c)
	if testing.Verbose() {
		var b strings.Builder
		_ = r.Page(&b, 100, false)
		t.Log("\n" + b.String())
	}
	return r
}

// blamed are the checks that are weak or bad, such as "tls.older bad".
func blamed(r relaycheck.Result) (all []string) {
	for _, c := range r.Checks {
		if c.Verdict == doctor.Weak || c.Verdict == doctor.Bad {
			all = append(all, c.ID+" "+string(c.Verdict))
		}
	}
	return all
}

// want fails where other things are blamed than should be.
func want(t *testing.T, r relaycheck.Result, code int, ids ...string) {
	t.Helper()
	if got := blamed(r); !slices.Equal(got, ids) || r.Code() != code {
		var b strings.Builder
		_ = r.Page(&b, 100, false)
		t.Errorf("exit code %d with %q, want %d with %q\n%s", r.Code(), got, code, ids, b.String())
	}
}

// The hardened configurations pass, and the relay in sotto does.
func TestRelayCheckPasses(t *testing.T) {
	t.Run("sotto_relay", func(t *testing.T) {
		t.Parallel()
		s := embedded(t)
		for _, p := range []server.Person{prober, stranger} {
			if err := s.AddAlone(t.Context(), s.Domain, p); err != nil {
				t.Fatal(err)
			}
		}
		want(t, checked(t, s, relaycheck.Config{Domain: s.Domain}, s.Domain), 0)
	})
	t.Run("Prosody", func(t *testing.T) {
		t.Parallel()
		s := hardened(t, server.StartHardenedProsody, server.Hardened{})
		want(t, checked(t, s, relaycheck.Config{Domain: s.Domain}, s.Domain), 0)
	})
	t.Run("ejabberd", func(t *testing.T) {
		t.Parallel()
		s := hardened(t, server.StartHardenedEjabberd, server.Hardened{})
		want(t, checked(t, s, relaycheck.Config{Domain: s.Domain}, s.Domain), 0)
	})
}

var _ = fmt.Sprint
