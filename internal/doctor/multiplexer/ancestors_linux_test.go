package multiplexer

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	if os.Getenv("MULTIPLEXER_CHILD") != "" {
		fmt.Print(strings.Join(ancestors(), "\n"))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A process is found by its name wherever it stands above.
func TestAncestors(t *testing.T) {
	// The shell is called tmux, as far as the kernel knows.
	cmd := exec.Command("/bin/sh", "-c", `printf tmux >/proc/self/comm; sh -c '"$0"; :' "$0"; :`, "/proc/self/exe")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Args[len(cmd.Args)-1] = exe
	cmd.Env = append(os.Environ(), "MULTIPLEXER_CHILD=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	names := strings.Split(string(out), "\n")
	if len(names) < 3 || !slices.Contains(names, "tmux") {
		t.Errorf("above it are %q", names)
	}
}

func TestParseStat(t *testing.T) {
	for in, want := range map[string]struct {
		comm   string
		parent int
	}{
		"14208 (tmux: server) S 1 14208 14208 0 -1": {"tmux: server", 1},
		"7 (a) S 2 (b) R 41 7":                      {"a) S 2 (b", 41},
		"7 () Z 0":                                  {"", 0},
	} {
		comm, parent, ok := parseStat(in)
		if !ok || comm != want.comm || parent != want.parent {
			t.Errorf("%q: %q %d %v", in, comm, parent, ok)
		}
	}
	for _, in := range []string{"", "7", "7 (a", "7 )(", "7 (a) S", "7 (a) S x", "7 (a) S -2"} {
		if comm, parent, ok := parseStat(in); ok {
			t.Errorf("%q is taken for %q %d", in, comm, parent)
		}
	}
}

func FuzzStat(f *testing.F) {
	f.Add("14208 (tmux: server) S 1 14208")
	f.Fuzz(func(t *testing.T, s string) {
		if comm, parent, ok := parseStat(s); ok && (parent < 0 || !strings.Contains(s, "("+comm+")")) {
			t.Errorf("%q %d", comm, parent)
		}
	})
}
