package main

import (
	"testing"

	"sotto/internal/role/roletest"
)

// TestPolicyLogsOff has the organisation say after which time a locked sotto leaves the
// relay. It holds from the next lock on, after a new start, too; the PIN signs in again.
func TestPolicyLogsOff(t *testing.T) {
	w := newClinic(t)
	w.serve()
	home := t.TempDir()
	c := w.member(home)
	relock(c)
	// By itself that would be after 15 minutes.
	link := c.Role("link")
	unlocks := func() {
		t.Helper()
		given(c, "PIN  _", memberPIN+"\r")
		c.See("online", "F1 help")
	}
	unlocks()
	if now := c.Role("link"); now != link {
		t.Errorf("the link was process %d, and is %d", link, now)
	}
	logsOff := func() {
		t.Helper()
		link := c.Role("link")
		c.Type("\x0c")
		c.See("PIN  _", "logged off")
		c.Wait("the link has ended", func() bool { return roletest.Gone(link) })
	}
	w.demands(home, "logoff-after = \"1s\"\n")
	logsOff()
	unlocks()
	logsOff()
	c.Type("\x11")
	if code := c.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c = roletest.Start(t, at(t, home), 80, 24)
	unlocks()
	logsOff()
	c.Type("\x11")
	if code := c.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.Restored()
}
