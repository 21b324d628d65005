//go:build amd64 || arm64

package harden_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"sotto/internal/harden"
)

// The confinement is for good, so what is confined is a child: this test binary
// again, with a role's name. What it found out comes back as a report.

const roleEnv = "HARDEN_TEST_ROLE"

// The descriptors of a child beside the terminal.
const (
	fdSocket = 3 // one end of a pair, as the roles have
	fdReport = 4
)

// report is what a child found out.
type report struct {
	Layers harden.Layers
	Took   time.Duration    // to confine itself
	Fatal  string           // why the child could not even try
	Works  []work           // what the role needs
	Table  []harden.Attempt // what it must not be able to do
}

// work is something that a role must be able to do.
type work struct{ Name, Error string }

func (r *report) try(name string, f func() error) {
	w := work{Name: name}
	if err := f(); err != nil {
		w.Error = err.Error()
	}
	r.Works = append(r.Works, w)
}

// roles are the children. Each gets a folder of its own.
var roles = map[string]func(dir string, socket *os.File, r *report) error{
	"free": free, "desk": deskRole, "gate": gateRole, "link": linkRole, "watch": watchRole,
	"x32": x32Role, "twice": twiceRole, "desk that attaches": attachRole,
	"no landlock": withoutLandlock, "no seccomp": withoutSeccomp, "torn": tornRole,
}

func TestMain(m *testing.M) {
	name := os.Getenv(roleEnv)
	if name == "" {
		os.Exit(m.Run())
	}
	role := roles[name]
	if role == nil { // a program that a confined child could start
		os.Exit(0)
	}
	r := &report{}
	out := os.NewFile(fdReport, "report")
	err := harden.Early()
	if err == nil {
		err = role(os.Getenv("HARDEN_TEST_DIR"), os.NewFile(fdSocket, "socket"), r)
	}
	if err != nil {
		r.Fatal = err.Error()
	}
	if err := json.NewEncoder(out).Encode(r); err != nil {
		os.Exit(3)
	}
	os.Exit(0)
}

// confined measures how long a role takes to confine itself.
func confined(r *report, confine func() (harden.Layers, error)) (err error) {
	start := time.Now()
	r.Layers, err = confine()
	r.Took = time.Since(start)
	return err
}

// free does not confine itself: the control of all other tests.
func free(dir string, _ *os.File, r *report) error {
	r.Table = harden.Probe(dir, r.Layers)
	return nil
}

// child is a confined process at a terminal of its own.
type child struct {
	t        testing.TB
	cmd      *exec.Cmd
	socket   *os.File // the other end of the child's
	terminal *os.File // what is typed there, the child reads
	report   *os.File

	mu      sync.Mutex
	screen  bytes.Buffer
	written chan struct{} // holds one token when the screen has changed
}

// start starts a role in a new folder.
func start(t testing.TB, role string, env ...string) *child {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return startIn(t, dir, role, env...)
}

func startIn(t testing.TB, dir, role string, env ...string) *child {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 80})
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "theirs")
	defer theirs.Close()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	c := &child{t: t, terminal: master, socket: os.NewFile(uintptr(pair[0]), "ours"), report: in, written: make(chan struct{}, 1)}
	c.cmd = exec.Command("/proc/self/exe")
	c.cmd.Env = append([]string{
		roleEnv + "=" + role, "HARDEN_TEST_DIR=" + dir, "TERM=xterm-256color",
		"TMPDIR=" + t.TempDir(), "HOME=" + t.TempDir(),
	}, env...)
	c.cmd.Stdin, c.cmd.Stdout = slave, slave
	c.cmd.Stderr = os.Stderr
	c.cmd.ExtraFiles = []*os.File{theirs, out}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.cmd.Process.Kill()
		c.cmd.Wait()
		master.Close()
		c.socket.Close()
		in.Close()
		if t.Failed() {
			t.Logf("on the child's screen: %q", c.seen())
		}
	})
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			c.mu.Lock()
			c.screen.Write(b[:n])
			c.mu.Unlock()
			select {
			case c.written <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	return c
}

func (c *child) seen() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.screen.String()
}

// sees waits until the child has written a word to its terminal.
func (c *child) sees(word string) {
	c.t.Helper()
	late := time.After(patience)
	for !strings.Contains(c.seen(), word) {
		select {
		case <-c.written:
		case <-late:
			c.t.Fatalf("%q is not on the screen", word)
		}
	}
}

// say sends a line over the socket, hear waits for one.
func (c *child) say(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c.socket, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

func (c *child) hear(want string) {
	c.t.Helper()
	c.socket.SetReadDeadline(time.Now().Add(patience))
	if got, err := hear(c.socket); err != nil || got != want {
		c.t.Fatalf("the child said %q (%v), want %q", got, err, want)
	}
}

const patience = 60 * time.Second

// hear reads a line, byte by byte: what comes after it stays where it is.
func hear(r io.Reader) (string, error) {
	var line []byte
	b := make([]byte, 1)
	for {
		if _, err := io.ReadFull(r, b); err != nil {
			return string(line), err
		}
		if b[0] == '\n' {
			return string(line), nil
		}
		line = append(line, b[0])
	}
}

// end waits for the report.
func (c *child) end() *report {
	c.t.Helper()
	c.report.SetReadDeadline(time.Now().Add(patience))
	r := &report{}
	err := json.NewDecoder(c.report).Decode(r)
	if err != nil {
		c.t.Fatalf("no report: %v", err)
	}
	if r.Fatal != "" {
		c.t.Fatalf("the child: %s", r.Fatal)
	}
	for _, w := range r.Works {
		if w.Error != "" {
			c.t.Errorf("does not work any more: %s: %s", w.Name, w.Error)
		}
	}
	return r
}

// threads fails the test if a thread of the child is without the filter.
func (c *child) threads() {
	c.t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", c.cmd.Process.Pid))
	if err != nil || len(tasks) < 3 {
		c.t.Fatalf("expected several threads: %d, %v", len(tasks), err)
	}
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil {
			continue // it has ended meanwhile
		}
		for _, want := range []string{"Seccomp:\t2", "NoNewPrivs:\t1"} {
			if !strings.Contains(string(b), want) {
				c.t.Errorf("%s has not %q", task, want)
			}
		}
	}
}

// holds fails the test where this kernel lacks a layer: then nothing below
// would say anything.
func (r *report) holds(t testing.TB) {
	t.Helper()
	if !r.Layers.Seccomp || r.Layers.Landlock == 0 {
		t.Fatalf("these tests need a kernel with Landlock and seccomp: %+v", r.Layers)
	}
	t.Logf("confined by %+v in %v", r.Layers, r.Took)
}

// refused fails the test if anything in the table was allowed, except what is
// named, which must be.
func (r *report) refused(t testing.TB, except ...string) {
	t.Helper()
	open := make(map[string]bool)
	for _, name := range except {
		open[name] = true
	}
	for _, a := range r.Table {
		if a.Allowed != open[a.Name] {
			t.Errorf("%s: allowed %v, %s %s", a.Name, a.Allowed, a.By, a.Error)
		}
		delete(open, a.Name)
	}
	for name := range open {
		t.Errorf("nothing tried: %s", name)
	}
}

// shut are the attempts that a system may refuse to anyone, or to anyone but
// root. There the table shows only that they stay refused.
var shut = map[string]bool{
	"make a raw socket": true, "make a packet socket": true, "make a Bluetooth socket": true,
	"read the parent's memory": true, "write the parent's memory": true, "read the parent's memory as a file": true,
	"change the parent's limits": true, "read its own memory as a file": true, "read the parent's environment": true,
	"type into the terminal (TIOCSTI)": true, "make a device": true, "watch all files": true, "open a file by its handle": true,
	"use io_uring": true, "load a BPF program": true, "count performance events": true, "handle page faults": true,
	"mount a file system": true, "open a mount": true, "change the root folder": true, "leave its namespaces": true,
	"find out about another process": true, "paste the console's selection (TIOCLINUX)": true,
}

// TestFree shows that each attempt gets through when nothing is confined: the
// table can fail.
func TestFree(t *testing.T) {
	r := start(t, "free").end()
	if len(r.Table) < 90 {
		t.Errorf("only %d attempts", len(r.Table))
	}
	for _, a := range r.Table {
		t.Logf("%-45s allowed %-5v %s", a.Name, a.Allowed, a.Error)
		if !a.Allowed && (os.Geteuid() == 0 || !shut[a.Name]) {
			t.Errorf("refused although nothing is confined: %s: %s", a.Name, a.Error)
		}
	}
}
