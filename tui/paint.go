package tui

import (
	"strings"

	"sotto/themes"
)

// reset ends any style.
const reset = "\x1b[m"

// paint draws s in a style. Styles do not nest.
func paint(st themes.Style, s string) string {
	if s == "" {
		return ""
	}
	on := st.SGR()
	if on == "" {
		return s
	}
	return on + s + reset
}

// line builds one line of the screen and knows how wide it has become.
type line struct {
	m     measure
	b     strings.Builder
	width int
}

// add appends plain text in a style.
func (l *line) add(st themes.Style, s string) *line {
	l.b.WriteString(paint(st, s))
	l.width += width(l.m, s)
	return l
}

// space appends n spaces; a negative n appends none.
func (l *line) space(n int) *line {
	if n > 0 {
		l.b.WriteString(strings.Repeat(" ", n))
		l.width += n
	}
	return l
}

// to appends spaces up to column w.
func (l *line) to(w int) *line { return l.space(w - l.width) }

func (l *line) String() string { return l.b.String() }

// fit makes a painted line exactly w columns wide.
func fit(m measure, s string, w int) string {
	have := m.StringWidth(s)
	switch {
	case have < w:
		return s + strings.Repeat(" ", w-have)
	case have > w:
		return m.Truncate(s, w, "") + reset
	}
	return s
}

// overlay lays box over back with its upper left corner at column x and row y.
// Lines and columns that do not fit are cut.
func overlay(m measure, back, box []string, x, y, w int) {
	for i, s := range box {
		row := y + i
		if row < 0 || row >= len(back) {
			continue
		}
		bw := m.StringWidth(s)
		if x+bw > w {
			s = m.Truncate(s, w-x, "")
			bw = m.StringWidth(s)
		}
		under := fit(m, back[row], w)
		back[row] = fit(m, m.Truncate(under, x, ""), x) + reset + s + reset + rest(m, under, x+bw, w)
	}
}

// rest is what stands in a line of w columns from column x on. A wide
// character that x cuts through becomes a space. (ansi.Method.Cut does not do:
// it cuts the wrong side when widths go by code point.)
func rest(m measure, s string, x, w int) string {
	out := m.TruncateLeft(s, x, "")
	if m.StringWidth(out) > w-x {
		out = " " + m.TruncateLeft(s, x+1, "")
	}
	return out
}

func spaces(n int) string { return strings.Repeat(" ", max(n, 0)) }
