package doctor

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"sotto/internal/role"
)

var update = flag.Bool("update", false, "write the pages anew")

// allGood is what a well kept Linux computer says.
var allGood = []Check{
	{ID: "memory.lock-limit", Found: "8192 KiB"},
	{ID: "memory.swap", Found: "/dev/dm-1, 8191 MiB, encrypted"},
	{ID: "memory.hibernation", Found: "to encrypted swap"},
	{ID: "memory.core-dumps", Found: "off for sotto; others' go to systemd-coredump"},
	{ID: "system.sandbox", Found: "Landlock 7, seccomp"},
	{ID: "system.debuggers", Found: "ptrace_scope 1"},
	{ID: "system.user", Found: "1000, not root"},
	{ID: "system.tpm", Found: "2.0"},
	{ID: "system.clock", Found: "22 Nov 2026 08:30 UTC, synchronized"},
	{ID: "system.randomness", Found: "getrandom, ready"},
	{ID: "terminal.screen", Found: "xterm-256color, 80x24, 256 colours, UTF-8"},
	{ID: "terminal.multiplexer", Found: "none"},
	{ID: "terminal.remote", Found: "no, as far as the environment tells"},
	{ID: "profile.files", Found: closed},
	{ID: "profile.file-system", Found: "ext, 410 GiB free, encrypted disk"},
	{ID: "profile.vault", Found: "sound, with its device secret in the TPM"},
	{ID: "profile.store", Found: "2312 KiB, log 4128 KiB"},
	{ID: "profile.organisation", Found: "hospital.example, policy 3 (12d), lease at most 6d"},
	{ID: "relay.address", Found: "wss://chat.hospital.example/ws, 192.0.2.7:443"},
	{ID: "relay.tls", Found: "TLS 1.3"},
	{ID: "relay.certificate", Found: "valid until 20 Feb 2027, 89 days"},
	{ID: "relay.login", Found: "SCRAM-SHA-256-PLUS, of 3 ways offered"},
}

func goodChecks() []Check {
	checks := slices.Clone(allGood)
	for i := range checks {
		checks[i].Verdict = Good
		checks[i].Group, _, _ = strings.Cut(checks[i].ID, ".")
	}
	return checks
}

// mixed has every verdict and long and hostile text.
func mixed() []Check {
	checks := goodChecks()
	set := func(id string, f finding) {
		for i := range checks {
			if checks[i].ID == id {
				checks[i].Verdict, checks[i].Found, checks[i].Meaning, checks[i].Remedy = f.verdict, line(f.found), line(f.meaning), line(f.remedy)
			}
		}
	}
	set("memory.swap", finding{Weak, "/dev/sda2, 8191 MiB, in clear", "Keys are locked in memory and never swapped. Text that sotto shows can be, and then stays on the disk.", "Encrypt the swap, or turn it off with: swapoff -a"})
	set("terminal.screen", finding{Weak, "evil\x1b[2J\u202eterm, 80x24", "A name with controls in it is shown with them written out.", ""})
	set("profile.files", finding{Bad, "/home/" + strings.Repeat("averylongname", 12) + "/vault belongs to user 7", "sotto does not open.", "Run sotto as that user."})
	for _, id := range []string{"relay.address", "relay.tls", "relay.certificate", "relay.login"} {
		set(id, skipped("--offline"))
	}
	return checks
}

func page(t *testing.T, checks []Check, width int, color bool) string {
	t.Helper()
	var b strings.Builder
	if err := (Report{checks}).Page(&b, width, color); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is now:\n%s", name, got)
	}
}

func TestPage(t *testing.T) {
	golden(t, "good.txt", page(t, goodChecks(), 80, false))
	golden(t, "mixed.txt", page(t, mixed(), 80, false))
}

// Where all is good, the page and the next prompt fit on a screen.
func TestPageFits(t *testing.T) {
	if n := strings.Count(page(t, goodChecks(), 80, false), "\n"); n > 23 {
		t.Errorf("%d rows", n)
	}
	for _, width := range []int{1, 60, 80, 81, 200} {
		for row := range strings.Lines(page(t, mixed(), width, true)) {
			row = strings.TrimSuffix(row, "\n")
			if w := ansi.StringWidth(row); w > max(60, min(width, 100)) {
				t.Errorf("%d columns in %d: %q", w, width, row)
			}
			if strings.Contains(strings.NewReplacer("\x1b[32m", "", "\x1b[33m", "", "\x1b[31;1m", "", "\x1b[0m", "").Replace(row), "\x1b") {
				t.Errorf("another sequence got through: %q", row)
			}
		}
	}
}

// Colours come beside the words, never instead of them.
func TestPageColors(t *testing.T) {
	plain, colored := page(t, mixed(), 80, false), page(t, mixed(), 80, true)
	if plain == colored || ansi.Strip(colored) != plain {
		t.Errorf("the words differ:\n%s", colored)
	}
	if strings.Contains(plain, "\x1b") {
		t.Errorf("colours without being asked:\n%s", plain)
	}
}

// The table above names every check there is, in its order.
func TestEveryCheckIsOnThePage(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	for _, name := range []string{"XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"} {
		t.Setenv(name, "")
	}
	r := Run(t.Context(), Config{Profile: "default", Offline: true, Screen: Screen{Getenv: os.Getenv}})
	var got, want []string
	for _, c := range r.Checks {
		got = append(got, c.ID)
	}
	for _, c := range allGood {
		want = append(want, c.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the checks are %q, want %q", got, want)
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	if err := (Report{mixed()}).JSON(&b, "1.2.3"); err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(&b)
	d.DisallowUnknownFields()
	var got struct {
		Version         int
		Sotto, System   string
		Good, Weak, Bad int
		Skip            int
		Checks          []map[string]string
	}
	if err := d.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Version != 1 || got.Sotto != "1.2.3" || !strings.Contains(got.System, "/") || got.Good != 15 || got.Weak != 2 || got.Bad != 1 || got.Skip != 4 {
		t.Errorf("%+v", got)
	}
	if len(got.Checks) != len(allGood) {
		t.Fatalf("%d checks", len(got.Checks))
	}
	for i, c := range got.Checks {
		for key, value := range c {
			if !slices.Contains([]string{"id", "group", "verdict", "found", "meaning", "remedy"}, key) {
				t.Errorf("%s is not in the schema", key)
			}
			if strings.ContainsAny(value, "\x1b\n\u202e") {
				t.Errorf("%s: %q", key, value)
			}
		}
		if c["id"] != allGood[i].ID || !strings.HasPrefix(c["id"], c["group"]+".") || !slices.Contains([]string{"good", "weak", "bad", "skip"}, c["verdict"]) {
			t.Errorf("%v", c)
		}
	}
	for _, field := range []string{"version", "sotto", "system", "good", "weak", "bad", "skip", "checks", "id", "group", "verdict", "found", "meaning", "remedy"} {
		if !strings.Contains(Schema, field) {
			t.Errorf("the help does not name %s", field)
		}
	}
}

func TestCode(t *testing.T) {
	for v, want := range map[Verdict]int{Good: 0, Weak: 0, Skipped: 0, Bad: 1} {
		if got := (Report{[]Check{{Verdict: Good}, {Verdict: v}}}).Code(); got != want {
			t.Errorf("%s: exit code %d", v, got)
		}
	}
}

func TestLooked(t *testing.T) {
	for want, c := range map[string]role.Checked{
		"1 message in 212 KiB, all of it sound":    {Kilobytes: 212, Messages: 1},
		"7 messages in 40 MiB, 2 problems: a\x1bb": {Kilobytes: 40 << 10, Messages: 7, Problems: 2, First: "a\x1bb"},
		"0 messages in 0 KiB, 10 or more problems": {Problems: 20, First: "x"},
	} {
		r := Looked(c)
		if got := r.Checks[0]; !strings.HasPrefix(got.Found, line(want)) || (r.Code() == 1) != (c.Problems > 0) || got.ID != "profile.store" {
			t.Errorf("%+v", got)
		}
	}
}
