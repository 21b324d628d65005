package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sotto/internal/role"
	"sotto/internal/role/roletest"
)

// digest is one of an order.
var digest = make([]byte, 32)

// fakeOrder is a desk that has been ordered something, or tells by whose word.
func fakeOrder(self *role.Self, key byte) {
	switch key {
	case 'A':
		self.Control.Send(&role.Warrant{Anchor: []byte("hospital.example"), Address: "a@hospital.example", Device: 7})
		fmt.Printf("TOLD\r\n")
	case 'X':
		self.Control.Send(&role.Ordered{Do: role.ToWipe, Dealt: role.Dealt{Number: 1, Digest: digest}, Proof: role.Proof{Note: []byte("by the desk")}})
	case 'Y':
		self.Control.Send(&role.Ordered{Do: role.ToLock, Dealt: role.Dealt{Number: 2, Digest: digest}, Words: "Locked from afar."})
	case 'Z':
		self.Control.Send(&role.Ordered{Do: role.ToLogOff, Dealt: role.Dealt{Number: 3, Digest: digest}, Words: "Logged off from afar."})
	}
}

// fakeLinkOrders is a link that has been ordered something.
func fakeLinkOrders(self *role.Self, desk *os.File) {
	b := make([]byte, 1)
	for {
		if _, err := desk.Read(b); err != nil {
			return
		}
		switch b[0] {
		case 'W':
			self.Control.Send(&role.Ordered{Do: role.ToWipe, Dealt: role.Dealt{Number: 4, Digest: digest}, Proof: role.Proof{Note: []byte("by the link")}})
			desk.Write([]byte("asked"))
		case 'C':
			self.Control.Send(&role.Ordered{Do: role.ToLock, Dealt: role.Dealt{Number: 5, Digest: digest}})
		case 'O':
			self.Control.Send(&role.Ordered{Do: role.ToLogOff, Dealt: role.Dealt{Number: 6, Digest: digest}, Words: "Logged off meanwhile."})
		}
	}
}

// fakeWipe is a gate that destroys a vault: how, the profile says.
func fakeWipe(self *role.Self, setup *role.GateSetup) int {
	switch setup.Profile.Name {
	case "forged":
		return self.Fail(fmt.Errorf("nobody has ordered that"))
	case "crashes": // the first time
		if once := filepath.Join(setup.Profile.Data, "once"); !exists(once) {
			os.WriteFile(once, nil, 0o600)
			crash()
		}
	case "always crashes":
		crash()
	}
	fmt.Printf("WIPES %s for %s %d\r\n", setup.Proof.Note, setup.Warrant.Address, setup.Warrant.Device)
	self.Control.Send(&role.Note{Text: "This device was wiped"})
	return role.ExitLost
}

// opened is a watch whose desk has told of an organisation.
func opened(t *testing.T, env ...string) *roletest.Console {
	t.Helper()
	c := start(t, env...)
	c.See("GATE mode 0")
	c.Type("u")
	c.See("DESK has")
	c.Type("A")
	c.See("TOLD")
	return c
}

// wiped sees to it that a wipe was done and sotto has ended.
func wiped(t *testing.T, c *roletest.Console, by string) {
	t.Helper()
	ends(t, c, 1)
	c.Restored()
	out := string(c.Output())
	if !strings.Contains(out, "WIPES by the "+by+" for a@hospital.example 7") {
		t.Errorf("nothing was wiped: %q", out)
	}
	c.See("error: This device was wiped")
	for _, name := range []string{"link", "gate", "desk"} {
		if pid := c.Role(name); pid != 0 {
			t.Errorf("the %s runs", name)
		}
	}
}

func TestWipeByTheDesk(t *testing.T) {
	c := opened(t)
	desk := c.Role("desk")
	c.Type("X")
	wiped(t, c, "desk")
	if !roletest.Gone(desk) {
		t.Error("the desk runs")
	}
}

// A desk that does not lock is no way around it.
func TestWipeByADeskThatHangs(t *testing.T) {
	c := opened(t)
	c.Type("h")
	c.See("DEAF")
	c.Kill("link") // and nothing else is in the way, either
	c.Type("X")
	// A deaf desk reads keys still.
	wiped(t, c, "desk")
}

func TestWipeByTheLink(t *testing.T) {
	c := opened(t)
	c.Type("l")
	c.See("GATE mode 0")
	c.Type("s") // the gate is joined to the link
	c.See("STATUS online 2")
	c.Type("W")
	wiped(t, c, "link")
}

// TestWipeByTheLinkWhileThereIsADesk waits for the desk to lock, which keeps its draft: a
// link that was taken over ends nothing.
func TestWipeByTheLinkWhileThereIsADesk(t *testing.T) {
	for profile, ordered := range map[string]bool{"": true, "forged": false} {
		t.Run(profile, func(t *testing.T) {
			dir := t.TempDir()
			c := opened(t, "TEST_DATA="+dir, "TEST_PROFILE="+profile)
			c.Type("l") // the watch has read what this desk has told when it shows the next gate
			c.See("GATE mode 0")
			c.Type("u")
			c.See("DESK has")
			c.Type("D")
			c.See("SLOW")
			c.Type("V")
			c.See("asked")
			if strings.Contains(string(c.Output()), "WIPES") {
				t.Error("it was wiped beside a desk")
			}
			c.Type("A")
			c.Wait("the desk goes on", func() bool { return strings.Count(string(c.Output()), "TOLD") == 2 })
			c.Cmd.Process.Signal(signalToLock)
			if ordered {
				wiped(t, c, "link")
			} else {
				c.See("GATE mode 0", `note "nobody has ordered that"`)
				c.Type("q")
				ends(t, c, 0)
			}
			if !exists(filepath.Join(dir, "draft")) {
				t.Error("the desk was not left the time to keep its draft")
			}
		})
	}
}

// TestWipeWithoutAWarrant: a link that was taken over asks before anybody has said
// by whose order, and nothing is destroyed.
func TestWipeWithoutAWarrant(t *testing.T) {
	c := start(t)
	c.See("GATE mode 0")
	link := c.Role("link")
	c.Type("s")
	c.See("STATUS online 1")
	c.Type("W")
	c.Wait("another link", func() bool { pid := c.Role("link"); return pid != 0 && pid != link })
	c.See("GATE mode 0")
	c.Type("q")
	ends(t, c, 0)
	if strings.Contains(string(c.Output()), "WIPES") {
		t.Error("it was wiped")
	}
}

// TestForgedWipe: the gate finds the order to be nobody's.
func TestForgedWipe(t *testing.T) {
	c := opened(t, "TEST_PROFILE=forged")
	c.Type("X")
	c.See("GATE mode 0", `note "nobody has ordered that"`)
	c.Type("u")
	c.See("DESK has")
	c.Type("q")
	ends(t, c, 0)
}

// TestWipeGoesOn: a gate that is killed in the middle is followed by another, and
// nobody is asked for a PIN meanwhile.
func TestWipeGoesOn(t *testing.T) {
	c := opened(t, "TEST_PROFILE=crashes", "TEST_DATA="+t.TempDir())
	shown := len(c.Output())
	c.Type("X")
	wiped(t, c, "desk")
	if strings.Contains(string(c.Output()[shown:]), "GATE mode") {
		t.Error("there was a lock screen in between")
	}
}

func TestWipeThatCannotBeDone(t *testing.T) {
	c := opened(t, "TEST_PROFILE=always crashes")
	c.Type("X")
	ends(t, c, 1)
	c.Restored()
}

func TestLockAndLogOffByTheDesk(t *testing.T) {
	c := opened(t)
	link := c.Role("link")
	c.Type("Y")
	c.See("GATE mode 0", `note "Locked from afar."`)
	if c.Role("link") != link {
		t.Error("a lock has ended the link")
	}
	c.Type("u")
	c.See("DESK has", "DEALT none")
	c.Type("Z")
	c.See("GATE mode 0", `note "Logged off from afar."`)
	c.Wait("the link has ended", func() bool { return roletest.Gone(link) })
	c.Type("u")
	c.See("DESK has", "DEALT none")
	c.Type("q")
	ends(t, c, 0)
}

// TestLogOffByTheLink is told at the lock screen, and the next desk knows that it
// was done.
func TestLogOffByTheLink(t *testing.T) {
	c := opened(t)
	link := c.Role("link")
	c.Type("l")
	c.See("GATE mode 0")
	c.Type("s")
	c.See("STATUS online 2")
	c.Type("C")
	c.Type("O")
	c.See("GATE mode 0", `note "Logged off meanwhile."`)
	c.Wait("the link has ended", func() bool { return roletest.Gone(link) })
	c.Type("u")
	c.See("DESK has", "DEALT 5 6")
	c.Type("l")
	c.See("GATE mode 0")
	c.Type("u")
	c.See("DESK has", "DEALT none") // once is enough
	c.Type("q")
	ends(t, c, 0)
}
