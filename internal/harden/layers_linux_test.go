//go:build amd64 || arm64

package harden_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"sotto/internal/harden"
	"sotto/internal/harden/hardentest"
)

// What holds where a kernel has only one of the two layers.

func withoutLandlock(dir string, _ *os.File, r *report) error {
	return lacking(dir, r, unix.SYS_LANDLOCK_CREATE_RULESET)
}

func withoutSeccomp(dir string, _ *os.File, r *report) error {
	return lacking(dir, r, unix.SYS_SECCOMP)
}

func lacking(dir string, r *report, call uint32) error {
	if err := hardentest.Lack(unix.SECCOMP_FILTER_FLAG_TSYNC, call); err != nil {
		return err
	}
	offered := harden.Offered()
	if err := confined(r, func() (harden.Layers, error) { return harden.Desk(dir) }); err != nil {
		return err
	}
	if r.Layers != offered {
		return fmt.Errorf("what was offered, %+v, is not what holds, %+v", offered, r.Layers)
	}
	r.Table = harden.Probe(dir, r.Layers)
	return nil
}

func TestWithoutLandlock(t *testing.T) {
	r := start(t, "no landlock").end()
	if r.Layers.Landlock != 0 || !r.Layers.Seccomp || len(r.Layers.Missing()) != 1 {
		t.Fatalf("layers %+v: %q", r.Layers, r.Layers.Missing())
	}
	r.wants(t, map[string]string{
		"make a TCP socket": "seccomp", "run a program": "seccomp", "type into the terminal (TIOCSTI)": "seccomp",
		"make a symbolic link": "seccomp", "read a file of the system": "", "write outside its folder": "",
	})
}

func TestWithoutSeccomp(t *testing.T) {
	r := start(t, "no seccomp").end()
	if r.Layers.Landlock == 0 || r.Layers.Seccomp || len(r.Layers.Missing()) != 1 {
		t.Fatalf("layers %+v: %q", r.Layers, r.Layers.Missing())
	}
	r.wants(t, map[string]string{
		"read a file of the system": "Landlock", "write outside its folder": "Landlock", "run a program": "Landlock",
		"make a symbolic link": "Landlock", "make a TCP socket": "", "make memory executable": "",
	})
}

// wants compares who refused some attempts; "" is nobody.
func (r *report) wants(t *testing.T, by map[string]string) {
	t.Helper()
	for _, a := range r.Table {
		want, asked := by[a.Name]
		if asked && a.By != want {
			t.Errorf("%s: refused by %q, want %q (%s)", a.Name, a.By, want, a.Error)
		}
		delete(by, a.Name)
	}
	for name := range by {
		t.Errorf("nothing tried: %s", name)
	}
}

// tornRole has a thread with a filter of its own, which can't take another's.
func tornRole(dir string, _ *os.File, r *report) error {
	failed := make(chan error)
	done := make(chan bool)
	defer close(done)
	go func() {
		runtime.LockOSThread()
		failed <- hardentest.Lack(0, unix.SYS_MEMFD_SECRET)
		<-done
	}()
	if err := <-failed; err != nil {
		return err
	}
	if _, err := harden.Desk(dir); err == nil {
		return errors.New("a thread without the filter went unnoticed")
	}
	return nil
}

func TestOneThreadWithoutTheFilterIsAnError(t *testing.T) { start(t, "torn").end() }
