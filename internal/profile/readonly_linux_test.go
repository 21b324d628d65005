package profile

import (
	"errors"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReadOnlyFolders(t *testing.T) {
	dir := t.TempDir()
	p := In(dir)
	if err := p.Make(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	for _, d := range p.folders() {
		if err := os.Chmod(d, 0o555); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(d, 0o700) })
	}
	// Root does not notice permissions; without its file capabilities it does.
	if os.Geteuid() == 0 {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if _, err := unix.SetfsuidRetUid(65534); err != nil {
			t.Fatal(err)
		}
		defer unix.SetfsuidRetUid(0)
	}
	_, lockErr := p.Lock()
	for name, err := range map[string]error{
		"Save": p.Save(Defaults()), "Make": In(dir + "/config/deeper").Make(), "Lock": lockErr,
	} {
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
