package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"sotto/test/server"
)

// printed returns what is printed meanwhile.
func printed(t *testing.T, f func()) string {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	before := os.Stdout
	os.Stdout = out
	defer func() { os.Stdout = before }()
	f()
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Messengers that are not installed are said, each, and are no failure. One that
// cannot be measured is, and keeps none of the others from its turn.
func TestMissingMessengers(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("programs are found by their extension there")
	}
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	missing := func(want ...string) (err error) {
		t.Helper()
		out := printed(t, func() { err = beside(t.Context(), &bench{dir: t.TempDir()}) })
		for _, p := range peers {
			if said := strings.Contains(out, p.name+" "); said != strings.Contains(strings.Join(want, " "), p.name) {
				t.Errorf("%s: %v in\n%s", p.name, said, out)
			}
		}
		if n := strings.Count(out, "not measured: it is not installed. On Debian: apt-get install "); n != len(want) {
			t.Errorf("%d are said to be missing, and not %d:\n%s", n, len(want), out)
		}
		return err
	}
	if err := missing("profanity", "irssi", "weechat"); err != nil {
		t.Errorf("what is not installed is a failure: %v", err)
	}
	broken := []byte("#!/nowhere/there\n")
	if err := os.WriteFile(filepath.Join(bin, "profanity"), broken, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := missing("irssi", "weechat"); err == nil || !strings.HasPrefix(err.Error(), "profanity: ") {
		t.Errorf("what cannot be started is no failure: %v", err)
	}
}

// So it is with relays.
func TestMissingRelays(t *testing.T) {
	all := []candidate{{name: "first"}, {name: "second"}, {name: "third"}}
	var asked []string
	var err error
	out := printed(t, func() {
		err = eachRelay(all, func(r candidate) error {
			asked = append(asked, r.name)
			switch r.name {
			case "first":
				return fmt.Errorf("erlang: %w", server.ErrMissing)
			case "second":
				return errors.New("it fails")
			}
			return nil
		})
	})
	if err == nil || err.Error() != "second: it fails" {
		t.Errorf("of the three: %v", err)
	}
	if strings.Join(asked, " ") != "first second third" || !strings.Contains(out, "first") || !strings.Contains(out, "not measured: erlang: not installed: test/install does it") || strings.Contains(out, "second") {
		t.Errorf("asked %q, printed\n%s", asked, out)
	}
}
