//go:build unix

package test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"sotto/test/server"
	"sotto/test/terminal"
)

// ended holds that sotto ended with an error that a person can use: a sentence
// that says what is and what to do, no trace of code, an exit code that scripts
// understand, and a terminal that is as it was.
func (p *person) ended(sentence string) {
	p.t.Helper()
	code := p.Exit()
	text := strings.Join(strings.Fields(p.Scrollback()), " ")
	if code == 0 || code > 100 {
		p.t.Errorf("exit code %d: want one that says it failed", code)
	}
	if !regexp.MustCompile(sentence).MatchString(text) {
		p.t.Errorf("it does not say %q, but:\n%s", sentence, text)
	}
	p.clean(text)
}

// clean holds that a text has nothing in it that is for programmers.
func (p *person) clean(text string) {
	p.t.Helper()
	if found := regexp.MustCompile(`panic|goroutine|runtime error|\.go:\d|0x[0-9a-f]{6}|%!|<nil>|&\{`).FindString(text); found != "" {
		p.t.Errorf("%q in what a person reads:\n%s", found, text)
	}
	if len(text) > 600 {
		p.t.Errorf("%d characters is more than a sentence:\n%s", len(text), text)
	}
}

// TestJoinFaults are the ways in which a first login goes wrong.
func TestJoinFaults(t *testing.T) {
	t.Parallel()
	prosody := kinds[0].get(t)
	people := team(t, prosody, "Okafor, Ada")
	plain := server.Person{Name: "plain", Password: "Correct-Plain-Battery-1"}
	if err := prosody.AddAlone(t.Context(), prosody.OnlyPlain, plain); err != nil {
		t.Fatal(err)
	}
	ada := prosody.Address(people[0])

	for name, c := range map[string]struct {
		arguments []string
		password  string // "": it ends before it asks for one
		sentence  string
	}{
		"unknown_host": {
			[]string{"join", ada, "--relay", "wss://relay.invalid/ws"}, people[0].Password,
			`relay\.invalid (is not known|could not be looked up)\. Check`,
		},
		"refused_connection": {
			[]string{"join", ada, "--relay", "wss://" + closedPort(t) + "/ws"}, people[0].Password,
			`refused the connection\. Check`,
		},
		"unknown_authority": {
			[]string{"join", ada, "--relay", prosody.WebSocket}, people[0].Password,
			`certificate of localhost.* not trusted here\. Nothing was sent\. Ask your administrator`,
		},
		"certificate_that_ended": {
			[]string{"join", ada, "--relay", "wss://" + expired(t) + "/ws", "--ca", filepath.Join(folder, "ca.pem")}, people[0].Password,
			`certificate of localhost ended on .*\. Nothing was sent\. Tell your administrator`,
		},
		"only_PLAIN": {
			[]string{"join", "plain@" + prosody.OnlyPlain, "--relay", prosody.WebSocket, "--ca", prosody.CAFile}, plain.Password,
			`PLAIN.*SCRAM|SCRAM.*administrator`,
		},
		"not_a_relay": {
			[]string{"join", ada, "--relay", "ws://" + website(t) + "/ws"}, people[0].Password,
			`instead of opening a WebSocket\. Check`,
		},
		"plain_text_to_elsewhere": {
			[]string{"join", ada, "--relay", "ws://relay.invalid/ws"}, "",
			`wss://`,
		},
		"not_an_address": {
			[]string{"join", "okafor"}, "",
			`okafor.*address.*@`,
		},
		"no_such_file_of_authorities": {
			[]string{"join", ada, "--relay", prosody.WebSocket, "--ca", "/nonexistent/ca.pem"}, "",
			`/nonexistent/ca\.pem`,
		},
		"another_domain": {
			[]string{"join", "ada@elsewhere.example", "--relay", prosody.WebSocket, "--ca", prosody.CAFile}, people[0].Password,
			`does not serve elsewhere\.example\. Check`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPerson(t, name)
			p.run(c.arguments...)
			if c.password != "" {
				p.See("Password of")
				p.Enter(c.password)
			}
			p.ended(c.sentence)
			left, err := filepath.Glob(filepath.Join(p.home, "*", "sotto", "*", "vault"))
			if err != nil || len(left) > 0 {
				t.Errorf("a login that failed left %v (%v)", left, err)
			}
		})
	}

	t.Run("wrong_password", func(t *testing.T) {
		t.Parallel()
		p := newPerson(t, "wrong password")
		p.run("join", ada, "--relay", prosody.WebSocket, "--ca", prosody.CAFile)
		p.See("Password of")
		p.Enter("Wrong-Horse-Battery-1")
		p.Until("refusing the password", func(screen string) bool {
			return strings.Contains(strings.Join(strings.Fields(screen), " "), "does not accept the password of "+ada+". Check it")
		})
		// It asks again, and the right one works.
		p.waitForInput("Password of " + ada)
		p.Enter(people[0].Password)
		p.See("New PIN")
		p.Enter("123456")
		p.SeeMatch(`(?s)(guess|trivial|simple|sequence|row|easy).*New PIN|New PIN.*(guess|trivial|simple|sequence|row|easy)`)
		p.clean(p.Screen())
		p.Press("C-c")
		p.Exit()
	})
}

// waitForInput waits until a wrong entry's delay is over.
func (p *person) waitForInput(prompt string) {
	p.t.Helper()
	p.See(prompt + "  _")
}

// closedPort returns an address on which nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	ports, err := server.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("localhost:%d", ports[0])
}

// expired serves with a certificate that ended yesterday, from the authority
// in folder.
func expired(t *testing.T) string {
	t.Helper()
	ca, err := server.NewAuthority(folder)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := ca.Issue(dir, "server", time.Now().Add(-24*time.Hour), "localhost"); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = s.ServeTLS(l, filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")) }()
	t.Cleanup(func() { s.Close() })
	return fmt.Sprintf("localhost:%d", l.Addr().(*net.TCPAddr).Port)
}

// website serves pages, as a wrong address does.
func website(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "<html>Welcome</html>")
	})}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	return fmt.Sprintf("localhost:%d", l.Addr().(*net.TCPAddr).Port)
}

// TestWithoutPEP joins a server that has no personal eventing: nothing can be
// encrypted there, which must be said, and nothing may be sent in the clear.
func TestWithoutPEP(t *testing.T) {
	t.Parallel()
	prosody := kinds[0].get(t)
	who := server.Person{Name: "bare", Password: "Correct-Bare-Battery-1"}
	if err := prosody.AddAlone(t.Context(), prosody.NoPEP, who); err != nil {
		t.Fatal(err)
	}
	p := newPerson(t, "without PEP")
	p.run("join", "bare@"+prosody.NoPEP, "--relay", prosody.WebSocket, "--ca", prosody.CAFile)
	p.See("Password of")
	p.Enter(who.Password)
	p.See("New PIN")
	p.Enter(p.pin)
	p.See("Again")
	p.Enter(p.pin)
	p.See("lock in", "online")
	p.SeeMatch(`(?is)(PEP|personal eventing|device|keys).*administrator`)
	p.quit()
}

// TestWrongPIN holds that a wrong PIN is told, costs time, opens nothing and
// spoils nothing.
func TestWrongPIN(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "wrong PIN")
	p.run("demo")
	p.See("demo PIN 246810")
	p.Enter("135791")
	p.See("That PIN is not right")
	p.waitForInput("PIN")
	p.Enter("246811")
	p.See("That PIN is not right. 2 wrong in a row")
	p.waitForInput("PIN")
	p.pin = "246810"
	p.unlock()
	p.quit()
}

// TestSmallTerminal holds that nothing breaks where there is no room, and that
// it is all there again when there is.
func TestSmallTerminal(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "20 by 5")
	p.runIn(terminal.Options{Width: 20, Height: 5}, "demo")
	p.See("PIN")
	p.Enter("246810")
	p.SeeGone("PIN")
	p.clean(p.Screen())
	p.Resize(80, 24)
	p.See("lock in")
	p.say("Bed 9 potassium came back 6.8")
	p.Resize(20, 5)
	p.Resize(1, 1)
	p.Resize(200, 60)
	p.See("Bed 9 potassium came back 6.8", "lock in")
	p.delivered("Bed 9 potassium came back 6.8")
	p.quit()
}

// TestNoTerminal holds that sotto says so when there is no terminal to show it in.
func TestNoTerminal(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "no terminal")
	p.shell("%s demo </dev/null | cat; exit ${PIPESTATUS[0]}")
	p.ended(`terminal`)
}

// shell runs a line of shell with the program in the place of %s.
func (p *person) shell(line string) {
	p.t.Helper()
	p.Terminal = terminal.Start(p.t, p.name, terminal.Options{Env: p.env(), Dir: p.home}, "bash", "-c", fmt.Sprintf(line, binary))
}

// TestNothingYet holds that who starts sotto without having joined is told how
// to begin.
func TestNothingYet(t *testing.T) {
	t.Parallel()
	p := newPerson(t, "nothing yet")
	p.run()
	p.ended(`sotto join .*sotto demo|sotto demo.*sotto join`)
}

// TestUnknownCommand holds that a mistyped command is a sentence too.
func TestUnknownCommand(t *testing.T) {
	t.Parallel()
	for _, arguments := range [][]string{{"jion"}, {"demo", "--nonsense"}, {"join", "a", "b"}, {"--profile", "../up"}} {
		t.Run(strings.Join(arguments, "_"), func(t *testing.T) {
			t.Parallel()
			p := newPerson(t, arguments[0])
			p.run(arguments...)
			p.ended(`.`)
		})
	}
}

// TestReadOnly joins with folders that cannot be written to.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	s := embedded(t)
	who := team(t, s, "Okafor, Ada")[0]
	p := newPerson(t, "read-only")
	for _, dir := range []string{"config", "data", "state"} {
		if err := os.Mkdir(filepath.Join(p.home, dir), 0o555); err != nil {
			t.Fatal(err)
		}
	}
	// It says so before it asks for anything.
	command := "%s join " + s.Address(who) + " --relay " + s.WebSocket + " --ca " + s.CAFile
	if os.Geteuid() == 0 {
		// No folder is read-only for root: become somebody else.
		for dir := p.home; dir != "/"; dir = filepath.Dir(dir) {
			open(t, dir)
		}
		open(t, folder)
		open(t, s.Dir)
		command = "exec setpriv --reuid=65534 --regid=65534 --clear-groups -- " + command
	}
	p.shell(command)
	p.ended(`cannot be written to\. Check who owns it`)
}

// open lets everybody into a folder, as far as it is ours.
func open(t *testing.T, dir string) {
	t.Helper()
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm()&0o5 != 0o5 {
		if err := os.Chmod(dir, info.Mode().Perm()|0o55); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKilledRoles kills each of the processes, as the system does when memory
// runs out, and holds that the terminal is usable and says what happened.
func TestKilledRoles(t *testing.T) {
	t.Parallel()
	for _, role := range []string{"desk", "link", "gate", "ward"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			p := newPerson(t, "killed "+role)
			p.pin = "246810"
			p.run("demo")
			p.See("demo PIN 246810")
			if role != "gate" {
				p.unlock()
				p.talkTo("Okafor, Ada")
				p.say("Bed 9 potassium came back 6.8")
				p.delivered("Bed 9 potassium came back 6.8")
			}
			all := family(t, p.PID())
			killed := 0
			for _, member := range all {
				if strings.HasPrefix(member.role(), "sotto-"+role) {
					killed++
					if err := syscall.Kill(member.pid, syscall.SIGKILL); err != nil {
						t.Fatal(err)
					}
				}
			}
			if killed != 1 {
				t.Fatalf("%d processes are called %s: %v", killed, role, all)
			}
			switch role {
			case "ward": // the relay is gone for good
				p.SeeMatch(`(?i)(offline|relay|ended)`)
			case "gate", "desk":
				p.See("s o t t o", "PIN")
				p.SeeMatch(`(?i)(ended|stopped|died|killed)`)
				p.unlock()
				if role == "desk" {
					p.talkTo("Okafor, Ada")
					p.See("Bed 9 potassium came back 6.8")
				}
			case "link":
				p.See("s o t t o", "PIN")
				p.SeeMatch(`(?i)(ended|stopped|died|killed)`)
				p.unlock()
				p.talkTo("Okafor, Ada")
				p.say("ECG is done")
				p.delivered("ECG is done")
			}
			p.Press("C-q")
			p.Exit()
			gone(t, all)
		})
	}
}

// role returns what a process of sotto calls its role.
func (p process) role() string {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.pid))
	return strings.ReplaceAll(string(data), "\x00", " ")
}
