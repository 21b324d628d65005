package memory

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sotto/internal/role/roletest"
)

// listening is a sotto listen of somebody, without a terminal.
type listening struct {
	*proof
	cmd   *exec.Cmd
	lines chan string
	ended chan struct{}
}

// listens has a profile listen. Its lines are waited for with hears.
func (p *proof) listens(pinFile string) *listening {
	p.t.Helper()
	l := &listening{proof: p, cmd: p.command("listen", "--json", "--pin-file", pinFile), lines: make(chan string, 100), ended: make(chan struct{})}
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := l.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		defer close(l.ended)
		defer close(l.lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			l.lines <- in.Text()
		}
		l.cmd.Wait()
	}()
	p.t.Cleanup(func() {
		l.cmd.Process.Kill()
		<-l.ended
	})
	return l
}

// hears waits for a line that has all of some words.
func (l *listening) hears(words ...string) {
	l.t.Helper()
	for late := time.After(roletest.Patience); ; {
		select {
		case line, ok := <-l.lines:
			if !ok {
				l.t.Fatalf("it ended without a line with %q", words)
			}
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
				return
			}
		case <-late:
			l.t.Fatalf("no line with %q after %v", words, roletest.Patience)
		}
	}
}

// look searches every process of it.
func (l *listening) look(moment string, may Allowed) {
	l.t.Helper()
	sight, err := Look(l.cmd.Process.Pid, l.canaries...)
	if err != nil {
		l.t.Fatalf("%s: %v", moment, err)
	}
	l.t.Logf("%s: %v", moment, sight)
	for _, wrong := range sight.Wrong(may) {
		l.t.Errorf("%s: %s", moment, wrong)
	}
}

// goes has it end by do, and holds that all of its processes have gone with it.
func (l *listening) goes(do func()) {
	l.t.Helper()
	family, err := Family(l.cmd.Process.Pid)
	if err != nil || len(family) != 3 {
		l.t.Fatalf("it is %v, %v; not three processes", family, err)
	}
	do()
	go func() {
		for range l.lines {
		}
	}()
	wait(l.t, "sotto listen has ended", func() bool {
		select {
		case <-l.ended:
			return true
		default:
			return false
		}
	})
	for _, f := range family {
		wait(l.t, "the "+f.Role+" has ended with it", func() bool { return roletest.Gone(f.PID) })
	}
	if _, err := Look(l.cmd.Process.Pid, l.canaries...); err != ErrGone {
		l.t.Errorf("afterwards: %v", err)
	}
}

// TestListeningMeansOpen is what TestLockedMeansGone is for a profile that no person
// sits in front of: while it listens the desk has texts and keys and nobody else,
// and when it ends, or is locked, which ends it, there is no process that has any.
func TestListeningMeansOpen(t *testing.T) {
	t.Parallel()
	r, people := startRelay(t, "Okafor, Ada", "Lind, Per")
	ada, per := people[0], people[1]
	const first, second, pin, password = "first text", "second text", "PIN", "relay password"
	p := &proof{sotto: newSotto(t, ada)}
	texts := map[string]string{first: secret("Kestrel"), second: secret("Merlin")}
	p.canaries = append(p.canaries, TextCanary(pin, p.pin), TextCanary(password, ada.password))
	for name, text := range texts {
		p.canaries = append(p.canaries, TextCanary(name, text))
	}
	p.join(r.url, func(string) {})
	peer := talker(t, r, per, ada) // which waits for the device
	p.lock()
	p.quit()
	config := p.profile()
	c, err := config.Load()
	if err != nil {
		t.Fatal(err)
	}
	c.Service = true
	if err := config.Save(c); err != nil {
		t.Fatal(err)
	}
	pinFile := filepath.Join(p.home, "pin")
	if err := os.WriteFile(pinFile, []byte(p.pin+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.own()

	open := Allowed{password: {"desk", "link"}, first: {"+desk"}}
	l := p.listens(pinFile)
	l.hears(`"online"`)
	peer.send(texts[first])
	l.hears(texts[first])
	l.look("listening", open)
	l.goes(func() { signal(t, l.cmd.Process.Pid, syscall.SIGTERM) })

	keys, _ := p.keys(per.address)
	p.canaries = append(p.canaries, keys...)
	for _, k := range keys {
		open[k.Name] = []string{"desk"} // some are used up
	}
	for _, name := range []string{"database key", "identity key"} {
		open[name] = []string{"+desk"}
	}
	open["master key"] = nil // has never left the gate
	open[first] = []string{"desk"}
	open[second] = []string{"+desk"}
	l = p.listens(pinFile)
	l.hears(`"online"`)
	peer.send(texts[second])
	l.hears(texts[second])
	l.look("listening again", open)
	if sight, err := Look(l.cmd.Process.Pid, l.canaries...); err != nil || len(sight.Wrong(Allowed{})) < 4 {
		t.Errorf("judged as if nothing may be there, this proof finds no more than %q, %v: it could not fail", sight.Wrong(Allowed{}), err)
	}
	l.goes(func() { p.outside("lock") })
}
