package probe

import (
	"context"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"sotto/internal/harden"
	"sotto/internal/role"
)

// The child's environment is an allow-list; this is the one of its names that
// says nothing to a probe.
const unconfined = "LC_MESSAGES=unconfined"

func init() { runtime.LockOSThread() }

// This test binary is also the probe.
func TestMain(m *testing.M) {
	if name, ok := role.Named(os.Args[0]); ok && name == role.Probe {
		confining := confine
		if "LC_MESSAGES="+os.Getenv("LC_MESSAGES") == unconfined {
			// It claims its layers and has none.
			confining = func(*role.ProbeSetup) (harden.Layers, error) { return harden.Offered(), nil }
		}
		os.Exit(life(confining))
	}
	// Tests run on goroutines of their own; roles are started from this thread.
	work = make(chan func())
	done := make(chan int)
	go func() { done <- m.Run() }()
	for {
		select {
		case f := <-work:
			f()
		case code := <-done:
			os.Exit(code)
		}
	}
}

// work is what tests want done on the first thread.
var work chan func()

func run(t *testing.T, as role.Name) (r Result, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan struct{})
	work <- func() {
		defer close(ended)
		r, err = Run(ctx, as)
	}
	<-ended
	return r, err
}

// Nothing is allowed to any role but what it needs, and that is.
func TestRolesAreConfined(t *testing.T) {
	for _, as := range Roles {
		r, err := run(t, as)
		if err != nil {
			t.Fatal(err)
		}
		if !r.Layers.Seccomp || r.Layers.Landlock == 0 {
			t.Fatalf("this test needs a kernel with Landlock and seccomp: %+v", r.Layers)
		}
		if len(r.Tried) < 100 {
			t.Errorf("%s: only %d attempts", as, len(r.Tried))
		}
		for _, a := range r.Allowed() {
			t.Errorf("%s: allowed: %s", as, a.Name)
		}
		left := needs(as, harden.Dynamic())
		for _, a := range r.Tried {
			if a.Needed && !a.Allowed {
				t.Errorf("%s: refused by %s, though it is needed: %s", as, a.By, a.Name)
			}
			if a.Kind == "" {
				t.Errorf("%s: %s has no kind", as, a.Name)
			}
			delete(left, a.Name)
		}
		for name := range left {
			t.Errorf("%s: nothing tried: %s", as, name)
		}
	}
}

// The same code finds a process that is not confined, whatever it claims.
func TestProbeCanFail(t *testing.T) {
	key, value, _ := strings.Cut(unconfined, "=")
	t.Setenv(key, value)
	for _, as := range Roles {
		r, err := run(t, as)
		if err != nil {
			t.Fatal(err)
		}
		names := ""
		for _, a := range r.Allowed() {
			names += a.Name + "\n"
		}
		// What no system refuses to anyone.
		for _, name := range []string{"make a Unix socket", "make a process", "make memory executable (by key)", "make a symbolic link", "change a file's times"} {
			if !strings.Contains(names, name+"\n") {
				t.Errorf("%s: not found to be allowed: %s", as, name)
			}
		}
	}
}

// Without a confinement most of it gets through.
func TestFree(t *testing.T) {
	r, err := run(t, role.Free)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(r.Allowed()); n < 80 {
		t.Errorf("only %d of %d get through", n, len(r.Tried))
	}
	if r.Layers != (harden.Layers{}) {
		t.Errorf("it has layers: %+v", r.Layers)
	}
}

// Nothing is left behind, and an end that comes too early is told.
func TestProbeEnds(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	if _, err := run(t, role.Desk); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ended := make(chan error)
	work <- func() { _, err := Run(ctx, role.Desk); go func() { ended <- err }() }
	if err := <-ended; err == nil {
		t.Error("it was called off, and nothing is said")
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := run(t, "ward"); err == nil {
		t.Error("a role was probed that has no confinement")
	}
}
