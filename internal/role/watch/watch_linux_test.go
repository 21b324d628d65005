package watch

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sotto/internal/role"
	"sotto/internal/role/roletest"
)

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
