//go:build linux

// Package roletest runs a program of sotto at a terminal of its own, for tests
// of processes: it types, reads the screen, compares the terminal's modes and
// keeps every byte that was written.
package roletest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
	"golang.org/x/sys/unix"
)

// Patience is how long a wait goes on before the test fails. It is far longer than
// anything should take, also on a machine that does much else.
const Patience = 2 * time.Minute

// Console is a terminal with a program in it.
type Console struct {
	t      testing.TB
	Cmd    *exec.Cmd
	PID    int // of the process whose roles Role finds; at first that of Cmd
	master *os.File
	slave  *os.File // kept open, so that the modes can be read after the end
	before unix.Termios
	ended  chan struct{}

	mu     sync.Mutex
	vt     vt10x.Terminal
	output bytes.Buffer
	change chan struct{} // closed and replaced when something was written
}

// Start runs cmd at a terminal of the given size. The program is killed at the
// end of the test if it still runs.
func Start(t testing.TB, cmd *exec.Cmd, columns, rows int) *Console {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	c := &Console{
		t: t, Cmd: cmd, master: master, slave: slave,
		ended: make(chan struct{}), change: make(chan struct{}),
		vt: vt10x.New(vt10x.WithSize(columns, rows), vt10x.WithWriter(master)),
	}
	c.Resize(columns, rows)
	c.before = c.Modes()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.PID = cmd.Process.Pid
	go c.read()
	go func() {
		cmd.Wait()
		close(c.ended)
	}()
	t.Cleanup(func() {
		if t.Failed() { // before the end, which clears it
			t.Logf("the screen at the end:\n%s", c.Screen())
		}
		cmd.Process.Kill()
		<-c.ended
		slave.Close()
		master.Close()
	})
	return c
}

func (c *Console) read() {
	b := make([]byte, 32<<10)
	var rest []byte
	for {
		n, err := c.master.Read(b)
		c.mu.Lock()
		c.output.Write(b[:n])
		rest = append(rest, b[:n]...)
		whole := len(rest) - partial(rest) // the emulator takes whole characters only
		c.vt.Write(rest[:whole])
		rest = rest[whole:]
		close(c.change)
		c.change = make(chan struct{})
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// partial is the length of the character that b ends in the middle of.
func partial(b []byte) int {
	for n := 1; n <= min(len(b), utf8.UTFMax); n++ {
		if utf8.RuneStart(b[len(b)-n]) {
			if !utf8.FullRune(b[len(b)-n:]) {
				return n
			}
			break
		}
	}
	return 0
}

// Type types keys.
func (c *Console) Type(keys string) {
	c.t.Helper()
	if _, err := c.master.WriteString(keys); err != nil {
		c.t.Fatal(err)
	}
}

// Resize changes the size, which the program is told by a signal.
func (c *Console) Resize(columns, rows int) {
	c.t.Helper()
	// As terminals do it: they have the new size before the program hears of it, or
	// what it draws at once gets lost.
	c.mu.Lock()
	c.vt.Resize(columns, rows)
	c.mu.Unlock()
	if err := pty.Setsize(c.master, &pty.Winsize{Cols: uint16(columns), Rows: uint16(rows)}); err != nil {
		c.t.Fatal(err)
	}
}

// Modes are the terminal's modes now.
func (c *Console) Modes() unix.Termios {
	c.t.Helper()
	modes, err := unix.IoctlGetTermios(int(c.slave.Fd()), ioctlGet)
	if err != nil {
		c.t.Fatal(err)
	}
	return *modes
}

// Restored waits until the terminal is as it was before the program: its modes,
// and whatever the program switched on.
func (c *Console) Restored() {
	c.t.Helper()
	c.Until("restored", func(string) bool { return c.Left() == "" })
}

// Left says what the program has left behind in the terminal, "" when nothing.
func (c *Console) Left() string {
	if now := c.Modes(); now != c.before {
		return fmt.Sprintf("the modes were %+v and are %+v", c.before, now)
	}
	out := string(c.Output())
	for _, mode := range []string{"1049", "1000", "1002", "1003", "1004", "1006", "2004", "2026"} {
		if strings.LastIndex(out, "\x1b[?"+mode+"h") > strings.LastIndex(out, "\x1b[?"+mode+"l") {
			return "mode " + mode + " is on"
		}
	}
	if strings.LastIndex(out, "\x1b[?25l") > strings.LastIndex(out, "\x1b[?25h") {
		return "the cursor is hidden"
	}
	return ""
}

// Screen is what is shown, a line a row, without space at the ends.
func (c *Console) Screen() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.screen()
}

func (c *Console) screen() string {
	rows := strings.Split(c.vt.String(), "\n")
	for i := range rows {
		rows[i] = strings.TrimRight(rows[i], " \x00")
	}
	return strings.TrimRight(strings.Join(rows, "\n"), "\n")
}

// Output is every byte that was written so far.
func (c *Console) Output() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.output.Bytes())
}

// See waits until all the texts are on the screen.
func (c *Console) See(texts ...string) {
	c.t.Helper()
	c.Until("seeing "+strings.Join(texts, ", "), func(screen string) bool {
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				return false
			}
		}
		return true
	})
}

// SeeGone waits until none of the texts is on the screen.
func (c *Console) SeeGone(texts ...string) {
	c.t.Helper()
	c.Until("no longer seeing "+strings.Join(texts, ", "), func(screen string) bool {
		for _, text := range texts {
			if strings.Contains(screen, text) {
				return false
			}
		}
		return true
	})
}

// Until waits until the screen is as wanted, looking after every write.
func (c *Console) Until(what string, wanted func(screen string) bool) {
	c.t.Helper()
	late := time.After(Patience)
	for {
		c.mu.Lock()
		screen, change := c.screen(), c.change
		c.mu.Unlock()
		if wanted(screen) {
			return
		}
		select {
		case <-change:
		case <-time.After(50 * time.Millisecond): // what does not show in the output
		case <-late:
			c.t.Fatalf("not %s after %v; %s:\n%s", what, Patience, c.Left(), screen)
		}
	}
}

// Wait waits until the condition holds that does not show on the screen.
func (c *Console) Wait(what string, condition func() bool) {
	c.t.Helper()
	for late := time.Now().Add(Patience); !condition(); {
		if time.Now().After(late) {
			c.t.Fatalf("not %s after %v", what, Patience)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Exit waits for the end and returns the exit code, or 128 and the signal.
func (c *Console) Exit() int {
	c.t.Helper()
	select {
	case <-c.ended:
	case <-time.After(Patience):
		c.t.Fatalf("still running after %v", Patience)
	}
	ws := c.Cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}
