package test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sotto/test/server"
)

// office is the machine of an organisation's administrator.
type office struct {
	*program
	s *server.Server
}

// secret writes a file that only its owner can read.
func (p *program) secret(name, text string) string {
	p.t.Helper()
	path := filepath.Join(p.home, name)
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// newOffice founds an organisation on a server, whose account is an admin there.
func newOffice(t *testing.T, s *server.Server) *office {
	t.Helper()
	if err := s.AddAlone(t.Context(), s.Domain, server.Person{Name: "sotto", Display: "Hospital", Password: "the hospital's own"}); err != nil {
		t.Fatal(err)
	}
	if s.Name == "sotto relay" {
		if out, err := exec.Command(binary, "relay", "user", "admin", "sotto", "--data", filepath.Join(s.Dir, "data")).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	o := &office{&program{person: newPerson(t, "sotto"), address: "sotto@" + s.Domain}, s}
	o.pinFile = o.secret("pin", "pin-of-the-hospital-7391")
	r := o.does("", "org", "init", "hospital.example", "--as", o.address, "--relay", s.WebSocket, "--ca", s.CAFile,
		"--pin-file", o.pinFile, "--password-file", o.secret("password", "the hospital's own"), "--wait", patience.String())
	if r.code != 0 || !strings.Contains(r.out, "hospital.example is founded") || strings.Contains(r.out, "not at the relay") {
		t.Fatalf("founding: %+v", r)
	}
	return o
}

// org runs a command about the organisation.
func (o *office) org(arguments ...string) ran {
	o.t.Helper()
	return o.does("", append(append([]string{"org"}, arguments...), "--pin-file", o.pinFile, "--wait", patience.String())...)
}

// must is org for what has to succeed; it returns the JSON.
func (o *office) must(v any, arguments ...string) {
	o.t.Helper()
	r := o.org(append(arguments, "--json")...)
	if r.code != 0 {
		o.t.Fatalf("sotto org %s: %+v", strings.Join(arguments, " "), r)
	}
	if err := json.Unmarshal([]byte(r.out), v); err != nil {
		o.t.Fatalf("sotto org %s: %v in %q", strings.Join(arguments, " "), err, r.out)
	}
}

// orgAnswer is what the commands say as JSON.
type orgAnswer struct {
	Left    struct{ Items, Answers int }
	Invited struct{ Code, PIN, Account string }
	People  []struct {
		Address, Name, State string
		Devices              []struct{ ID uint32 }
	}
	Orders []struct {
		Number  uint64
		Devices []struct{ Address, Result string }
	}
	Policy struct{ Serial uint64 }
	Status struct {
		Active, Devices int
		Head            uint64
		Serving         bool
		Left            struct{ Items, Answers int }
		Invitations     []struct{ Address string }
	}
	Happened []string
}

// invite invites somebody, who then has a machine of their own.
func (o *office) invite(name string, more ...string) (guest *program, code, pin string) {
	o.t.Helper()
	address := name + "@" + o.s.Domain
	var a orgAnswer
	o.must(&a, append([]string{"invite", address, "--name", strings.ToUpper(name[:1]) + name[1:]}, more...)...)
	if a.Invited.Account != "made" || a.Left.Items != 0 {
		o.t.Fatalf("inviting %s: %+v", name, a)
	}
	guest = &program{person: newPerson(o.t, name), address: address}
	guest.pinFile = guest.secret("pin", "pin-of-"+name+"-7391")
	return guest, a.Invited.Code, a.Invited.PIN
}

// joins starts joining.
func (o *office) joins(p *program, code, pin string) *exec.Cmd {
	o.t.Helper()
	cmd := p.command("join", "--service", "--ca", o.s.CAFile, "--pin-file", p.pinFile, "--one-time-pin-file", p.secret("otp", pin), "--wait", patience.String())
	cmd.Stdin = strings.NewReader(code + "\n")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	return cmd
}

// serve starts sotto org serve; end ends it with a signal.
func (o *office) serve() (end func(syscall.Signal)) {
	o.t.Helper()
	cmd := o.command("org", "serve", "--pin-file", o.pinFile)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	ended := make(chan struct{})
	var err error
	go func() {
		defer close(ended)
		err = cmd.Wait()
	}()
	over := false
	end = func(s syscall.Signal) {
		if over {
			return
		}
		over = true
		all := family(o.t, cmd.Process.Pid)
		cmd.Process.Signal(s)
		if ends(o.t, "sotto org serve", ended); s == syscall.SIGTERM && err != nil {
			o.t.Errorf("sotto org serve: %v", err)
		}
		gone(o.t, all) // its door, too
	}
	o.t.Cleanup(func() { end(syscall.SIGKILL) })
	o.until("it serves", func() bool {
		var a orgAnswer
		r := o.org("status", "--json")
		return r.code == 0 && json.Unmarshal([]byte(r.out), &a) == nil && a.Status.Serving
	})
	return end
}

func (p *program) until(what string, so func() bool) {
	p.t.Helper()
	for late := time.Now().Add(patience); !so(); {
		if time.Now().After(late) {
			p.t.Fatalf("not within %v: %s", patience, what)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// TestOrganisationByCommands founds an organisation, invites, lets in, changes, orders
// and removes, as somebody does who runs commands.
func TestOrganisationByCommands(t *testing.T) {
	onEach(t, func(t *testing.T, s *server.Server) {
		o := newOffice(t, s)
		if r := o.org("init", "hospital.example", "--as", o.address); r.code != 1 || !strings.Contains(r.err, "already") {
			t.Errorf("founded twice: %+v", r)
		}

		// an account that is somebody's already is not taken over by mistake
		if err := s.AddAlone(t.Context(), s.Domain, server.Person{Name: "carol", Display: "Carol", Password: "carol's own"}); err != nil {
			t.Fatal(err)
		}
		if r := o.org("invite", "carol@"+s.Domain, "--name", "Carol", "--json"); r.code != 1 || !strings.Contains(r.err, "--reset") {
			t.Errorf("somebody else's account: %+v", r)
		}
		carol := orgAnswer{}
		if o.must(&carol, "invite", "carol@"+s.Domain, "--name", "Carol", "--reset"); carol.Invited.Account != "taken over" {
			t.Errorf("taking an account over: %+v", carol.Invited)
		}
		guest := &program{person: newPerson(t, "carol"), address: "carol@" + s.Domain}
		guest.pinFile = guest.secret("pin", "pin-of-carol-7391")
		waits := o.joins(guest, carol.Invited.Code, carol.Invited.PIN)

		// without anybody who serves
		alice, code, pin := o.invite("alice", "--role", "physician,on-call", "--department", "Cardiology")
		joining := o.joins(alice, code, pin)
		var a orgAnswer
		o.until("alice's request is answered", func() bool {
			a = orgAnswer{}
			o.must(&a, "approve")
			return strings.Contains(strings.Join(a.Happened, "\n"), "Alice (alice@")
		})
		if all := strings.Join(a.Happened, "\n"); !strings.Contains(all, "@"+s.Domain+") has joined") {
			t.Errorf("approved %q", a.Happened)
		}
		if err := joining.Wait(); err != nil {
			t.Fatalf("alice: %v", err)
		}
		o.until("carol is in", func() bool {
			o.must(&a, "approve")
			r := orgAnswer{}
			o.must(&r, "people", "carol@"+s.Domain)
			return len(r.People) == 1 && len(r.People[0].Devices) == 1
		})
		if err := waits.Wait(); err != nil {
			t.Fatalf("carol: %v", err)
		}

		// with somebody who serves, through whose door the commands go
		end := o.serve()
		bob, code, pin := o.invite("bob", "--role", "nurse")
		if err := o.joins(bob, code, pin).Wait(); err != nil {
			t.Fatalf("bob: %v", err)
		}
		a = orgAnswer{}
		o.must(&a, "status")
		if a.Status.Active != 4 || a.Status.Devices != 4 || !a.Status.Serving || len(a.Status.Invitations) != 0 {
			t.Errorf("%+v", a.Status)
		}
		settings := alice.secret("settings", "lock-after = \"90s\"\nlease = \"2d\"")
		if r := o.org("policy", "diff", settings); r.code != 0 || !strings.Contains(r.out, "lock-after becomes") {
			t.Errorf("diff: %+v", r)
		}
		if r := o.org("policy", "set", settings); r.code != 1 || !strings.Contains(r.err, "--yes") && !strings.Contains(r.err, "nothing was done") {
			t.Errorf("without a yes: %+v", r)
		}
		a = orgAnswer{}
		o.must(&a, "policy", "set", settings, "--yes")
		if a.Policy.Serial != 2 || a.Left.Items != 0 {
			t.Errorf("%+v", a)
		}
		if r := o.org("policy", "set", alice.secret("wrong", "lock-after = \"90s\"\nlease = \"2q\""), "--yes"); r.code != 1 || !strings.Contains(r.err, "line 2") {
			t.Errorf("a wrong line: %+v", r)
		}

		// killed, and begun again: nothing is lost
		end(syscall.SIGKILL)
		a = orgAnswer{}
		o.must(&a, "status")
		if a.Status.Serving || a.Status.Active != 4 || a.Status.Left.Items != 0 {
			t.Errorf("after the end of who served: %+v", a.Status)
		}
		head := a.Status.Head
		end = o.serve()
		o.until("a head is signed", func() bool {
			a = orgAnswer{}
			o.must(&a, "status")
			return a.Status.Head > head && a.Status.Left.Items == 0
		})

		a = orgAnswer{}
		o.must(&a, "order", "lock", bob.address, "--reason", "a drill", "--yes")
		if len(a.Orders) != 1 || len(a.Orders[0].Devices) != 1 || a.Orders[0].Devices[0].Result != "waiting" && a.Orders[0].Devices[0].Result != "obeyed" {
			t.Errorf("%+v", a.Orders)
		}
		if r := o.org("order", "wipe", "dora@"+s.Domain, "--yes"); r.code != 1 || !strings.Contains(r.err, "not in the directory") {
			t.Errorf("an order for nobody: %+v", r)
		}
		o.must(&a, "remove", bob.address, "--yes")
		a = orgAnswer{}
		o.must(&a, "people", bob.address)
		if len(a.People) != 1 || a.People[0].State != "removed" || len(a.People[0].Devices) != 0 {
			t.Errorf("%+v", a.People)
		}
		end(syscall.SIGTERM)
	})
}

// TestOrganisationWrongInput: what makes no sense is said in words, with an exit code,
// and changes nothing.
func TestOrganisationWrongInput(t *testing.T) {
	o := newOffice(t, embedded(t))
	other := &program{person: newPerson(t, "other")}
	for _, c := range []struct {
		arguments string
		code      int
		says      string
	}{
		{"invite", 2, "one address"},
		{"invite alice", 2, "not an address"},
		{"invite alice@hospital.example", 2, "--name"},
		{"invite alice@ward.localhost --name Alice --role Physician", 2, "cannot be a role"},
		{"invite alice@ward.localhost --name Alice --expires soon", 2, "length of time"},
		{"invite alice@ward.localhost --name Alice --expires 90d", 1, "30 days"},
		{"invite alice@ward.localhost --device", 1, "not in the directory"},
		{"invite alice@elsewhere.example --name Alice", 1, "account"},
		{"invite sotto@ward.localhost --name Me", 1, "own account"},
		{"invite eve@ward.localhost --name Eve --role organisation", 1, "own account"},
		{"withdraw alice@ward.localhost", 1, "no such invitation"},
		{"remove alice@ward.localhost --yes", 1, "not in the directory"},
		{"remove sotto@ward.localhost --yes", 1, "own account"},
		{"change alice@ward.localhost", 2, "say what is to change"},
		{"order lock", 2, "one target"},
		{"order lock @role/Nurse --yes", 2, "no role"},
		{"order lock alice@ward.localhost/x --yes", 2, "not the number"},
		{"order recall all --yes", 2, "--author"},
		{"order wipe all --yes", 1, "no device"},
		{"orders none", 2, "how many"},
		{"partner propose key", 2, "no key"},
		{"partner end clinic.example --yes", 1, "no agreement"},
		{"policy set /nowhere --yes", 1, "no such file"},
		{"remove-device alice@ward.localhost 0", 2, "not the number"},
		{"init hospital", 2, "domain name"},
	} {
		r := o.org(strings.Fields(c.arguments)...)
		if r.code != c.code || !strings.Contains(r.err, c.says) || r.out != "" {
			t.Errorf("sotto org %s: %+v", c.arguments, r)
		}
	}
	if r := other.does("", "org", "status", "--pin-file", o.pinFile); r.code != 1 || !strings.Contains(r.err, "sotto org init") {
		t.Errorf("without a profile: %+v", r)
	}
	if r := o.does("", "org", "status", "--pin-file", o.secret("wrong", "another pin")); r.code != 1 || !strings.Contains(r.err, "not right") {
		t.Errorf("a wrong PIN: %+v", r)
	}
	var a orgAnswer
	o.must(&a, "status")
	if a.Status.Active != 1 || len(a.Status.Invitations) != 0 || a.Status.Left.Items != 0 {
		t.Errorf("%+v", a.Status)
	}
}
