package main

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sotto/client/admin"
	"sotto/client/membership"
	"sotto/client/org/order"
	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/internal/inforce"
	"sotto/internal/role/roletest"
)

const (
	lease     = 10 * time.Minute // the shortest there is
	potassium = "Bed 9 has potassium 6.1"
)

// leased has alice join under the shortest lease, with a message on her screen, and
// returns where, and what ends the serving. Nothing runs any more.
func (w *clinic) leased() (home string, stop func()) {
	t := w.t
	t.Helper()
	body := w.org.Policy().Body
	if !strings.Contains(body, `lease = "7d"`) {
		t.Fatalf("the policy: %s", body)
	}
	if _, err := w.org.SetPolicy(t.Context(), strings.Replace(body, `lease = "7d"`, `lease = "10m"`, 1)); err != nil {
		t.Fatal(err)
	}
	stop = w.beat()
	home = t.TempDir()
	c := w.member(home)
	c.Wait("the policy is there", func() bool {
		copy, err := inforce.Read(profileAt(home).Data)
		return err == nil && copy != nil && copy.Policy.Lease() == lease
	})
	quit(t, c)
	inDatabaseOf(t, profileAt(home), memberPIN, func(tx *store.Tx) error {
		if _, err := tx.AddMessage(&store.Message{Peer: wardContact, Sender: wardContact, OriginID: "1", Body: potassium}); err != nil {
			return err
		}
		return tx.SetValue("place", []byte("1\tdark\t0\t0\t"+wardContact))
	})
	return home, stop
}

// beat serves, which signs one head at once and the next when a test has ended long
// since: one that the device has not heard when its clock is set would open it again.
func (w *clinic) beat() (stop func()) { return w.serveWith(admin.Serving{Every: time.Hour}) }

// late has the clock of a device say once that something has passed since the
// organisation was heard. The time of a head is in whole seconds, so late waits for the
// next one: a head of the same second would leave as much passed as before.
func late(t *testing.T, home string, by time.Duration) {
	t.Helper()
	var heard time.Time
	inDatabaseOf(t, profileAt(home), memberPIN, func(tx *store.Tx) error {
		m, err := membership.Read(tx)
		if err != nil {
			return err
		}
		heard = m.Heard()
		return m.StoreClock(tx, heard.Add(by))
	})
	time.Sleep(time.Until(heard.Add(time.Second)))
}

// TestLeaseIsOver: while the organisation was not heard nothing is shown but that. A
// new head opens, and orders that it names come before anything is shown.
func TestLeaseIsOver(t *testing.T) {
	w := newClinic(t)
	home, stop := w.leased()
	c := roletest.Start(t, at(t, home), 80, 24)
	given(c, "PIN  _", memberPIN+"\r")
	c.See("F1 help", potassium)
	quit(t, c)
	stop()

	late(t, home, lease)
	c = roletest.Start(t, at(t, home), 80, 24)
	given(c, "PIN  _", memberPIN+"\r")
	says(c, "sotto has not heard from ward.example since", "It opens again once it has.", "By this computer's clock it is",
		"The relay is online. Waiting for the organisation.", "Ctrl+L locks, Ctrl+Q quits")
	c.Type("hello\r/help\r\x1bOP")
	c.Resize(40, 8)
	c.Until("without what there is no room for", func(screen string) bool { return !strings.Contains(screen, "s o t t o") })
	says(c, "sotto has not heard from ward.example since", "Ctrl+Q quits")
	c.Resize(80, 24)
	c.Type("\x0c")
	given(c, "PIN  _", memberPIN+"\r")
	says(c, "sotto has not heard from ward.example since", "The relay is online.")
	if out := string(c.Output()); strings.Contains(out, potassium) || strings.Contains(out, "Ctrl+K") {
		t.Error("something was shown")
	}
	stop = w.beat()
	c.See(potassium, "online", "ward.example not heard, locks")
	if !strings.Contains(string(c.Output()), potassium) {
		t.Error("this is not how to find out whether something was shown")
	}
	if strings.Contains(c.Screen(), "hello") {
		t.Error("what was typed meanwhile is on the screen")
	}
	quit(t, c)
	stop()

	late(t, home, lease)
	c = roletest.Start(t, at(t, home), 80, 24)
	given(c, "PIN  _", memberPIN+"\r")
	says(c, "sotto has not heard from ward.example since", "The relay is online.")
	c.Type("\x11")
	if code := c.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.Restored()

	c = roletest.Start(t, at(t, home), 80, 24)
	given(c, "PIN  _", memberPIN+"\r")
	says(c, "sotto has not heard from ward.example since", "The relay is online.")
	x := w.order(order.Wipe)
	w.serve()
	wipedAt(t, c, home)
	w.acknowledged(c, x)
	if out := string(c.Output()); strings.Contains(out, potassium) || strings.Contains(out, "Ctrl+K") {
		t.Error("something was shown before")
	}
}

// TestLeaseWhereTheRelayLostAnItem: a device that is locked because of what its relay has
// lost opens once the organisation serves, and does not wait for its next regular head.
func TestLeaseWhereTheRelayLostAnItem(t *testing.T) {
	w := newClinic(t)
	home, stop := w.leased()
	stop()
	if _, err := w.org.SetPolicy(t.Context(), w.org.Policy().Body+"# word for word\n"); err != nil {
		t.Fatal(err)
	}
	if left, err := w.org.Settle(t.Context(), w.c, nil); err != nil || !left.None() {
		t.Fatalf("%+v, %v", left, err)
	}
	if err := w.c.Retract(t.Context(), stanza.NodePolicy, stanza.ItemCurrent); err != nil {
		t.Fatal(err)
	}
	late(t, home, lease)
	c := roletest.Start(t, at(t, home), 80, 24)
	given(c, "PIN  _", memberPIN+"\r")
	says(c, "sotto has not heard from ward.example since", "The relay is online.")
	if out := string(c.Output()); strings.Contains(out, potassium) {
		t.Error("something was shown")
	}
	w.beat()
	c.See(potassium, "online")
	quit(t, c)
}

// TestLeaseWithTheClockSetBack says so, whatever the organisation says meanwhile.
func TestLeaseWithTheClockSetBack(t *testing.T) {
	w := newClinic(t)
	home, _ := w.leased()
	late(t, home, 3*time.Hour)
	c := roletest.Start(t, at(t, home), 80, 24)
	given(c, "PIN  _", memberPIN+"\r")
	says(c, "The clock of this computer is behind: it was", "before. Set it right; sotto opens again then.", "By this computer's clock it is", "The relay is online.")
	if err := w.org.Beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.close()
	says(c, "The clock of this computer is behind", "The relay cannot be reached.")
	c.Type("\x11")
	c.Exit()
	if strings.Contains(string(c.Output()), potassium) {
		t.Error("something was shown")
	}
}

// TestLeaseOfAService: it waits for a while, and sends nothing before.
func TestLeaseOfAService(t *testing.T) {
	w := newClinic(t)
	home, stop := w.leased()
	stop()
	late(t, home, lease)
	if err := os.WriteFile(profileAt(home).Config, []byte("service = true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	send := func() (string, int) {
		t.Helper()
		cmd := at(t, home, "send", wardContact, "--pin-file", secret(t, memberPIN))
		cmd.Stdin = strings.NewReader("the fridge is warm")
		out, err := cmd.CombinedOutput()
		if exited := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exited) {
			t.Fatal(err)
		}
		return string(out), cmd.ProcessState.ExitCode()
	}
	start := time.Now()
	out, code := send()
	if code != 1 || !strings.Contains(strings.Join(strings.Fields(out), " "), "sotto has not heard from ward.example since") {
		t.Errorf("%d, %q", code, out)
	}
	if waited := time.Since(start); waited < 30*time.Second {
		t.Errorf("it has waited for %v", waited)
	}
	beat := time.AfterFunc(5*time.Second, func() { w.serve() })
	defer beat.Stop()
	// There is nobody else in this organisation: that nobody reads it is what comes next.
	if out, code := send(); code != codeRefused || !strings.Contains(strings.Join(strings.Fields(out), " "), "nobody reads what is written to it") {
		t.Errorf("once it was heard: %d, %q", code, out)
	}
}
