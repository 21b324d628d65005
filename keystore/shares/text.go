package shares

import (
	"bytes"
	"fmt"
)

// Rows of a share as people see them, such as "2  7KQW 9F3M 2XTA  4".
const (
	Rows     = 6
	rowChars = 12 // and one that tells of mistakes
	rowSize  = len("2  7KQW 9F3M 2XTA  4\n")

	// TextSize is the length of a share's text in bytes.
	TextSize = Rows * rowSize

	maxLine = 80 // bytes of a row as it is typed
)

// alphabet is Crockford's base 32: no I, L, O and U.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// RowError says which row of a share has a mistake, and counts from 1.
type RowError struct{ Row int }

func (e *RowError) Error() string {
	return fmt.Sprintf("row %d has a mistake: compare it with the sheet, and type it again", e.Row)
}

// AppendText writes share number n of the Set, counted from 0: TextSize bytes. dst
// belongs into locked memory and has room for it.
func (s *Set) AppendText(dst []byte, n int) []byte {
	content := s.content()
	defer clear(content)
	s.pack(n, content)
	var digits [rowChars]byte
	defer clear(digits[:])
	for row := range Rows {
		for i := range digits {
			digits[i] = digit(content, row*rowChars+i)
		}
		dst = append(dst, byte('1'+row), ' ', ' ')
		for i, d := range digits {
			if i > 0 && i%4 == 0 {
				dst = append(dst, ' ')
			}
			dst = append(dst, letter(d))
		}
		dst = append(dst, ' ', ' ', letter(guard(row, digits[:])), '\n')
	}
	return dst
}

// Row takes the next row of the share that is being typed, with or without its
// number, blanks and dashes. It reports whether that was the last one of the share,
// which is then in the Set. After a *RowError the same row is expected again, after
// another error the share from its first row on.
func (s *Set) Row(line []byte) (whole bool, err error) {
	var digits [rowChars + 1]byte
	defer clear(digits[:])
	line = bytes.TrimSpace(line)
	if len(line) > 2 && line[0] == byte('1'+s.rows) && (line[1] == ' ' || line[1] == '\t') {
		line = line[2:] // its number; a row itself has four characters before a blank
	}
	n, sound := 0, byte(0)
	for _, c := range line[:min(len(line), maxLine)] {
		if c == ' ' || c == '-' || c == '\t' {
			continue
		}
		if n == len(digits) {
			return false, &RowError{s.rows + 1}
		}
		d, bad := value(c)
		digits[n], sound = d, sound|bad
		n++
	}
	if n != len(digits) || len(line) > maxLine || sound|digits[rowChars]^guard(s.rows, digits[:rowChars]) != 0 {
		return false, &RowError{s.rows + 1}
	}
	content := s.content()
	for i, d := range digits[:rowChars] {
		set(content, s.rows*rowChars+i, d)
	}
	if s.rows++; s.rows < Rows {
		return false, nil
	}
	s.rows = 0
	return true, s.take()
}

// Next returns which row of a share is expected next, counted from 1.
func (s *Set) Next() int { return s.rows + 1 }

// digit returns five bits of b, the n. from its start.
func digit(b []byte, n int) byte {
	at := 5 * n
	pair := uint16(b[at/8]) << 8
	if at/8+1 < len(b) {
		pair |= uint16(b[at/8+1])
	}
	return byte(pair>>(11-at%8)) & 31
}

// set is the reverse of digit. Where b has been zero before, or this very digit.
func set(b []byte, n int, d byte) {
	at := 5 * n
	pair, mask := uint16(d)<<(11-at%8), uint16(31)<<(11-at%8)
	b[at/8] = b[at/8]&^byte(mask>>8) | byte(pair>>8)
	if at/8+1 < len(b) {
		b[at/8+1] = b[at/8+1]&^byte(mask) | byte(pair)
	}
}

// guard is the last character of a row: a sum in GF(2⁵) in which each place has a
// factor of its own, so that one wrong character, and two that changed places, make
// another one; and so does another row.
func guard(row int, digits []byte) byte {
	factor, sum := byte(1), byte(row+1)
	for _, d := range digits {
		factor = times32(factor, 2)
		sum ^= times32(factor, d)
	}
	return sum
}

// letter and value look at every letter, whichever it is.
func letter(d byte) (c byte) {
	for i := range len(alphabet) {
		c |= alphabet[i] & equal(byte(i), d)
	}
	return c
}

// value returns a letter's value, and 0 for bad if it is one.
func value(c byte) (d, bad byte) {
	c ^= 0x20 & between(c, 'a', 'z') // capitals
	c = c&^equal(c, 'O') | '0'&equal(c, 'O')
	il := equal(c, 'I') | equal(c, 'L')
	c = c&^il | '1'&il
	bad = 0xff
	for i := range len(alphabet) {
		same := equal(alphabet[i], c)
		d |= byte(i) & same
		bad &^= same
	}
	return d, bad
}

// equal is 0xff where a is b, and else 0.
func equal(a, b byte) byte { return byte((uint16(a^b) - 1) >> 8) }

// between is 0xff where a is from low to high, and else 0.
func between(a, low, high byte) byte {
	return ^byte((uint16(a)-uint16(low))>>8) & ^byte((uint16(high)-uint16(a))>>8)
}
