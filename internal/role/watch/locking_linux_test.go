package watch

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"sotto/internal/role"
	"sotto/internal/role/roletest"
)

// testClocks are the system's. With TEST_WAKE SIGWINCH has the machine sleep for so
// long, and with TEST_IDLE so much time go by.
func testClocks() (clocks, func() (<-chan struct{}, error)) {
	c := systemClocks()
	span, err := time.ParseDuration(os.Getenv("TEST_WAKE"))
	idle, errIdle := time.ParseDuration(os.Getenv("TEST_IDLE"))
	if err != nil && errIdle != nil {
		return c, wakes
	}
	var slept, went atomic.Int64
	boot, steady := c.boot, c.steady
	c.boot = func() time.Duration { return boot() + time.Duration(slept.Load()+went.Load()) }
	c.steady = func() time.Duration { return steady() + time.Duration(went.Load()) }
	return c, func() (<-chan struct{}, error) {
		told, woke := make(chan os.Signal, 1), make(chan struct{}, 1)
		signal.Notify(told, syscall.SIGWINCH)
		go func() {
			for range told {
				slept.Add(int64(span))
				went.Add(int64(idle))
				woke <- struct{}{}
			}
		}()
		return woke, nil
	}
}

// tellTest writes what is told to the file TEST_TELL.
func tellTest() func(open, online bool, asked int) {
	file := os.Getenv("TEST_TELL")
	if when := os.Getenv("TEST_PANIC"); when != "" {
		return func(open, online bool, asked int) {
			if when == fmt.Sprintf("open %v online %v asked %d", open, online, asked) {
				panic("a defect")
			}
		}
	}
	if file == "" {
		return nil
	}
	return func(open, online bool, asked int) {
		os.WriteFile(file+".new", fmt.Appendf(nil, "open %v online %v asked %d", open, online, asked), 0o600)
		os.Rename(file+".new", file)
	}
}

// unlocked is a watch with a desk that shows something.
func unlocked(t *testing.T, env ...string) *roletest.Console {
	t.Helper()
	c := start(t, env...)
	c.See("GATE")
	c.Type("u")
	c.See("DESK has", "LINK SAYS")
	return c
}

// The desks that do not lock by themselves, and what brings them to it.
var unwilling = map[string]func(t *testing.T, c *roletest.Console){
	"deaf":    func(t *testing.T, c *roletest.Console) { c.Type("h"); c.See("DEAF") },
	"drawing": func(t *testing.T, c *roletest.Console) { c.Type("p"); c.See("PAINTS") },
	"stopped": func(t *testing.T, c *roletest.Console) {
		desk := c.Role("desk")
		syscall.Kill(desk, syscall.SIGSTOP)
		c.Wait("the desk is stopped", func() bool { return state(desk) == "T" })
	},
}

func state(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	rest, _, _ = strings.Cut(rest, " ")
	return rest
}

// Whatever has the watch lock, a desk that does not is ended, and nothing that it
// drew stays. What shows before that the desk would have stayed is that it does
// while nothing asks for a lock.
func TestUnwillingDesksAreEnded(t *testing.T) {
	for name, make := range unwilling {
		for trigger, s := range map[string]syscall.Signal{
			"sotto lock": signalToLock, "continued": syscall.SIGCONT, "woken": syscall.SIGWINCH,
			"stop": syscall.SIGTSTP, "hangup": syscall.SIGHUP, "term": syscall.SIGTERM,
		} {
			t.Run(name+" "+trigger, func(t *testing.T) {
				t.Parallel()
				c := unlocked(t, "TEST_WAKE=10s")
				desk := c.Role("desk")
				make(t, c)
				if roletest.Gone(desk) || !strings.Contains(c.Screen(), "DESK") {
					t.Fatal("nothing is there to be taken away")
				}
				c.Cmd.Process.Signal(s)
				switch s {
				case syscall.SIGHUP, syscall.SIGTERM:
					ends(t, c, 128+int(s))
				case syscall.SIGTSTP:
					c.Wait("stopped", func() bool { return state(c.PID) == "T" })
					c.Restored()
					c.Cmd.Process.Signal(syscall.SIGCONT)
					c.See("GATE", deskHung[:40])
				default:
					c.See("GATE", deskHung[:40])
				}
				if !roletest.Gone(desk) {
					t.Error("the desk still runs")
				}
				c.SeeGone("DESK has", "PAINTS")
			})
		}
	}
}

// A desk that hangs is ended by the deadline, too.
func TestIdleDeadline(t *testing.T) {
	for name, make := range unwilling {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := unlocked(t, "TEST_IDLE=2h") // of one hour
			desk := c.Role("desk")
			make(t, c)
			idle(c)
			c.See("GATE", deskHung[:40])
			c.Wait("the desk has ended", func() bool { return roletest.Gone(desk) })
		})
	}
}

// idle lets time go by until the watch has locked: a key of before that it comes to
// late counts from then.
func idle(c *roletest.Console) {
	c.Wait("locked", func() bool {
		c.Cmd.Process.Signal(syscall.SIGWINCH)
		return strings.Contains(c.Screen(), deskHung[:40])
	})
}

// A machine that slept past the deadline is locked at once, and one that slept
// locked for long is logged off.
func TestWake(t *testing.T) {
	c := unlocked(t, "TEST_WAKE=30m", "TEST_LOGOFF=15m")
	c.Cmd.Process.Signal(syscall.SIGWINCH)
	c.See("GATE", `note ""`) // a willing desk
	c.SeeGone("DESK")
	c.See("online")
	c.Cmd.Process.Signal(syscall.SIGWINCH)
	c.See("STATUS logged off")
	c.Wait("no link runs", func() bool { return c.Role("link") == 0 })
	c.Type("q")
	ends(t, c, 0)

	c = unlocked(t, "TEST_WAKE=100ms") // only a clock that was set
	c.Cmd.Process.Signal(syscall.SIGWINCH)
	c.Type("f")
	c.See("the disk is full")
}

// A desk that has blanked the screen gets the time to keep the draft.
func TestDraftGetsItsTime(t *testing.T) {
	for _, s := range []syscall.Signal{signalToLock, signalToLogOff, syscall.SIGTSTP, syscall.SIGHUP, syscall.SIGTERM} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			data := t.TempDir()
			c := unlocked(t, "TEST_DATA="+data)
			c.Type("D")
			c.See("SLOW")
			c.Cmd.Process.Signal(s)
			c.SeeGone("DESK")
			c.Wait("the draft is kept", func() bool {
				b, _ := os.ReadFile(filepath.Join(data, "draft"))
				return string(b) == "kept"
			})
		})
	}
}

// A desk that can't listen yet shows nothing, so nothing is said of it.
func TestLockBeforeTheDeskListens(t *testing.T) {
	c := start(t, "TEST_PROFILE=slow desk")
	c.See("GATE")
	c.Type("u")
	c.Wait("a desk runs", func() bool { return c.Role("desk") != 0 })
	desk := c.Role("desk")
	c.Cmd.Process.Signal(signalToLock)
	c.Wait("the desk has ended", func() bool { return roletest.Gone(desk) })
	c.See("GATE", `note ""`)
	c.Type("q")
	ends(t, c, 0)
}

func TestAskedToLock(t *testing.T) {
	file := filepath.Join(t.TempDir(), "told")
	c := unlocked(t, "TEST_TELL="+file)
	told := func(want string) {
		t.Helper()
		c.Wait("telling "+want, func() bool {
			b, _ := os.ReadFile(file)
			return string(b) == want
		})
	}
	told("open true online true asked 0")
	c.Cmd.Process.Signal(signalToLock)
	told("open false online true asked 1")
	c.See("GATE")
	gate := c.Role("gate")
	c.Cmd.Process.Signal(signalToLock) // what is typed in the gate goes, too
	told("open false online true asked 2")
	c.Wait("another gate is shown", func() bool { now := c.Role("gate"); return now != 0 && now != gate })
	c.See("GATE")
	c.Cmd.Process.Signal(signalToLogOff)
	told("open false online false asked 3")
	c.See("STATUS logged off")
	if c.Role("link") != 0 {
		t.Error("a link still runs")
	}
	c.Type("u")
	c.See("DESK", "attached 1")
	told("open true online true asked 3")
	c.Cmd.Process.Signal(signalToLogOff)
	told("open false online false asked 4")
	c.See("GATE", "logged off")
	c.Type("q")
	ends(t, c, 0)
}

// A gate that has the vault open, for another PIN or password, goes as well, and
// with it the keys: only the PIN leads on.
func TestAskedToLockWhileChanging(t *testing.T) {
	for name, mode := range map[string]role.Mode{"PIN": role.ChangePIN, "password": role.ChangePassword, "PIN, from the desk": role.Unlock} {
		for trigger, s := range map[string]syscall.Signal{"sotto lock": signalToLock, "woken": syscall.SIGWINCH} {
			t.Run(name+" "+trigger, func(t *testing.T) {
				c := start(t, fmt.Sprint("TEST_MODE=", int(mode)), "TEST_WAKE=10s")
				want := fmt.Sprint("GATE mode ", int(mode))
				c.See("GATE")
				if mode == role.Unlock {
					c.Type("u")
					c.See("DESK has")
					c.Type("c")
					c.See(fmt.Sprint("GATE mode ", int(role.ChangePIN)))
				}
				gate := c.Role("gate")
				c.Cmd.Process.Signal(s)
				c.Wait("it has ended", func() bool { return roletest.Gone(gate) })
				c.See(want)
				c.Type("q")
				c.Exit()
			})
		}
	}
}

// A request to lock has the PIN typed anew also while the desk that was there
// before the gate has not ended yet.
func TestAskedToLockWhileTheDeskEnds(t *testing.T) {
	data := t.TempDir()
	c := unlocked(t, "TEST_DATA="+data)
	desk := c.Role("desk")
	c.Type("W")
	c.See("GATE")
	gate := c.Role("gate")
	c.Cmd.Process.Signal(signalToLock)
	c.Wait("another gate is shown", func() bool { now := c.Role("gate"); return now != 0 && now != gate })
	if roletest.Gone(desk) {
		t.Log("the desk had ended before, so this has shown little")
	}
	if err := os.WriteFile(filepath.Join(data, "go on"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c.Wait("the desk ended", func() bool { return roletest.Gone(desk) })
	c.See("GATE")
	c.SeeGone("WRITTEN LATE")
	c.Type("u")
	c.See("DESK has")
	c.Type("q")
	ends(t, c, 0)
}

// Stopped, the link logs off by itself, and a request to log off is heard.
func TestLogoffWhileStopped(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGCONT, signalToLogOff} {
		t.Run(s.String(), func(t *testing.T) {
			logoff := "TEST_LOGOFF=1h"
			if s == syscall.SIGCONT {
				logoff = "TEST_LOGOFF=300ms"
			}
			c := unlocked(t, logoff)
			link := c.Role("link")
			c.Cmd.Process.Signal(syscall.SIGTSTP)
			c.Wait("stopped", func() bool { return state(c.PID) == "T" })
			if s != syscall.SIGCONT {
				c.Cmd.Process.Signal(s)
				c.Cmd.Process.Signal(syscall.SIGCONT)
			}
			c.Wait("the link has ended", func() bool { return roletest.Gone(link) })
			c.Cmd.Process.Signal(syscall.SIGCONT)
			c.See("GATE", "logged off")
			c.Type("u")
			c.See("DESK", "attached 1")
			c.Type("q")
			ends(t, c, 0)
		})
	}
}

func TestEndWhileStopped(t *testing.T) {
	c := unlocked(t)
	link := c.Role("link")
	c.Cmd.Process.Signal(syscall.SIGTSTP)
	c.Wait("stopped", func() bool { return state(c.PID) == "T" })
	c.Cmd.Process.Signal(syscall.SIGHUP)
	c.Cmd.Process.Signal(syscall.SIGCONT)
	ends(t, c, 128+int(syscall.SIGHUP))
	if !roletest.Gone(link) {
		t.Error("the link still runs")
	}
}

// A terminal behind a broken line takes nothing any more; whoever writes to it
// waits. That must not keep anything from ending.
func TestTerminalThatTakesNothing(t *testing.T) {
	for trigger, s := range map[string]syscall.Signal{"term": syscall.SIGTERM, "lock": signalToLock} {
		t.Run(trigger, func(t *testing.T) {
			master, slave, err := pty.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer master.Close()
			defer slave.Close()
			cmd := exec.Command("/proc/self/exe")
			cmd.Args = []string{"watch-under-test"}
			cmd.Env = []string{"TERM=xterm", "TEST_LOCK=1h", "TEST_LOGOFF=200ms"}
			cmd.Stdin, cmd.Stdout = slave, slave
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { cmd.Wait(); close(ended) }()
			defer func() { cmd.Process.Kill(); <-ended }()
			role := func(name string) (pid int) {
				t.Helper()
				until(t, name, func() bool { pid = roletest.Child(cmd.Process.Pid, name); return pid != 0 })
				return pid
			}
			role("gate")
			master.WriteString("u")
			desk, link := role("desk"), role("link")
			master.WriteString("t") // nobody reads what comes
			until(t, "the terminal is full", func() bool { return waitsForTerminal(desk) })
			cmd.Process.Signal(s)
			until(t, "the desk has ended", func() bool { return roletest.Gone(desk) })
			until(t, "the link has ended", func() bool { return roletest.Gone(link) }) // told to, or logged off
			if s == syscall.SIGTERM {
				<-ended
			}
		})
	}
}

// waitsForTerminal says whether a thread of a process waits in a write.
func waitsForTerminal(pid int) bool {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
	for _, task := range tasks {
		if b, _ := os.ReadFile(task); strings.HasPrefix(string(b), fmt.Sprintf("%d 0x1 ", syscall.SYS_WRITE)) {
			return true
		}
	}
	return false
}

// shellUnderTest starts the watch, and does not care about a hangup.
func shellUnderTest() int {
	signal.Ignore(syscall.SIGHUP)
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"watch-under-test"}
	cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
	if err := cmd.Start(); err != nil {
		return 1
	}
	cmd.Wait()
	for { // not for ever in one go: Go ends a program that waits for nothing
		time.Sleep(time.Hour)
	}
}

// A shell may ignore a hangup; then nobody tells its programs that the terminal
// is gone, and the watch finds out.
func TestLostTerminal(t *testing.T) {
	for _, key := range []string{"", "u"} {
		t.Run("key "+key, func(t *testing.T) {
			master, slave, err := pty.Open()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("/proc/self/exe")
			cmd.Args = []string{"shell-under-test"}
			cmd.Env = []string{"TERM=xterm", "TEST_LOCK=1h"}
			cmd.Stdin, cmd.Stdout = slave, slave
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Wait()
			defer cmd.Process.Kill()
			slave.Close()
			// Such that closing it does not wait for whoever reads it.
			fd, err := syscall.Dup(int(master.Fd()))
			if err != nil {
				t.Fatal(err)
			}
			syscall.CloseOnExec(fd)
			if err := syscall.SetNonblock(fd, true); err != nil {
				t.Fatal(err)
			}
			master.Close()
			master = os.NewFile(uintptr(fd), "terminal")
			go io.Copy(io.Discard, master)
			watch := 0
			until(t, "the watch runs", func() bool {
				watch = roletest.Process(cmd.Process.Pid, "watch-under-test")
				return watch != 0
			})
			find := func(name string) (pid int) {
				t.Helper()
				until(t, name, func() bool { pid = roletest.Child(watch, name); return pid != 0 })
				return pid
			}
			all := []int{watch, find("link"), find("gate")}
			if key != "" {
				master.WriteString(key)
				all[2] = find("desk")
			}
			// Who reads the terminal would find out by itself.
			syscall.Kill(all[len(all)-1], syscall.SIGSTOP)
			until(t, "stopped", func() bool { return state(all[len(all)-1]) == "T" })
			master.Close()
			for _, pid := range all {
				until(t, "all has ended", func() bool { return roletest.Gone(pid) })
			}
			if roletest.Gone(cmd.Process.Pid) {
				t.Error("the shell has ended, too, and may have told the others")
			}
		})
	}
}

// until waits until something is so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for late := time.Now().Add(roletest.Patience); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("not so after %v: %s", roletest.Patience, what)
		}
	}
}

// TestNextDeskLives holds that the time a desk gets to end is not the next one's.
func TestNextDeskLives(t *testing.T) {
	t.Parallel()
	c := unlocked(t)
	c.Cmd.Process.Signal(syscall.SIGTSTP)
	c.Wait("stopped", func() bool {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.Cmd.Process.Pid))
		return strings.Contains(string(b), ") T ")
	})
	c.Cmd.Process.Signal(syscall.SIGCONT)
	c.See("GATE")
	c.Type("u")
	c.See("DESK")
	desk := c.Role("desk")
	time.Sleep(lockAnswer + time.Second/2) // what is tested is that nothing happens meanwhile
	if roletest.Gone(desk) {
		t.Errorf("the desk was ended in place of the one before:\n%s", c.Screen())
	}
	c.Type("q")
	ends(t, c, 0)
}
