package memory

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Forbidden goes through what was written to a terminal and names all that is
// not on the list of what sotto writes: text, colours, movements of the cursor,
// erasing, and a few modes and questions. Whatever else a terminal may know is
// forbidden with it: copying to the clipboard, naming windows, links, printing,
// making the terminal answer with something it was told before, text that is
// hidden or turned round. It reads as ECMA-48 and xterm do.
func Forbidden(out []byte) (found []string) {
	p := parser{rest: string(out)}
	for p.rest != "" {
		before := len(out) - len(p.rest)
		if what := p.next(); what != "" {
			found = append(found, fmt.Sprintf("at byte %d: %s", before, what))
		}
	}
	return found
}

// Bells counts how often the terminal was made to ring.
func Bells(out []byte) int {
	p := parser{rest: string(out)}
	for p.rest != "" {
		p.next()
	}
	return p.bells
}

// askable are the OSC that may be written, and only as questions: the colours of
// text and background.
var askable = []string{"10;?", "11;?"}

// removals are the APC that may be written at any time: the end of an image that was
// cut off, and the removal of sotto's image (the kitty graphics protocol). Neither
// carries anything.
var removals = []string{"Gq=2,m=0", "Gq=2,a=d,d=I,i=5074"}

// controls are the CSI that may be written, from the parameters to the end.
var controls = regexp.MustCompile(`^(` + strings.Join([]string{
	`[0-9;:]*m`,                     // colours
	`[0-9]*[ABCDEFGad` + "`" + `e]`, // the cursor moves
	`[0-9]*(;[0-9]*)?[Hf]`,
	`[0-9]*[JKX@PLMSTb]`, // erase, insert, delete, scroll, repeat
	`([0-9]*;[0-9]*)?r`,  // the rows that scroll
	`[0-6]? q`,           // how the cursor looks
	// Wrapping; the cursor is shown; mouse keys, the mouse with a button held, told
	// in decimals; focus; the alternate screen; brackets around what is pasted; a
	// picture at once; wide characters; light or dark.
	`\?(7|25|1000|1002|1006|1004|1049|2004|2026|2027|2031)[hl]`,
	// Only off, for after a program that died: keys, origin, old and full mouse,
	// the size told.
	`\?(1|6|9|1003|2048)l`,
	`>4(;[0-2])?m`, `=[0-9]+(;[1-3])?u`, `[><][0-9]*u`, // how keys are told
	`c`, `6n`, `\?u`, `>q`, `\?[0-9]+\$p`, // questions: terminal, cursor, keys, version, modes
}, "|") + `)$`)

// escapes are what may follow ESC but for CSI and strings.
var escapes = []string{"7", "8", "=", ">", "M", "\\", "(B"}

// The controls with which watch puts a terminal right after a process that died
// in the middle of writing.
const (
	can = 0x18 // ends what was broken off
	si  = 0x0f // back to the usual characters
)

type parser struct {
	rest  string
	bells int
}

// next takes one character or sequence, and says what is wrong with it.
func (p *parser) next() string {
	r, size := utf8.DecodeRuneInString(p.rest)
	if r == utf8.RuneError && size <= 1 {
		c := p.rest[0]
		p.rest = p.rest[1:]
		return fmt.Sprintf("the byte %#x, which is not UTF-8 and may be a C1 control", c)
	}
	p.rest = p.rest[size:]
	switch {
	case r == 0x1b:
		return p.escape()
	case r >= 0x80 && r <= 0x9f:
		return fmt.Sprintf("the C1 control %#x", r)
	case r == '\a':
		p.bells++
		return ""
	case r == '\b' || r == '\t' || r == '\n' || r == '\r' || r == can || r == si:
		return ""
	case r < 0x20 || r == 0x7f:
		return fmt.Sprintf("the control %#x", r)
	case hides(r):
		return fmt.Sprintf("the invisible character %U", r)
	}
	return ""
}

// hides says whether a character turns text round or cannot be seen.
func hides(r rune) bool {
	return r >= 0x200b && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2060 && r <= 0x206f ||
		r == 0x061c || r == 0xfeff || r >= 0xe0000 && r <= 0xe007f
}

func (p *parser) escape() string {
	if p.rest == "" {
		return "an escape without end"
	}
	c := p.rest[0]
	p.rest = p.rest[1:]
	switch c {
	case '[':
		return p.control()
	case ']':
		return p.text("OSC", askable)
	case 'P':
		return p.text("DCS", nil)
	case '_':
		return p.text("APC", removals)
	case '^':
		return p.text("PM", nil)
	case 'X':
		return p.text("SOS", nil)
	case 'k': // screen and tmux
		return p.text("the name of a screen window", nil)
	}
	// Intermediate characters, and the final one.
	sequence := string(c)
	for c >= 0x20 && c <= 0x2f {
		if p.rest == "" {
			return "an escape without end"
		}
		c = p.rest[0]
		p.rest = p.rest[1:]
		sequence += string(c)
	}
	if !slices.Contains(escapes, sequence) {
		return fmt.Sprintf("the escape %q", sequence)
	}
	return ""
}

// control takes a CSI up to its final byte.
func (p *parser) control() string {
	end := strings.IndexFunc(p.rest, func(r rune) bool { return r < 0x20 || r > 0x3f })
	if end < 0 {
		p.rest = ""
		return "a CSI without end"
	}
	sequence, final := p.rest[:end+1], p.rest[end]
	p.rest = p.rest[end+1:]
	switch {
	case final == can:
	case final < 0x40 || final > 0x7e:
		return fmt.Sprintf("a CSI broken off by %#x", final)
	case !controls.MatchString(sequence):
		return fmt.Sprintf("CSI %s", sequence)
	}
	return ""
}

// text takes a string up to BEL or ST.
func (p *parser) text(kind string, allowed []string) string {
	end := strings.IndexAny(p.rest, "\a\x1b\u009c")
	if end < 0 {
		p.rest = ""
		return kind + " without end"
	}
	content := p.rest[:end]
	switch rest := p.rest[end:]; {
	case rest[0] == '\a':
		p.rest = rest[1:]
	case strings.HasPrefix(rest, "\x1b\\"):
		p.rest = rest[2:]
	case rest[0] == 0x1b: // broken off by the next one
		p.rest = rest
	default:
		p.rest = rest[len("\u009c"):]
	}
	if slices.Contains(allowed, content) {
		return ""
	}
	if len(content) > 40 {
		content = content[:40] + "..."
	}
	return fmt.Sprintf("%s %q", kind, content)
}
