package tui

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// Widths are in columns, and measured the way the renderer measures them: by
// code point until the terminal says that it knows grapheme clusters (mode
// 2027), by cluster from then on.
type measure = ansi.Method

// cluster returns the length in bytes and the width of what a person sees as
// the first character of s, which must not be empty.
func cluster(m measure, s string) (n, width int) {
	if s[0] >= ' ' && s[0] < 0x7f && (len(s) == 1 || s[1] < 0x80) {
		return 1, 1
	}
	c, w := ansi.FirstGraphemeCluster(s, m)
	return len(c), w
}

// width is the width of s, which holds no control and no escape sequence.
func width(m measure, s string) int {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return m.StringWidth(s)
		}
	}
	return len(s)
}

// clip shortens plain text to w columns, ending it in tail if it was longer.
func clip(m measure, s string, w int, tail string) string {
	if w <= 0 {
		return ""
	}
	if width(m, s) <= w {
		return s
	}
	room := w - width(m, tail)
	if room < 0 {
		return strings.Repeat(".", w)
	}
	used, i := 0, 0
	for i < len(s) {
		n, cw := cluster(m, s[i:])
		if used+cw > room {
			break
		}
		used += cw
		i += n
	}
	return s[:i] + tail
}

// wrap breaks text into lines of at most w columns: between words where it can,
// within a word that is longer than a line. Spaces at a break are dropped,
// others stay. It never splits a grapheme cluster; one wider than w stands
// alone. The result has at least one line.
func wrap(m measure, text string, w int) []string {
	var lines []string
	for para := range strings.SplitSeq(text, "\n") {
		lines = wrapLine(lines, m, strings.TrimRight(para, " "), max(w, 1))
	}
	return lines
}

func wrapLine(lines []string, m measure, s string, w int) []string {
	if len(s) <= w {
		return append(lines, s) // no character is wider than it is long, in bytes
	}
	used, i := 0, 0
	end, next := 0, 0 // the last place to break: the line ends before end, goes on at next
	for i < len(s) {
		n, cw := cluster(m, s[i:])
		if used+cw > w && i > 0 {
			if s[i] == ' ' { // a break just here
				end, next = i, i
			}
			if end == 0 {
				end, next = i, i
			}
			lines = append(lines, strings.TrimRight(s[:end], " "))
			s = strings.TrimLeft(s[next:], " ")
			used, i, end, next = 0, 0, 0, 0
			continue
		}
		if s[i] == ' ' {
			end, next = i, i+1
		} else if cw == 2 && i > 0 { // scripts written without spaces
			end, next = i, i
		}
		used += cw
		i += n
		if cw == 2 || s[i-1] == '-' && i > 1 && s[i-2] != ' ' && s[i-2] != '-' {
			end, next = i, i
		}
	}
	return append(lines, s)
}
