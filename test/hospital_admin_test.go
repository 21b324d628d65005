package test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sotto/client/admin/console"
	"sotto/test/server"
	"sotto/test/terminal"
)

// hospital is an organisation on a relay, as its administrator sees it.
type hospital struct {
	*person
	s        *server.Server
	domain   string // of its people
	byHand   bool   // accounts are made at the relay, not by sotto
	pinFile  string
	keyFile  string // the recovery key
	policy   string
	contact  string
	services []*program
}

// organisation is the name of the hospital, which its relay need not have.
const organisation = "mercy.example"

// newHospital founds it: a recovery key, an account, a first policy.
func newHospital(t *testing.T, s *server.Server) *hospital {
	t.Helper()
	return founds(t, s, organisation, "office", s.Domain)
}

// founds has somebody found an organisation, with an account at one of the relay's
// domains.
func founds(t *testing.T, s *server.Server, organisation, account, domain string) *hospital {
	t.Helper()
	h := &hospital{person: newPerson(t, "the administrator of "+organisation), s: s, domain: domain, contact: account + "@" + domain, byHand: true}
	office := server.Person{Name: account, Display: "Office", Password: "Correct-Office-Battery"}
	if err := s.AddAlone(t.Context(), domain, office); err != nil {
		t.Fatal(err)
	}
	if s.Version == "embedded" { // which lets it make accounts (XEP-0133)
		if out, err := exec.Command(binary, "relay", "user", "admin", account, "--data", filepath.Join(s.Dir, "data")).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		h.byHand = false
	}
	h.pin = "pin-of-the-office-5208"
	h.pinFile, h.keyFile = h.file("pin", h.pin+"\n"), filepath.Join(h.home, "recovery")
	out := h.runs("org", "recovery-key", "--recovery-file", h.keyFile, "--org", organisation)
	recipient := ""
	for _, w := range strings.Fields(out) {
		if w = strings.Trim(w, `"`); strings.HasPrefix(w, "age1") {
			recipient = w
		}
	}
	if recipient == "" {
		t.Fatalf("no recipient of the recovery key in %q", out)
	}
	h.policy = "# A small hospital.\nlock-after = \"50m\"\nlease = \"1h\"\nservice = true\ntrust = \"directory\"\nrecovery-key = \"" + recipient + "\"\n"
	h.runs("org", "init", organisation, "--as", h.contact, "--relay", s.WebSocket, "--ca", s.CAFile,
		"--pin-file", h.pinFile, "--password-file", h.file("password", office.Password+"\n"), "--policy", h.file("policy", h.policy), "--wait", patience.String())
	return h
}

// file writes a file that only its owner reads.
func (p *person) file(name, content string) string {
	p.t.Helper()
	path := filepath.Join(p.home, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// runs has sotto do something for a person, without a terminal, and returns what it
// writes.
func (p *person) runs(arguments ...string) string {
	p.t.Helper()
	out, errs, code := p.tries("", arguments...)
	if code != 0 {
		p.t.Fatalf("%s: sotto %s ended with %d:\n%s%s", p.name, strings.Join(arguments, " "), code, out, errs)
	}
	return out
}

func (p *person) tries(input string, arguments ...string) (out, errs string, code int) {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), binary, arguments...)
	cmd.Env, cmd.Dir, cmd.Stdin = p.env(), p.home, strings.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		p.t.Fatal(err)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// org runs a command of the administrator's and returns its answer.
func (h *hospital) org(arguments ...string) (a console.Answer) {
	h.t.Helper()
	out := h.runs(append(append([]string{"org"}, arguments...), "--pin-file", h.pinFile, "--json", "--wait", patience.String())...)
	if err := json.Unmarshal([]byte(out), &a); err != nil {
		h.t.Fatalf("sotto org %s: %v in %q", strings.Join(arguments, " "), err, out)
	}
	return a
}

// serve runs sotto org serve until the test ends.
func (h *hospital) serve() {
	h.t.Helper()
	cmd := exec.Command(binary, "org", "serve", "--pin-file", h.pinFile, "--json")
	cmd.Env, cmd.Dir = h.env(), h.home
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		late := time.AfterFunc(terminal.Patience, func() { cmd.Process.Kill() })
		defer late.Stop()
		if err := cmd.Wait(); err != nil {
			h.t.Errorf("sotto org serve: %v", err)
		}
		if h.t.Failed() {
			h.t.Logf("sotto org serve wrote:\n%s", out.String())
		}
	})
	h.eventually("it serves", func() bool {
		a := h.org("status")
		return a.Status != nil && a.Status.Serving && a.Status.Online
	})
}

// eventually asks until something is so.
func (h *hospital) eventually(what string, so func() bool) {
	h.t.Helper()
	for late := time.Now().Add(2 * terminal.Patience); !so(); {
		if time.Now().After(late) {
			h.t.Fatalf("never: %s", what)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// invites returns the code and the one-time PIN for somebody, who has an account then.
func (h *hospital) invites(name, display string, more ...string) (code, pin string) {
	h.t.Helper()
	arguments := append([]string{"invite", name + "@" + h.domain}, more...)
	if display != "" {
		arguments = append(arguments, "--name", display)
	}
	if h.byHand {
		arguments = append(arguments, "--no-account")
	}
	i := h.org(arguments...).Invited
	if i == nil || len(i.Code) == 0 || len(i.PIN) == 0 {
		h.t.Fatalf("no invitation for %s: %+v", name, i)
	}
	if h.byHand && len(i.Password) > 0 {
		if err := h.s.AddAlone(h.t.Context(), h.domain, server.Person{Name: name, Display: display, Password: string(i.Password)}); err != nil {
			h.t.Fatal(err)
		}
	}
	return string(i.Code), string(i.PIN)
}

// employs invites somebody who joins at a terminal.
func (h *hospital) employs(name, display string, more ...string) *person {
	h.t.Helper()
	code, pin := h.invites(name, display, more...)
	p := newPerson(h.t, display)
	p.joinWith(h.s, code, pin)
	return p
}

// deploys invites a program, which joins by itself.
func (h *hospital) deploys(name, display string, more ...string) *program {
	h.t.Helper()
	code, pin := h.invites(name, display, more...)
	p := &program{person: newPerson(h.t, display), address: name + "@" + h.domain}
	p.pin = "pin-of-a-program-7391"
	p.pinFile = p.file("pin", p.pin+"\n")
	out, errs, status := p.tries(code+"\n", "join", "--service", "--pin-file", p.pinFile, "--one-time-pin-file", p.file("one-time-pin", pin+"\n"), "--ca", h.s.CAFile, "--wait", patience.String())
	if status != 0 {
		h.t.Fatalf("%s does not join: %d\n%s%s", name, status, out, errs)
	}
	h.services = append(h.services, p)
	return p
}

// devices are how many somebody has in the directory.
func (h *hospital) devices(name string) int {
	h.t.Helper()
	for _, p := range h.org("people", "--devices").People {
		if p.Address == name+"@"+h.domain {
			return len(p.Devices)
		}
	}
	return 0
}

// became says what devices of somebody have said about the newest order to do something.
func (h *hospital) became(do, name string) (results []string) {
	h.t.Helper()
	for _, o := range h.org("orders").Orders { // the newest first
		if o.Do != do {
			continue
		}
		for _, d := range o.Devices {
			if d.Address == name+"@"+h.domain {
				results = append(results, d.Result)
			}
		}
		return results
	}
	return nil
}
