package tui

import (
	"os"
	"time"
	"unicode/utf8"
)

// keyboard is a terminal to read keys from, with a guard between it and Bubble
// Tea: a paste that never ends must not keep anybody from locking. It is a file
// in everything else, so that reading can be cancelled.
type keyboard struct {
	*os.File
	guard pasteGuard
	last  time.Time // of the last read
	lock  func()    // blanks the screen and locks: Ctrl+L does not wait for what comes before it
}

// Read reads keys. It never returns 0 bytes without an error.
func (k *keyboard) Read(p []byte) (int, error) {
	buf := make([]byte, max(len(p)/2, 1)) // the guard adds less than what it is given, but for the end of a paste
	for {
		n, err := k.File.Read(buf)
		now := time.Now()
		out := k.guard.feed(p[:0], buf[:n], now.Sub(k.last))
		k.last = now
		if k.guard.lock {
			k.guard.lock = false
			k.lock()
		}
		if len(out) > 0 || err != nil {
			return copy(p, out), err
		}
	}
}

const (
	pasteBegins = "\x1b[200~"
	pasteEnds   = "\x1b[201~"
	stringEnds  = "\x1b\\"

	// maxPaste bounds what one paste can bring, in bytes; a message is far shorter.
	maxPaste = 64 << 10

	// maxParameters bounds the parameters of a control sequence. The library that
	// reads them has room for 32 and ends the program at one more; terminals send
	// a handful.
	maxParameters = 24

	// pasteStalls is how long a paste may pause before a key that comes by itself
	// is taken for a person's.
	pasteStalls = 500 * time.Millisecond
)

// pasteGuard looks at what a terminal sends. Outside of pastes it changes
// nothing but control sequences with far too many parameters, and the mouse
// reports of terminals that do not know mode 1006: those hold their coordinates
// as characters, which would be taken for typed ones if the report came in two
// parts. Inside of pastes it takes out every control but tabs and line ends: what waits
// for the end of some sequence would wait for it beyond the end of the paste.
// And where a paste has stalled, Ctrl+C, Ctrl+L and Ctrl+Q end it. Ctrl+L and
// Ctrl+Q end a control string too, such as an answer that was cut off.
type pasteGuard struct {
	mouse  bool // the terminal was asked to report the mouse
	inside bool
	match  int // bytes of pasteBegins or pasteEnds that were seen
	part   [utf8.UTFMax]byte
	have   int  // bytes in part, of a character of the paste
	need   int  // bytes that it still lacks
	size   int  // of the paste so far
	last   byte // outside of pastes: the byte before
	params int  // in a control sequence: parameters so far; else 0
	string bool // in a control string (OSC, DCS, SOS, PM, APC) without an end so far
	drop   int  // bytes of a report of the mouse that are still to come
	lock   bool // Ctrl+L was pressed
}

// feed appends to dst what becomes of p, which came after a pause.
func (g *pasteGuard) feed(dst, p []byte, pause time.Duration) []byte {
	if g.inside && len(p) == 1 && pause >= pasteStalls && (p[0] == 0x03 || p[0] == 0x0c || p[0] == 0x11) {
		*g = pasteGuard{mouse: g.mouse, lock: p[0] == 0x0c}
		return append(append(dst, pasteEnds...), p[0])
	}
	for _, c := range p {
		if g.inside {
			dst = g.pasted(dst, c)
			continue
		}
		if g.drop > 0 {
			g.drop--
			continue
		}
		if g.cut(c) {
			dst = append(dst, stringEnds...)
		}
		if g.excess(c) {
			continue
		}
		g.lock = g.lock || c == 0x0c
		dst = append(dst, c)
		switch {
		case c == 'M' && g.match == 2 && g.mouse: // after ESC [
			dst[len(dst)-1] = 'n' // a report that means nothing
			g.match, g.drop = 0, 3
		case c == pasteBegins[g.match]:
			if g.match++; g.match == len(pasteBegins) {
				*g = pasteGuard{mouse: g.mouse, lock: g.lock, inside: true}
			}
		case c == pasteBegins[0]:
			g.match = 1
		default:
			g.match = 0
		}
	}
	return dst
}

// cut reports whether a control string is to end before c, so that c acts.
func (g *pasteGuard) cut(c byte) bool {
	switch {
	case g.last == 0x1b && (c == ']' || c == 'P' || c == 'X' || c == '^' || c == '_'), c == 0x9d, c == 0x90:
		g.string = true
	case g.string && (c == 0x0c || c == 0x11):
		g.string = false
		return true
	case c == 0x07, c == 0x18, c == 0x1a, g.last == 0x1b:
		g.string = false
	}
	return false
}

// excess reports whether c is of a parameter beyond maxParameters.
func (g *pasteGuard) excess(c byte) bool {
	last := g.last
	g.last = c
	switch {
	case last == 0x1b && (c == '[' || c == 'P'), c == 0x9b, c == 0x90:
		g.params = 1
	case g.params > 0 && c >= 0x20 && c < 0x40:
		if c == ';' || c == ':' {
			g.params = min(g.params+1, maxParameters+1)
		}
		return g.params > maxParameters
	default:
		g.params = 0
	}
	return false
}

// pasted takes one byte of a paste.
func (g *pasteGuard) pasted(dst []byte, c byte) []byte {
	if c == pasteEnds[g.match] {
		if g.match++; g.match == len(pasteEnds) {
			*g = pasteGuard{mouse: g.mouse, lock: g.lock}
			return append(dst, pasteEnds...)
		}
		return dst
	}
	if g.match > 0 { // it was something else: its ESC is dropped, the rest is text
		seen := pasteEnds[1:g.match]
		g.match = 0
		for i := range len(seen) {
			dst = g.text(dst, seen[i])
		}
		return g.pasted(dst, c)
	}
	return g.text(dst, c)
}

// text takes one byte of a paste that is not of its end, and drops what is not
// text in UTF-8: a character passes when it is whole.
func (g *pasteGuard) text(dst []byte, c byte) []byte {
	if c&0xc0 == 0x80 {
		if g.need == 0 {
			return dst
		}
		g.part[g.have] = c
		g.have++
		if g.need--; g.need > 0 {
			return dst
		}
		if r, n := utf8.DecodeRune(g.part[:g.have]); n == g.have && r >= 0xa0 { // below are the C1 controls
			return g.keep(dst, g.part[:n]...)
		}
		return dst
	}
	g.have, g.need = 0, 0
	switch {
	case c == '\t', c == '\n', c == '\r', c >= ' ' && c < 0x7f:
		return g.keep(dst, c)
	case c >= 0xf0:
		g.need = 3
	case c >= 0xe0:
		g.need = 2
	case c >= 0xc0:
		g.need = 1
	default:
		return dst
	}
	g.part[0], g.have = c, 1
	return dst
}

func (g *pasteGuard) keep(dst []byte, b ...byte) []byte {
	if g.size+len(b) > maxPaste {
		return dst
	}
	g.size += len(b)
	return append(dst, b...)
}
