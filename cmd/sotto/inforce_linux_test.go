package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sotto/internal/inforce"
	"sotto/internal/role/roletest"
)

// TestAPolicyReachesADevice changes the policy while somebody has sotto open, and looks
// what holds then, at the lock screen, and at the next start.
func TestAPolicyReachesADevice(t *testing.T) {
	w := newClinic(t)
	w.serve()
	code, pin := w.invite(alice)
	home := t.TempDir()
	c := roletest.Start(t, at(t, home, "join"), 80, 24)
	given(c, "Your invitation, or your address:", code+"\r")
	given(c, "One-time PIN  _", pin+"\r")
	given(c, "New PIN  _", testPIN+"\r")
	given(c, "Again  _", testPIN+"\r")
	c.Wait("the device is in the directory", func() bool { return w.devices() == 1 })
	c.See("online", "Ctrl+K switch", "lock in 2 min")
	c.Type("/policy\r")
	c.See("policy 1 of ", "> lock-after", "default")
	c.Type("\x1b")
	c.SeeGone("> lock-after")

	decides := func(body string) {
		t.Helper()
		if _, err := w.org.SetPolicy(t.Context(), body); err != nil {
			t.Fatal(err)
		}
		if left, err := w.org.Settle(t.Context(), w.c, nil); err != nil || !left.None() {
			t.Fatalf("%+v, %v", left, err)
		}
	}
	start := time.Now()
	decides("lock-after = \"1m\"\npin-length = 8\npin-characters = \"mixed\"\npaste = false\n")
	c.See("Your organisation has a new policy. 7 settings change for you: /policy.", "lock in 1 min")
	t.Logf("in force after %v", time.Since(start).Round(time.Millisecond))
	c.Type("/policy\r")
	c.See("policy 2 of ", "> lock-after", `"1m"`, "organisation", "pin-length", "8")
	c.Type("\x1b")
	c.SeeGone("> lock-after")

	// What needs a lock holds from the next unlocking on.
	c.Type("\x0c")
	given(c, "PIN  _", testPIN+"\r")
	c.See("Your organisation asks for another PIN: 8 characters or", "letters and digits among them", "New PIN  _")
	c.Type("739251648\r")
	c.See("The PIN is not mixed", "New PIN  _")
	c.Type(testPIN + "\r")
	c.See("The PIN is too short", "New PIN  _")
	const mixed = "kq7xvb2n"
	c.Type(mixed + "\r")
	given(c, "Again  _", mixed+"\r")
	c.See("online", "F1 help")
	quit(t, c)

	// What is read before the PIN is given is signed, and put right where it is not.
	data := profileAt(home).Data
	copied, err := inforce.Read(data)
	if err != nil || copied == nil || copied.Policy.Value("lock-after").Duration() != time.Minute || copied.Anchor.Key.Name() != "ward.example" {
		t.Fatalf("the copy is %+v, %v", copied, err)
	}
	out, err := at(t, home, "policy").CombinedOutput()
	for _, want := range []string{"ward.example, policy 2 of ", "lock-after = \"1m\" (the organisation's)\n", "curtain = true (default)\n"} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("sotto policy: %v, no %q in\n%s", err, want, out)
		}
	}
	file := filepath.Join(data, inforce.File)
	for _, damage := range []func() error{
		func() error { return os.Remove(file) },
		func() error {
			b, err := os.ReadFile(file)
			if err == nil {
				err = os.WriteFile(file, []byte(strings.Replace(string(b), `"1m"`, `"1h"`, 1)), 0o600)
			}
			return err
		},
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		c = roletest.Start(t, at(t, home), 80, 24)
		given(c, "PIN  _", mixed+"\r")
		c.See("What your organisation says about this device is", "put right. Enter the PIN again.", "PIN  _")
		c.Type(mixed + "\r")
		c.See("online", "F1 help", "lock in 1 min")
		quit(t, c)
		if copied, err := inforce.Read(data); err != nil || copied == nil || copied.Policy.Value("lock-after").Duration() != time.Minute {
			t.Fatalf("it was not put right: %+v, %v", copied, err)
		}
	}

	// What decides whether sotto opens at all.
	c = roletest.Start(t, at(t, home), 80, 24)
	given(c, "PIN  _", mixed+"\r")
	c.See("online", "F1 help")
	decides("multiplexer = \"refuse\"\n")
	c.See("Your organisation has a new policy.")
	quit(t, c)
	cmd := at(t, home)
	cmd.Env = append(cmd.Env, "TMUX=/tmp/nowhere,1,0")
	c = roletest.Start(t, cmd, 80, 24)
	c.See("tmux")
	if code := c.Exit(); code != 1 {
		t.Errorf("within tmux: exit code %d", code)
	}
}
