package keystore

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestWipe destroys a vault that bears any number of wrong PINs, and says why.
func TestWipe(t *testing.T) {
	for _, limit := range []int{0, 10} {
		p := limitedPlace(t, limit)
		if err := p.Wipe(); err != nil {
			t.Fatal(err)
		}
		wantWiped(t, p)
		if _, err := p.Open(locked(t, rightPIN)); !errors.Is(err, ErrWiped) && !errors.Is(err, ErrNoDevice) {
			t.Errorf("the right PIN: %v", err)
		}
		if _, err := p.Check(); !errors.Is(err, ErrWiped) {
			t.Errorf("a check: %v", err)
		}
		if err := p.Wipe(); err != nil { // again
			t.Error(err)
		}
		wantWiped(t, p)
		makeVault(t, p, "135791").Close() // what sotto join does
		wantTried(t, p, 0)
	}
}

// TestWipeOfWhatIsBroken: whatever is wrong with the files, what is there goes.
func TestWipeOfWhatIsBroken(t *testing.T) {
	for name, spoil := range map[string]func(Place) error{
		"no device secret":  func(p Place) error { return os.Remove(p.device) },
		"a damaged one":     func(p Place) error { return os.WriteFile(p.device, []byte("no secret"), 0o600) },
		"a damaged vault":   func(p Place) error { return os.WriteFile(p.vault, []byte("no vault"), 0o600) },
		"no vault":          func(p Place) error { return os.Remove(p.vault) },
		"destroyed already": func(p Place) error { return p.Destroy() },
	} {
		p := limitedPlace(t, 10)
		if err := spoil(p); err != nil {
			t.Fatal(err)
		}
		if err := p.Wipe(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(p.device); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the device secret is there: %v", name, err)
		}
		if _, err := p.Open(locked(t, rightPIN)); err == nil {
			t.Errorf("%s: it opens", name)
		}
	}
}

func wantWiped(t *testing.T, p Place) {
	t.Helper()
	if s, err := p.Status(); err != nil || !s.Destroyed || !s.Ordered {
		t.Errorf("%+v %v", s, err)
	}
	if err := Epitaph(p.vault); !errors.Is(err, ErrWiped) {
		t.Errorf("the epitaph: %v", err)
	}
	for _, path := range []string{p.device, newName(p.device), newName(p.vault)} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is there", filepath.Base(path))
		}
	}
}

// TestKilledWhileWiping kills a process at each step of a wipe. Killed before the
// first, nothing has happened; afterwards the next start finds that it has to go on,
// takes no PIN, and knows why.
func TestKilledWhileWiping(t *testing.T) {
	const env = "SOTTO_TEST_WIPE"
	if v := strings.Split(os.Getenv(env), "\n"); len(v) == 3 {
		p := cheapAt(v[0], v[1])
		n, _ := strconv.Atoi(v[2])
		p.step = func() {
			if n--; n < 0 {
				self, _ := os.FindProcess(os.Getpid())
				self.Kill()
				select {}
			}
		}
		p.Wipe()
		os.Stdout.WriteString("done\n")
		return
	}
	for step := 0; ; step++ {
		p := limitedPlace(t, 0)
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWhileWiping$")
		cmd.Env = append(os.Environ(), env+"="+p.vault+"\n"+p.device+"\n"+strconv.Itoa(step))
		out, _ := cmd.Output()
		if step == 0 {
			wantOpen(t, p)
			continue
		}
		if s, err := p.Status(); err != nil || !s.Destroyed || !s.Ordered {
			t.Fatalf("killed at step %d: %+v %v", step, s, err)
		}
		if _, err := p.Open(locked(t, rightPIN)); !errors.Is(err, ErrWiped) && !errors.Is(err, ErrNoDevice) {
			t.Fatalf("killed at step %d: the right PIN: %v", step, err)
		}
		if err := p.Destroy(); err != nil {
			t.Fatalf("killed at step %d: %v", step, err)
		}
		wantWiped(t, p)
		if strings.Contains(string(out), "done") {
			if step < 5 {
				t.Errorf("only %d steps", step)
			}
			return
		}
	}
}
