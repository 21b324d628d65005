//go:build unix

package test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sotto/test/server"
	"sotto/test/terminal"
)

// half is something that somebody has begun to write.
const half = "half a thought about bed nine"

// alone is somebody with a profile on a relay, with something half written.
func alone(t *testing.T) *person {
	t.Helper()
	s := embedded(t)
	people := team(t, s, "Okafor, Ada", "Lind, Per")
	p := newPerson(t, "Ada")
	p.set("curtain = false") // nobody looks at this terminal, and it says so
	p.join(s, people[0])
	p.See("Lind, Per")
	p.writes()
	return p
}

// set writes settings, before a profile is made.
func (p *person) set(lines ...string) {
	p.t.Helper()
	dir := filepath.Join(p.home, "config", "sotto", "default")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.toml"), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// writes has something half written stand there.
func (p *person) writes() {
	p.t.Helper()
	p.Type(half)
	p.See(">  " + half)
}

// roles are the processes that a sotto has started, by name.
func (p *person) roles() map[string]process {
	p.t.Helper()
	return rolesOf(p.t, p.PID())
}

func rolesOf(t *testing.T, watch int) map[string]process {
	t.Helper()
	all := map[string]process{}
	for _, child := range family(t, watch) {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child.pid))
		name, _, _ := strings.Cut(string(line), "\x00")
		if name, ok := strings.CutPrefix(name, "sotto-"); ok && err == nil {
			all[name] = child
		}
	}
	return all
}

// role waits for a role.
func (p *person) role(name string) process {
	p.t.Helper()
	var found process
	p.until("running a "+name, func() bool {
		found = p.roles()[name]
		return found.pid != 0
	})
	return found
}

// until waits for what does not show on the screen.
func (p *person) until(what string, so func() bool) {
	p.t.Helper()
	p.Until(what, func(string) bool { return so() })
}

// command runs another sotto of this person and returns what it says and its
// exit code.
func (p *person) command(arguments ...string) (string, int) {
	p.t.Helper()
	cmd := exec.Command(binary, arguments...)
	cmd.Env, cmd.Dir = append(p.env(), "PATH="+os.Getenv("PATH")), p.home
	out, err := cmd.CombinedOutput()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		p.t.Fatal(err)
	}
	return strings.TrimSpace(string(out)), cmd.ProcessState.ExitCode()
}

// locks has another sotto of this person lock this one.
func (p *person) locks(want string, code int, arguments ...string) {
	p.t.Helper()
	if said, got := p.command(append([]string{"lock"}, arguments...)...); got != code || !strings.Contains(said, want) {
		p.t.Errorf("sotto lock %s says %q and ends with %d", strings.Join(arguments, " "), said, got)
	}
}

// hidden holds that nothing of the conversations can be read.
func (p *person) hidden() {
	p.t.Helper()
	if s := p.Screen(); strings.Contains(s, half) || strings.Contains(s, "Lind") {
		p.t.Errorf("locked, and still readable:\n%s", s)
	}
}

// TestLockCommand is what a screen locker's hook does.
func TestLockCommand(t *testing.T) {
	t.Parallel()
	p := alone(t)
	desk := p.role("desk")
	p.locks("sotto: locked", 0)
	p.hidden() // when the command has ended, not later
	if _, _, ok := readStat(fmt.Sprintf("/proc/%d/stat", desk.pid)); ok {
		t.Error("the desk has not ended")
	}
	p.See("s o t t o", "PIN  _")
	p.Press("C-c") // and the PIN after it must not go to a shell
	p.See("Ctrl+Q ends sotto", "PIN  _")
	p.locks("was locked already", 0)
	p.unlock()
	p.See(">  "+half, "online") // the draft was kept

	p.Press("C-z") // no shell has started it: nobody could let it go on
	p.See("s o t t o", "PIN  _")
	p.hidden()
	p.unlock()
	p.See(">  "+half, "online")

	p.locks("locked and logged off", 0, "--log-off")
	p.See("logged off")
	if link, ok := p.roles()["link"]; ok {
		t.Errorf("after the log-off there is still a link, process %d", link.pid)
	}
	p.locks("was logged off already", 0, "--all", "--log-off")
	p.unlock()
	p.See(">  "+half, "online") // signed in again

	p.locks(`there is no profile "nigth"`, 1, "--profile", "nigth")
	p.locks("a profile's name", 1, "--profile", "../x")
	p.locks("leave --profile out", 1, "--profile", "default", "--all")
	p.locks("locked", 0, "--profile", "default")
	p.quitLocked()
	p.locks("not running", 0)
	p.locks("not running", 0, "--all")
	nobody := newPerson(t, "nobody")
	nobody.Terminal = p.Terminal
	nobody.locks("not running", 0)
	nobody.locks("not running", 0, "--all")
	exercised(t, "sotto lock")
}

// quitLocked leaves sotto at the lock screen.
func (p *person) quitLocked() {
	p.t.Helper()
	p.See("s o t t o", "PIN  _")
	all := family(p.t, p.PID())
	p.Press("C-q")
	if code := p.Exit(); code != 0 {
		p.t.Errorf("%s: sotto ended with %d at the lock screen", p.name, code)
	}
	gone(p.t, all)
}

// TestStoppedDesk is a desk that can't lock, with its text on the screen.
func TestStoppedDesk(t *testing.T) {
	t.Parallel()
	p := alone(t)
	desk := p.role("desk")
	if err := syscall.Kill(desk.pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.Press("C-l")
	if s := p.Screen(); !strings.Contains(s, half) {
		t.Errorf("the text has gone by itself, so nothing is shown by the rest:\n%s", s)
	}
	p.locks("sotto: locked", 0)
	p.hidden()
	gone(t, []process{desk})
	p.See("did not lock in time", "PIN")
	p.unlock()
	p.See("Lind, Per", "online")
	p.quit()
}

// open waits until a watch, a link and a desk run, and nothing else: the gate may end
// a moment after the first screen of the desk.
func (p *person) open(watch int) (all []process) {
	p.t.Helper()
	p.until("running three processes", func() bool {
		all = family(p.t, watch)
		return len(all) == 3
	})
	return all
}

// TestLostTerminal loses the terminal in every way there is, and asks it to end.
// Each time everything ends, the link with its password, too; what was being
// written is there afterwards.
func TestLostTerminal(t *testing.T) {
	t.Parallel()
	p := alone(t)
	for _, c := range []struct {
		name string
		lose func()
	}{
		{"hangup", func() { syscall.Kill(p.PID(), syscall.SIGHUP) }},
		{"end", func() { syscall.Kill(p.PID(), syscall.SIGTERM) }},
		{"closed terminal", func() { p.Close() }},
	} {
		all := p.open(p.PID())
		c.lose()
		gone(t, all)
		if t.Failed() {
			t.Fatalf("after a %s", c.name)
		}
		p.run()
		p.unlock()
		p.See(">  "+half, "online")
		p.Press("C-u")
		p.SeeGone(half)
		p.writes()
	}
	p.quit()
}

// TestLostLine is the same over SSH, with the client killed.
func TestLostLine(t *testing.T) {
	t.Parallel()
	sshd := startSSH(t)
	p := alone(t)
	p.quit()
	client := newPerson(t, "Ada's laptop")
	line := func() int {
		t.Helper()
		client.Terminal = terminal.Start(t, "Ada over SSH", terminal.Options{Dir: client.home},
			sshd.login(strings.Join(append([]string{"exec", "env", "-i", "TERM=xterm-256color", "LANG=C.UTF-8"}, append(p.env(), binary)...), " "))...)
		client.pin = p.pin
		client.unlock()
		client.See(">  "+half, "online")
		// Who runs here runs beneath the server, not beneath the client.
		b, err := os.ReadFile(filepath.Join(p.home, "state", "sotto", "default", "lock"))
		if err != nil {
			t.Fatal(err)
		}
		var watch int
		if _, err := fmt.Sscan(string(b), &watch); err != nil {
			t.Fatal(err)
		}
		return watch
	}
	watch := line()
	all := client.open(watch)
	syscall.Kill(client.PID(), syscall.SIGKILL)
	gone(t, all)
	watch = line() // the draft is there
	all = family(t, watch)
	client.Press("C-q")
	gone(t, all)
	exercised(t, "a lost line with OpenSSH")
}

// ssh is a server for SSH on this machine, for whoever runs the test.
type ssh struct {
	dir  string
	port string
}

func startSSH(t *testing.T) *ssh {
	t.Helper()
	program := "/usr/sbin/sshd"
	if _, err := os.Stat(program); err != nil {
		missing(t, fmt.Errorf("%w: OpenSSH's server", server.ErrMissing))
	}
	s := &ssh{dir: t.TempDir()}
	if os.Getuid() == 0 { // what its service does on this system
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"host", "client"} {
		if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(s.dir, key)).CombinedOutput(); err != nil {
			t.Fatalf("make a key: %v: %s", err, out)
		}
	}
	ports, err := server.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	s.port = strconv.Itoa(ports[0])
	config := filepath.Join(s.dir, "config")
	if err := os.WriteFile(config, fmt.Appendf(nil, `ListenAddress 127.0.0.1
Port %s
HostKey %[2]s/host
AuthorizedKeysFile %[2]s/client.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
PrintMotd no
`, s.port, s.dir), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-D", "-e", "-f", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for late := time.Now().Add(terminal.Patience); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", "127.0.0.1:"+s.port)
		if err == nil {
			conn.Close()
			return s
		}
		if time.Now().After(late) {
			t.Fatal(err)
		}
	}
}

// login is the command of a client that runs another there.
func (s *ssh) login(command string) []string {
	who, err := user.Current()
	if err != nil {
		return nil
	}
	return []string{"ssh", "-F", "none", "-tt", "-p", s.port, "-i", filepath.Join(s.dir, "client"), "-o", "BatchMode=yes", "-o", "LogLevel=ERROR",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", who.Username + "@127.0.0.1", command}
}

// TestJobControl is what a shell does with its jobs, and somebody who stops
// sotto from outside, and so the shell notices.
func TestJobControl(t *testing.T) {
	t.Parallel()
	p := alone(t)
	p.quit()
	p.Terminal = terminal.Start(t, "Ada's shell", terminal.Options{Env: append(p.env(), "PS1=shell> "), Dir: p.home}, "bash", "--norc", "--noprofile", "-i")
	p.See("shell>")
	p.Enter(binary)
	p.unlock()
	p.See(">  "+half, "online")
	watch := 0
	p.until("running sotto", func() bool {
		for _, c := range family(t, p.PID()) {
			if c.name == "sotto" {
				watch = c.pid
				return true
			}
		}
		return false
	})
	stopped := func() {
		t.Helper()
		p.until("stopped", func() bool { return processState(watch) == "T" })
		p.See("shell>")
	}
	desk := func() process { return rolesOf(t, watch)["desk"] }

	// Ctrl+Z, at both screens.
	was := desk()
	p.Press("C-z")
	stopped()
	p.hidden()
	gone(t, []process{was})
	p.Enter("fg")
	p.See("s o t t o", "PIN")
	p.Type("12")
	p.See("• • _")
	p.Press("C-z")
	stopped()
	p.Enter("fg")
	p.See("PIN  _")
	p.unlock()
	p.See(">  "+half, "online")

	was = desk()
	syscall.Kill(watch, syscall.SIGTSTP)
	stopped()
	p.hidden()
	gone(t, []process{was})
	p.locks("was locked already", 0)
	if processState(watch) != "T" {
		t.Error("to hear the request it has taken the terminal from the shell")
	}
	p.Enter("bg")
	p.Enter("echo the shell goes on")
	p.SeeMatch(`\nthe shell goes on`)
	stopped() // it has no use for the background
	p.hidden()
	p.Enter("fg")
	p.unlock()
	p.See(">  "+half, "online")

	// All of it is stopped, with the text on the screen. Nothing can be done about
	// that until it goes on; then it locks.
	for _, how := range []string{"fg", "bg"} {
		syscall.Kill(-watch, syscall.SIGSTOP)
		p.See("shell>", half)
		p.until("stopped", func() bool { return processState(watch) == "T" })
		p.Enter(how)
		if how == "bg" {
			p.SeeGone(half)
			stopped()
			p.hidden()
			p.Enter("fg")
		}
		p.See("s o t t o", "PIN")
		p.hidden()
		p.unlock()
		p.See("Lind, Per", "online")
		p.Press("C-u")
		p.SeeGone(half)
		p.writes()
	}

	// But for a request to lock, which makes it go on.
	syscall.Kill(-watch, syscall.SIGSTOP)
	p.See("shell>", half)
	p.locks("sotto: locked", 0)
	p.SeeGone(half, "Lind")
	stopped()
	link := rolesOf(t, watch)["link"]
	if link.pid == 0 {
		t.Error("the link has not stayed")
	}
	p.locks("locked and logged off", 0, "--log-off")
	gone(t, []process{link})
	stopped()
	p.Enter("fg")
	p.See("logged off")
	p.unlock()
	p.See("Lind, Per", "online")

	// A shell that ends takes it along.
	all := family(t, watch)
	syscall.Kill(watch, syscall.SIGTSTP)
	stopped()
	all = append(all, family(t, watch)...)
	p.Close()
	gone(t, all)
}

func processState(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	state, _, _ := strings.Cut(rest, " ")
	return state
}

// TestEnvironment is what the roles find there, when much is.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	hostile := []string{"DISPLAY=:0", "WAYLAND_DISPLAY=wayland-0", "DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere", "XAUTHORITY=/nowhere",
		"SSH_AUTH_SOCK=/nowhere", "SSH_CONNECTION=192.0.2.1 1 192.0.2.2 22", "LD_PRELOAD=/nowhere.so", "LD_LIBRARY_PATH=/nowhere", "LD_AUDIT=/nowhere.so",
		"GODEBUG=madvdontneed=0", "GOGC=off", "GOMEMLIMIT=1TiB", "GOTRACEBACK=crash", "GOCOVERDIR=/nowhere", "SSLKEYLOGFILE=/nowhere",
		"TEA_TRACE=/nowhere/trace", "TEA_DEBUG=1", "SQLITE_TMPDIR=/nowhere", "HTTPS_PROXY=http://127.0.0.1:1", "LC_PASSWORD=secret", "PASSWORD=secret", "PS1=$(id)"}
	allowed := []string{"LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "LC_TIME", "TZ", "GOTRACEBACK",
		"TERM", "COLORTERM", "COLORFGBG", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "TMUX", "STY",
		"SSH_TTY", "WT_SESSION", "VTE_VERSION", "SSL_CERT_FILE", "SSL_CERT_DIR"}
	me := newPerson(t, "the demo")
	me.pin = "246810"
	me.Terminal = terminal.Start(t, me.name, terminal.Options{Env: me.env(), Dir: me.home}, slices.Concat([]string{"env"}, hostile, []string{binary, "demo"})...)
	me.See("s o t t o", "PIN")
	looked := map[string]bool{}
	look := func(names ...string) {
		t.Helper()
		for _, name := range names {
			pid := me.role(name).pid
			env := environment(t, pid)
			if len(env) == 0 {
				t.Errorf("%s: its environment can't be read", name)
			}
			for _, kv := range env {
				key, value, _ := strings.Cut(kv, "=")
				if !slices.Contains(allowed, key) || slices.Contains(hostile, kv) {
					t.Errorf("%s has %s=%s", name, key, value)
				}
			}
			looked[name] = true
		}
	}
	look("ward", "link", "gate")
	me.unlock()
	look("link", "desk")
	if len(looked) != 4 {
		t.Errorf("only of these: %v", looked)
	}
	// The same look finds all that was there to be inherited.
	found := environment(t, me.PID())
	for _, kv := range hostile {
		if !slices.Contains(found, kv) {
			t.Errorf("%s was not there to be inherited, so nothing was shown", kv)
		}
	}
	me.quit()
}

func environment(t *testing.T, pid int) []string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if errors.Is(err, fs.ErrPermission) {
		missing(t, fmt.Errorf("%w: the right to look into these processes, which root has", server.ErrMissing))
	}
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(strings.Split(string(b), "\x00"), func(s string) bool { return s == "" })
}
