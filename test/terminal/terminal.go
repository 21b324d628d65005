// Package terminal lets a test sit at a terminal: start a program in it, type,
// press keys, and read the screen as a person would. Each terminal is a tmux
// server of its own, with its own socket and no configuration of the user's.
//
// A wait that is not fulfilled ends the test and shows the screen as it was.
package terminal

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Patience is how long a wait goes on unless a test says otherwise. It is far
// longer than anything should take: what is slow shows in the benchmark, not
// as a test that fails on a busy machine.
const Patience = 2 * time.Minute

const look = 20 * time.Millisecond // between two looks at the screen

// Options say what the program finds. The zero value is 80 columns by 24 rows.
type Options struct {
	Width, Height int
	Dir           string   // working folder
	Env           []string // everything the program sees beside PATH, LANG and TERM
	Set           []string // further commands for tmux, such as "set -g alternate-screen off"
}

// Terminal is a terminal with a program in it. It is used by one goroutine,
// beside those of Watch.
type Terminal struct {
	t      testing.TB
	name   string
	socket string
	dumped bool // the failure has already shown this screen
	closed bool
}

// Start opens a terminal and runs the command in it. The terminal is closed at
// the end of the test; close it before with Close.
func Start(t testing.TB, name string, o Options, command ...string) *Terminal {
	t.Helper()
	// Not t.TempDir: its long names do not fit in a socket address.
	dir, err := os.MkdirTemp("", "tty")
	if err != nil {
		t.Fatal(err)
	}
	tm := &Terminal{t: t, name: name, socket: filepath.Join(dir, "tmux")}
	config := filepath.Join(dir, "tmux.conf")
	// A dead program's last screen and exit code stay to be read; Escape is
	// passed on at once, as a terminal does. Nobody is attached, so tmux would say
	// that the window has no focus: it is not to say anything of that.
	if err := os.WriteFile(config, []byte("set -g status off\nset -g remain-on-exit on\nset -g remain-on-exit-format ''\n"+
		"set -s escape-time 0\nset -g default-terminal tmux-256color\nset -g history-limit 5000\nset -g focus-events off\n"+
		strings.Join(o.Set, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	width, height := o.Width, o.Height
	if width == 0 {
		width, height = 80, 24
	}
	args := []string{"-u", "-S", tm.socket, "-f", config, "new-session", "-d",
		"-x", strconv.Itoa(width), "-y", strconv.Itoa(height)}
	if o.Dir != "" {
		args = append(args, "-c", o.Dir)
	}
	args = append(args, "--")
	cmd := exec.Command("tmux", append(args, command...)...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "TERM=xterm-256color"}, o.Env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: opening a terminal: %v: %s", name, err, out)
	}
	t.Cleanup(func() {
		if t.Failed() && !tm.dumped && !tm.closed {
			t.Logf("%s's screen at the end:\n%s", name, tm.frame())
		}
		tm.Close()
		os.RemoveAll(dir)
	})
	return tm
}

// Close closes the terminal; what runs in it is hung up on.
func (tm *Terminal) Close() {
	tm.closed = true
	_, _ = tm.tmux("kill-server")
}

// Type types text as it stands, without Enter.
func (tm *Terminal) Type(text string) {
	tm.t.Helper()
	tm.must("send-keys", "-l", "--", text)
}

// Press presses keys by tmux's names: "Enter", "C-l", "M-a", "PPage", "F1".
func (tm *Terminal) Press(keys ...string) {
	tm.t.Helper()
	tm.must(append([]string{"send-keys", "--"}, keys...)...)
}

// Enter types a line and presses Enter.
func (tm *Terminal) Enter(line string) {
	tm.t.Helper()
	tm.Type(line)
	tm.Press("Enter")
}

// Resize changes the size of the terminal, as dragging a window does.
func (tm *Terminal) Resize(width, height int) {
	tm.t.Helper()
	tm.must("resize-window", "-x", strconv.Itoa(width), "-y", strconv.Itoa(height))
}

// Screen returns what is shown, one line a row, without trailing space.
func (tm *Terminal) Screen() string {
	out, err := tm.tmux("capture-pane", "-p")
	if err != nil {
		return "(no screen: " + err.Error() + ")"
	}
	lines := strings.Split(out, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

// Scrollback returns the screen with all that scrolled off its top, what a
// person at this terminal could still read after the program has ended. Lines
// that the terminal had to break are whole again.
func (tm *Terminal) Scrollback() string {
	out, _ := tm.tmux("capture-pane", "-p", "-J", "-S", "-")
	return out
}

// Cursor returns where the cursor is, and whether it is shown.
func (tm *Terminal) Cursor() (column, row int, shown bool) {
	tm.t.Helper()
	var flag int
	if _, err := fmt.Sscanf(tm.must("display-message", "-p", "#{cursor_x} #{cursor_y} #{cursor_flag}"), "%d %d %d", &column, &row, &flag); err != nil {
		tm.t.Fatal(err)
	}
	return column, row, flag == 1
}

// PID returns the process id of the program.
func (tm *Terminal) PID() int {
	tm.t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(tm.must("display-message", "-p", "#{pane_pid}")))
	if err != nil {
		tm.t.Fatal(err)
	}
	return pid
}

// See waits until all the texts stand on the screen at the same time.
func (tm *Terminal) See(texts ...string) {
	tm.t.Helper()
	tm.Until(fmt.Sprintf("showing %q", texts), func(screen string) bool {
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				return false
			}
		}
		return true
	})
}

// SeeMatch waits until the screen matches the regular expression and returns
// the match with its groups.
func (tm *Terminal) SeeMatch(expression string) []string {
	tm.t.Helper()
	re := regexp.MustCompile(expression)
	var found []string
	tm.Until("matching "+expression, func(screen string) bool {
		found = re.FindStringSubmatch(screen)
		return found != nil
	})
	return found
}

// SeeGone waits until none of the texts stands on the screen any more.
func (tm *Terminal) SeeGone(texts ...string) {
	tm.t.Helper()
	tm.Until(fmt.Sprintf("no longer showing %q", texts), func(screen string) bool {
		for _, text := range texts {
			if strings.Contains(screen, text) {
				return false
			}
		}
		return true
	})
}

// Until waits until the screen is as wanted; what it should be doing completes
// the sentence "not …" of a failure.
func (tm *Terminal) Until(what string, wanted func(screen string) bool) {
	tm.t.Helper()
	if !tm.poll(Patience, func() bool { return wanted(tm.Screen()) }) {
		tm.t.Fatalf("%s: not %s after %v:\n%s", tm.name, what, Patience, tm.frame())
	}
}

// Watch looks from now on for a text that may stand on the screen for a short time
// only, while the test does something else. What it returns waits until it was there.
func (tm *Terminal) Watch(text string) (seen func()) {
	found := make(chan bool, 1)
	ctx := tm.t.Context()
	go func() {
		// Until the test ends: what the text comes from may take long.
		for ctx.Err() == nil {
			if strings.Contains(tm.Screen(), text) {
				found <- true
				return
			}
			time.Sleep(look)
		}
	}()
	return func() {
		tm.t.Helper()
		select {
		case <-found:
		case <-time.After(Patience):
			tm.t.Fatalf("%s: not showing %q by %v after it was due:\n%s", tm.name, text, Patience, tm.frame())
		}
	}
}

// Shows tells whether the text comes up on the screen within the time, for a
// test that can go on either way.
func (tm *Terminal) Shows(text string, within time.Duration) bool {
	return tm.poll(within, func() bool { return strings.Contains(tm.Screen(), text) })
}

// Exit waits until the program has ended and returns its exit code, or 128 and
// the signal that ended it.
func (tm *Terminal) Exit() int {
	tm.t.Helper()
	var code int
	if !tm.poll(Patience, func() bool {
		out, err := tm.tmux("display-message", "-p", "#{pane_dead} #{pane_dead_status} #{pane_dead_signal} #{pid}")
		if err != nil {
			return false
		}
		f := strings.Split(strings.TrimRight(out, "\n"), " ")
		if len(f) != 4 || f[0] != "1" {
			return false
		}
		if f[1]+f[2] == "" {
			// tmux 3.3 can miss that a program ended which ends at once: it then
			// knows no exit code until it is told again to look.
			if pid, err := strconv.Atoi(f[3]); err == nil {
				lookAgain(pid)
			}
			return false
		}
		if f[1] != "" {
			code, err = strconv.Atoi(f[1])
			return err == nil
		}
		code, err = strconv.Atoi(f[2])
		code += 128
		return err == nil
	}) {
		tm.t.Fatalf("%s: still running after %v:\n%s", tm.name, Patience, tm.frame())
	}
	return code
}

func (tm *Terminal) poll(limit time.Duration, done func() bool) bool {
	deadline := time.Now().Add(limit)
	for !done() {
		if time.Now().After(deadline) {
			return false
		}
		time.Sleep(look)
	}
	return true
}

// frame returns the screen with a border, so that a reader of the log sees
// where it begins and ends.
func (tm *Terminal) frame() string {
	tm.dumped = true
	var b strings.Builder
	b.WriteString("  +" + strings.Repeat("-", 78) + "\n")
	for _, line := range strings.Split(tm.Screen(), "\n") {
		b.WriteString("  |" + line + "\n")
	}
	b.WriteString("  +" + strings.Repeat("-", 78))
	return b.String()
}

func (tm *Terminal) must(args ...string) string {
	tm.t.Helper()
	out, err := tm.tmux(args...)
	if err != nil {
		tm.t.Fatalf("%s: %v\n%s", tm.name, err, tm.frame())
	}
	return out
}

func (tm *Terminal) tmux(args ...string) (string, error) {
	cmd := exec.Command("tmux", append([]string{"-u", "-S", tm.socket}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("tmux %s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}
