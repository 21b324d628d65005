package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"strings"
	"testing"
)

// TestStart holds that each server comes up with TLS that its authority vouches for, takes
// accounts, and comes back after a kill.
func TestStart(t *testing.T) {
	for _, start := range []func(context.Context, string) (*Server, error){StartProsody, StartEjabberd} {
		s, err := start(t.Context(), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Stop()
		t.Log(s.Name, s.Version)
		if err := s.AddTeam(t.Context(), "Cardiology", Person{"ada", "Okafor, Ada", "Pw-Ada-1"}, Person{"per", "Lind, Per", "Pw-Per-1"}); err != nil {
			t.Fatal(err, s.Log(20))
		}
		s.Kill()
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}}
		resp, err := client.Get(strings.Replace(s.WebSocket, "wss://", "https://", 1))
		if err != nil {
			t.Fatal(err)
		}
		t.Log(resp.Status)
		resp.Body.Close()
	}
}
