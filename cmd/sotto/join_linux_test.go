package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/awnumar/memguard"

	"sotto/internal/profile"
	"sotto/internal/relay"
	"sotto/internal/role/roletest"
	"sotto/keystore"
)

const (
	testPIN        = "739251"
	givenPassword  = "the password that alice was given"
	secretPassword = "one that nobody has seen"
)

// serve runs a relay with one user, alice@ward.example, and returns its URL.
func serve(t *testing.T, password string) string {
	t.Helper()
	_, url := serveRelayOf(t, password)
	return url
}

func serveRelayOf(t *testing.T, password string) (*relay.Relay, string) {
	t.Helper()
	r, err := relay.New(relay.Config{Domain: "ward.example", Iterations: 4096})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.Serve(ctx, ln) }()
	t.Cleanup(func() { stop(); r.Close(); <-done })
	if err := r.AddUser(ctx, "alice", []byte(password), "Alice Ames"); err != nil {
		t.Fatal(err)
	}
	return r, "ws://" + ln.Addr().String() + "/ws"
}

// at gives a command the home folder of another.
func at(t *testing.T, home string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := command(t, args...)
	for i, kv := range cmd.Env {
		if strings.HasPrefix(kv, "HOME=") {
			cmd.Env[i] = "HOME=" + home
		}
	}
	return cmd
}

// profileAt is the default profile beneath a home folder.
func profileAt(home string) profile.Profile {
	share := filepath.Join(home, ".local", "share", "sotto", "default")
	return profile.Profile{
		Name: "default", Config: filepath.Join(home, ".config", "sotto", "default", "config.toml"),
		Vault: filepath.Join(share, "vault"), Data: filepath.Join(share, "data"), Database: filepath.Join(share, "data", "sotto.db"),
		DeviceKey: filepath.Join(home, ".local", "state", "sotto", "default", "device.key"),
		LockFile:  filepath.Join(home, ".local", "state", "sotto", "default", "lock"),
	}
}

func locked(s string) *memguard.LockedBuffer { return memguard.NewBufferFromBytes([]byte(s)) }

// account reads the account back from the vault.
func account(t *testing.T, p profile.Profile, pin string) (password string, changing bool) {
	t.Helper()
	b := locked(pin)
	defer b.Destroy()
	o, err := keystore.Open(p.Vault, p.DeviceKey, b)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	return string(o.Account().Password.Bytes()), o.Account().Next != nil
}

func quit(t *testing.T, c *roletest.Console) {
	t.Helper()
	c.Type("\x0c")
	c.See("PIN  _")
	c.Type("\x11")
	if code := c.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.Restored()
}

func TestJoinAndComeBack(t *testing.T) {
	url, home := serve(t, givenPassword), t.TempDir()
	c := roletest.Start(t, at(t, home, "join", "alice@ward.example", "--relay", url), 80, 24)
	c.See("Password of alice@ward.example  _")
	c.Type("not this one\r")
	c.See("does not accept the password", "Password of alice@ward.example  _")
	c.Type(givenPassword + "\r")
	c.See("Signed in. Now choose a PIN", "New PIN  _")
	c.Type("123456\r")
	c.See("counts up or down", "New PIN  _")
	c.Type(testPIN + "\r")
	c.See("Again  _")
	c.Type("739252\r")
	c.See("The two were not the same", "New PIN  _")
	c.Type(testPIN + "\r")
	c.See("Again  _")
	c.Type(testPIN + "\r")
	c.See("online", "F1 help")
	// The profile is taken while it is open.
	out, _ := at(t, home).CombinedOutput()
	if !strings.Contains(string(out), "open in another sotto") {
		t.Errorf("a second sotto says %q", out)
	}
	quit(t, c)
	if password, changing := account(t, profileAt(home), testPIN); password != givenPassword || changing {
		t.Errorf("the vault has another password, or one that is changing: %v", changing)
	}

	c = roletest.Start(t, at(t, home), 80, 24)
	c.See("alice@ward.example", "PIN  _", "not signed in")
	c.Type(testPIN + "\r")
	c.See("online", "F1 help")
	quit(t, c)

	c = roletest.Start(t, at(t, home, "pin"), 80, 24)
	c.See("PIN as it is now  _")
	c.Type(testPIN + "\r")
	c.See("New PIN  _")
	c.Type("another one\r")
	c.See("Again  _")
	c.Type("another one\r")
	if code := c.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.See("The PIN is changed.")
	c.Restored()

	c = roletest.Start(t, at(t, home), 80, 24)
	c.See("PIN  _")
	c.Type(testPIN + "\r")
	c.See("That PIN is not right.")
	c.Type("another one\r")
	c.See("online", "F1 help")
	quit(t, c)

	again := roletest.Start(t, at(t, home, "join", "alice@ward.example"), 80, 24)
	if code := again.Exit(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	again.See("has an account already")
}

func TestJoinRotatesThePassword(t *testing.T) {
	url, home := serve(t, givenPassword), t.TempDir()
	c := roletest.Start(t, at(t, home, "join", "alice@ward.example", "--relay", url, "--rotate-password"), 80, 24)
	c.See("Password of")
	c.Type(givenPassword + "\r")
	c.See("New PIN  _")
	c.Type(testPIN + "\r")
	c.See("Again  _")
	c.Type(testPIN + "\r")
	c.See("online", "F1 help")
	quit(t, c)
	password, changing := account(t, profileAt(home), testPIN)
	if password == givenPassword || len(password) < 40 || changing {
		t.Errorf("the password of %d characters was not replaced, changing %v", len(password), changing)
	}
	c = roletest.Start(t, at(t, home), 80, 24)
	c.See("PIN  _")
	c.Type(testPIN + "\r")
	c.See("online", "F1 help")
	quit(t, c)
}

// An administrator gave another password: sotto is told, and goes on.
func TestANewPasswordIsKept(t *testing.T) {
	r, url := serveRelayOf(t, givenPassword)
	home := t.TempDir()
	c := roletest.Start(t, at(t, home, "join", "alice@ward.example", "--relay", url), 80, 24)
	for _, step := range [][2]string{{"Password of", givenPassword}, {"New PIN  _", testPIN}, {"Again  _", testPIN}} {
		c.See(step[0])
		c.Type(step[1] + "\r")
	}
	c.See("online", "F1 help")
	quit(t, c)
	if err := r.SetPassword(t.Context(), "alice", []byte(secretPassword)); err != nil {
		t.Fatal(err)
	}

	c = roletest.Start(t, at(t, home, "password"), 80, 24)
	c.See("PIN  _")
	c.Type("839251\r")
	c.See("That PIN is not right.", "PIN  _")
	c.Type(testPIN + "\r")
	c.See("Password of alice@ward.example  _")
	c.Type(givenPassword + "\r")
	c.See("does not accept the password", "Password of alice@ward.example  _")
	c.Type("\x03")
	if code := c.Exit(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	c.See("the password stays as it was")
	c.Restored()
	if password, _ := account(t, profileAt(home), testPIN); password != givenPassword {
		t.Errorf("a password that the relay refused was kept")
	}

	c = roletest.Start(t, at(t, home, "password"), 80, 24)
	c.See("PIN  _")
	c.Type(testPIN + "\r")
	c.See("Password of alice@ward.example  _")
	c.Type("wrong again\r")
	c.See("does not accept the password", "Password of alice@ward.example  _")
	c.Type(secretPassword + "\r")
	if code := c.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.See("The password is kept.")
	c.Restored()
	c = roletest.Start(t, at(t, home), 80, 24)
	c.See("PIN  _")
	c.Type(testPIN + "\r")
	c.See("online", "F1 help")
	quit(t, c)
}

// A change of password that broke off leaves two in the vault, and the relay
// has one of them.
func TestBrokenRotationIsFinished(t *testing.T) {
	for name, has := range map[string]string{"before the relay": givenPassword, "after the relay": secretPassword} {
		t.Run(name, func(t *testing.T) {
			url, home := serve(t, has), t.TempDir()
			p := profileAt(home)
			if err := p.Make(); err != nil {
				t.Fatal(err)
			}
			pin := locked(testPIN)
			defer pin.Destroy()
			o, err := keystore.Create(p.Vault, p.DeviceKey, pin, &keystore.Account{
				Address: "alice@ward.example", Relay: url, Password: locked(givenPassword), Next: locked(secretPassword),
			})
			if err != nil {
				t.Fatal(err)
			}
			o.Close()
			c := roletest.Start(t, at(t, home), 80, 24)
			c.See("PIN  _")
			c.Type(testPIN + "\r")
			c.See("online", "F1 help")
			quit(t, c)
			if password, changing := account(t, p, testPIN); password != has || changing {
				t.Errorf("the vault has %q, changing %v", password, changing)
			}
		})
	}
}

func TestJoinThatFailsLeavesNothing(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := ln.Addr().String()
	ln.Close()
	hopeless := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(hopeless, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ relay, ca, keys, want string }{
		"refused": {"ws://" + nobody + "/ws", "", "password\r", "refused the connection"},
		"no cure": {"wss://" + nobody + "/ws", hopeless, "password\r", "holds no readable PEM certificate"},
		"left":    {"ws://" + nobody + "/ws", "", "\x03", "nothing was set up"},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			console := roletest.Start(t, at(t, home, "join", "alice@ward.example", "--relay", c.relay, "--ca", c.ca), 80, 24)
			console.See("Password of")
			console.Type(c.keys)
			if code := console.Exit(); code != 1 { // and the password is not asked for again
				t.Errorf("exit code %d", code)
			}
			console.See(c.want)
			console.Restored()
			filepath.WalkDir(home, func(path string, d os.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					t.Errorf("left behind: %s", path)
				}
				return nil
			})
		})
	}
}

// Settings that somebody put there before, such as an administrator, outlive a
// join that came to nothing.
func TestJoinThatFailsKeepsSettings(t *testing.T) {
	home := t.TempDir()
	p, settings := profileAt(home), "# the ward's\nlock-after = \"1m\"\n"
	if err := os.MkdirAll(filepath.Dir(p.Config), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.Config, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	c := roletest.Start(t, at(t, home, "join", "alice@ward.example", "--relay", "ws://127.0.0.1:9/ws"), 80, 24)
	c.See("Password of alice@ward.example  _")
	c.Type("\x03")
	c.See("nothing was set up")
	if code := c.Exit(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if b, err := os.ReadFile(p.Config); err != nil || string(b) != settings {
		t.Errorf("the settings are %q now, %v", b, err)
	}
	if _, err := os.Stat(filepath.Dir(p.Vault)); !os.IsNotExist(err) {
		t.Errorf("%s: %v", filepath.Dir(p.Vault), err)
	}
}

// What no password can cure is said before the password is asked for.
func TestJoinSaysWhatIsWrongAtOnce(t *testing.T) {
	for want, args := range map[string][]string{
		"sotto: sotto join needs your invitation, or your address, such as alice@example.org.\n": {},
		"takes one address, not 2":        {"alice@ward.example", "bob@ward.example"},
		"is not an address":               {"alice"},
		"only allowed on this computer":   {"alice@ward.example", "--relay", "ws://192.0.2.1/ws"},
		"begins with wss://, not http://": {"alice@ward.example", "--relay", "http://ward.example/ws"},
	} {
		home := t.TempDir()
		cmd := at(t, home, append([]string{"join"}, args...)...)
		out, _ := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(string(out), want) {
			t.Errorf("%q: exit code %d, %q", args, code, out)
		}
		if made, err := os.ReadDir(home); err != nil || len(made) > 0 {
			t.Errorf("%q: made %v, %v", args, made, err)
		}
	}
}

// TestNobodyFindsAVaultOpen leaves sotto where it waits for what comes after the
// right PIN, and half a PIN on the lock screen.
func TestNobodyFindsAVaultOpen(t *testing.T) {
	url := serve(t, givenPassword)
	home := t.TempDir()
	p := vaultAt(t, home, url, 6, 0)
	settings, err := p.Load()
	if err != nil {
		t.Fatal(err)
	}
	settings.LockAfter = 2 * time.Second
	if err := p.Save(settings); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ command, next, says string }{
		{"pin", "New PIN  _", "the PIN stays as it was"},
		{"password", "Password of", "the password stays as it was"},
	} {
		c := roletest.Start(t, at(t, home, test.command), 80, 24)
		c.See("  _")
		c.Type(testPIN + "\r")
		c.See(test.next)
		c.Type("half")
		if code := c.Exit(); code != 1 {
			t.Errorf("%s: exit code %d", test.command, code)
		}
		c.See(test.says)
		c.Restored()
	}
	c := roletest.Start(t, at(t, home), 80, 24)
	c.See("PIN  _")
	c.Type("73")
	c.See("PIN  • • _")
	c.See("PIN  _")
	c.Type("12345\r")
	c.See("was not tried")
	c.Type("\x11")
	if code := c.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if s, err := keystore.At(p.Vault, p.DeviceKey).Status(); err != nil || s.Tried != 0 {
		t.Errorf("%+v, %v: counted what nobody's PIN can be", s, err)
	}
}
