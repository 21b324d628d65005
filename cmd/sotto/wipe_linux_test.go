package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"sotto/internal/profile"
	"sotto/internal/role/roletest"
	"sotto/keystore"
)

// vaultAt makes a profile with a vault that bears so many wrong PINs, and tries
// some.
func vaultAt(t *testing.T, home, url string, limit, wrong int) profile.Profile {
	t.Helper()
	p := profileAt(home)
	if err := p.Make(); err != nil {
		t.Fatal(err)
	}
	c := profile.Defaults()
	c.Address, c.DestroyAfter = "alice@ward.example", limit
	if err := p.Save(c); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.Database, []byte("not a database"), 0o600); err != nil {
		t.Fatal(err)
	}
	place := keystore.At(p.Vault, p.DeviceKey)
	place.DestroyAfter = limit
	pin, bad := locked(testPIN), locked("111222")
	defer pin.Destroy()
	defer bad.Destroy()
	o, err := place.Create(pin, &keystore.Account{Address: "alice@ward.example", Relay: url, Password: locked(givenPassword)})
	if err != nil {
		t.Fatal(err)
	}
	o.Close()
	for range wrong {
		if _, err := place.Open(bad); err != keystore.ErrWrongPIN {
			t.Fatal(err)
		}
	}
	return p
}

func files(t *testing.T, home string) (all []string) {
	t.Helper()
	filepath.WalkDir(home, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, strings.TrimPrefix(path, home))
		}
		return nil
	})
	return all
}

// TestWrongPINsOutliveSotto kills sotto and begins again: the wait, and what is
// said about wrong PINs, go on from where they were.
func TestWrongPINsOutliveSotto(t *testing.T) {
	home := t.TempDir()
	p := vaultAt(t, home, "ws://127.0.0.1:1/ws", 10, 2)
	for _, args := range [][]string{nil, {"pin"}, {"password"}} {
		c := roletest.Start(t, at(t, home, args...), 80, 24)
		s, err := keystore.At(p.Vault, p.DeviceKey).Status()
		if err != nil {
			t.Fatal(err)
		}
		if s.Tried == 2 {
			c.See("The last 2 PINs that were tried here were wrong.", "PIN")
		} else {
			c.See("wait ", "PINs that were tried here were wrong.")
		}
		c.Until("asked for the PIN", func(screen string) bool {
			return strings.Contains(screen, "PIN  _") || strings.Contains(screen, "PIN as it is now  _")
		})
		c.Type("222111\r")
		c.See("That PIN is not right.", "wait ")
		syscall.Kill(c.PID, syscall.SIGKILL)
		if code := c.Exit(); code != 128+int(syscall.SIGKILL) {
			t.Errorf("exit code %d", code)
		}
		after, err := keystore.At(p.Vault, p.DeviceKey).Status()
		if err != nil || after.Tried != s.Tried+1 {
			t.Errorf("%v: %d wrong PINs after %d, %v", args, after.Tried, s.Tried, err)
		}
	}
	c := roletest.Start(t, at(t, home), 80, 24)
	c.See("5 wrong PINs. After 5 more this vault destroys itself;", "ask your administrator.")
	c.Type("\x03")
	c.Exit()
}

// TestDestroyedAtTheLimit types the last wrong PIN, with the settings edited so
// that there would be no limit.
func TestDestroyedAtTheLimit(t *testing.T) {
	url := serve(t, givenPassword)
	home := ""
	for _, args := range [][]string{{"doctor", "--store"}, nil} { // whatever asks for the PIN
		home = t.TempDir()
		destroyed(t, home, vaultAt(t, home, url, 6, 5), args)
	}
	c := roletest.Start(t, at(t, home, "join", "alice@ward.example", "--relay", url), 80, 24)
	for _, step := range [][2]string{{"Password of", givenPassword}, {"New PIN  _", testPIN}, {"Again  _", testPIN}} {
		c.See(step[0])
		c.Type(step[1] + "\r")
	}
	c.See("online", "F1 help")
	quit(t, c)
}

// destroyed types the last wrong PIN into what a command line opens, and sees to
// it that nothing is left.
func destroyed(t *testing.T, home string, p profile.Profile, args []string) {
	t.Helper()
	settings, err := p.Load()
	if err != nil {
		t.Fatal(err)
	}
	settings.DestroyAfter = 0
	if err := p.Save(settings); err != nil {
		t.Fatal(err)
	}
	c := roletest.Start(t, at(t, home, args...), 80, 24)
	c.See("5 wrong PINs. After 1 more this vault destroys itself;", "PIN  _")
	c.Type("222111\r")
	if code := c.Exit(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	c.See("sotto: This vault has destroyed itself", "Start anew with", "administrator if it was not you")
	c.Restored()
	for _, path := range []string{p.DeviceKey, p.Data} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there: %v", filepath.Base(path), err)
		}
	}
	for _, args := range [][]string{nil, {"pin"}} { // and says so until something is done
		out, _ := at(t, home, args...).CombinedOutput()
		if !strings.Contains(string(out), "this vault has destroyed itself") {
			t.Errorf("%v after it: %q", args, out)
		}
	}
}

// TestNoDestructionWithoutALimit shows that the test above sees the
// difference: in a vault that bears any number, the same PIN is only wrong.
func TestNoDestructionWithoutALimit(t *testing.T) {
	home := t.TempDir()
	p := vaultAt(t, home, "ws://127.0.0.1:1/ws", 0, 5)
	c := roletest.Start(t, at(t, home), 80, 24)
	c.See("The last 5 PINs that were tried here were wrong.", "PIN  _")
	c.Type("222111\r")
	c.See("That PIN is not right. 6 wrong in a row.")
	c.Type("\x11")
	c.Exit()
	if password, _ := account(t, p, testPIN); password != givenPassword {
		t.Error("the vault is not as it was")
	}
}

func TestWipe(t *testing.T) {
	home := t.TempDir()
	p := vaultAt(t, home, "ws://127.0.0.1:1/ws", 10, 0)
	before := files(t, home)

	out, err := at(t, home, "wipe").CombinedOutput() // nobody to ask
	if err == nil || !strings.Contains(string(out), "--yes") {
		t.Errorf("without a terminal: %q", out)
	}
	for typed, want := range map[string]string{"yes\r": "that is not alice@ward.example. Nothing was wiped", "\r": "nothing was wiped", "\x04": "nothing was wiped"} {
		c := roletest.Start(t, at(t, home, "wipe"), 80, 24)
		c.See("type alice@ward.example:")
		c.Type(typed)
		if code := c.Exit(); code != 1 {
			t.Errorf("%q: exit code %d", typed, code)
		}
		c.See(want)
	}
	open := roletest.Start(t, at(t, home), 80, 24)
	open.See("PIN  _")
	if out, err := at(t, home, "wipe", "--yes").CombinedOutput(); err == nil || !strings.Contains(string(out), "open in another sotto, process") {
		t.Errorf("while it is open: %q", out)
	}
	open.Type("\x03")
	open.Exit()
	if now := files(t, home); !slices.Contains(now, strings.TrimPrefix(p.Vault, home)) || len(now) < len(before) {
		t.Errorf("there were %v and are %v", before, now)
	}

	c := roletest.Start(t, at(t, home, "wipe"), 80, 24)
	c.See("type alice@ward.example:")
	c.Type("alice@ward.example\r")
	if code := c.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.See("The keys are destroyed.", "What stays is elsewhere: your account")
	if left := files(t, home); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	out, err = at(t, home, "wipe").CombinedOutput() // once more
	if err != nil || !strings.Contains(string(out), "nothing of profile \"default\"") {
		t.Errorf("once more: %v %q", err, out)
	}
}

// TestWipeGoesOn wipes what is damaged, and what an earlier wipe has left at any
// point.
func TestWipeGoesOn(t *testing.T) {
	for name, damage := range map[string]func(p profile.Profile){
		"no device secret":     func(p profile.Profile) { os.Remove(p.DeviceKey) },
		"no keys":              func(p profile.Profile) { os.Remove(p.DeviceKey); os.Remove(p.Vault) },
		"no messages":          func(p profile.Profile) { os.RemoveAll(p.Data); os.Remove(p.Vault) },
		"no folder for a lock": func(p profile.Profile) { os.RemoveAll(filepath.Dir(p.LockFile)) },
		"damaged": func(p profile.Profile) {
			for _, path := range []string{p.Vault, p.DeviceKey, p.Config} {
				os.WriteFile(path, []byte("damaged = ["), 0o600)
			}
		},
	} {
		home := t.TempDir()
		p := vaultAt(t, home, "ws://127.0.0.1:1/ws", 10, 0)
		damage(p)
		if out, err := at(t, home, "wipe", "--yes").CombinedOutput(); err != nil {
			t.Errorf("%s: %v %q", name, err, out)
		}
		if left := files(t, home); len(left) > 0 {
			t.Errorf("%s: left: %v", name, left)
		}
	}
}
