package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/awnumar/memguard"
	"golang.org/x/sys/unix"

	"sotto/internal/profile"
	"sotto/internal/role/roletest"
	"sotto/keystore"
)

// outcome is what a command wrote and how it ended.
type outcome struct {
	out, err string
	code     int
}

func outcomeOf(t *testing.T, cmd *exec.Cmd) outcome {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return outcome{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// homeOf is the home folder of a command.
func homeOf(cmd *exec.Cmd) (home string) {
	for _, kv := range cmd.Env { // the last one counts
		if dir, ok := strings.CutPrefix(kv, "HOME="); ok {
			home = dir
		}
	}
	return home
}

// settle makes a profile in the home of a command, with a vault and settings.
func settle(t *testing.T, cmd *exec.Cmd, change func(*profile.Config)) profile.Profile {
	t.Helper()
	t.Setenv("HOME", homeOf(cmd))
	for _, name := range []string{"XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"} {
		t.Setenv(name, "")
	}
	p, err := profile.Paths(profile.Default)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Make(); err != nil {
		t.Fatal(err)
	}
	c := profile.Defaults()
	change(&c)
	if err := p.Save(c); err != nil {
		t.Fatal(err)
	}
	pin := memguard.NewBufferFromBytes([]byte("739182"))
	defer pin.Destroy()
	o, err := keystore.Create(p.Vault, p.DeviceKey, pin, &keystore.Account{
		Address: "alice@ward.example", Relay: "ws://127.0.0.1:1/ws", Password: memguard.NewBufferFromBytes([]byte("correct horse")),
	})
	if err != nil {
		t.Fatal(err)
	}
	o.Close()
	return p
}

func TestDoctor(t *testing.T) {
	r := outcomeOf(t, command(t, "doctor", "--offline"))
	if r.code != 0 || r.err != "" {
		t.Errorf("exit code %d, %s", r.code, r.err)
	}
	for _, want := range []string{"memory    good  lock limit", "system    good  sandbox", "this is not a terminal", "no profile default yet", "skip  address      --offline"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("it does not say %q:\n%s", want, r.out)
		}
	}
	if strings.Contains(r.out, "\x1b") {
		t.Errorf("control sequences in a file:\n%q", r.out)
	}
}

func TestDoctorUsage(t *testing.T) {
	for _, args := range [][]string{
		{"--bogus"}, {"now"}, {"--relay", "https://x/"}, {"--relay", "ws://relay.example/ws"}, {"--profile", "../x"},
		{"--store", "--json"}, {"--store", "--probe"}, {"--ca", "/nonexistent"}, {"--ca", "/dev/zero"}, {"--json=maybe"}, {"--profile"},
	} {
		r := outcomeOf(t, command(t, append([]string{"doctor"}, args...)...))
		if r.code != 2 || !strings.HasPrefix(r.err, "sotto: ") || r.out != "" {
			t.Errorf("%q: exit code %d, %q, %q", args, r.code, r.err, r.out)
		}
	}
}

func TestDoctorJSON(t *testing.T) {
	cmd := command(t, "doctor", "--json", "--relay", "wss://127.0.0.1:1/ws")
	r := outcomeOf(t, cmd)
	var got struct {
		Version, Bad int
		Checks       []struct{ ID, Verdict, Found, Meaning string }
	}
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatalf("%v: %s", err, r.out)
	}
	if r.code != 1 || got.Version != 1 || got.Bad != 1 || len(got.Checks) != 22 {
		t.Errorf("exit code %d, %+v", r.code, got)
	}
	for _, c := range got.Checks {
		if c.ID == "relay.address" && (c.Verdict != "bad" || !strings.Contains(c.Meaning, "refused the connection")) {
			t.Errorf("%+v", c)
		}
	}
}

// A vault without its device secret is bad, and nothing of it is told.
func TestDoctorProfile(t *testing.T) {
	cmd := command(t, "doctor", "--offline")
	p := settle(t, cmd, func(*profile.Config) {})
	if r := outcomeOf(t, cmd); r.code != 0 || !strings.Contains(r.out, "good  vault") || strings.Contains(r.out, "alice") {
		t.Errorf("exit code %d:\n%s", r.code, r.out)
	}
	if err := os.Remove(p.DeviceKey); err != nil {
		t.Fatal(err)
	}
	again := command(t, "doctor", "--offline")
	again.Env = cmd.Env
	if r := outcomeOf(t, again); r.code != 1 || !strings.Contains(r.out, "bad   vault        the device secret is missing") {
		t.Errorf("exit code %d:\n%s", r.code, r.out)
	}
}

// Where too little memory can be locked, doctor still tells.
func TestDoctorWithoutLockedMemory(t *testing.T) {
	// Root may lock what it likes; nobody may not.
	for _, kib := range []uint64{16, 0} {
		cmd := command(t, "doctor", "--offline")
		if os.Geteuid() == 0 {
			readable(t, cmd)
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		settle(t, cmd, func(*profile.Config) {})
		if os.Geteuid() == 0 {
			if err := filepath.WalkDir(homeOf(cmd), func(path string, _ os.DirEntry, _ error) error { return os.Chown(path, 65534, 65534) }); err != nil {
				t.Fatal(err)
			}
		}
		var before unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &before); err != nil {
			t.Fatal(err)
		}
		low := unix.Rlimit{Cur: kib << 10, Max: before.Max}
		if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &low); err != nil {
			t.Fatal(err)
		}
		r := outcomeOf(t, cmd)
		if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &before); err != nil {
			t.Fatal(err)
		}
		if r.code != 1 || r.err != "" || !strings.Contains(r.out, fmt.Sprintf("bad   lock limit   %d KiB", kib)) ||
			!strings.Contains(r.out, "ulimit -l") || !strings.Contains(r.out, "vault        looking at the vault: the system does not let sotto") {
			t.Errorf("exit code %d:\n%s%s", r.code, r.out, r.err)
		}
	}
}

// readable has the program and the folder of a command be reached by anybody.
func readable(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	exe, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "sotto")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd.Path, cmd.Dir = filepath.Join(dir, "sotto"), dir
	if err := os.WriteFile(cmd.Path, exe, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(cmd.Env, "HOME="+dir)
}

func TestDoctorProbe(t *testing.T) {
	r := outcomeOf(t, command(t, "doctor", "--probe"))
	if r.code != 0 || r.err != "" || !strings.Contains(r.out, " 0 allowed.") || strings.Contains(r.out, "ALLOWED") {
		t.Errorf("exit code %d, %s:\n%s", r.code, r.err, r.out)
	}
	for row := range strings.Lines(r.out) {
		if len(strings.TrimSuffix(row, "\n")) > 80 {
			t.Errorf("more than 80 columns: %q", row)
		}
	}
	j := outcomeOf(t, command(t, "doctor", "--probe", "--json"))
	var got struct {
		Version, Refused, Needed, Allowed int
		Roles                             []struct {
			Role     string
			Attempts []struct{ Name, Result, By string }
		}
	}
	if err := json.Unmarshal([]byte(j.out), &got); err != nil || j.code != 0 {
		t.Fatalf("exit code %d, %v: %s", j.code, err, j.out)
	}
	if got.Version != 1 || got.Allowed != 0 || len(got.Roles) != 4 || got.Refused < 300 || got.Needed == 0 {
		t.Errorf("%+v", got)
	}
	for _, role := range got.Roles {
		for _, a := range role.Attempts {
			if a.Result == "refused" == (a.By == "") {
				t.Errorf("%s: %+v", role.Role, a)
			}
		}
	}
}

// On a terminal the page has colours, unless they are not wanted, and the
// terminal is as it was afterwards.
func TestDoctorOnATerminal(t *testing.T) {
	for _, plain := range []bool{false, true} {
		cmd := command(t, "doctor", "--offline")
		if plain {
			cmd.Env = append(cmd.Env, "NO_COLOR=1")
		}
		c := roletest.Start(t, cmd, 80, 60)
		c.See("xterm-256color, 80x60", "skipped.")
		if code := c.Exit(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		c.Restored()
		if got := bytes.Contains(c.Output(), []byte("\x1b[32mgood")); got == plain {
			t.Errorf("NO_COLOR %v, and colours %v", plain, got)
		}
	}
}

// What is around the terminal is said at the lock screen, or sotto does not open.
func TestMultiplexerSetting(t *testing.T) {
	const around, said = "STY=77.pts-0.ward", "screen is around sotto"
	open := func(setting string, env ...string) *exec.Cmd {
		cmd := command(t)
		cmd.Env = append(cmd.Env, env...)
		settle(t, cmd, func(c *profile.Config) { c.Multiplexer = setting })
		return cmd
	}
	t.Run("warn", func(t *testing.T) {
		c := roletest.Start(t, open("warn", around), 80, 24)
		c.See("PIN  _", said)
		c.Type("\x03")
		c.Exit()
	})
	t.Run("allow", func(t *testing.T) {
		c := roletest.Start(t, open("allow", around), 80, 24)
		c.See("PIN  _")
		if strings.Contains(c.Screen(), said) {
			t.Errorf("it was allowed:\n%s", c.Screen())
		}
		c.Type("\x03")
		c.Exit()
	})
	t.Run("refuse", func(t *testing.T) {
		c := roletest.Start(t, open("refuse", around), 80, 24)
		c.See(said, `multiplexer = "refuse"`)
		if code := c.Exit(); code != 1 {
			t.Errorf("exit code %d", code)
		}
	})
	for _, args := range [][]string{{"pin"}, {"password"}, {"doctor", "--store"}} {
		t.Run("refuse "+args[0], func(t *testing.T) {
			cmd := command(t, args...)
			cmd.Env = append(cmd.Env, around)
			settle(t, cmd, func(c *profile.Config) { c.Multiplexer = "refuse" })
			c := roletest.Start(t, cmd, 80, 24)
			c.See(said, `multiplexer = "refuse"`)
			if code := c.Exit(); code != 1 {
				t.Errorf("exit code %d", code)
			}
		})
	}
	t.Run("refuse, by TERM alone", func(t *testing.T) {
		c := roletest.Start(t, open("refuse", "TERM=tmux-256color"), 80, 24)
		c.See("tmux is around sotto", "Run sotto outside of it")
		if code := c.Exit(); code != 1 {
			t.Errorf("exit code %d", code)
		}
	})
}

// The database is read behind the lock screen, and no more than numbers come of it.
func TestDoctorStore(t *testing.T) {
	cmd := command(t, "doctor", "--store")
	p := settle(t, cmd, func(*profile.Config) {})
	c := roletest.Start(t, cmd, 80, 24)
	c.See("PIN  _", "looked through for damage")
	if c.Role("link") != 0 {
		t.Error("there is a link, for nothing")
	}
	c.Type("111113\r")
	c.See("That PIN is not right")
	c.Type("739182\r")
	c.See("0 messages in", "all of it sound")
	if code := c.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.Restored()

	b, err := os.ReadFile(p.Database)
	if err != nil || len(b) < 4*4096 {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	for page := range len(b) / 4096 {
		b[page*4096+2000] ^= 1
	}
	if err := os.WriteFile(p.Database, b, 0o600); err != nil {
		t.Fatal(err)
	}
	again := command(t, "doctor", "--store")
	again.Env = cmd.Env
	c = roletest.Start(t, again, 80, 24)
	c.See("PIN  _")
	c.Type("739182\r")
	c.See("sotto: open the messages")
	if code := c.Exit(); code != 1 {
		t.Errorf("damaged: exit code %d", code)
	}
	c.Restored()

	left := command(t, "doctor", "--store")
	left.Env = cmd.Env
	c = roletest.Start(t, left, 80, 24)
	c.See("PIN  _")
	c.Type("\x03")
	c.See("nothing was looked into")
	if code := c.Exit(); code != 1 {
		t.Errorf("left: exit code %d", code)
	}
}
