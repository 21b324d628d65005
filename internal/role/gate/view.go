package gate

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"sotto/internal/role"
)

// view is what the gate shows. It holds how many characters were typed, never which.
type view struct {
	label   string // organisation
	user    string
	prompt  string // before the dots
	dots    int
	busy    string        // stands in the place of the dots while something is under way
	wait    time.Duration // before input counts
	note    string        // one sentence: what was wrong, or what to do
	warning string        // what is about to happen
	hint    string
	status  role.Status
	locked  time.Time // since when; zero before the first unlock
	now     time.Time
	ascii   bool // the terminal has no more than ASCII
}

// rows lays the view out: one string a row, without line ends, none wider than
// the screen. caret is where the next character would stand, counted from 0.
func (v view) rows(width, height int) (rows []string, caretColumn, caretRow int) {
	rows = make([]string, height)
	type part struct {
		text   string
		weight int // the heaviest stay when the screen is small
		gap    int // blank rows above, if there is room
	}
	prompt := v.promptLine(width)
	var parts []part
	add := func(weight, gap int, texts ...string) {
		for i, text := range texts {
			if text != "" {
				parts = append(parts, part{text, weight, gap})
				if i == 0 {
					gap = 0
				}
			}
		}
	}
	add(2, 0, "s o t t o")
	add(3, 1, v.who())
	add(9, 1, prompt)
	add(7, 1, v.wrap(v.note, width)...)
	add(8, 1, v.wrap(v.warning, width)...)
	add(5, 1, v.waiting())
	add(6, 1, v.hint)

	body := height
	foot := v.foot()
	if height >= 4 && foot != "" {
		body--
	} else {
		foot = ""
	}
	for len(parts) > body { // drop the lightest, the last of equals first
		lightest := len(parts) - 1
		for i := len(parts) - 1; i >= 0; i-- {
			if parts[i].weight < parts[lightest].weight {
				lightest = i
			}
		}
		parts = append(parts[:lightest], parts[lightest+1:]...)
	}
	total := len(parts)
	gaps := 0
	for i, p := range parts {
		if i > 0 {
			gaps += p.gap
		}
	}
	spacious := total+gaps <= body
	if spacious {
		total += gaps
	}
	row := (body - total) / 2
	for i, p := range parts {
		if spacious && i > 0 {
			row += p.gap
		}
		text := ansi.Truncate(p.text, width, "")
		left := (width - ansi.StringWidth(text)) / 2
		rows[row] = strings.Repeat(" ", left) + text
		if p.weight == 9 {
			caretRow = row
			caretColumn = min(width-1, left+ansi.StringWidth(strings.TrimSuffix(text, "_")))
		}
		row++
	}
	if foot != "" {
		foot = ansi.Truncate(foot, max(0, width-1), "")
		rows[height-1] = strings.Repeat(" ", max(0, width-1-ansi.StringWidth(foot))) + foot
	}
	return rows, caretColumn, caretRow
}

func (v view) symbols() (dot, between string) {
	if v.ascii {
		return "*", " - "
	}
	return "•", " · "
}

// plain makes text fit for a terminal that has only ASCII.
func (v view) plain(s string) string {
	if !v.ascii {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r > 0x7e {
			return '?'
		}
		return r
	}, s)
}

func (v view) who() string {
	_, between := v.symbols()
	return join(between, v.plain(v.label), v.plain(v.user))
}

// promptLine shows a dot for each character; when they don't fit, the last of them.
func (v view) promptLine(width int) string {
	switch {
	case v.wait > 0:
		return "wait " + seconds(v.wait)
	case v.busy != "":
		return v.busy
	}
	dot, _ := v.symbols()
	dots := min(v.dots, max(1, (width-ansi.StringWidth(v.prompt)-3)/2))
	return v.prompt + "  " + strings.Repeat(dot+" ", dots) + "_"
}

// wrap breaks sentences into at most four rows of about the same length.
func (v view) wrap(note string, width int) []string {
	if note == "" {
		return nil
	}
	note = v.plain(note)
	width = max(1, min(width-2, 66))
	if rows := ansi.StringWidth(note)/width + 1; rows > 1 {
		width = min(width, ansi.StringWidth(note)/rows+8)
	}
	lines := strings.Split(ansi.Wordwrap(note, width, ""), "\n")
	return lines[:min(len(lines), 4)]
}

// waiting says how many wait and whether one is urgent: never who or what.
func (v view) waiting() string {
	if v.status.Waiting == 0 {
		return ""
	}
	_, between := v.symbols()
	stat, since := "", ""
	if v.status.Stat > 0 {
		stat = fmt.Sprintf("%d STAT", v.status.Stat)
	}
	if !v.status.Since.IsZero() {
		since = "since " + v.status.Since.Local().Format("15:04")
	}
	return join(between, fmt.Sprintf("%d waiting", v.status.Waiting), stat, since)
}

// foot is the last row: the relay, and for how long sotto has been locked.
func (v view) foot() string {
	_, between := v.symbols()
	locked := ""
	if !v.locked.IsZero() {
		locked = "locked " + ago(v.now.Sub(v.locked))
	}
	return join(between, v.plain(v.status.Words), locked)
}

// ago is a time span in the largest unit that says enough.
func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// join puts the parts that are not empty beside each other.
func join(between string, parts ...string) string {
	var kept []string
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, between)
}

// seconds is a time to wait, rounded up.
func seconds(d time.Duration) string {
	n := int((d + time.Second - 1) / time.Second)
	if n >= 120 {
		return fmt.Sprintf("%d min %d s", n/60, n%60)
	}
	return fmt.Sprintf("%d s", n)
}
