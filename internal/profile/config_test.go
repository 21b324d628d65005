package profile

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func testProfile(t testing.TB) Profile {
	t.Helper()
	p := In(t.TempDir())
	if err := p.Make(); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestConfigComesBack(t *testing.T) {
	p := testProfile(t)
	if c, err := p.Load(); err != nil || !reflect.DeepEqual(c, Defaults()) {
		t.Errorf("without a file: %+v %v", c, err)
	}
	want := Config{
		LockAfter: 90 * time.Minute, LockUnfocused: time.Minute, LogoffAfter: 25 * time.Hour, DestroyAfter: 20, TPM: "off", Theme: "dark",
		Reveal: true, Multiplexer: "refuse", Address: "alice@hospital.example", Organisation: `St. "Mary's" \ Köln`,
		AttachFrom: []string{"~/Pictures", `/srv/"scans"`},
	}
	want.LockAfter = 90 * time.Second
	if err := p.Save(want); err != nil {
		t.Fatal(err)
	}
	if c, err := p.Load(); err != nil || !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, %v", c, err)
	}
	info, err := os.Stat(p.Config)
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("the settings are open to others: %v %v", info.Mode(), err)
	}
	if err := p.Save(Config{Theme: "pink"}); err == nil {
		t.Error("saved settings that cannot be loaded")
	}
	entries, _ := os.ReadDir(filepath.Dir(p.Config))
	if len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestSavedTimesReadWell(t *testing.T) {
	p := testProfile(t)
	if err := p.Save(Defaults()); err != nil {
		t.Fatal(err)
	}
	b, _ := os.ReadFile(p.Config)
	for _, want := range []string{`lock-after = "2m"`, `lock-unfocused = "0s"`, `logoff-after = "15m"`, "destroy-after = 10", `tpm = "auto"`, `theme = "auto"`, "curtain = true", "bell = true"} {
		if !strings.Contains(string(b), "\n# "+want+"\n") {
			t.Errorf("no %s in\n%s", want, b)
		}
	}
}

// Who has written a setting has chosen it, also where it is the default; what is
// only the default is nobody's choice.
func TestWhatWasChosenStaysChosen(t *testing.T) {
	p := testProfile(t)
	if err := os.WriteFile(p.Config, []byte("lock-after = \"2m\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, chosen, err := p.Chosen()
	if err != nil || !reflect.DeepEqual(chosen, map[string]bool{"lock-after": true}) {
		t.Fatalf("chosen: %v, %v", chosen, err)
	}
	c.Address, c.Paste = "alice@hospital.example", false
	if err := p.Save(c); err != nil {
		t.Fatal(err)
	}
	again, chosen, err := p.Chosen()
	if err != nil || !reflect.DeepEqual(again, c) || !reflect.DeepEqual(chosen, map[string]bool{"lock-after": true, "address": true, "paste": true}) {
		t.Errorf("%+v, chosen: %v, %v", again, chosen, err)
	}
}

func TestConfigErrorsNameTheLine(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"theme = \"dark\"\nlock-afer = \"2m\"\n", `line 2: there is no setting "lock-afer"`},
		{"\n\nlock-after = 5\n", "line 3: lock-after is a time"},
		{"lock-after = \"5 minutes\"\n", `line 1: lock-after is a time: write it like "90s", "2m" or "1h30m"`},
		{"theme = \"auto\"\nlock-after = \"2h\"\n", "line 2: lock-after must be from 1s to 1h"},
		{"logoff-after = \"0s\"\n", "line 1: logoff-after must be from 1s to 168h"},
		{"theme = \"pink\"\n", `line 1: theme must be "auto", "light" or "dark"`},
		{"lock-unfocused = \"2h\"\n", `line 1: lock-unfocused must be from 1s to 1h, or "0s" for never`},
		{"destroy-after = 3\n", "line 1: destroy-after must be from 6 to 100, or 0 for never"},
		{"destroy-after = \"10\"\n", "line 1: destroy-after is a whole number"},
		{"destroy-after = -1\n", "line 1: destroy-after is a whole number"},
		{"multiplexer = \"maybe\"\n", `line 1: multiplexer must be "warn", "refuse" or "allow"`},
		{"tpm = \"on\"\n", `line 1: tpm must be "auto", "off" or "required"`},
		{"bell = \"no\"\n", "line 1: bell is true or false"},
		{"attach-from = \"~/Pictures\"\n", `line 1: attach-from is a list of texts: write it like ["~/Pictures"]`},
		{"attach-from = [1]\n", "line 1: attach-from is a list of texts"},
		{"attach-from = [\"Pictures\"]\n", `line 1: attach-from: "Pictures" must begin with / or ~/`},
		{"attach-from = [\"~/a\\u001bb\"]\n", "line 1: attach-from: a folder's name must be a line of text"},
		{"attach-from = [\"~ada/x\"]\n", `line 1: attach-from: "~ada/x" must begin with / or ~/`},
		{"theme = true\n", "line 1: theme is a text: write it in quotes"},
		{"address = \"a\\u001b[2J\"\n", "line 1: address must be a line of text"},
		{"organisation = \"a\\u202eb\"\n", "line 1: organisation must be a line of text"},
		{"theme = \"dark\"\n[tui]\nx = 1\n", `line 2: there is no setting "tui"`},
		{"#\n theme.x = \"dark\"\n", "line 2: theme is a text"},
		{"theme = \"dark\"\ntheme = \"dark\"\n", "line 2: "},
		{"a = 1\x00", "line 1: "},
		{"theme = ", "line 1: "},
		{strings.Repeat("#\n", maxConfig), "the file is larger than 64 KiB"},
	} {
		_, err := parseConfig([]byte(test.in))
		if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "toml") {
			in := test.in
			t.Errorf("%.40q: got %v, want %s", in, err, test.want)
		}
	}
}

func TestMissingSettingsAreDefaults(t *testing.T) {
	c, err := parseConfig([]byte("theme = \"light\"\n"))
	if err != nil || c.Theme != "light" || c.LockAfter != 2*time.Minute || !c.Bell {
		t.Errorf("got %+v %v", c, err)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte("lock-after = \"2m\"\ntheme = \"dark\"\n"))
	f.Add([]byte("theme.x = 1\n[a]\n[[b]]\nc = {d = 1}\n"))
	f.Add([]byte("lock-after = [\"2m\"]\n\"\" = 1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseConfig(b)
		if err != nil {
			return
		}
		if err := c.check(); err != nil {
			t.Fatalf("accepted what cannot be saved: %v", err)
		}
	})
}
