package watch

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sotto/internal/role"
	"sotto/internal/role/roletest"
)

// This test binary is also the program under test: the watch with roles that do
// what the keys say. See fakeGate and fakeDesk.
func TestMain(m *testing.M) {
	if n, ok := role.Named(os.Args[0]); ok {
		switch n {
		case role.Gate:
			os.Exit(fakeGate())
		case role.Desk:
			os.Exit(fakeDesk())
		case role.Link:
			os.Exit(fakeLink())
		case role.Ward:
			os.Exit(fakeWard())
		}
	}
	switch os.Args[0] {
	case "watch-under-test":
		os.Exit(watchUnderTest())
	case "shell-under-test":
		os.Exit(shellUnderTest())
	}
	os.Exit(m.Run())
}

func init() { runtime.LockOSThread() }

func watchUnderTest() int {
	lock, _ := time.ParseDuration(os.Getenv("TEST_LOCK"))
	logoff, _ := time.ParseDuration(os.Getenv("TEST_LOGOFF"))
	mode, _ := strconv.Atoi(os.Getenv("TEST_MODE"))
	clocks, wakes := testClocks()
	code, err := run(Config{Mode: role.Mode(mode), LogoffAfter: logoff, Demo: os.Getenv("TEST_DEMO"), Tell: tellTest(),
		Profile: role.Profile{Name: os.Getenv("TEST_PROFILE"), Data: os.Getenv("TEST_DATA")},
		Display: role.Display{LockAfter: lock, Quiet: os.Getenv("TEST_QUIET") != ""}}, clocks, wakes)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
	}
	return code
}

func crash() { syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} }

func key() byte {
	b := make([]byte, 1)
	if _, err := os.Stdin.Read(b); err != nil {
		return 'q'
	}
	return b[0]
}

func fakeGate() int {
	self, setup, err := role.Enter[*role.GateSetup](role.Gate)
	if err != nil {
		return 99
	}
	if setup.Mode == role.Wipe {
		return fakeWipe(self, setup)
	}
	var over atomic.Bool
	shown := ""
	show := func(format string, a ...any) {
		line := fmt.Sprintf(format+"\r\n", a...)
		shown += line
		fmt.Print(line)
	}
	fmt.Print("\x1b[H\x1b[2J\x1b[?1003h")
	show("GATE mode %d failures %d wait %v note %q env %q", setup.Mode, setup.Failures, setup.Wait, setup.Note, os.Getenv("SECRET"))
	go func() {
		for {
			m, err := self.Control.Receive()
			if err != nil {
				os.Exit(role.ExitOrphan)
			}
			switch m := m.(type) {
			case *role.Status:
				show("STATUS %s %d", m.Words, m.Waiting)
				if m.Ring {
					show("RING for %d", m.Stat)
				}
			case *role.Redraw:
				fmt.Print("\x1b[H\x1b[2J" + shown + "DRAWN ANEW\r\n")
			case *role.End:
				if !over.Load() {
					os.Exit(role.ExitQuit)
				}
			}
		}
	}()
	if setup.Profile.Name == "crash" {
		crash()
	}
	for {
		switch k := key(); k {
		case 'u':
			over.Store(true)
			self.Control.Send(&role.Unlocked{})
			io.WriteString(self.Handover, "the key")
			self.Handover.Close()
			return role.ExitDone
		case 'n': // unlocks, but hands over nothing
			over.Store(true)
			self.Control.Send(&role.Unlocked{})
			return role.ExitDone
		case 's': // lets a STAT message come
			self.Control.Send(&role.NeedLink{})
		case 'W', 'O', 'C': // the link says that the organisation has ordered something
			self.Link.Write([]byte{k})
		case 'w':
			return role.ExitWrongPIN
		case 'd':
			return role.ExitDone
		case 'f':
			return self.Fail(fmt.Errorf("the vault is damaged"))
		case 'q':
			return role.ExitQuit
		case 'k':
			crash()
		case 'x': // says what is no message
			self.Control.Send(&role.GateSetup{})
			self.Link.Write([]byte("hello"))
			syscall.Write(3, []byte("not a frame at all"))
			select {}
		}
	}
}

func fakeDesk() int {
	self, setup, err := role.Enter[*role.DeskSetup](role.Desk)
	if err != nil {
		return 99
	}
	if setup.Profile.Name == "slow desk" { // it has not come to listen yet
		select {}
	}
	handed, _ := io.ReadAll(self.Handover)
	if len(handed) == 0 {
		return role.ExitNoKey
	}
	fmt.Print("\x1b[H\x1b[2J\x1b[?1003h\x1b[?25l\x1b[?2026h\x1b[?2026l")
	hangs, slow := false, false
	go func() {
		for {
			m, err := self.Control.Receive()
			if err != nil {
				os.Exit(role.ExitOrphan)
			}
			switch m.(type) {
			case *role.Lock, *role.End:
				if !hangs {
					fmt.Print("\x1b[H\x1b[2J")
					self.Control.Send(&role.Locking{})
					if slow { // much longer than the watch waits for the answer
						time.Sleep(10 * answerLooks * answerLook)
						os.WriteFile(filepath.Join(setup.Profile.Data, "draft"), []byte("kept"), 0o600)
					}
					os.Exit(role.ExitDone)
				}
			}
		}
	}()
	go func() {
		b := make([]byte, 64)
		for {
			n, err := self.Link.Read(b)
			if err != nil {
				fmt.Printf("LINK GONE\r\n")
				return
			}
			fmt.Printf("LINK SAYS %s\r\n", b[:n])
		}
	}()
	self.Control.Send(&role.Ready{})
	fmt.Printf("DESK has %q\r\n", handed)
	numbers := ""
	for _, d := range setup.Dealt {
		numbers += fmt.Sprintf(" %d", d.Number)
	}
	fmt.Printf("DEALT%s\r\n", cmp.Or(numbers, " none"))
	for {
		k := key()
		self.Control.Send(&role.Activity{})
		switch k {
		case 'l':
			self.Control.Send(&role.Locking{})
			self.Control.Send(&role.Locked{})
			return role.ExitDone
		case 'c':
			self.Control.Send(&role.Locked{ChangePIN: true})
			return role.ExitDone
		case 'b': // blanks, and does not end
			self.Control.Send(&role.Locking{})
			hangs = true
			select {}
		case 'W', 'O': // writes after it has said so
			self.Control.Send(&role.Locking{})
			self.Control.Send(&role.Locked{})
			hangs = true
			for !exists(filepath.Join(setup.Profile.Data, "go on")) {
				time.Sleep(time.Millisecond)
			}
			if k == 'W' {
				fmt.Print("\x1b[H\x1b[2JWRITTEN LATE\r\n")
				return role.ExitDone
			}
			fmt.Print("\x1b[H\x1b[2JWRITTEN LATE\r\n\x1b]0;a title without end")
			select {}
		case 'L': // says so and does not end
			self.Control.Send(&role.Locked{})
			hangs = true
			select {}
		case 'S': // says so again and again, and does not end
			hangs = true
			for {
				self.Control.Send(&role.Locking{})
				self.Control.Send(&role.Locked{})
				time.Sleep(100 * time.Millisecond)
			}
		case 'h':
			hangs = true
			fmt.Printf("DEAF\r\n")
		case 'p': // draws for ever
			hangs = true
			for {
				fmt.Print("\x1b[5;1HDESK PAINTS")
				time.Sleep(time.Millisecond)
			}
		case 't': // has more to say than a terminal takes that nobody reads
			hangs = true
			for {
				fmt.Print(strings.Repeat("DESK FLOODS ", 1000))
			}
		case 'A', 'X', 'Y', 'Z': // the organisation
			fakeOrder(self, k)
		case 'V': // the link says that it has ordered a wipe
			self.Link.Write([]byte("W"))
		case 'D': // keeps its draft slowly
			slow = true
			fmt.Printf("SLOW\r\n")
		case 'f':
			return self.Fail(fmt.Errorf("the disk is full"))
		case 'k':
			crash()
		case 'q':
			return role.ExitQuit
		}
	}
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func fakeLink() int {
	self, _, err := role.Enter[*role.LinkSetup](role.Link)
	if err != nil {
		return 99
	}
	if f, err := os.Open("/dev/tty"); err == nil {
		f.Close()
		self.Control.Send(&role.Status{Words: "the link has a terminal"})
	} else {
		self.Control.Send(&role.Status{Words: "started", Waiting: 2})
	}
	attached := 0
	var desk *os.File
	for {
		m, err := self.Control.Receive()
		if err != nil {
			return role.ExitOrphan
		}
		switch m := m.(type) {
		case *role.Logoff:
			if m.After > 0 {
				time.AfterFunc(m.After, func() { os.Exit(role.ExitDone) })
			}
		case *role.Attach:
			if desk != nil {
				desk.Close()
			}
			desk = self.Control.TakeFile()
			go fakeLinkOrders(self, desk)
			attached++
			fmt.Fprintf(desk, "attached %d", attached)
			self.Control.Send(&role.Status{Words: "online", Online: true, Waiting: attached, Stat: attached, Ring: true})
		case *role.End:
			return role.ExitDone
		}
	}
}

func fakeWard() int {
	self, setup, err := role.Enter[*role.WardSetup](role.Ward)
	if err != nil {
		return 99
	}
	if err := os.WriteFile(filepath.Join(setup.Dir, "vault"), nil, 0o600); err != nil {
		return self.Fail(err)
	}
	self.Control.Send(&role.Ready{})
	for {
		if m, err := self.Control.Receive(); err != nil {
			return role.ExitOrphan
		} else if _, ok := m.(*role.End); ok {
			return role.ExitDone
		}
	}
}

func start(t *testing.T, env ...string) *roletest.Console {
	t.Helper()
	signal.Reset()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"watch-under-test"}
	cmd.Env = append([]string{"TERM=xterm", "SECRET=leaked", "TEST_LOCK=1h"}, env...)
	return roletest.Start(t, cmd, 80, 24)
}

func ends(t *testing.T, c *roletest.Console, code int) {
	t.Helper()
	if got := c.Exit(); got != code {
		t.Errorf("exit code %d, want %d", got, code)
	}
	c.Restored()
}

func TestOpenLockOpenQuit(t *testing.T) {
	c := start(t)
	c.See("GATE mode 0 failures 0", `env ""`, "STATUS not signed in 2")
	c.Type("u")
	c.See(`DESK has "the key"`, "LINK SAYS attached 1")
	c.Type("l")
	c.See("GATE mode 0 failures 0", `note ""`)
	c.Type("u")
	c.See("DESK", "LINK SAYS attached 2")
	link := c.Role("link")
	c.Type("q")
	ends(t, c, 0)
	if !roletest.Gone(link) {
		t.Error("the link still runs")
	}
}

// It rings once for what comes within a minute, also for the next gate.
func TestBell(t *testing.T) {
	c := start(t)
	c.See("STATUS not signed in")
	c.Type("s")
	c.See("STATUS online 1", "RING for 1")
	c.Type("w")
	c.See("failures 1", "STATUS online 1")
	c.Type("s")
	c.See("STATUS online 2")
	c.Type("q")
	ends(t, c, 0)
	if n := bytes.Count(c.Output(), []byte("RING")); n != 1 {
		t.Errorf("rang %d times", n)
	}

	c = start(t, "TEST_QUIET=1")
	c.See("STATUS not signed in")
	c.Type("s")
	c.See("STATUS online 1")
	c.Type("q")
	ends(t, c, 0)
	if bytes.Contains(c.Output(), []byte("RING")) {
		t.Error("rang although it is to be quiet")
	}
}

func TestWrongPIN(t *testing.T) {
	c := start(t)
	c.See("failures 0 wait 0s")
	c.Type("w")
	c.See("failures 1 wait 0s", wrongPIN)
	c.Type("w")
	c.See("failures 2 wait 0s")
	c.Type("w")
	c.See("failures 3 wait 2s")
	c.Type("w")
	c.See("failures 4 wait 4s")
	c.Type("u")
	c.See("DESK")
	c.Type("l")
	c.See("failures 0 wait 0s")
	c.Type("q")
	ends(t, c, 0)
}

func TestKilledRoles(t *testing.T) {
	c := start(t)
	c.See("GATE")
	c.Kill("gate")
	c.See("GATE", gateCrashed[:40])
	c.Type("u")
	c.See("DESK")
	c.Kill("desk")
	c.See("GATE", deskCrashed[:40])
	c.Type("u")
	c.See("DESK", "attached 2")
	c.Kill("link")
	c.See("GATE", linkCrashed[:40])
	c.Type("u")
	c.See("DESK", "attached 1") // a fresh link counts anew
	c.Type("l")
	c.See("GATE", `note ""`)
	c.Kill("link") // while locked
	c.See("GATE", linkCrashed[:40])
	c.Type("q")
	ends(t, c, 0)
}

// A picture that a killed desk has drawn does not stay in the terminal's memory.
func TestKilledDeskLeavesNoPicture(t *testing.T) {
	const forgets = "\x1b_Gq=2,a=d,d=I,i=5074\x1b\\"
	for name, kill := range map[string]func(c *roletest.Console){
		"by somebody":     func(c *roletest.Console) { c.Kill("desk") },
		"for not locking": func(c *roletest.Console) { c.Type("h"); c.See("DEAF"); c.Cmd.Process.Signal(signalToLock) },
	} {
		for env, pictures := range map[string]bool{"TERM=xterm-kitty": true, "TERM=tmux-256color": false, "TMUX=/tmp/x,1,0": false, "TERM=linux": false} {
			t.Run(name+" "+env, func(t *testing.T) {
				t.Parallel()
				c := unlocked(t, env)
				before := len(c.Output())
				kill(c)
				c.See("GATE")
				if got := strings.Contains(string(c.Output()[before:]), forgets); got != pictures {
					t.Errorf("the terminal is told to forget: %v", got)
				}
				c.Type("q")
				ends(t, c, 0)
			})
		}
	}
}

func TestGateThatHandsOverNothing(t *testing.T) {
	c := start(t)
	c.See("GATE")
	c.Type("n")
	c.See("GATE", deskCrashed[:40])
	c.Type("q")
	ends(t, c, 0)
}

func TestGateThatDoesNotSpeakTheProtocol(t *testing.T) {
	c := start(t)
	c.See("GATE")
	c.Type("x")
	c.See("GATE", gateCrashed[:40])
	c.Type("q")
	ends(t, c, 0)
}

func TestFailuresAreSaid(t *testing.T) {
	c := start(t)
	c.See("GATE")
	c.Type("f")
	c.See("GATE", "the vault is damaged")
	c.Type("u")
	c.See("DESK")
	c.Type("f")
	c.See("GATE", "the disk is full")
	c.Type("q")
	ends(t, c, 0)
}

func TestRepeatedCrashesEnd(t *testing.T) {
	c := start(t, "TEST_PROFILE=crash")
	ends(t, c, 1)
	c.See("keeps ending")
}

func TestDeskThatDoesNotLockIsKilled(t *testing.T) {
	c := start(t, "TEST_IDLE=2h") // of one hour
	c.See("GATE")
	c.Type("u")
	c.See("DESK")
	c.Type("h")
	c.See("DEAF")
	desk := c.Role("desk")
	idle(c)
	c.See("GATE", deskHung[:40])
	if !roletest.Gone(desk) {
		t.Error("the desk still runs")
	}
	c.Type("q")
	ends(t, c, 0)
}

func TestDeskThatSaysLockingAndStaysIsKilled(t *testing.T) {
	c := start(t)
	c.See("GATE")
	c.Type("u")
	c.See("DESK")
	desk := c.Role("desk")
	c.Type("L")
	c.See("GATE", `note ""`)
	c.Wait("the desk ended", func() bool { return roletest.Gone(desk) })
	c.See("GATE")
	c.Type("u")
	c.See("DESK", "attached 2")
	c.Type("q")
	ends(t, c, 0)
}

// However often a desk says that it locks, it has to end in time, and one gate
// is started for it.
func TestDeskThatSaysLockedForEverIsKilled(t *testing.T) {
	c := start(t)
	c.See("GATE")
	c.Type("u")
	c.See("DESK has")
	desk := c.Role("desk")
	shown := len(c.Output())
	c.Type("S")
	c.Wait("the desk is ended", func() bool { return roletest.Gone(desk) })
	c.See("GATE")
	c.Type("q")
	ends(t, c, 0)
	out := c.Output()[shown:]
	if n := bytes.Count(out, []byte("GATE")) - bytes.Count(out, []byte("DRAWN ANEW")); n != 1 {
		t.Errorf("%d gates were started", n)
	}
}

// Whatever a desk still does to the screen while the gate is there, even half a
// sequence that swallows all that follows: the gate is what is seen in the end.
func TestDeskThatWritesOverTheGate(t *testing.T) {
	for _, key := range []string{"W", "O"} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			data := t.TempDir()
			c := unlocked(t, "TEST_DATA="+data)
			desk := c.Role("desk")
			c.Type(key)
			c.See("GATE")
			if err := os.WriteFile(filepath.Join(data, "go on"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			c.Wait("written over", func() bool { return bytes.Contains(c.Output(), []byte("WRITTEN LATE")) })
			c.Wait("the desk ended", func() bool { return roletest.Gone(desk) })
			c.See("DRAWN ANEW")
			c.SeeGone("WRITTEN LATE")
			c.Type("q")
			ends(t, c, 0)
		})
	}
}

// A defect of the watch itself leaves a usable terminal and one sentence.
func TestPanic(t *testing.T) {
	for _, when := range []string{"open false online true asked 1", "open false online false asked 0"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			c := start(t, "TEST_PANIC="+when)
			if strings.HasSuffix(when, "1") {
				c.See("GATE")
				c.Type("u")
				c.See("DESK has")
				c.Cmd.Process.Signal(signalToLock)
			}
			ends(t, c, 1)
			c.See(errCrashed.Error()[:40])
			if out := string(c.Output()); strings.Contains(out, "goroutine") || strings.Contains(out, "a defect") {
				t.Errorf("it says what nobody at a terminal wants to know:\n%s", out)
			}
			if s := c.Screen(); strings.Contains(s, "DESK") || strings.Contains(s, "GATE") {
				t.Errorf("something of it stayed:\n%s", s)
			}
		})
	}
}

func TestDeskThatBlanksAndStaysIsKilled(t *testing.T) {
	c := start(t)
	c.See("GATE")
	c.Type("u")
	c.See("DESK")
	desk := c.Role("desk")
	c.Type("b")
	c.See("GATE", `note ""`)
	if !roletest.Gone(desk) {
		t.Error("the desk still runs")
	}
	c.Type("q")
	ends(t, c, 0)
}

func TestDeskAsksForAnotherPIN(t *testing.T) {
	for keys, note := range map[string]string{"d": "The PIN is changed", "q": "The PIN stays"} {
		c := start(t)
		c.See("GATE mode 0")
		c.Type("u")
		c.See("DESK")
		c.Type("c")
		c.See(fmt.Sprint("GATE mode ", int(role.ChangePIN)))
		c.Type(keys)
		c.See("GATE mode 0", note)
		c.Type("q")
		ends(t, c, 0)
	}
}

func TestLogoffEndsTheLink(t *testing.T) {
	c := start(t, "TEST_LOGOFF=50ms")
	c.See("GATE")
	c.Type("u")
	c.See("DESK")
	c.Type("l")
	c.See("GATE", "STATUS logged off 0")
	if c.Role("link") != 0 {
		t.Error("a link still runs")
	}
	c.Type("u")
	c.See("DESK", "attached 1")
	c.Type("q")
	ends(t, c, 0)
}

func TestSignalsEnd(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT} {
		t.Run(s.String(), func(t *testing.T) {
			c := start(t)
			c.See("GATE")
			c.Type("u")
			c.See("DESK")
			c.Cmd.Process.Signal(s)
			ends(t, c, 128+int(s))
			if strings.Contains(c.Screen(), "DESK") {
				t.Error("the desk's text stayed on the screen")
			}
		})
	}
}

func TestStopLocksAndGivesTheTerminalBack(t *testing.T) {
	c := start(t)
	c.See("GATE")
	c.Type("u")
	c.See("DESK")
	desk := c.Role("desk")
	c.Cmd.Process.Signal(syscall.SIGTSTP)
	c.Wait("stopped", func() bool {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.Cmd.Process.Pid))
		return strings.Contains(string(b), ") T ")
	})
	c.Restored()
	if !roletest.Gone(desk) || strings.Contains(c.Screen(), "DESK") {
		t.Error("it stopped without locking")
	}
	if c.Role("link") == 0 {
		t.Error("the link did not stay")
	}
	c.Cmd.Process.Signal(syscall.SIGCONT)
	c.See("GATE")
	c.Type("q")
	ends(t, c, 0)
}

func TestWatchKilled(t *testing.T) {
	c := start(t)
	c.See("GATE")
	c.Type("u")
	c.See("DESK")
	desk, link := c.Role("desk"), c.Role("link")
	c.Cmd.Process.Kill()
	c.Wait("the roles ended", func() bool { return roletest.Gone(desk) && roletest.Gone(link) })
}

func TestChangePINNeedsNoLinkAndNoDesk(t *testing.T) {
	c := start(t, fmt.Sprint("TEST_MODE=", int(role.ChangePIN)))
	c.See("GATE")
	if c.Role("link") != 0 {
		t.Error("a link was started")
	}
	c.Type("d")
	ends(t, c, 0)
}

func TestChangePINLeft(t *testing.T) {
	c := start(t, fmt.Sprint("TEST_MODE=", int(role.ChangePIN)))
	c.See("GATE")
	c.Type("q")
	ends(t, c, 1)
	c.See(ErrSamePIN.Error())
}

func TestJoinEndsOnFailure(t *testing.T) {
	c := start(t, fmt.Sprint("TEST_MODE=", int(role.Join)))
	c.See("GATE")
	c.Type("f")
	ends(t, c, 1)
	c.See("the vault is damaged")
}

func TestDemoIsRemoved(t *testing.T) {
	for _, kill := range []string{"", "ward"} {
		t.Run("kill "+kill, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "demo")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			c := start(t, "TEST_DEMO="+dir)
			c.See("GATE")
			if _, err := os.Stat(filepath.Join(dir, "vault")); err != nil {
				t.Error(err)
			}
			if kill == "" {
				c.Type("q")
				ends(t, c, 0)
			} else {
				c.Kill(kill)
				ends(t, c, 1)
				c.See("the demo's relay process ended unexpectedly")
			}
			if _, err := os.Stat(dir); err == nil {
				t.Error("the demo left its folder behind")
			}
		})
	}
}

func TestNoTerminal(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"watch-under-test"}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "needs a terminal") {
		t.Errorf("%v: %s", err, out)
	}
}
