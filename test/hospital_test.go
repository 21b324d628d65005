package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	byHand   bool // accounts are made at the relay, not by sotto
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
	h := &hospital{person: newPerson(t, "the administrator"), s: s, contact: "office@" + s.Domain, byHand: true}
	office := server.Person{Name: "office", Display: "Office", Password: "Correct-Office-Battery"}
	if err := s.AddAlone(t.Context(), s.Domain, office); err != nil {
		t.Fatal(err)
	}
	if s.Version == "embedded" { // which lets it make accounts (XEP-0133)
		if out, err := exec.Command(binary, "relay", "user", "admin", "office", "--data", filepath.Join(s.Dir, "data")).CombinedOutput(); err != nil {
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
	h.policy = "# A small hospital.\nlock-after = \"50m\"\nlease = \"1h\"\nservice = true\ntrust = \"directory\"\nauditor = \"auditor@" + s.Domain + "\"\nrecovery-key = \"" + recipient + "\"\n"
	h.runs("org", "init", organisation, "--as", h.contact, "--relay", s.WebSocket, "--ca", s.CAFile,
		"--pin-file", h.pinFile, "--password-file", h.file("password", office.Password+"\n"), "--policy", h.file("policy", h.policy), "--wait", "2m")
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
	out := h.runs(append(append([]string{"org"}, arguments...), "--pin-file", h.pinFile, "--json", "--wait", "1m")...)
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
		err := cmd.Wait()
		if err != nil {
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
	arguments := append([]string{"invite", name + "@" + h.s.Domain}, more...)
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
		if err := h.s.AddAlone(h.t.Context(), h.s.Domain, server.Person{Name: name, Display: display, Password: string(i.Password)}); err != nil {
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
	p := &program{person: newPerson(h.t, display), address: name + "@" + h.s.Domain}
	p.pin = "pin-of-a-program-7391"
	p.pinFile = p.file("pin", p.pin+"\n")
	out, errs, status := p.tries(code+"\n", "join", "--service", "--pin-file", p.pinFile, "--one-time-pin-file", p.file("one-time-pin", pin+"\n"), "--ca", h.s.CAFile, "--wait", "2m")
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
		if p.Address == name+"@"+h.s.Domain {
			return len(p.Devices)
		}
	}
	return 0
}

// TestHospital plays a small hospital: it is founded, ten people and programs are
// invited and join, the policy changes, a device is lost, somebody leaves, a machine
// is backed up and restored, and a vault is opened in an emergency.
func TestHospital(t *testing.T) {
	onEach(t, func(t *testing.T, s *server.Server) {
		h := newHospital(t, s)
		h.serve()

		// Ten invitations.
		h.deploys("auditor", "Auditor")
		ada := h.employs("ada", "Okafor, Ada", "--role", "physician", "--department", "Cardiology")
		per := h.employs("per", "Lind, Per", "--role", "nurse", "--department", "Cardiology")
		rana := h.employs("rana", "Haddad, Rana", "--role", "nurse", "--department", "Cardiology")
		for i := range 6 {
			h.deploys(fmt.Sprintf("monitor%d", i), fmt.Sprintf("Monitor %d", i), "--role", "monitor")
		}
		if st := h.org("status").Status; st.Active != 11 || st.Devices != 11 || st.Without != 0 {
			t.Errorf("afterwards it stands at %+v", st)
		}

		// They talk, and nobody had to compare anything.
		ada.talkTo("Lind, Per")
		ada.say("Bed 9: potassium 6.1 #mrn:44120")
		ada.delivered("Bed 9: potassium 6.1 #mrn:44120")
		per.talkTo("Okafor, Ada")
		per.See("Bed 9: potassium 6.1")
		var alarm line
		h.eventually("a program that has compared nothing sends", func() bool {
			r := h.services[1].send("ada@"+s.Domain, "Monitor 0: asystole")
			if r.out != "" {
				alarm = parse(t, r.out)
			}
			return r.code == 0 && alarm.State == "delivered"
		})

		// The policy changes, and is in force on the screens that are there.
		// The policy changes, and is in force on the screens that are there.
		for _, p := range []*person{ada, per, rana} {
			p.SeeMatch(`lock in (50|4\d) min`)
		}
		h.policy = strings.Replace(h.policy, "50m", "20m", 1)
		h.org("policy", "set", h.file("policy", h.policy), "--yes")
		for _, p := range []*person{ada, per, rana} {
			p.SeeMatch(`lock in (20|1\d) min`)
		}

		// A device is lost while it is off.
		rana.talkTo("Okafor, Ada")
		rana.say("written on the device that is lost")
		rana.delivered("written on the device that is lost")
		rana.quit()
		h.org("order", "wipe", "rana@"+s.Domain, "--reason", "left on a train", "--yes")
		obeyed := func() bool {
			return slices.ContainsFunc(h.org("orders").Orders, func(o console.Order) bool {
				b, _ := json.Marshal(o)
				return bytes.Contains(b, []byte("obeyed"))
			})
		}
		if obeyed() {
			t.Error("a device that is off has obeyed")
		}
		rana.run() // somebody has found it, and the PIN with it
		rana.See("s o t t o", "PIN")
		rana.Enter(rana.pin)
		rana.See("has had this device wiped (left on a train)")
		if screen := rana.Scrollback(); strings.Contains(screen, "written on the device") {
			t.Errorf("what was there was shown:\n%s", screen)
		}
		rana.Exit()
		if out, errs, code := rana.tries("", "doctor", "--store"); code == 0 {
			t.Errorf("its database is there: %s%s", out, errs)
		}
		h.eventually("the device says so", obeyed)

		// Somebody leaves.
		h.org("remove", "per@"+s.Domain, "--reason", "has left", "--yes")
		h.eventually("nobody writes to who has left", func() bool {
			out, _, code := h.services[2].tries("are you there?", "send", "per@"+s.Domain, "--pin-file", h.services[2].pinFile, "--json", "--wait", "5s")
			return code != 0 && strings.Contains(out, "refused") || code == 1
		})

		// Ada's machine is backed up, and she goes on with a new one.
		backups := filepath.Join(ada.home, "backups")
		if err := os.Mkdir(backups, 0o700); err != nil {
			t.Fatal(err)
		}
		ada.quit()
		ada.run("backup", backups)
		ada.See("PIN")
		ada.Enter(ada.pin)
		if code := ada.Exit(); code != 0 {
			t.Fatalf("sotto backup ended with %d:\n%s", code, ada.Screen())
		}
		code, pin := h.invites("ada", "", "--device")
		again := newPerson(t, "Okafor, Ada, on a new machine")
		again.joinWith(s, code, pin)
		again.quit()
		again.run("restore", backups, "--key-file", h.keyFile)
		again.See("PIN")
		again.Enter(again.pin)
		if code := again.Exit(); code != 0 {
			t.Fatalf("sotto restore ended with %d:\n%s", code, again.Screen())
		}
		again.run()
		again.unlock()
		again.talkTo("Lind, Per")
		again.See("Bed 9: potassium 6.1")
		if n := h.devices("ada"); n != 2 {
			t.Errorf("Ada has %d devices", n)
		}

		// The report for the risk analysis knows what happened.
		report := h.runs("org", "report", "--pin-file", h.pinFile, "--wait", "1m")
		for _, said := range []string{organisation, "lock-after", "20m", "wipe for", "obeyed", "per@" + s.Domain} {
			if !strings.Contains(report, said) {
				t.Errorf("%q is not in the report:\n%s", said, report)
			}
		}

		// A vault is opened in an emergency.
		ada.run("org", "recover", "default", "--reason", "emergency", "--by", h.contact, "--key-file", h.keyFile)
		ada.See("Lind, Per")
		exercised(t, "a small hospital over "+s.Name)
	})
}
