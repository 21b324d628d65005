package test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sotto/test/server"
	"sotto/test/terminal"
)

// person is somebody at a terminal, with a home folder and a sotto.
type person struct {
	*terminal.Terminal
	t    *testing.T
	name string
	home string
	pin  string
}

func newPerson(t *testing.T, name string) *person {
	t.Helper()
	home := t.TempDir()
	return &person{t: t, name: name, home: home, pin: "493817"}
}

// env is all that a sotto of this person finds in its environment.
func (p *person) env() []string {
	return []string{
		"HOME=" + p.home,
		"XDG_CONFIG_HOME=" + filepath.Join(p.home, "config"),
		"XDG_DATA_HOME=" + filepath.Join(p.home, "data"),
		"XDG_STATE_HOME=" + filepath.Join(p.home, "state"),
		"XDG_RUNTIME_DIR=" + filepath.Join(p.home, "run"),
		"TMPDIR=" + p.tmp(),
	}
}

// tmp is the person's folder for temporary files.
func (p *person) tmp() string {
	dir := filepath.Join(p.home, "tmp")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		p.t.Fatal(err)
	}
	return dir
}

// run starts sotto in a new terminal of 80 by 24.
func (p *person) run(arguments ...string) {
	p.t.Helper()
	p.runIn(terminal.Options{}, arguments...)
}

func (p *person) runIn(o terminal.Options, arguments ...string) {
	p.t.Helper()
	if p.Terminal != nil {
		p.Close()
	}
	o.Env, o.Dir = p.env(), p.home
	p.Terminal = terminal.Start(p.t, p.name, o, append([]string{binary}, arguments...)...)
}

// join makes a profile for an account, with the person's PIN, up to the first
// screen with conversations. It does not lock by itself for as long as a test takes.
func (p *person) join(s *server.Server, who server.Person) {
	p.t.Helper()
	p.stayOpen()
	p.run("join", s.Address(who), "--relay", s.WebSocket, "--ca", s.CAFile)
	p.See("Password of " + s.Address(who))
	p.Enter(who.Password)
	p.See("New PIN")
	p.Enter(p.pin)
	p.See("Again")
	p.Enter(p.pin)
	p.See("lock in", "online")
}

// stayOpen adds to the settings of somebody who has not joined yet that an hour has
// to pass before it locks. On a busy machine it takes minutes until somebody's turn
// in a test has come again.
func (p *person) stayOpen() {
	p.t.Helper()
	if err := os.MkdirAll(filepath.Dir(p.config()), 0o700); err != nil {
		p.t.Fatal(err)
	}
	f, err := os.OpenFile(p.config(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString("lock-after = \"1h\"\nlogoff-after = \"2h\"\n")
	}
	if err != nil {
		p.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		p.t.Fatal(err)
	}
}

// unlock enters the PIN at the lock screen.
func (p *person) unlock() {
	p.t.Helper()
	p.See("s o t t o", "PIN  _") // before that, what is typed is nobody's
	p.Enter(p.pin)
	p.See("lock in")
}

// lock locks by hand and waits for the lock screen.
func (p *person) lock() {
	p.t.Helper()
	p.Press("C-l")
	p.See("s o t t o", "PIN  _")
}

// talkTo opens the conversation with somebody through the switcher.
func (p *person) talkTo(display string) {
	p.t.Helper()
	p.Press("C-k")
	p.See("go to")
	name, _, _ := strings.Cut(display, ",")
	p.Type(strings.ToLower(name))
	p.See("> "+strings.ToLower(name), display) // contacts may still be coming in
	p.Press("Enter")
	p.SeeGone("go to")
	p.SeeMatch(`\A ` + display)
}

// say sends a line in the open conversation.
func (p *person) say(line string) {
	p.t.Helper()
	p.Type(line)
	p.See(">  " + line)
	p.Press("Enter")
	p.Until("showing what was written", func(screen string) bool {
		return strings.Contains(screen, line) && !strings.Contains(screen, ">  "+line)
	})
}

// delivered waits until a message of the person's own, the last of its run, is
// marked so.
func (p *person) delivered(line string) {
	p.t.Helper()
	p.SeeMatch(regexp.QuoteMeta(line) + `\s+(delivered|read)`)
}

// quit leaves sotto in the ordinary way.
func (p *person) quit() {
	p.t.Helper()
	all := family(p.t, p.PID())
	p.Press("C-q")
	if code := p.Exit(); code != 0 {
		p.t.Errorf("%s: sotto ended with %d after Ctrl+Q", p.name, code)
	}
	gone(p.t, all)
}

// process is a process of the system, told apart from a later one of the same id.
type process struct {
	pid   int
	start string
	name  string
}

// family returns a process and all that it started, and they, and so on.
func family(t *testing.T, pid int) []process {
	t.Helper()
	all := map[int][]process{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var found []process
	for _, file := range stats {
		p, parent, ok := readStat(file)
		if !ok {
			continue
		}
		all[parent] = append(all[parent], p)
		if p.pid == pid {
			found = append(found, p)
		}
	}
	for i := 0; i < len(found); i++ {
		found = append(found, all[found[i].pid]...)
	}
	return found
}

// readStat reads /proc/PID/stat: proc(5). It fails when the process has ended.
func readStat(file string) (p process, parent int, ok bool) {
	data, err := os.ReadFile(file)
	if err != nil {
		return p, 0, false
	}
	open, end := strings.IndexByte(string(data), '('), strings.LastIndexByte(string(data), ')')
	if open < 0 || end < open {
		return p, 0, false
	}
	fields := strings.Fields(string(data[end+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return p, 0, false
	}
	p.pid, _ = strconv.Atoi(strings.TrimSpace(string(data[:open])))
	p.name, p.start = string(data[open+1:end]), fields[19]
	parent, _ = strconv.Atoi(fields[1])
	return p, parent, true
}

// gone waits until none of the processes is there any more.
func gone(t *testing.T, processes []process) {
	t.Helper()
	deadline := time.Now().Add(terminal.Patience)
	for {
		left := slices.DeleteFunc(slices.Clone(processes), func(p process) bool {
			now, _, ok := readStat(fmt.Sprintf("/proc/%d/stat", p.pid))
			return !ok || now.start != p.start
		})
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("still there: %v", left)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}
