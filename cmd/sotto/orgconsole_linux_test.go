package main

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"sotto/internal/relay"
	"sotto/internal/role/roletest"
)

const (
	orgPassword = "the organisation's own"
	orgPIN      = "keeper-8264"
)

// serveOrganisation runs a relay on which sotto@ward.example may make accounts, and
// returns its URL.
func serveOrganisation(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	a, err := relay.OpenAccounts(dir, "ward.example")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.Add("sotto", []byte(orgPassword), "sotto", ""), a.SetAdmin("sotto", true), a.Close()); err != nil {
		t.Fatal(err)
	}
	r, err := relay.New(relay.Config{Domain: "ward.example", Iterations: 4096, Store: dir})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.Serve(context.Background(), ln) }()
	t.Cleanup(func() { r.Close(); <-served })
	return "ws://" + ln.Addr().String() + "/ws"
}

// unread fails where the PIN or the password was ever on the screen.
func unread(t *testing.T, c *roletest.Console) {
	t.Helper()
	for _, secret := range []string{orgPIN, orgPassword} {
		if strings.Contains(string(c.Output()), secret) {
			t.Errorf("%q was on the screen", secret)
		}
	}
}

// ends waits for the end of a command and looks at what it leaves.
func ends(t *testing.T, c *roletest.Console, code int) {
	t.Helper()
	if got := c.Exit(); got != code {
		t.Errorf("exit code %d, not %d", got, code)
	}
	c.Restored()
	unread(t, c)
}

// TestFoundingTriesTheAccountFirst: no recovery key is shown that belongs to nothing, and
// where the founding is killed while it is shown, it goes on the next time.
func TestFoundingTriesTheAccountFirst(t *testing.T) {
	url, home := serveOrganisation(t), t.TempDir()
	founds := func() *roletest.Console {
		return roletest.Start(t, at(t, home, "org", "init", "ward.example", "--relay", url), 80, 24)
	}
	sets := func(c *roletest.Console, password string) {
		given(c, "Password of sotto@ward.example:", password+"\r")
		given(c, "New PIN:", orgPIN+"\r")
		given(c, "Again:", orgPIN+"\r")
	}
	c := founds()
	sets(c, "a wrong one")
	ends(t, c, 1)
	c.See("does not accept the password")
	if out := string(c.Output()); strings.Contains(out, "recovery key") {
		t.Errorf("a wrong password: %q", out)
	}

	c = founds()
	sets(c, orgPassword)
	c.See("recovery key", "press Enter")
	c.Cmd.Process.Kill()
	c.Exit()

	c = founds() // interrupted
	given(c, "PIN:", orgPIN+"\r")
	c.See("recovery key", "press Enter")
	c.Type("\x03")
	ends(t, c, 1)
	c.See("nothing was done", "destroy it")

	c = founds()
	given(c, "PIN:", orgPIN+"\r")
	given(c, "press Enter", "\r")
	ends(t, c, 0)
	c.See("ward.example is founded", "destroy that one")

	c = founds()
	given(c, "PIN:", orgPIN+"\r")
	ends(t, c, 1)
	c.See("founded with this profile already")
}

// TestPINBeforeTheQuestion: where a PIN is typed and a question answered, the PIN comes
// first, and however it ends, the terminal is as it was.
func TestPINBeforeTheQuestion(t *testing.T) {
	url, home := serveOrganisation(t), t.TempDir()
	org := func(args ...string) *roletest.Console {
		return roletest.Start(t, at(t, home, append([]string{"org"}, args...)...), 80, 24)
	}
	c := org("init", "ward.example", "--relay", url, "--no-recovery-key")
	given(c, "Password of sotto@ward.example:", orgPassword+"\r")
	given(c, "New PIN:", orgPIN+"\r")
	given(c, "Again:", orgPIN+"\r")
	ends(t, c, 0)

	for _, args := range [][]string{{"rotate"}, {"order", "lock", "sotto@ward.example"}} {
		c = org(args...)
		c.See("PIN:")
		if strings.Contains(c.Screen(), "y/N") {
			t.Errorf("%s asks before the PIN was typed", args)
		}
		c.Type(orgPIN + "\r")
		given(c, "[y/N]", "n\r")
		ends(t, c, 1)
		c.See("nothing was done")
	}
	for _, args := range [][]string{
		{"order", "wipe", "alicf@ward.example"}, {"order", "wipe", "@role/nurse"}, {"suspend", "alicf@ward.example"},
		{"remove", "alicf@ward.example"}, {"remove-device", "alicf@ward.example", "7"}, {"partner", "end", "clinic.example"},
	} {
		c = org(args...)
		given(c, "PIN:", orgPIN+"\r")
		ends(t, c, 1)
		c.See("See")
		if out := string(c.Output()); strings.Contains(out, "y/N") {
			t.Errorf("%s: %q", args, out)
		}
	}
	c = org("rotate")
	given(c, "PIN:", "\x03")
	ends(t, c, c.Exit())

	c = org("rotate")
	given(c, "PIN:", orgPIN+"\r")
	given(c, "[y/N]", "\x03")
	ends(t, c, 1)
	c.See("nothing was done")

	c = org("invite", "bob@ward.example", "--name", "Bob", "--no-account")
	given(c, "PIN:", orgPIN+"\r")
	ends(t, c, 0)
	c = org("rotate")
	given(c, "PIN:", orgPIN+"\r")
	given(c, "[y/N]", "y\r")
	ends(t, c, 0)
	c.See("has a new key", "Whom to invite again:", "  bob@ward.example")
}
