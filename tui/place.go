package tui

import (
	"strconv"
	"strings"
)

// place is where the person was: what a lock should bring back. It holds an
// address and numbers, no text; with whom somebody speaks is confidential too,
// so it belongs into the encrypted store.
type place struct {
	theme  string // chosen with /theme; "" for the configured one
	peer   string
	anchor anchor // zero: at the newest message
}

// maxPlace bounds a place in text, in bytes.
const maxPlace = 4096

// String writes a place as one line: a version, the theme, the message and the
// line of it at the top, the address.
func (p place) String() string {
	return strings.Join([]string{"1", p.theme, strconv.FormatInt(p.anchor.id, 10), strconv.Itoa(p.anchor.line), p.peer}, "\t")
}

// parsePlace reads a place. What it cannot read is no place at all: losing it
// costs one key.
func parsePlace(s string) place {
	f := strings.Split(s, "\t")
	if len(s) > maxPlace || len(f) != 5 || f[0] != "1" || strings.ContainsAny(s, "\n\x00\x1b") {
		return place{}
	}
	id, err := strconv.ParseInt(f[2], 10, 64)
	line, err2 := strconv.Atoi(f[3])
	if err != nil || err2 != nil || id < 0 {
		return place{}
	}
	p := place{theme: f[1], peer: f[4], anchor: anchor{id, line}}
	if p.theme != "auto" && p.theme != "light" && p.theme != "dark" {
		p.theme = ""
	}
	return p
}

// place is where the person is now.
func (m *Model) place() string {
	p := place{theme: m.theme, peer: m.open}
	if m.tl != nil && (m.tl.opening || !m.tl.follow) {
		p.anchor = m.tl.anchor
	}
	return p.String()
}
