package doctor

import (
	"fmt"
	"io"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// The columns of the page.
const (
	groupWidth   = 9
	verdictWidth = 5
	titleWidth   = 13
	textColumn   = groupWidth + 1 + verdictWidth + 1 // where titles begin
	foundColumn  = textColumn + titleWidth
	minWidth     = 60
	maxWidth     = 100
)

// Page writes the report for people: a line for each check, and beneath those
// that are not good what it means and what to do. width is the terminal's, in
// columns; color says whether verdicts have colours beside their words.
func (r Report) Page(w io.Writer, width int, color bool) error {
	width = max(minWidth, min(width, maxWidth))
	var b strings.Builder
	last := ""
	for _, c := range r.brief() {
		name := ""
		if c.Group != last {
			name, last = c.Group, c.Group
		}
		head := fmt.Sprintf("%-*s %s %-*s", groupWidth, name, verdict(c.Verdict, color), titleWidth-1, title(c.ID))
		hang(&b, head+" ", foundColumn, c.Found, width)
		if c.Verdict == Good || c.Meaning == "" && c.Remedy == "" {
			continue
		}
		hang(&b, strings.Repeat(" ", textColumn), textColumn, c.Meaning, width)
		if c.Remedy != "" {
			hang(&b, strings.Repeat(" ", textColumn)+"Do: ", textColumn+4, c.Remedy, width)
		}
	}
	hang(&b, "", 0, r.summary(), width)
	_, err := io.WriteString(w, b.String())
	return err
}

// brief is the checks without those that were skipped for the reason of the one
// before.
func (r Report) brief() []Check {
	var rows []Check
	for i, c := range r.Checks {
		if i > 0 && c.Verdict == Skipped {
			before := r.Checks[i-1]
			if before.Group == c.Group && before.Verdict == Skipped && before.Found == c.Found {
				continue
			}
		}
		rows = append(rows, c)
	}
	return rows
}

// title is what a check is called on the page: its id without the group.
func title(id string) string {
	_, name, _ := strings.Cut(id, ".")
	return strings.ReplaceAll(name, "-", " ")
}

// hang writes text behind a head, and further rows of it from the same column.
func hang(b *strings.Builder, head string, column int, text string, width int) {
	if text == "" && strings.TrimSpace(head) == "" {
		return
	}
	for i, row := range wrap(text, width-column) {
		if i > 0 {
			head = strings.Repeat(" ", column)
		}
		b.WriteString(strings.TrimRight(head+row, " "))
		b.WriteByte('\n')
	}
}

// wrap breaks a text between its words, and words only where they are longer
// than a row.
func wrap(text string, width int) []string {
	rows := []string{""}
	for _, word := range strings.Fields(text) {
		last := &rows[len(rows)-1]
		switch {
		case *last == "":
			*last = word
		case ansi.StringWidth(*last)+1+ansi.StringWidth(word) <= width:
			*last += " " + word
		default:
			rows = append(rows, word)
		}
		if last = &rows[len(rows)-1]; ansi.StringWidth(*last) > width {
			parts := strings.Split(ansi.Hardwrap(*last, width, true), "\n")
			rows = append(rows[:len(rows)-1], parts...)
		}
	}
	return rows
}

// verdict is the word, and perhaps a colour.
func verdict(v Verdict, color bool) string {
	word := fmt.Sprintf("%-*s", verdictWidth, v)
	if !color {
		return word
	}
	code := map[Verdict]string{Good: "32", Weak: "33", Bad: "31;1"}[v]
	if code == "" {
		return word
	}
	return "\x1b[" + code + "m" + word + "\x1b[0m"
}

func (r Report) summary() string {
	bad, weak, skip := r.Count(Bad), r.Count(Weak), r.Count(Skipped)
	if bad+weak+skip == 0 {
		return "All good."
	}
	parts := []string{fmt.Sprintf("%d good", r.Count(Good))}
	for _, p := range []struct {
		n    int
		what string
	}{{weak, "weak"}, {bad, "bad"}, {skip, "skipped"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	s := strings.Join(parts, ", ") + "."
	switch {
	case bad > 0:
		s += " What is bad has to be put right before sotto is used for patients."
	case weak > 0:
		s += " sotto works; what is weak protects less than it could."
	}
	return s
}
