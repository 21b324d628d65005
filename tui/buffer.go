package tui

import (
	"unicode"
	"unicode/utf8"
)

// maxDraft bounds a draft, in bytes of UTF-8.
const maxDraft = 16 << 10

// buffer is the text being written, with a cursor. It keeps runes so that it
// can be wiped: whatever memory it leaves behind, by growing, deleting or
// sending, is cleared first. Strings are made of it only to draw and to send.
type buffer struct {
	runes []rune
	at    int    // the cursor, 0 to len(runes), always between grapheme clusters
	bytes int    // of all runes in UTF-8, at most maxDraft
	cut   []rune // what was killed last, for yank
}

// insert puts text at the cursor, and reports whether all of it had room. The
// part that has not is left out.
func (b *buffer) insert(text string) bool {
	n, size := 0, 0
	for _, r := range text {
		l := utf8.RuneLen(r)
		if l < 0 {
			l = 3
		}
		if b.bytes+size+l > maxDraft {
			break
		}
		size += l
		n++
	}
	b.open(n)
	all, i := true, 0
	for _, r := range text {
		if i == n {
			all = false
			break
		}
		b.runes[b.at+i] = r
		i++
	}
	b.at += n
	b.bytes += size
	return all
}

// open makes a gap of n runes at the cursor.
func (b *buffer) open(n int) {
	old := b.runes
	if len(old)+n > cap(old) {
		grown := make([]rune, len(old)+n, max(2*cap(old), len(old)+n, 256))
		copy(grown, old[:b.at])
		copy(grown[b.at+n:], old[b.at:])
		clear(old)
		b.runes = grown
		return
	}
	b.runes = old[:len(old)+n]
	copy(b.runes[b.at+n:], b.runes[b.at:len(old)])
}

// remove deletes the runes from i up to j and leaves the cursor at i.
func (b *buffer) remove(i, j int) {
	for _, r := range b.runes[i:j] {
		b.bytes -= max(utf8.RuneLen(r), 1)
	}
	if b.bytes < 0 {
		b.bytes = 0
	}
	n := copy(b.runes[i:], b.runes[j:])
	clear(b.runes[i+n:])
	b.runes = b.runes[:i+n]
	b.at = i
}

// kill deletes the runes from i up to j and keeps them for yank.
func (b *buffer) kill(i, j int) {
	if i == j {
		return
	}
	clear(b.cut)
	b.cut = append([]rune(nil), b.runes[i:j]...)
	b.remove(i, j)
}

// yank inserts what was killed last.
func (b *buffer) yank() bool { return b.insert(string(b.cut)) }

// set replaces the text, and puts the cursor at its end.
func (b *buffer) set(text string) bool {
	b.wipe()
	return b.insert(text)
}

// wipe clears the text. What was killed stays, until wipeAll.
func (b *buffer) wipe() {
	clear(b.runes[:cap(b.runes)])
	b.runes = b.runes[:0]
	b.at, b.bytes = 0, 0
}

// wipeAll clears everything.
func (b *buffer) wipeAll() {
	b.wipe()
	clear(b.cut)
	b.cut = nil
}

func (b *buffer) empty() bool    { return len(b.runes) == 0 }
func (b *buffer) String() string { return string(b.runes) }

// lineStart is where the cursor's line begins.
func (b *buffer) lineStart() int {
	i := b.at
	for i > 0 && b.runes[i-1] != '\n' {
		i--
	}
	return i
}

// lineEnd is where the cursor's line ends.
func (b *buffer) lineEnd() int {
	i := b.at
	for i < len(b.runes) && b.runes[i] != '\n' {
		i++
	}
	return i
}

// left is the place one grapheme cluster before the cursor.
func (b *buffer) left(m measure) int {
	start := b.lineStart()
	if start == b.at {
		return max(b.at-1, 0)
	}
	s := string(b.runes[start:b.at])
	i, last := start, start
	for s != "" {
		n, _ := cluster(m, s)
		last = i
		i += utf8.RuneCountInString(s[:n])
		s = s[n:]
	}
	return last
}

// right is the place one grapheme cluster after the cursor.
func (b *buffer) right(m measure) int {
	if b.at == len(b.runes) || b.runes[b.at] == '\n' {
		return min(b.at+1, len(b.runes))
	}
	s := string(b.runes[b.at:b.lineEnd()])
	n, _ := cluster(m, s)
	return b.at + utf8.RuneCountInString(s[:n])
}

func wordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) }

// wordLeft is the beginning of the word before the cursor.
func (b *buffer) wordLeft() int {
	i := b.at
	for i > 0 && !wordRune(b.runes[i-1]) {
		i--
	}
	for i > 0 && wordRune(b.runes[i-1]) {
		i--
	}
	return i
}

// wordRight is the end of the word after the cursor.
func (b *buffer) wordRight() int {
	i := b.at
	for i < len(b.runes) && !wordRune(b.runes[i]) {
		i++
	}
	for i < len(b.runes) && wordRune(b.runes[i]) {
		i++
	}
	return i
}

// spaceLeft is the beginning of what stands before the cursor up to a space,
// as Ctrl+W deletes it.
func (b *buffer) spaceLeft() int {
	i := b.at
	for i > 0 && unicode.IsSpace(b.runes[i-1]) {
		i--
	}
	for i > 0 && !unicode.IsSpace(b.runes[i-1]) {
		i--
	}
	return i
}

// swap exchanges the two characters around the cursor, as Ctrl+T does.
func (b *buffer) swap() {
	i := b.at
	if i == len(b.runes) {
		i--
	}
	if i < 1 || b.runes[i] == '\n' || b.runes[i-1] == '\n' {
		return
	}
	b.runes[i-1], b.runes[i] = b.runes[i], b.runes[i-1]
	b.at = i + 1
}
