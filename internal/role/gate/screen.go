package gate

import (
	"fmt"
	"strings"
)

// screen turns rows into what a terminal must be sent. It sends a row again
// only when it has changed.
type screen struct {
	shown         []string
	width, height int
	again         bool // see forget
}

// forget makes the next draw send every row, whatever stands there. It erases
// row by row and not all at once: where nothing was wrong, nothing flickers.
func (s *screen) forget() { s.again = true }

// draw returns the bytes that bring the terminal from what it shows to v.
func (s *screen) draw(v view, width, height int) string {
	width, height = max(1, min(width, 500)), max(1, min(height, 300))
	rows, column, row := v.rows(width, height)
	var b strings.Builder
	b.WriteString("\x1b[?2026h\x1b[?25l")
	if s.shown == nil || width != s.width || height != s.height {
		s.shown = make([]string, height)
		s.width, s.height = width, height
		b.WriteString("\x1b[0m\x1b[H\x1b[2J")
	}
	if s.again {
		b.WriteString("\x1b[0m")
	}
	for i, text := range rows {
		if s.again || text != s.shown[i] {
			fmt.Fprintf(&b, "\x1b[%d;1H%s\x1b[K", i+1, text)
		}
	}
	s.shown, s.again = rows, false
	fmt.Fprintf(&b, "\x1b[%d;%dH\x1b[?25h\x1b[?2026l", row+1, column+1)
	return b.String()
}

// asciiOnly says whether the environment, as os.Getenv gives it, names a
// terminal that can't be trusted to show more than ASCII.
func asciiOnly(getenv func(string) string) bool {
	if getenv("TERM") == "dumb" {
		return true
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := getenv(name); v != "" {
			v = strings.ToLower(v)
			return !strings.Contains(v, "utf-8") && !strings.Contains(v, "utf8")
		}
	}
	return true
}
