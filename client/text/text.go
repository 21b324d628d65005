// Package text makes words from elsewhere safe to draw on a terminal.
//
// Everything that was written by somebody else (a message, a name, a relay's
// error) passes through Sanitize or Line exactly once, where it enters, and is
// a Safe from then on. What draws takes a Safe, so the compiler finds the
// places that forgot.
//
// Nothing is thrown away without a trace: a character that could act on the
// terminal, hide, or reorder its neighbours is written out as <U+202E>, so
// that a person sees that something was there.
package text

import (
	"math/bits"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxMarks is how many combining marks one base character keeps. Living
// scripts stack up to four; the rest of a longer run is dropped.
const maxMarks = 6

// dottedCircle carries a combining mark that has no base of its own, which
// would otherwise change a character of the screen around the text.
const dottedCircle = '\u25cc'

// Safe is text that holds no control, no hidden and no reordering character.
// The zero value is the empty text. Only this package makes others.
type Safe struct{ s string }

// String returns the text. It may hold "\n" if Sanitize made it, never if
// Line did.
func (s Safe) String() string { return s.s }

// Empty reports whether there is nothing to draw.
func (s Safe) Empty() bool { return s.s == "" }

// Sanitize makes a text of several lines safe. Line ends of every kind become
// "\n" and a tab becomes a space.
func Sanitize(s string) Safe { return Safe{clean(s, true)} }

// Line makes a text of one line safe: as Sanitize, but line ends become
// spaces. Names, addresses and errors are lines.
func Line(s string) Safe { return Safe{clean(s, false)} }

// Words joins safe texts with single spaces, leaving out empty ones.
func Words(parts ...Safe) Safe {
	var b strings.Builder
	for _, p := range parts {
		if p.s == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(p.s)
	}
	return Safe{b.String()}
}

// clean does the work of Sanitize and Line. Text of printable ASCII, by far
// the most common, is returned as it is.
func clean(s string, lines bool) string {
	i := 0
	for i < len(s) && (s[i] >= ' ' && s[i] < 0x7f || s[i] == '\n' && lines) {
		i++
	}
	if i == len(s) {
		return s
	}
	c := cleaner{lines: lines}
	c.out.Grow(len(s) + 16)
	for s != "" {
		r, n := utf8.DecodeRuneInString(s)
		if r == '\r' && strings.HasPrefix(s[n:], "\n") {
			s = s[n:]
			continue
		}
		c.add(r, s[n:])
		s = s[n:]
	}
	return c.out.String()
}

// cleaner holds what the treatment of the next character depends on.
type cleaner struct {
	out    strings.Builder
	lines  bool
	prev   rune // last rune written, 0 at the start of a line
	marks  int  // combining marks since the last base
	varied bool // a variation selector was dropped since the last base
}

// add treats one character; rest is what follows it.
func (c *cleaner) add(r rune, rest string) {
	switch {
	case r >= ' ' && r < 0x7f || r > '\u00a0' && r < '\u0300' && r != '\u00ad':
		c.base(r) // most of what the Latin scripts use needs no more looking
	case r == '\n' || r == '\u0085' || r == '\u2028' || r == '\u2029':
		if c.lines {
			c.out.WriteByte('\n')
			c.prev, c.marks, c.varied = 0, 0, false
		} else {
			c.base(' ')
		}
	case r == '\t' || unicode.Is(unicode.Zs, r) && r != '\u3000':
		c.base(' ')
	case r == '\u200c' || r == '\u200d':
		c.joiner(r, rest)
	case unicode.Is(unicode.Variation_Selector, r):
		// The base is shown in its plain form: terminals disagree on how
		// wide the others are. Only one is dropped, and only where it means
		// something: a run of them, or one to each letter, hides data.
		if c.prev == 0 || c.prev == ' ' || c.marks > 0 || c.varied || !varies(c.prev, r) {
			c.escape(r)
			return
		}
		c.varied = true
	case hidden(r) || !unicode.IsGraphic(r) || r == utf8.RuneError:
		if r == utf8.RuneError {
			c.base(r) // already the visible sign for bytes that are not text
			return
		}
		c.escape(r)
	case unicode.In(r, unicode.Mn, unicode.Me):
		if c.prev == 0 || c.prev == ' ' {
			c.base(dottedCircle)
		}
		if c.marks < maxMarks {
			c.out.WriteRune(r)
			c.prev = r
		}
		c.marks++
	default:
		c.base(r)
	}
}

// base writes a character that stands by itself.
func (c *cleaner) base(r rune) {
	c.out.WriteRune(r)
	c.prev, c.marks, c.varied = r, 0, false
}

// escape writes a character's number in place of the character.
func (c *cleaner) escape(r rune) {
	c.out.WriteString("<U+")
	for n := max(4, (bits.Len32(uint32(r))+3)/4) - 1; n >= 0; n-- {
		c.out.WriteByte("0123456789ABCDEF"[r>>(4*n)&0xf])
	}
	c.out.WriteByte('>')
	c.prev, c.marks, c.varied = '>', 0, true
}

// joiner treats the zero-width joiner and non-joiner. Persian and the scripts
// of India cannot be written without them, so between two letters of such a
// script they stay. Between emoji the joiner is dropped and the parts stand
// side by side, which means the same and has a width all terminals agree on.
func (c *cleaner) joiner(r rune, rest string) {
	next, _ := utf8.DecodeRuneInString(rest)
	switch {
	case shapes(c.prev) && unicode.IsLetter(next) && shapes(next):
		c.out.WriteRune(r)
		c.prev = r
	case r == '\u200d' && pictorial(c.prev) && pictorial(next):
	default:
		c.escape(r)
	}
}

// joining are the scripts in which the two joiners change how letters look.
var joining = []*unicode.RangeTable{
	unicode.Arabic, unicode.Bengali, unicode.Devanagari, unicode.Gujarati,
	unicode.Gurmukhi, unicode.Kannada, unicode.Khmer, unicode.Malayalam,
	unicode.Mongolian, unicode.Myanmar, unicode.Oriya, unicode.Sinhala,
	unicode.Syriac, unicode.Tamil, unicode.Telugu, unicode.Tibetan,
}

// shapes reports whether r is a letter or mark of a script in joining.
func shapes(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M) && unicode.In(r, joining...)
}

// variants are the scripts whose characters have variants beside the two styles
// of emoji, which are for any character.
var variants = []*unicode.RangeTable{
	unicode.Han, unicode.Mongolian, unicode.Myanmar, unicode.Phags_Pa, unicode.Manichaean, unicode.Sm,
}

// varies reports whether a variation selector may stand after base.
func varies(base, selector rune) bool {
	switch {
	case selector == '\ufe0e' || selector == '\ufe0f':
		return true
	case selector >= '\U000e0100':
		return unicode.Is(unicode.Han, base)
	}
	return unicode.In(base, variants...)
}

// pictorial reports whether r may be a part of a joined emoji.
func pictorial(r rune) bool {
	return unicode.In(r, unicode.So, unicode.Sk) || r == '\u2640' || r == '\u2642'
}

// hidden reports whether r is a letter, mark or symbol by its class, yet draws
// nothing: the fillers people use to forge empty names and hide data.
func hidden(r rune) bool {
	switch {
	case r == '\u034f', r == '\u115f', r == '\u1160', r == '\u17b4', r == '\u17b5',
		r == '\u2800', r == '\u3164', r == '\uffa0', r == '\U0001d159':
		return true
	case r >= '\ufff9' && r <= '\ufffb', r >= '\U0001d173' && r <= '\U0001d17a',
		r >= '\U000e0000' && r <= '\U000e0fff':
		return true
	}
	return false
}
