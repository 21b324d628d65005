package test

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"

	"sotto/test/server"
)

// TestAccountsOverHTTP has an organisation whose account is no admin of ejabberd make
// accounts by its HTTP API, with the configuration of docs/relays.
func TestAccountsOverHTTP(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "sotto")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	const apis = "the password of those who make accounts"
	s, err := server.StartHardenedEjabberd(t.Context(), dir, server.Hardened{Docs: "../docs/relays", API: true, Names: []string{"localhost"},
		People: []server.Person{{Name: "sotto", Password: "the hospital's own"}, {Name: "accounts", Password: apis}, {Name: "eve", Password: "somebody's"}}})
	if err != nil {
		missing(t, err)
	}
	stops(t, s)
	s.WebSocket = "wss://localhost" + s.Addr[strings.LastIndex(s.Addr, ":"):] + "/ws"
	o := &office{&program{person: newPerson(t, "sotto"), address: "sotto@" + s.Domain}, s}
	o.pinFile = o.secret("pin", "pin-of-the-hospital-7391")
	r := o.does("", "org", "init", "hospital.example", "--relay", s.WebSocket, "--ca", s.CAFile,
		"--pin-file", o.pinFile, "--password-file", o.secret("password", "the hospital's own"), "--wait", patience.String())
	if r.code != 0 {
		t.Fatalf("founding: %+v", r)
	}
	invite := func(name string, more ...string) (account, why, code, pin string) {
		t.Helper()
		r := o.org(append([]string{"invite", name + "@" + s.Domain, "--name", name, "--json"}, more...)...)
		var a struct {
			Invited struct{ Account, Why, Code, PIN string }
		}
		if r.code != 0 {
			return "", r.err, "", ""
		}
		if err := json.Unmarshal([]byte(r.out), &a); err != nil {
			t.Fatalf("%v in %q", err, r.out)
		}
		return a.Invited.Account, a.Invited.Why, a.Invited.Code, a.Invited.PIN
	}
	if account, _, _, _ := invite("ann"); account != "by hand" {
		t.Fatalf("without rights an account is %q", account)
	}
	set := func(user, password string) ran {
		t.Helper()
		return o.org("accounts", "--http", s.API, "--as", user, "--secret-file", o.secret("api", password))
	}
	for user, password := range map[string]string{"eve@" + s.Domain: "somebody's", "accounts@" + s.Domain: "another"} {
		if r := set(user, password); r.code != 0 {
			t.Fatalf("%+v", r)
		}
		if account, why, _, _ := invite("ann"); account != "by hand" || !strings.Contains(why, "does not accept") {
			t.Errorf("as %s an account is %q: %s", user, account, why)
		}
	}
	if r := set("accounts@"+s.Domain, apis); r.code != 0 || !strings.Contains(r.out, "as accounts@"+s.Domain) || strings.Contains(r.out+r.err, apis) {
		t.Fatalf("%+v", r)
	}
	account, why, code, pin := invite("ann")
	if account != "made" {
		t.Fatalf("the account is %q: %s", account, why)
	}
	// An account that is there is taken over only if that is meant.
	if account, why, _, _ := invite("eve"); account != "" || !strings.Contains(why, "already") {
		t.Errorf("an account that is there is %q: %s", account, why)
	}
	if account, why, _, _ := invite("eve", "--reset"); account != "taken over" {
		t.Errorf("an account that is taken over is %q: %s", account, why)
	}
	// The password is the invitation's: ann joins with it.
	ann := &program{person: newPerson(t, "ann"), address: "ann@" + s.Domain}
	ann.pinFile = ann.secret("pin", "pin-of-ann-7391")
	stop := o.serve()
	defer stop(syscall.SIGTERM)
	if err := o.joins(ann, code, pin).Wait(); err != nil {
		t.Errorf("joining: %v", err)
	}
	if r := o.org("accounts", "--off"); r.code != 0 || !strings.Contains(r.out, "XEP-0133") {
		t.Errorf("%+v", r)
	}
}
