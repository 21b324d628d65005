package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"sotto/client/org/order"
	"sotto/internal/profile"
	"sotto/internal/role/roletest"
	"sotto/keystore"
	"sotto/test/proxy"
)

// memberPIN is one that the policy of a new organisation takes.
const memberPIN = "84261937"

// member has alice join at a terminal of her own.
func (w *clinic) member(home string) *roletest.Console {
	w.t.Helper()
	code, pin := w.invite(alice)
	c := roletest.Start(w.t, at(w.t, home, "join"), 80, 24)
	given(c, "Your invitation, or your address:", code+"\r")
	given(c, "One-time PIN  _", pin+"\r")
	given(c, "New PIN  _", memberPIN+"\r")
	given(c, "Again  _", memberPIN+"\r")
	c.See("online", "F1 help")
	c.Wait("the device is in the directory", func() bool { return w.devices() == 1 })
	return c
}

// relock locks, unlocks and locks again: what has just joined may be locked before the
// link knows of the organisation.
func relock(c *roletest.Console) {
	c.Type("\x0c")
	given(c, "PIN  _", memberPIN+"\r")
	c.See("online", "F1 help")
	c.Type("\x0c")
	c.See("PIN  _", "relay online")
}

// order gives alice an order.
func (w *clinic) order(do order.Action) *order.Order {
	w.t.Helper()
	x, err := w.org.Order(w.t.Context(), order.Order{Do: do, For: order.Target{Person: "alice@ward.example"}, Reason: "a " + string(do) + " test"}, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return x
}

// acknowledged waits until the device has said that it obeys.
func (w *clinic) acknowledged(c *roletest.Console, x *order.Order) {
	w.t.Helper()
	c.Wait("order "+fmt.Sprint(x.Number)+" is acknowledged", func() bool {
		list, err := w.org.Orders(w.t.Context(), 100)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, g := range list {
			if g.Number == x.Number {
				return len(g.Devices) == 1 && g.Devices[0].Result == order.Obeyed
			}
		}
		return false
	})
}

// says waits for sentences on the screen, however they are broken into lines.
func says(c *roletest.Console, texts ...string) {
	c.Until("saying "+strings.Join(texts, ", "), func(screen string) bool {
		screen = strings.Join(strings.Fields(screen), " ")
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				return false
			}
		}
		return true
	})
}

// gone sees to it that a profile was wiped, and says so from then on.
func gone(t *testing.T, home string) {
	t.Helper()
	p := profileAt(home)
	if err := keystore.Epitaph(p.Vault); !errors.Is(err, keystore.ErrWiped) {
		t.Errorf("the vault: %v", err)
	}
	for _, path := range []string{p.DeviceKey, p.Data, p.Config} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there: %v", path, err)
		}
	}
	out, err := at(t, home).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "this vault was wiped, because its organisation ordered it") {
		t.Errorf("the next start says %q", out)
	}
}

// wipedAt waits for the end of a sotto whose device is wiped.
func wipedAt(t *testing.T, c *roletest.Console, home string) {
	t.Helper()
	if code := c.Exit(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	says(c, "sotto: Ward.example has had this device wiped (a wipe test).", "Nobody can read any more", "administrator")
	c.Restored()
	gone(t, home)
}

// TestOrdersWhileOpen gives each order to somebody who is online, and prints how long
// it took until it was carried out.
func TestOrdersWhileOpen(t *testing.T) {
	w := newClinic(t)
	w.serve()
	home := t.TempDir()
	c := w.member(home)
	began := time.Now()
	took := func(what string) {
		t.Logf("%s: %v from the order to the screen", what, time.Since(began).Round(time.Millisecond))
	}

	x := w.order(order.Lock)
	says(c, "PIN _", "ward.example has locked this device (a lock test).")
	took("lock")
	w.acknowledged(c, x)
	c.Type(memberPIN + "\r")
	c.See("online", "F1 help")

	link := c.Role("link")
	began = time.Now()
	x = w.order(order.LogOff)
	says(c, "PIN _", "ward.example has logged this device off (a log-off test).")
	took("log-off")
	c.Wait("the link has ended", func() bool { return roletest.Gone(link) })
	w.acknowledged(c, x)
	c.Type(memberPIN + "\r")
	c.See("online", "F1 help")

	began = time.Now()
	x = w.order(order.Wipe)
	c.See("has had this device wiped")
	took("wipe")
	wipedAt(t, c, home)
	w.acknowledged(c, x)
}

// TestOrdersWhileLocked has the link obey, without anybody unlocking.
func TestOrdersWhileLocked(t *testing.T) {
	w := newClinic(t)
	w.serve()
	home := t.TempDir()
	c := w.member(home)
	relock(c)
	x := w.order(order.Lock)
	w.acknowledged(c, x)
	link := c.Role("link")
	x = w.order(order.LogOff)
	says(c, "ward.example has logged this device off (a log-off test).", "logged off")
	c.Wait("the link has ended", func() bool { return roletest.Gone(link) })
	w.acknowledged(c, x)
	c.Type(memberPIN + "\r")
	c.See("online", "F1 help") // neither is obeyed again
	c.Type("\x0c")
	c.See("PIN  _", "relay online")
	began := time.Now()
	x = w.order(order.Wipe)
	wipedAt(t, c, home)
	t.Logf("wipe: %v from the order to the end of sotto", time.Since(began).Round(time.Millisecond))
	w.acknowledged(c, x)
}

// TestWipeOfALostDevice: it is locked, and out of reach when it is ordered to be wiped.
// When it comes within reach it is, without a PIN.
func TestWipeOfALostDevice(t *testing.T) {
	var network *proxy.Proxy
	w := newClinicBehind(t, func(url string) string {
		network = proxy.Start(t, strings.TrimSuffix(strings.TrimPrefix(url, "ws://"), "/ws"))
		return fmt.Sprintf("ws://127.0.0.1:%d/ws", network.Port())
	})
	w.serve()
	home := t.TempDir()
	c := w.member(home)
	relock(c)
	network.SetAway(true)
	c.See("relay offline")
	x := w.order(order.Wipe)
	network.SetAway(false)
	wipedAt(t, c, home)
	w.acknowledged(c, x)
}

// TestWipeAtAColdStart: it was switched off when it was ordered. Nothing is shown.
func TestWipeAtAColdStart(t *testing.T) {
	w := newClinic(t)
	w.serve()
	home := t.TempDir()
	c := w.member(home)
	c.Type("\x0c")
	given(c, "PIN  _", memberPIN+"\r")
	c.See("online", "F1 help")
	quit(t, c)
	const anything = "Ctrl+K" // which a desk writes in one piece first, whatever its colours
	if !strings.Contains(string(c.Output()), anything) {
		t.Error("this is not how to find out whether something was shown")
	}
	x := w.order(order.Wipe)
	c = roletest.Start(t, at(t, home), 80, 24)
	given(c, "PIN  _", memberPIN+"\r")
	wipedAt(t, c, home)
	w.acknowledged(c, x)
	if strings.Contains(string(c.Output()), anything) {
		t.Error("something was shown before")
	}
}

// TestKilledInAWipe kills all of sotto at random moments of a wipe. Started again it is
// wiped, or goes on: at the latest when somebody gives the PIN and it asks again.
func TestKilledInAWipe(t *testing.T) {
	w := newClinic(t)
	w.serve()
	first := t.TempDir()
	quit(t, w.member(first))
	w.order(order.Wipe)
	for n := range 4 {
		home := t.TempDir()
		if err := os.CopyFS(home, os.DirFS(first)); err != nil {
			t.Fatal(err)
		}
		private(t, profileAt(home))
		c := roletest.Start(t, at(t, home), 80, 24)
		given(c, "PIN  _", memberPIN+"\r")
		c.Wait("the desk runs", func() bool { return c.Role("desk") != 0 })
		time.Sleep(rand.N(time.Second)) // the random moment
		for _, name := range []string{"gate", "desk", "link"} {
			if pid := c.Role(name); pid != 0 && n%2 == 0 {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		syscall.Kill(c.PID, syscall.SIGKILL)
		c.Exit()
		before := keystore.Epitaph(profileAt(home).Vault)
		t.Logf("after the kill: %v", before)

		c = roletest.Start(t, at(t, home), 80, 24)
		c.Until("asked for the PIN, or at its end", func(screen string) bool {
			return strings.Contains(screen, "PIN  _") || strings.Contains(screen, "was wiped")
		})
		if strings.Contains(c.Screen(), "PIN  _") {
			c.Type(memberPIN + "\r")
		}
		if code := c.Exit(); code != 1 {
			t.Errorf("exit code %d", code)
		}
		gone(t, home)
	}
}

// private makes what was copied closed to others again.
func private(t *testing.T, p profile.Profile) {
	t.Helper()
	for _, path := range []string{p.Vault, p.DeviceKey, p.Database, p.Config} {
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
