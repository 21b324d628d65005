package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// TestServers holds that each server is what the end-to-end tests need: TLS that
// its authority vouches for, SCRAM-SHA-256, accounts, and that it comes back
// after a kill. Where a domain is to offer PLAIN only, it does.
func TestServers(t *testing.T) {
	for _, start := range []func(context.Context, string) (*Server, error){StartProsody, StartEjabberd} {
		s, err := start(t.Context(), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Run(s.Name, func(t *testing.T) {
			defer s.Stop()
			if s.Version == "" {
				t.Error("it does not say its version")
			}
			if err := s.AddTeam(t.Context(), "Cardiology", Person{"ada", "Okafor, Ada", "Pw-Ada-1"}, Person{"per", "Lind, Per", "Pw-Per-1"}); err != nil {
				t.Fatal(err, s.Log(20))
			}
			s.Kill()
			if err := s.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if f := features(t, s, s.Domain); !strings.Contains(f, "SCRAM-SHA-256<") {
				t.Errorf("no SCRAM-SHA-256: %s", f)
			}
			if s.OnlyPlain != "" {
				if f := features(t, s, s.OnlyPlain); strings.Count(f, "<mechanism>") != 1 || !strings.Contains(f, ">PLAIN<") {
					t.Errorf("not PLAIN alone: %s", f)
				}
			}
		})
	}
}

// features opens a stream to a domain and returns what the server offers there.
func features(t *testing.T, s *Server, domain string) string {
	t.Helper()
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	conn, _, err := websocket.Dial(t.Context(), s.WebSocket, &websocket.DialOptions{
		Subprotocols: []string{"xmpp"},
		HTTPClient:   &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	open := `<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="` + domain + `" version="1.0"/>`
	if err := conn.Write(t.Context(), websocket.MessageText, []byte(open)); err != nil {
		t.Fatal(err)
	}
	for {
		_, data, err := conn.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), "features") {
			return string(data)
		}
	}
}
