package dumps

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"sotto/internal/harden"
	"sotto/internal/role/roletest"
	"sotto/test/memory"
)

// crashing is set in a process that is to crash, and holds a word in hex; hardened
// as well in one that protects itself before, as sotto's roles do.
const crashing, hardened = "SOTTO_TEST_CRASH", "SOTTO_TEST_HARDENED"

// demoPIN is what the demo says.
const demoPIN = "246810"

// program is what is under test, built once as people build it.
var program string

func TestMain(m *testing.M) {
	if word := os.Getenv(crashing); word != "" {
		crash(word)
	}
	code := 1
	defer func() { os.Exit(code) }()
	if err := allow(); err != nil {
		fmt.Fprintln(os.Stderr, "allow core dumps:", err)
		return
	}
	folder, err := os.MkdirTemp("", "sotto-dumps")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	defer os.RemoveAll(folder)
	program = filepath.Join(folder, "sotto")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "../../cmd/sotto")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building sotto: %v\n%s", err, out)
		return
	}
	code = m.Run()
}

// allow lets what this process starts leave core dumps.
func allow() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &limit); err != nil {
		return err
	}
	if limit.Max == 0 {
		return fmt.Errorf("this shell's hard limit for core dumps is 0, so nothing would leave one: run the tests in one where it is not (ulimit -Hc)")
	}
	limit.Cur = limit.Max
	return unix.Setrlimit(unix.RLIMIT_CORE, &limit)
}

// crash keeps a word and crashes when its input ends.
func crash(word string) {
	kept, err := hex.DecodeString(word)
	if err != nil {
		panic(err)
	}
	if os.Getenv(hardened) != "" {
		if err := harden.Early(); err != nil {
			panic(err)
		}
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	debug.SetTraceback("crash") // what makes Go end with SIGABRT
	panic(len(kept))
}

// TestDumps shows that a program which does not protect itself leaves a core
// dump, that the search finds a word in it, and that one which protects itself as
// sotto does leaves none.
func TestDumps(t *testing.T) {
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil {
		t.Fatal(err)
	}
	word := memory.TextCanary("word", "Kestrel"+rand.Text())
	try := func(env ...string) (found, dumped bool) {
		t.Helper()
		dir := t.TempDir()
		cmd := exec.Command("/proc/self/exe")
		cmd.Dir = dir
		cmd.Env = append(env, crashing+"="+hex.EncodeToString(word.Bytes))
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
			t.Fatalf("it says %q: %v", line, err)
		}
		loose, _, err := memory.Loose(cmd.Process.Pid, 65534, dir)
		if err != nil {
			t.Fatal(err)
		}
		found = strings.Contains(strings.Join(loose, "\n"), "watch: it may leave a core dump")
		in.Close()
		cmd.Wait()
		status := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if !status.Signaled() || status.Signal() != syscall.SIGABRT {
			t.Fatalf("it ended with %v", cmd.ProcessState)
		}
		hits, size, err := memory.NewSearch(word).Folder(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%q: %d kB left behind, the kernel says that it dumped: %t, the word in it: %s", env, size>>10, status.CoreDump(), memory.Describe(hits, "word"))
		if status.CoreDump() && !strings.ContainsAny(string(pattern), "|/") && memory.Count(hits, "word") == 0 {
			t.Error("it left a core dump, and the word is not found there")
		}
		return found, status.CoreDump()
	}
	// Where dumps go to another program, or to a folder elsewhere, that decides, too.
	elsewhere := strings.ContainsAny(string(pattern), "|/")
	if elsewhere {
		t.Logf("core dumps go to %q: they are not searched, and only /proc tells", strings.TrimSpace(string(pattern)))
	}
	if found, dumped := try(); !found || !dumped && !elsewhere {
		t.Errorf("a program that does not protect itself: %t that this shows in /proc, %t that it dumped (where to is %q)", found, dumped, pattern)
	}
	if found, dumped := try(hardened + "=1"); found || dumped {
		t.Errorf("a program that protects itself: %t that /proc shows it may dump, %t that it dumped", found, dumped)
	}
}

// TestCrashedRolesLeaveNothing crashes every role of a running sotto, as far as
// the system would write core dumps, and looks for what they left.
func TestCrashedRolesLeaveNothing(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"tmp", "here"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	here := filepath.Join(dir, "here")
	cmd := exec.Command(program, "demo")
	cmd.Dir = here
	cmd.Env = []string{"TERM=xterm-256color", "LANG=C.UTF-8", "HOME=" + dir, "TMPDIR=" + filepath.Join(dir, "tmp")}
	c := roletest.Start(t, cmd, 80, 24)
	unlock := func() {
		t.Helper()
		c.See("PIN  _")
		c.Type(demoPIN + "\r")
		c.See("F1 help", "online")
	}
	unlock()
	text := memory.TextCanary("text", "Kestrel"+rand.Text()[:10])
	c.Type(string(text.Bytes) + "\r")
	c.See(string(text.Bytes))
	limits := func(role string, pid int) {
		t.Helper()
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(b), "Max core file size")
		if f := strings.Fields(rest); len(f) < 2 || f[0] != "0" || f[1] != "0" {
			t.Errorf("the %s may leave a core dump", role)
		}
	}
	end := func(role string, s syscall.Signal) {
		t.Helper()
		pid := c.Role(role)
		if role == "watch" {
			pid = c.PID
		}
		if pid <= 1 {
			t.Fatalf("there is no %s", role)
		}
		limits(role, pid)
		if err := syscall.Kill(pid, s); err != nil {
			t.Fatal(err)
		}
		c.Wait("the "+role+" has ended", func() bool { return roletest.Gone(pid) })
	}
	for _, crash := range []struct {
		role   string
		signal syscall.Signal
		says   string
	}{
		{"desk", syscall.SIGSEGV, "The screen process ended"}, {"gate", syscall.SIGABRT, "The lock screen ended"},
		{"desk", syscall.SIGABRT, "The screen process ended"}, {"link", syscall.SIGSEGV, "The connection process ended"},
	} {
		if crash.role != "gate" && c.Role("desk") == 0 {
			unlock()
		}
		end(crash.role, crash.signal)
		c.See(crash.says, "PIN  _")
	}
	if out := string(c.Output()); strings.Contains(out, "goroutine ") || strings.Contains(out, "SIGABRT: ") {
		t.Error("a crash printed what lay on the stacks")
	}
	look := func(moment string) {
		t.Helper()
		left, err := os.ReadDir(here)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range left {
			t.Errorf("%s: left behind where it ran: %s", moment, e.Name())
		}
		hits, size, err := memory.NewSearch(text).Folder(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: searched %d kB", moment, size>>10)
		if len(hits) > 0 {
			t.Errorf("%s: a text is left: %s", moment, memory.Describe(hits, "text"))
		}
	}
	look("the roles have crashed")
	end("watch", syscall.SIGABRT)
	look("all have crashed")
}
