package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sotto/internal/role/roletest"
	"sotto/internal/role/ward"
)

// This test binary is also sotto, when it is started under that name or a role's, and
// what starts sotto on a system that lacks something.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == lackingName {
		lack()
	}
	if filepath.Base(os.Args[0]) == "sotto" || strings.HasPrefix(os.Args[0], "sotto-") {
		main()
	}
	os.Exit(m.Run())
}

// command is sotto with folders of its own.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	home := t.TempDir()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = append([]string{"sotto"}, args...)
	cmd.Env = []string{"TERM=xterm-256color", "LANG=C.UTF-8", "HOME=" + home, "TMPDIR=" + home, "XDG_CONFIG_HOME=", "PATH=" + os.Getenv("PATH")}
	cmd.Dir = home
	return cmd
}

// demoAt opens the demo and waits for the lock screen.
func demoAt(t *testing.T, columns, rows int) *roletest.Console {
	t.Helper()
	c := roletest.Start(t, command(t, "demo"), columns, rows)
	c.See("PIN  _", "demo PIN "+ward.PIN)
	return c
}

// left fails the test if the demo left files or processes.
func left(t *testing.T, c *roletest.Console, roles ...int) {
	t.Helper()
	for _, pid := range roles {
		c.Wait("the role has ended", func() bool { return roletest.Gone(pid) })
	}
	dir := strings.TrimPrefix(env(c, "TMPDIR"), "TMPDIR=")
	c.Wait("the folder is removed", func() bool {
		found, err := os.ReadDir(dir)
		return err == nil && len(found) == 0
	})
}

func env(c *roletest.Console, name string) string {
	for _, kv := range c.Cmd.Env {
		if strings.HasPrefix(kv, name+"=") {
			return kv
		}
	}
	return ""
}

func TestDemo(t *testing.T) {
	c := demoAt(t, 80, 24)
	roles := []int{c.Role("ward"), c.Role("link")}
	c.Type(ward.PIN + "\r")
	c.See("Okafor", "Bed 9 potassium", "online")
	c.Type("Repeat K 5.1, he looks better.\r")
	c.See("Repeat K 5.1, he looks better.", "Heard. Send another K")

	c.Type("half a thou")
	c.See("half a thou")
	shown := len(c.Output())
	c.Type("\x0c")
	c.See("PIN  _", "relay online", "locked just now")
	c.SeeGone("Okafor", "half a thou")
	if bytes.Contains(c.Output()[shown:], []byte("potassium")) {
		t.Error("the lock drew a message again")
	}
	c.Type(ward.PIN + "\r")
	c.See("Repeat K 5.1, he looks better.", "Heard.", "half a thou")
	roles = append(roles, c.Role("desk"))
	c.Type("\x0c")
	c.See("PIN  _")
	c.Type("\x11")
	if code := c.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.Restored()
	left(t, c, roles...)
	if screen := c.Screen(); strings.Contains(screen, "potassium") || strings.Contains(screen, "PIN") {
		t.Errorf("something stayed on the screen:\n%s", screen)
	}
}

// A shell or a program that starts sotto may leave files open.
func TestDemoRolesInheritNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "left open")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := command(t, "demo")
	cmd.ExtraFiles = []*os.File{f, f, f, f, f, f, f, f}
	c := roletest.Start(t, cmd, 80, 24)
	c.See("PIN  _", "demo PIN "+ward.PIN)
	check := func(roles ...string) {
		t.Helper()
		for _, name := range roles {
			for fd, to := range descriptors(t, c.Role(name)) {
				if to == path {
					t.Errorf("%s has descriptor %d, which leads to %s", name, fd, to)
				}
			}
		}
	}
	check("ward", "link", "gate")
	c.Type(ward.PIN + "\r")
	c.See("encrypted", "online")
	check("link", "desk")
}

// descriptors is what a process has open, and where each leads.
func descriptors(t *testing.T, pid int) map[int]string {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	list, err := os.ReadDir(dir)
	if err != nil || len(list) == 0 {
		t.Fatalf("descriptors of process %d: %v", pid, err)
	}
	all := map[int]string{}
	for _, e := range list {
		fd, _ := strconv.Atoi(e.Name())
		all[fd], _ = os.Readlink(filepath.Join(dir, e.Name()))
	}
	return all
}

func TestDemoWrongPIN(t *testing.T) {
	c := demoAt(t, 80, 24)
	c.Type("135791\r")
	c.See("That PIN is not right.", "PIN  _")
	c.Type("135791\r")
	c.See("2 wrong in a row", "PIN  _")
	c.Type("135791\r")
	c.See("3 wrong in a row", "wait ")
	c.See("PIN  _") // it ends
	c.Type(ward.PIN + "\r")
	c.See("encrypted", "online")
	c.Type("\x0c")
	c.See("PIN  _")
	c.SeeGone("not right")
	c.Type("\x11")
	if code := c.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.Restored()
}

func TestDemoSurvivesKills(t *testing.T) {
	c := demoAt(t, 80, 24)
	c.Kill("gate")
	c.See("The lock screen ended", "PIN  _")
	c.Type(ward.PIN + "\r")
	c.See("encrypted", "online")
	c.Kill("desk")
	c.See("The screen process ended unexpectedly.", "PIN  _")
	c.SeeGone("Bed 9")
	c.Type(ward.PIN + "\r")
	c.See("encrypted", "online")
	c.Kill("link")
	c.See("The connection process ended", "PIN  _")
	c.SeeGone("Bed 9")
	c.Type(ward.PIN + "\r")
	c.See("encrypted", "online")
	roles := []int{c.Role("desk"), c.Role("link")}
	c.Kill("ward")
	if code := c.Exit(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	c.See("the demo's relay process ended unexpectedly")
	c.Restored()
	left(t, c, roles...)
}

// With the watch dead, nobody is there to put the terminal right but the role
// that has it. A shell comes between, as in life: with the first process of a
// session the terminal itself would be hung up.
func TestDemoWatchKilled(t *testing.T) {
	for _, with := range []string{"gate", "desk"} {
		t.Run(with, func(t *testing.T) {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			program := filepath.Join(t.TempDir(), "sotto")
			if err := os.Symlink(self, program); err != nil {
				t.Fatal(err)
			}
			cmd := command(t)
			cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", program + " demo; read done"}
			c := roletest.Start(t, cmd, 80, 24)
			c.Under(program)
			c.See("PIN  _")
			if with == "desk" {
				c.Type(ward.PIN + "\r")
				c.See("encrypted", "online")
			}
			roles := []int{c.Role(with), c.Role("link"), c.Role("ward")}
			if err := syscall.Kill(c.PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			left(t, c, roles...)
			c.See("sotto ended unexpectedly. It is locked; nothing was lost.")
			c.SeeGone("Bed 9")
			c.Restored()
		})
	}
}

func TestDemoSmallTerminal(t *testing.T) {
	c := roletest.Start(t, command(t, "demo"), 20, 5)
	c.See("PIN  _")
	c.Type("24")
	c.See("PIN  • • _")
	c.Resize(60, 12)
	c.See("s o t t o", "demo PIN", "PIN  • • _")
	c.Resize(10, 2)
	c.Type("6")
	c.See("PIN")
	c.Type("\x03\x03") // clears, and then leaves
	if code := c.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	c.Restored()
}

func TestDemoTypedLateIsNoPINAndNoDraft(t *testing.T) {
	c := demoAt(t, 80, 24)
	c.Type(ward.PIN + "\r" + ward.PIN) // twice, in a hurry
	c.See("encrypted", "online")
	if strings.Contains(c.Screen(), ward.PIN) {
		t.Error("a PIN that was typed twice is in the composer")
	}
}

func TestDemoEndsOnHangup(t *testing.T) {
	c := demoAt(t, 80, 24)
	c.Type(ward.PIN + "\r")
	c.See("encrypted", "online")
	roles := []int{c.Role("desk"), c.Role("link"), c.Role("ward")}
	c.Cmd.Process.Signal(syscall.SIGHUP)
	if code := c.Exit(); code != 128+int(syscall.SIGHUP) {
		t.Errorf("exit code %d", code)
	}
	left(t, c, roles...)
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		args string
		want string
		code int
	}{
		{"", "there is no profile yet. Try it with: sotto demo", 1},
		{"--profile night", `there is no profile "night". Set it up with: sotto join you@your.relay --profile night`, 1},
		{"--profile ../x", "a profile's name is", 1},
		{"demo", "needs a terminal", 1},
		{"join alice@example.org", "needs a terminal", 1},
		{"pin", "there is no profile yet", 1},
		{"version", "sotto ", 0},
		{"nonsense", "there is no command \"sotto nonsense\".\nSee: sotto --help", 1},
		{"--nonsense", "See: sotto --help", 1},
		{"lock now", "sotto lock takes no \"now\".\nSee: sotto lock --help", 1},
		{"wipe --nonsense", "See: sotto wipe --help", 1},
		{"lock --all --profile night", "--all locks every profile: leave --profile out", 1},
		{"relay check", "sotto relay check needs one relay", 2},
		{"relay chat", "there is no command \"sotto relay chat\".\nSee: sotto relay --help", 1},
		{"relay serve --domain ward.example --data nowhere --cert chain.pem", "--cert and --key go together", 1},
		{"relay", "serve --domain DOMAIN", 0},
		{"relay user add alice", "sotto relay user add needs --data", 1},
		{"join", "sotto join needs your invitation, or your address", 1},
		{"password", "there is no profile yet", 1},
		{"relay user add --data nowhere", "sotto relay user add needs one name, such as alice", 1},
		{"relay serve", "sotto relay serve needs --domain and --data.\nSee: sotto relay serve --help", 1},
		{"--help", "sotto demo", 0},
	} {
		t.Run(c.args, func(t *testing.T) {
			cmd := command(t, strings.Fields(c.args)...)
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState.ExitCode() != c.code {
				t.Errorf("exit code %d, %v", cmd.ProcessState.ExitCode(), err)
			}
			if !strings.Contains(string(out), c.want) {
				t.Errorf("says %q", out)
			}
			for _, bad := range []string{"goroutine", "panic", ".go:"} {
				if strings.Contains(string(out), bad) {
					t.Errorf("shows %q: %s", bad, out)
				}
			}
		})
	}
}

func TestJoinRefusesBadArguments(t *testing.T) {
	for args, want := range map[string]string{
		"join nobody":                  "is not an address",
		"join alice@example.org/phone": "is not an address",
		"join alice@example.org --relay https://example.org": "begins with wss://",
		"join alice@example.org --relay nonsense":            "is not a URL",
		"join alice@example.org --ca /nonexistent":           "certificate authority",
		"join alice@example.org --profile UPPER":             "a profile's name is",
	} {
		t.Run(args, func(t *testing.T) {
			c := roletest.Start(t, command(t, strings.Fields(args)...), 80, 24)
			if code := c.Exit(); code != 1 {
				t.Errorf("exit code %d", code)
			}
			c.See(want)
			c.Restored()
		})
	}
}

// What a person waits for. No pass or fail here: the figures are for reading.
func TestMeasure(t *testing.T) {
	start := time.Now()
	c := demoAt(t, 80, 24)
	report := fmt.Sprintf("start of the demo to its lock screen %v", time.Since(start).Round(time.Millisecond))
	var unlock, lock time.Duration
	const times = 5
	for range times {
		start = time.Now()
		c.Type(ward.PIN + "\r")
		c.See("encrypted")
		unlock += time.Since(start)
		c.See("online")
		start = time.Now()
		c.Type("\x0c")
		c.See("PIN  _")
		lock += time.Since(start)
	}
	start = time.Now()
	c.Type("\x11")
	c.Exit()
	quit := time.Since(start)
	c = demoAt(t, 80, 24)
	c.Type(ward.PIN + "\r")
	c.See("encrypted", "online")
	start = time.Now()
	c.Cmd.Process.Signal(syscall.SIGTERM)
	c.Exit()
	term := time.Since(start)
	t.Logf("end from the lock screen %v, by a signal while unlocked %v", quit.Round(time.Millisecond), term.Round(time.Millisecond))
	t.Logf("%s; Enter to the conversation %v; Ctrl+L to the lock screen %v", report,
		(unlock / times).Round(time.Millisecond), (lock / times).Round(100*time.Microsecond))
}

// Passwords pass through a relay, too.
func TestRelayServeIsHardened(t *testing.T) {
	cmd := command(t, "relay", "serve", "--domain", "ward.example", "--data", t.TempDir(), "--listen", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	line := make([]byte, 200)
	if n, err := out.Read(line); err != nil || !strings.HasPrefix(string(line[:n]), "relay for ward.example") {
		t.Fatalf("said %q, %v", line[:n], err)
	}
	for file, want := range map[string]string{
		"status": "NoNewPrivs:\t1\n",
		"limits": "Max core file size        0                    0 ",
	} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", cmd.Process.Pid, file))
		if err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s is without %q, %v:\n%s", file, want, err, b)
		}
	}
}
