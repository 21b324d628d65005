package watch

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sotto/internal/role/roletest"
)

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
