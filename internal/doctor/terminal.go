package doctor

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/charmbracelet/x/term"

	"sotto/internal/doctor/multiplexer"
)

// The screen that everything fits on.
const (
	wantColumns, wantRows = 80, 24
	leastColumns          = 30
	leastRows             = 8
)

func (s Screen) group(m machine) group {
	return group{"terminal", []examination{
		{[]string{"screen", "multiplexer"}, limit, s.examine},
		one("remote", func(context.Context) finding { return remote(s.Getenv) }),
	}}
}

// Width is how wide a page may be here, in columns; 80 where there is no terminal.
func (s Screen) Width() int {
	if s.Out != nil {
		if w, _, err := term.GetSize(s.Out.Fd()); err == nil && w > 0 {
			return w
		}
	}
	return wantColumns
}

// Color says whether a page may have colours (https://no-color.org).
func (s Screen) Color() bool {
	return s.Out != nil && term.IsTerminal(s.Out.Fd()) && s.Getenv("NO_COLOR") == "" && s.Getenv("TERM") != "dumb"
}

// Real says whether there is a terminal at both ends.
func (s Screen) Real() bool {
	return s.In != nil && s.Out != nil && term.IsTerminal(s.In.Fd()) && term.IsTerminal(s.Out.Fd())
}

// shown is what was found out about a terminal.
type shown struct {
	real          bool
	columns, rows int
	answers       answers
	info          multiplexer.Terminfo
	described     bool // there is a description for TERM
	around        multiplexer.Around
}

func (s Screen) examine(ctx context.Context) []finding {
	d := shown{real: s.Real(), around: multiplexer.Find(ctx, s.Getenv)}
	d.info, d.described = multiplexer.Lookup(s.Getenv)
	if d.real {
		if w, h, err := term.GetSize(s.Out.Fd()); err == nil {
			d.columns, d.rows = w, h
		}
		d.answers = ask(s.In, s.Out)
	}
	return []finding{d.screen(s.Getenv), d.multiplexer()}
}

// screen judges the terminal itself.
func (d shown) screen(getenv func(string) string) finding {
	name := getenv("TERM")
	if !d.real {
		return skipped("this is not a terminal: run doctor where sotto will be")
	}
	found := []string{name, fmt.Sprintf("%dx%d", d.columns, d.rows)}
	if d.answers.name != "" {
		found = append(found, d.answers.name)
	}
	switch {
	case getenv("COLORTERM") == "truecolor" || getenv("COLORTERM") == "24bit":
		found = append(found, "true colour")
	case d.info.Colors > 0:
		found = append(found, strconv.Itoa(d.info.Colors)+" colours")
	}
	utf8 := unicodeLocale(getenv)
	if utf8 {
		found = append(found, "UTF-8")
	}
	if d.answers.focus == yes {
		found = append(found, "focus reports")
	}
	f := good(strings.Join(found, ", "))
	weak := func(meaning, remedy string) {
		f.verdict = Weak
		f.meaning = strings.TrimSpace(f.meaning + " " + meaning)
		f.remedy = strings.TrimSpace(f.remedy + " " + remedy)
	}
	switch {
	case name == "" || name == "dumb":
		if name == "" {
			f.found = "TERM is not set, " + f.found[2:]
		}
		return finding{Bad, f.found, "sotto cannot draw its screens here.", "Set TERM to what this terminal is, such as xterm-256color."}
	case d.columns < leastColumns || d.rows < leastRows:
		return finding{Bad, f.found, "Too small for anything.", fmt.Sprintf("Make it %dx%d or larger.", wantColumns, wantRows)}
	case d.columns < wantColumns || d.rows < wantRows:
		weak("Smaller than what the screens are made for.", fmt.Sprintf("Make it %dx%d or larger.", wantColumns, wantRows))
	}
	if !utf8 {
		weak("The locale is not UTF-8: letters beyond ASCII are shown as question marks.", "Set LANG, such as LANG=C.UTF-8.")
	}
	if d.answers.focus == no || d.around.Tmux != nil && !d.around.Tmux.Focus {
		remedy := "Use a terminal that does, such as a recent xterm, kitty, iTerm2 or GNOME Terminal."
		if d.around.Tmux != nil {
			remedy = "Set in tmux: set -g focus-events on"
		}
		weak("It does not report focus: text is not covered when you turn to another window.", remedy)
	}
	return f
}

// unicodeLocale says whether the locale is UTF-8.
func unicodeLocale(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(getenv(name)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

// multiplexer judges what is around.
func (d shown) multiplexer() finding {
	a := d.around
	if a.Name == "" { // the terminal may know better, as over SSH
		for _, name := range []string{"tmux", "screen", "zellij"} {
			if strings.HasPrefix(strings.ToLower(d.answers.name), name) {
				a.Name = name
			}
		}
	}
	note := a.Note()
	if note == "" {
		return good("none")
	}
	f := finding{verdict: Weak, meaning: note}
	var found, remedy []string
	if a.Name != "" {
		found = append(found, a.Name)
	}
	if a.Recorder != "" {
		found = append(found, a.Recorder)
	}
	if t := a.Tmux; t != nil {
		found = append(found, fmt.Sprintf("%d attached", t.Attached), fmt.Sprintf("keeps %d lines", t.History))
		if !t.Alternate {
			found = append(found, "alternate-screen off")
			remedy = append(remedy, "Set in tmux: set -g alternate-screen on.")
		}
		if t.Piped {
			found = append(found, "pipe-pane on")
			remedy = append(remedy, "End it: tmux pipe-pane.")
		}
		if t.Attached > 1 {
			f.meaning = fmt.Sprintf("%d terminals show this session now. ", t.Attached) + f.meaning
		}
		if t.Clipboard != "" && t.Clipboard != "off" {
			found = append(found, "set-clipboard "+t.Clipboard)
			f.meaning += " What its copy mode copies goes to the clipboard of the terminal."
			remedy = append(remedy, "Set in tmux: set -s set-clipboard off.")
		}
		if !t.Alternate || t.Piped {
			f.verdict = Bad
		}
	} else if a.Plain && a.Name == "" && a.Recorder == "" {
		found = append(found, "none, but no alternate screen")
	}
	if a.Recorder != "" {
		f.verdict = Bad
	}
	f.found = strings.Join(found, ", ")
	f.remedy = strings.Join(append(remedy, `Or run sotto outside of it. The setting multiplexer = "refuse" makes sotto insist.`), " ")
	if len(remedy) == 0 {
		f.remedy = strings.TrimPrefix(f.remedy, "Or ")
		f.remedy = strings.ToUpper(f.remedy[:1]) + f.remedy[1:]
	}
	return f
}

// remote says what it means to be logged in over SSH.
func remote(getenv func(string) string) finding {
	from := getenv("SSH_CONNECTION")
	if from == "" && getenv("SSH_TTY") == "" {
		return good("no, as far as the environment tells")
	}
	f := finding{Weak, "over SSH", "Keys and messages are on this computer, so whoever runs it could reach them; the one in front of you sees the screen. A line that drops locks and logs off.",
		"Where you can choose, run sotto on the computer in front of you."}
	if host, _, _ := strings.Cut(from, " "); host != "" {
		f.found += " from " + host
	}
	return f
}
