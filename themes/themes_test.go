package themes

import (
	"math"
	"strings"
	"testing"
)

// TestContrast holds the built-in themes to WCAG 2: 4.5 to 1 for words against
// every background they are meant for, 1.5 to 1 for rules.
func TestContrast(t *testing.T) {
	for _, name := range Names() {
		th, err := Load(name)
		if err != nil {
			t.Fatalf("Load(%q): %v", name, err)
		}
		backs := [][3]uint8{{255, 255, 255}, {250, 248, 240}}
		if th.Dark {
			backs = [][3]uint8{{0, 0, 0}, {30, 30, 30}}
		}
		styles := map[string]Style{}
		for n, s := range th.slots() {
			styles[n] = *s
		}
		for i, s := range th.Names {
			styles["names "+string(rune('1'+i))] = s
		}
		for n, s := range styles {
			r, g, b, ok := s.Color.Components()
			if !ok {
				continue
			}
			least := 4.5
			if n == "rule" {
				least = 1.5
			}
			for _, back := range backs {
				if c := contrast([3]uint8{r, g, b}, back); c < least {
					t.Errorf("%s: %s has contrast %.1f against %v, want at least %.1f", name, n, c, back, least)
				}
			}
		}
	}
}

func contrast(a, b [3]uint8) float64 {
	la, lb := luminance(a), luminance(b)
	return (math.Max(la, lb) + 0.05) / (math.Min(la, lb) + 0.05)
}

func luminance(c [3]uint8) float64 {
	var l [3]float64
	for i, v := range c {
		x := float64(v) / 255
		if x <= 0.03928 {
			l[i] = x / 12.92
		} else {
			l[i] = math.Pow((x+0.055)/1.055, 2.4)
		}
	}
	return 0.2126*l[0] + 0.7152*l[1] + 0.0722*l[2]
}

func TestParseIsStrict(t *testing.T) {
	good, err := files.ReadFile("dark.toml")
	if err != nil {
		t.Fatal(err)
	}
	change := func(old, new string) string {
		s := strings.Replace(string(good), old, new, 1)
		if s == string(good) {
			t.Fatalf("the theme does not hold %q", old)
		}
		return s
	}
	for _, tc := range []struct{ file, want string }{
		{change(`background = "dark"`, `background = "mauve"`), `"mauve"`},
		{change(`name = "dark"`, `name = "../dark"`), "name must be"},
		{change(`accent = "75"`, `accent = "75 blink"`), `"blink"`},
		{change(`accent = "75"`, `accent = "256"`), `"256"`},
		{change(`accent = "75"`, `accent = "#12345g"`), `"#12345g"`},
		{change(`accent = "75"`, `accent = ""`), "no colour"},
		{change(`accent = "75"`, ``), `lacks the style "accent"`},
		{change(`[styles]`, "[styles]\nglitter = \"1\""), `unknown style "glitter"`},
		{change(`[styles]`, "font = \"Comic Sans\"\n[styles]"), `unknown setting "font"`},
		{change(`[styles]`, "[styles"), "read theme"},
		{change(`names = ["110", `, `names = ["nobody", `), `number 1`},
		{strings.Repeat("#", maxSize+1), "larger"},
	} {
		if _, err := Parse([]byte(tc.file)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("Parse gave %v, want an error with %q", err, tc.want)
		}
	}
	if _, err := Parse(good); err != nil {
		t.Errorf("Parse of the built-in theme: %v", err)
	}
}

func TestLoadUnknown(t *testing.T) {
	for _, name := range []string{"", "auto", "../dark", "solarized"} {
		if _, err := Load(name); err == nil || !strings.Contains(err.Error(), "dark, light and auto") {
			t.Errorf("Load(%q) gave %v, want an error that lists the themes", name, err)
		}
	}
}

func TestSGR(t *testing.T) {
	for s, want := range map[string]string{
		"default":            "",
		"default reverse":    "\x1b[7m",
		"1 bold":             "\x1b[1;31m",
		"9":                  "\x1b[91m",
		"75 faint underline": "\x1b[2;4;38;5;75m",
		"#102030":            "\x1b[38;2;16;32;48m",
	} {
		st, err := ParseStyle(s)
		if err != nil {
			t.Errorf("ParseStyle(%q): %v", s, err)
			continue
		}
		if got := st.SGR(); got != want {
			t.Errorf("SGR of %q is %q, want %q", s, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, n := range Names() {
		b, err := files.ReadFile(n + ".toml")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		th, err := Parse(b)
		if err == nil && (len(th.Names) < 4 || !validName(th.Name)) {
			t.Errorf("Parse accepted %+v", th)
		}
	})
}
