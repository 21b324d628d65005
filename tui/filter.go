package tui

import (
	"strings"
	"unicode/utf8"
)

// maxSequence bounds an escape sequence, in bytes. What Bubble Tea writes is
// far shorter; anything longer is dropped whole.
const maxSequence = 64

// askBackground is the one operating system command that may pass: it asks the
// terminal for its background colour and carries no content.
const askBackground = "\x1b]11;?\x07"

// filter passes what drawing needs and drops everything else: the clipboard
// (OSC 52), titles, links and every other operating system or device command,
// printing (CSI i), window operations (CSI t), resets, bells, C1 controls, and
// the alternate screen, which belongs to another process. It is a list of what
// is allowed, so a sequence nobody thought of does not pass. A sequence may
// come in several parts. The zero value is ready to use.
type filter struct {
	part    []byte // the beginning of a sequence or character
	in      phase
	visible bool // a printable character other than a space has passed
}

// phase is where in a sequence the filter is.
type phase byte

const (
	inGround  phase = iota
	inEscape        // after ESC
	inLonger        // after ESC and an intermediate byte
	inControl       // in CSI
	inCommand       // in OSC, DCS, SOS, PM or APC
	inEnding        // after an ESC in a command
)

// append filters p onto dst.
func (f *filter) append(dst, p []byte) []byte {
	for len(p) > 0 {
		if f.in == inGround {
			var n int
			dst, n = f.plain(dst, p)
			p = p[n:]
			continue
		}
		dst = f.sequence(dst, p[0])
		p = p[1:]
	}
	return dst
}

// plain takes one character, or a run of printable ASCII, outside sequences.
func (f *filter) plain(dst, p []byte) ([]byte, int) {
	if len(f.part) > 0 || p[0] >= utf8.RuneSelf {
		return f.char(dst, p)
	}
	n := 0
	for n < len(p) && p[n] >= ' ' && p[n] < 0x7f {
		f.visible = f.visible || p[n] != ' '
		n++
	}
	if n > 0 {
		return append(dst, p[:n]...), n
	}
	switch p[0] {
	case 0x1b:
		f.in = inEscape
	case '\r', '\n', '\b', '\t':
		dst = append(dst, p[0])
	}
	return dst, 1
}

// char takes one character beyond ASCII, which an earlier write may have begun.
func (f *filter) char(dst, p []byte) ([]byte, int) {
	had := len(f.part)
	buf := append(f.part, p[:min(len(p), utf8.UTFMax)]...)
	if !utf8.FullRune(buf) {
		f.part = append(f.part, p...)
		return dst, len(p)
	}
	r, n := utf8.DecodeRune(buf)
	f.part = f.part[:0]
	if r == utf8.RuneError && n == 1 {
		return dst, max(1-had, 0) // a byte that is no text; what it cut off starts anew
	}
	if r >= 0xa0 { // 0x80 to 0x9f are the C1 controls
		dst = utf8.AppendRune(dst, r)
		f.visible = true
	}
	return dst, n - had
}

// sequence takes one byte of an escape sequence.
func (f *filter) sequence(dst []byte, c byte) []byte {
	if c == 0x18 || c == 0x1a { // cancelled
		f.end()
		return dst
	}
	switch f.in {
	case inEscape:
		switch c {
		case '[':
			f.in = inControl
		case ']', 'P', 'X', '^', '_':
			f.in = inCommand
			f.part = append(f.part, c)
		case 0x1b:
		case '7', '8', 'D', 'E', 'M': // save, restore, index, next line, reverse index
			f.end()
			return append(dst, 0x1b, c)
		default:
			f.end()
			if c >= 0x20 && c <= 0x2f {
				f.in = inLonger
			}
		}
	case inLonger:
		switch {
		case c == 0x1b:
			f.in = inEscape
		case c >= 0x30:
			f.end()
		}
	case inControl:
		if c == 0x1b {
			f.end()
			f.in = inEscape
			return dst
		}
		if len(f.part) < maxSequence {
			f.part = append(f.part, c)
		}
		if c >= 0x40 && c <= 0x7e {
			if len(f.part) < maxSequence {
				dst = appendCSI(dst, f.part)
			}
			f.end()
		}
	case inCommand:
		switch c {
		case 0x07:
			if string(f.part) == askBackground[1:len(askBackground)-1] {
				dst = append(dst, askBackground...)
			}
			f.end()
		case 0x1b:
			f.in = inEnding
		default:
			if len(f.part) < maxSequence {
				f.part = append(f.part, c)
			}
		}
	case inEnding:
		if c == '\\' {
			f.end()
		} else if c != 0x1b {
			f.in = inCommand
		}
	}
	return dst
}

func (f *filter) end() {
	f.part = f.part[:0]
	f.in = inGround
}

// Finals of control sequences that move, erase, scroll and colour.
const drawing = "@ABCDEFGHJKLMPSTXZ`abdefgmr"

// modes that may be set: cursor keys, autowrap, cursor shown, buttons of the
// mouse, focus reports, coordinates of the mouse in digits, bracketed paste,
// synchronized output, grapheme clusters.
var modes = map[string]bool{
	"1": true, "7": true, "25": true, "1000": true, "1004": true, "1006": true,
	"2004": true, "2026": true, "2027": true,
}

// appendCSI appends the control sequence whose body, final byte included, is
// b, if it is allowed.
func appendCSI(dst, b []byte) []byte {
	final, body := b[len(b)-1], string(b[:len(b)-1])
	numbers := strings.Trim(body, "0123456789;:") == ""
	pass := false
	switch {
	case strings.IndexByte(drawing, final) >= 0:
		pass = numbers || final == 'm' && strings.HasPrefix(body, ">4") // modifyOtherKeys
	case final == 'h' || final == 'l':
		if rest, ok := strings.CutPrefix(body, "?"); ok {
			var keep []string
			for _, m := range strings.Split(rest, ";") {
				if modes[m] {
					keep = append(keep, m)
				}
			}
			body = "?" + strings.Join(keep, ";")
			pass = len(keep) > 0
		}
	case final == 'u': // the kitty keyboard protocol
		pass = body == ">1" || body == "<" || body == "?"
	case final == 'p': // which modes there are
		pass = body == "?2026$" || body == "?2027$"
	case final == 'W': // tab stops
		pass = body == "?5"
	}
	if !pass {
		return dst
	}
	dst = append(dst, "\x1b["...)
	dst = append(dst, body...)
	return append(dst, final)
}
