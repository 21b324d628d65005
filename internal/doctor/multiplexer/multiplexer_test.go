package multiplexer

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func environment(kv ...string) func(string) string {
	m := map[string]string{}
	for i := 0; i+1 < len(kv); i += 2 {
		m[kv[i]] = kv[i+1]
	}
	return func(name string) string { return m[name] }
}

func TestByEnvironment(t *testing.T) {
	for want, env := range map[string][][]string{
		"":       {{"TERM", "xterm-256color"}, {}, {"TERM", "linux"}},
		"tmux":   {{"TMUX", "/tmp/tmux-0/default,1,0"}, {"TERM", "tmux-256color"}, {"TERM_PROGRAM", "tmux"}, {"TMUX", "x", "STY", "y"}},
		"screen": {{"STY", "1.pts-0", "TERM", "screen"}},
		"zellij": {{"ZELLIJ", "0"}, {"ZELLIJ_SESSION_NAME", "ward"}},
		// The variables are gone, as over SSH.
		either: {{"TERM", "screen-256color"}, {"TERM", "screen.xterm-256color"}},
	} {
		for _, kv := range env {
			if got := byEnvironment(environment(kv...)); got != want {
				t.Errorf("%q: %q, want %q", kv, got, want)
			}
		}
	}
}

func TestByName(t *testing.T) {
	for comm, want := range map[string][2]string{
		"tmux: server": {"tmux", ""}, "tmux": {"tmux", ""}, "SCREEN": {"screen", ""}, "zellij": {"zellij", ""}, "dtach": {"dtach", ""},
		"script": {"", "script"}, "asciinema": {"", "asciinema"}, "tlog-rec-sessio": {"", "tlog"},
		"bash": {}, "sshd": {}, "": {}, "tmuxinator": {}, "screenshot": {}, "scriptreplay": {},
	} {
		if m, r := byName(comm); m != want[0] || r != want[1] {
			t.Errorf("%q: %q %q, want %q", comm, m, r, want)
		}
	}
}

func TestPermit(t *testing.T) {
	tmux := Around{Name: "tmux", Tmux: &Tmux{Alternate: true}}
	history := Around{Name: "tmux", Tmux: &Tmux{}, Plain: true}
	for name, c := range map[string]struct {
		a             Around
		setting, note string
		refused       bool
	}{
		"nothing":                      {Around{}, "refuse", "", false},
		"nothing to warn of":           {Around{}, "warn", "", false},
		"warn":                         {tmux, "warn", "whoever can attach", false},
		"refuse":                       {tmux, "refuse", "", true},
		"allow":                        {tmux, "allow", "", false},
		"history":                      {history, "warn", "alternate-screen is off", false},
		"history refused":              {history, "refuse", "", true},
		"no alternate screen":          {Around{Plain: true}, "warn", "no alternate screen", false},
		"no alternate screen, refused": {Around{Plain: true}, "refuse", "", true},
		"recorded":                     {Around{Recorder: "script"}, "warn", "writes down all", false},
		"recorded, refused":            {Around{Recorder: "script"}, "refuse", "", true},
		"piped":                        {Around{Name: "tmux", Tmux: &Tmux{Alternate: true, Piped: true}}, "warn", "pipe-pane writes down", false},
	} {
		note, err := c.a.Permit(c.setting)
		if (err != nil) != c.refused || !strings.Contains(note, c.note) || c.note == "" && note != "" {
			t.Errorf("%s: %q, %v", name, note, err)
		}
		if err != nil && (!strings.Contains(err.Error(), `multiplexer = "refuse"`) || !strings.HasSuffix(err.Error(), ". Run sotto outside of it") && !strings.HasSuffix(err.Error(), ". Use another terminal")) {
			t.Errorf("%s: %v", name, err)
		}
		if len(note) > 260 {
			t.Errorf("%s: %d bytes are too many for the lock screen", name, len(note))
		}
	}
}

func TestParseTmux(t *testing.T) {
	for in, want := range map[string]*Tmux{
		"1|external|0|2000|1|0\n":           {Alternate: true, Clipboard: "external", History: 2000, Attached: 1},
		"0|off|1|50000|2|1\n":               {Clipboard: "off", Focus: true, History: 50000, Attached: 2, Piped: true},
		"on|on|on|0|0|0":                    {Alternate: true, Clipboard: "on", Focus: true},
		"off||off|||":                       {},
		"|\x1b]52;c;x|?|-1|99999999999|yes": {Alternate: true},
	} {
		got := parseTmux(in)
		if got == nil || *got != *want {
			t.Errorf("%q: %+v, want %+v", in, got, want)
		}
	}
	for _, in := range []string{"", "no server running on /tmp/tmux-0/default", "1|2|3", strings.Repeat("|", 20)} {
		if got := parseTmux(in); got != nil {
			t.Errorf("%q is taken for %+v", in, got)
		}
	}
}

func TestValidPane(t *testing.T) {
	for s, want := range map[string]bool{"%0": true, "%41": true, "": false, "%": false, "0": false, "-t": false, "%1;kill": false, "%-1": false} {
		if validPane(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}

// compiled makes a terminal description with some numbers and offsets of strings.
func compiled(wide bool, numbers []int32, offsets []int16) []byte {
	const names = "test|a terminal of a test\x00"
	header := []int16{0o432, int16(len(names)), 1, int16(len(numbers)), int16(len(offsets)), 4}
	if wide {
		header[0] = 0o1036
	}
	var b bytes.Buffer
	binary.Write(&b, binary.LittleEndian, header)
	b.WriteString(names + "\x01")
	if b.Len()%2 == 1 {
		b.WriteByte(0)
	}
	for _, n := range numbers {
		if wide {
			binary.Write(&b, binary.LittleEndian, n)
		} else {
			binary.Write(&b, binary.LittleEndian, int16(n))
		}
	}
	binary.Write(&b, binary.LittleEndian, offsets)
	b.WriteString("abc\x00")
	return b.Bytes()
}

func sequence[T any](n int, fill, last T) []T {
	s := make([]T, n)
	for i := range s {
		s[i] = fill
	}
	s[n-1] = last
	return s
}

func TestParseTerminfo(t *testing.T) {
	for name, c := range map[string]struct {
		b    []byte
		want Terminfo
	}{
		"colours and alternate screen": {compiled(false, sequence[int32](14, -1, 256), sequence[int16](29, -1, 0)), Terminfo{true, 256}},
		"wide numbers":                 {compiled(true, sequence[int32](14, -1, 1<<24), sequence[int16](29, -1, 2)), Terminfo{true, 1 << 24}},
		"no alternate screen":          {compiled(false, sequence[int32](14, -1, 8), sequence[int16](29, 0, -1)), Terminfo{false, 8}},
		"taken away":                   {compiled(false, sequence[int32](14, -1, 8), sequence[int16](29, 0, -2)), Terminfo{false, 8}},
		"beyond the table":             {compiled(false, nil, sequence[int16](29, 0, 99)), Terminfo{}},
		"few entries":                  {compiled(false, sequence[int32](13, 1, 1), sequence[int16](28, 0, 0)), Terminfo{}},
	} {
		got, ok := parseTerminfo(c.b)
		if !ok || got != c.want {
			t.Errorf("%s: %+v %v, want %+v", name, got, ok, c.want)
		}
		for n := range len(c.b) - 1 {
			if _, ok := parseTerminfo(c.b[:n]); ok {
				t.Errorf("%s: %d bytes of %d are taken", name, n, len(c.b))
				break
			}
		}
	}
}

func TestLookup(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "74"), 0o700); err != nil {
		t.Fatal(err)
	}
	b := compiled(false, sequence[int32](14, -1, 16), sequence[int16](29, -1, 0))
	if err := os.WriteFile(filepath.Join(dir, "74", "test"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, ok := Lookup(environment("TERM", "test", "TERMINFO", dir)); !ok || got != (Terminfo{true, 16}) {
		t.Errorf("%+v, %v", got, ok)
	}
	for _, name := range []string{"", "nothing", "../74/test", ".", "74/test", strings.Repeat("x", 300)} {
		if got, ok := Lookup(environment("TERM", name, "TERMINFO", dir)); ok {
			t.Errorf("%q is described as %+v", name, got)
		}
	}
}

func FuzzTerminfo(f *testing.F) {
	f.Add(compiled(false, sequence[int32](14, -1, 256), sequence[int16](29, -1, 0)))
	f.Add(compiled(true, sequence[int32](14, -1, 256), sequence[int16](29, -1, 0)))
	f.Add([]byte{0x1a, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, ok := parseTerminfo(b); got.Colors < 0 || !ok && got != (Terminfo{}) {
			t.Errorf("%+v, %v", got, ok)
		}
	})
}

func FuzzTmux(f *testing.F) {
	f.Add("1|external|0|2000|1|0\n")
	f.Fuzz(func(t *testing.T, s string) {
		if got := parseTmux(s); got != nil && (got.History < 0 || got.Attached < 0 || len(got.Clipboard) > len("external")) {
			t.Errorf("%+v", got)
		}
	})
}
