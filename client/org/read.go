package org

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Hash is a SHA-256.
type Hash [sha256.Size]byte

// HashOf returns the digest of a text.
func HashOf(s string) Hash { return sha256.Sum256([]byte(s)) }

// String writes the digest in hex.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// IsZero reports whether there is no digest.
func (h Hash) IsZero() bool { return h == Hash{} }

// ParseHash reads a digest as String writes it.
func ParseHash(s string) (h Hash, ok bool) {
	if len(s) != 2*len(h) || strings.ToLower(s) != s {
		return Hash{}, false
	}
	_, err := hex.Decode(h[:], []byte(s))
	return h, err == nil
}

// maxNumber bounds serials and other numbers: what every JSON reader takes.
const maxNumber = 1 << 53

// ParseNumber reads a number as people write it, without sign or leading zeros.
func ParseNumber(s string) (n uint64, ok bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && n <= maxNumber && strconv.FormatUint(n, 10) == s
}

// ParseTime reads a time as FormatTime writes it, of the years 2000 to 9999.
func ParseTime(s string) (t time.Time, ok bool) {
	t, err := time.Parse(time.RFC3339, s)
	return t, err == nil && FormatTime(t) == s && t.Year() >= 2000
}

// FormatTime writes a time in UTC, in seconds (RFC 3339).
func FormatTime(t time.Time) string { return t.UTC().Truncate(time.Second).Format(time.RFC3339) }

// Writer writes the text of a statement, line by line.
type Writer struct{ b strings.Builder }

// NewWriter begins a statement of a kind, about an organisation.
func NewWriter(kind Kind, organisation string) *Writer {
	w := new(Writer)
	w.b.WriteString(kind.Title() + "\n")
	w.Line("organisation", organisation)
	return w
}

// Line writes a line.
func (w *Writer) Line(name, value string) {
	w.b.WriteString(name)
	w.b.WriteString(": ")
	w.b.WriteString(value)
	w.b.WriteByte('\n')
}

// Number writes a line with a number.
func (w *Writer) Number(name string, n uint64) { w.Line(name, strconv.FormatUint(n, 10)) }

// Time writes a line with a time.
func (w *Writer) Time(name string, t time.Time) { w.Line(name, FormatTime(t)) }

// Optional writes a line if there is a value.
func (w *Writer) Optional(name, value string) {
	if value != "" {
		w.Line(name, value)
	}
}

// Blank writes an empty line.
func (w *Writer) Blank() { w.b.WriteByte('\n') }

// Raw writes lines as they are.
func (w *Writer) Raw(s string) { w.b.WriteString(s) }

// String returns the text.
func (w *Writer) String() string { return w.b.String() }

// Reader reads the lines of a statement in their order. The first line that is not
// what was asked for makes the error that Err returns; all that is read afterwards
// is empty.
type Reader struct {
	rest string
	line int
	err  error
}

// NewReader reads what follows the first two lines of a statement, which Open has read.
func NewReader(s *Statement) *Reader {
	r := &Reader{rest: s.Text}
	r.next()
	r.next()
	return r
}

// NewLines reads lines that are of no statement.
func NewLines(s string) *Reader { return &Reader{rest: s} }

// Fail makes an error of the line read last.
func (r *Reader) Fail(format string, a ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: line %d: %s", ErrMalformed, r.line, fmt.Sprintf(format, a...))
		r.rest = ""
	}
}

// Err returns the first error.
func (r *Reader) Err() error { return r.err }

// End makes an error of what is left, and returns the first error.
func (r *Reader) End() error {
	if r.rest != "" {
		r.line++
		r.Fail("nothing more was expected")
	}
	return r.err
}

// More reports whether there is something left.
func (r *Reader) More() bool { return r.rest != "" }

// next takes the next line.
func (r *Reader) next() string {
	line, rest, _ := strings.Cut(r.rest, "\n")
	r.rest = rest
	r.line++
	return line
}

// Has reports whether the next line has this name.
func (r *Reader) Has(name string) bool {
	return len(r.rest) > len(name)+1 && r.rest[:len(name)] == name && r.rest[len(name):len(name)+2] == ": "
}

// Line reads the line with this name, of at most max bytes, and not empty.
func (r *Reader) Line(name string, max int) string {
	if r.err != nil {
		return ""
	}
	has := r.Has(name)
	line := r.next()
	if !has {
		r.Fail("%q was expected", name)
		return ""
	}
	value := line[len(name)+2:]
	if value == "" || !IsLine(value, max) {
		r.Fail("%s is empty, too long, or holds what cannot be shown", name)
		return ""
	}
	return value
}

// Optional reads the line with this name, if it is the next.
func (r *Reader) Optional(name string, max int) string {
	if !r.Has(name) {
		return ""
	}
	return r.Line(name, max)
}

// Number reads the line with this name and a number in it.
func (r *Reader) Number(name string) uint64 {
	s := r.Line(name, 20)
	n, ok := ParseNumber(s)
	if !ok {
		r.Fail("%s is not a number", name)
		return 0
	}
	return n
}

// Time reads the line with this name and a time in it.
func (r *Reader) Time(name string) time.Time {
	s := r.Line(name, 40)
	t, ok := ParseTime(s)
	if !ok {
		r.Fail("%s is not a time", name)
		return time.Time{}
	}
	return t
}

// Hash reads the line with this name and a digest in it.
func (r *Reader) Hash(name string) Hash {
	s := r.Line(name, 64)
	h, ok := ParseHash(s)
	if !ok {
		r.Fail("%s is not a digest", name)
		return Hash{}
	}
	return h
}

// Key reads the line with this name and a key in it.
func (r *Reader) Key(name string) Key {
	k, err := ParseKey(r.Line(name, 512))
	if err != nil {
		r.Fail("%s is not a key", name)
		return Key{}
	}
	return k
}

// Blank reads an empty line.
func (r *Reader) Blank() {
	if r.err == nil && (r.rest == "" || r.next() != "") {
		r.Fail("an empty line was expected")
	}
}

// Rest takes all that is left.
func (r *Reader) Rest() string {
	s := r.rest
	r.rest = ""
	return s
}

// Same makes an error of a statement that does not read as it would be written:
// each has one form.
func Same(s *Statement, written string) error {
	if s.Text != written {
		return fmt.Errorf("%w: it is not in its form", ErrMalformed)
	}
	return nil
}
