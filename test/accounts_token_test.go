package test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sotto/test/server"
)

// issues has ejabberd do what "ejabberdctl oauth_issue_token" does, over HTTP, since it
// runs without Erlang's distribution here.
func issues(t *testing.T, s *server.Server, scopes string) (token string) {
	t.Helper()
	ca, err := os.ReadFile(s.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	body, err := json.Marshal(map[string]any{"jid": "accounts@" + s.Domain, "ttl": 3600, "scopes": scopes})
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	defer client.CloseIdleConnections()
	answer, err := client.Post(s.API+"/oauth_issue_token", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(io.LimitReader(answer.Body, 1<<16))
	if err != nil {
		t.Fatal(err)
	}
	var issued struct{ Token string }
	if err := json.Unmarshal(said, &issued); err != nil || issued.Token == "" {
		t.Fatalf("no token: %s, %s", answer.Status, said)
	}
	return issued.Token
}

// TestAccountsWithAToken has ejabberd make accounts for who has a token, and says what
// to do about a token that it does not accept.
func TestAccountsWithAToken(t *testing.T) {
	t.Parallel()
	if found, _ := filepath.Glob("/usr/lib/erlang/lib/p1_oauth2-*"); len(found) == 0 {
		missing(t, fmt.Errorf("erlang-p1-oauth2: %w", server.ErrMissing))
	}
	dir, err := os.MkdirTemp("", "sotto")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	const rights = "api_permissions:\n"
	s, err := server.StartHardenedEjabberd(t.Context(), dir, server.Hardened{Docs: "../docs/relays", API: true, Names: []string{"localhost"},
		People: []server.Person{{Name: "sotto", Password: "the hospital's own"}, {Name: "accounts", Password: "nobody signs in with this"}},
		Plant: func(text string) string {
			return strings.Replace(text, rights, rights+`  "the test": { from: [mod_http_api], who: { ip: "127.0.0.1/32" }, what: [oauth_issue_token] }`+"\n", 1)
		}})
	if err != nil {
		missing(t, err)
	}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Log(s.Log(25))
		}
	})
	s.WebSocket = "wss://localhost" + s.Addr[strings.LastIndex(s.Addr, ":"):] + "/ws"
	o := &office{&program{person: newPerson(t, "sotto"), address: "sotto@" + s.Domain}, s}
	o.pinFile = o.secret("pin", "pin-of-the-hospital-7391")
	r := o.does("", "org", "init", "hospital.example", "--relay", s.WebSocket, "--ca", s.CAFile,
		"--pin-file", o.pinFile, "--password-file", o.secret("password", "the hospital's own"), "--wait", patience.String())
	if r.code != 0 {
		t.Fatalf("founding: %+v", r)
	}
	set := func(token string) {
		t.Helper()
		r := o.org("accounts", "--http", s.API, "--token", "--secret-file", o.secret("api", token))
		if r.code != 0 || !strings.Contains(r.out, "with a token") || strings.Contains(r.out+r.err, token) {
			t.Fatalf("%+v", r)
		}
	}
	for what, token := range map[string]string{"made up": "made-up", "for something else": issues(t, s, "sasl_auth")} {
		set(token)
		r := o.org("invite", "ann@"+s.Domain, "--name", "Ann")
		said := strings.Join(strings.Fields(r.out+r.err), " ")
		for _, words := range []string{"does not accept the token", "Have the relay issue another one", "sotto org accounts --http ... --token"} {
			if r.code != 0 || !strings.Contains(said, words) {
				t.Errorf("a token that is %s: no %q in %+v", what, words, r)
			}
		}
	}
	set(issues(t, s, "register;change_password"))
	ann, code, pin := o.invite("ann")
	var a orgAnswer
	if o.must(&a, "invite", "ann@"+s.Domain, "--name", "Ann", "--reset"); a.Invited.Account != "taken over" {
		t.Errorf("an account that is there is %q", a.Invited.Account)
	} else {
		code, pin = a.Invited.Code, a.Invited.PIN
	}
	stop := o.serve()
	defer stop(syscall.SIGTERM)
	if err := o.joins(ann, code, pin).Wait(); err != nil {
		t.Errorf("joining: %v", err)
	}
}
