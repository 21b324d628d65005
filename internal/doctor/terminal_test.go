package doctor

import (
	"strings"
	"testing"

	"sotto/internal/doctor/multiplexer"
)

func environment(kv ...string) func(string) string {
	m := map[string]string{}
	for i := 0; i+1 < len(kv); i += 2 {
		m[kv[i]] = kv[i+1]
	}
	return func(name string) string { return m[name] }
}

func TestParseAnswers(t *testing.T) {
	for in, want := range map[string]answers{
		"": {},
		"\x1bP>|tmux 3.4\x1b\\\x1b[?1004;2$y\x1b[?62;22c":     {"tmux 3.4", yes, true},
		"\x1bP>|XTerm(379)\x1b\\\x1b[?1004;1$y\x1b[?64;1c":    {"XTerm(379)", yes, true},
		"\x1b[?1004;0$y\x1b[?1;2c":                            {"", no, true},
		"\x1b[?1004;4$y\x1b[?1;2c":                            {"", no, true},
		"\x1b[?6c":                                            {"", silent, true},
		"typed\r\x1b[A\x1b[?6cmore":                           {"", silent, true},
		"\x1bP>|never ends":                                   {},
		"\x1b[?1004;2":                                        {},
		"\x1b":                                                {},
		"\x1bP>|a\x1b]52;c;x\x07b\x9b\x1b\\\x1b[?6c":          {"a]52;c;xb", silent, true},
		"\x1bP>|" + strings.Repeat("x", 200) + "\x1b\\\x1b[c": {strings.Repeat("x", maxName), silent, false},
	} {
		if got := parseAnswers([]byte(in)); got != want {
			t.Errorf("%q: %+v, want %+v", in, got, want)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte("\x1bP>|tmux 3.4\x1b\\\x1b[?1004;2$y\x1b[?62;22c"))
	f.Add([]byte("\x1b[?1004;0$y\x1b[?1;2c"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a := parseAnswers(b)
		if len(a.name) > maxName || strings.ContainsFunc(a.name, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q", a.name)
		}
	})
}

func TestScreen(t *testing.T) {
	usual := []string{"TERM", "xterm-256color", "LANG", "C.UTF-8"}
	full := shown{real: true, columns: 80, rows: 24, info: multiplexer.Terminfo{Alternate: true, Colors: 256}, answers: answers{focus: yes}}
	with := func(f func(*shown)) shown { d := full; f(&d); return d }
	for name, c := range map[string]struct {
		d       shown
		env     []string
		verdict Verdict
		says    string
	}{
		"good":           {full, usual, Good, ""},
		"not a terminal": {shown{}, usual, Skipped, ""},
		"no TERM":        {full, usual[2:], Bad, "cannot draw"},
		"dumb":           {full, []string{"TERM", "dumb"}, Bad, "cannot draw"},
		"small":          {with(func(d *shown) { d.columns = 70 }), usual, Weak, "Smaller"},
		"tiny":           {with(func(d *shown) { d.rows = 3 }), usual, Bad, "Too small"},
		"Latin":          {full, []string{"TERM", "xterm", "LANG", "en_US.ISO-8859-1"}, Weak, "not UTF-8"},
		"C":              {full, []string{"TERM", "xterm", "LANG", "C.UTF-8", "LC_ALL", "C"}, Weak, "not UTF-8"},
		"no focus":       {with(func(d *shown) { d.answers.focus = no }), usual, Weak, "focus"},
		"silent":         {with(func(d *shown) { d.answers.focus = silent }), usual, Good, ""},
		"tmux, no focus": {with(func(d *shown) { d.around.Tmux = &multiplexer.Tmux{Alternate: true} }), usual, Weak, "focus"},
	} {
		f := c.d.screen(environment(c.env...))
		if f.verdict != c.verdict || !strings.Contains(f.meaning, c.says) || f.verdict != Good && f.verdict != Skipped && f.remedy == "" {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestMultiplexer(t *testing.T) {
	tmux := func(m multiplexer.Tmux) multiplexer.Around {
		return multiplexer.Around{Name: "tmux", Tmux: &m, Plain: !m.Alternate}
	}
	for name, c := range map[string]struct {
		d       shown
		verdict Verdict
		says    string
		do      string
	}{
		"none":            {shown{}, Good, "", ""},
		"tmux":            {shown{around: tmux(multiplexer.Tmux{Alternate: true, Attached: 1, Clipboard: "off"})}, Weak, "whoever can attach", "outside of it"},
		"clipboard":       {shown{around: tmux(multiplexer.Tmux{Alternate: true, Clipboard: "external"})}, Weak, "clipboard", "set-clipboard off"},
		"history":         {shown{around: tmux(multiplexer.Tmux{Clipboard: "off"})}, Bad, "stays in its history", "alternate-screen on"},
		"piped":           {shown{around: tmux(multiplexer.Tmux{Alternate: true, Piped: true})}, Bad, "writes down", "pipe-pane"},
		"watched":         {shown{around: tmux(multiplexer.Tmux{Alternate: true, Attached: 2})}, Weak, "2 terminals show", "outside"},
		"by its answer":   {shown{answers: answers{name: "tmux 3.4"}}, Weak, "tmux is around", "outside"},
		"another answer":  {shown{answers: answers{name: "XTerm(379)"}}, Good, "", ""},
		"recorded":        {shown{around: multiplexer.Around{Recorder: "script"}}, Bad, "writes down", "outside"},
		"no other screen": {shown{around: multiplexer.Around{Plain: true}}, Weak, "no alternate screen", ""},
	} {
		f := c.d.multiplexer()
		if f.verdict != c.verdict || !strings.Contains(f.meaning, c.says) || !strings.Contains(f.remedy, c.do) {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestRemote(t *testing.T) {
	if f := remote(environment()); f.verdict != Good {
		t.Errorf("%+v", f)
	}
	f := remote(environment("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22"))
	if f.verdict != Weak || f.found != "over SSH from 192.0.2.1" {
		t.Errorf("%+v", f)
	}
	if f := remote(environment("SSH_TTY", "/dev/pts/1")); f.verdict != Weak {
		t.Errorf("%+v", f)
	}
}
