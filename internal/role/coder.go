package role

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"sotto/internal/frame"
)

// coder writes the fields of a message, or reads them back. Reading checks
// every bound: the process at the other end may have been taken over.
type coder struct {
	reading bool
	fields  [][]byte
	err     error
}

func (c *coder) next() []byte {
	if c.err != nil {
		return nil
	}
	if len(c.fields) == 0 {
		c.err = frame.ErrMalformed
		return nil
	}
	f := c.fields[0]
	c.fields = c.fields[1:]
	return f
}

func (c *coder) put(b []byte) { c.fields = append(c.fields, b) }

func (c *coder) fail(bad bool) bool {
	if bad && c.err == nil {
		c.err = frame.ErrMalformed
	}
	return c.err != nil
}

// text is one line of valid text. What is written is made so; what is read must be.
func (c *coder) text(p *string) {
	if !c.reading {
		c.put([]byte(line(*p)))
		return
	}
	f := c.next()
	if !c.fail(len(f) > maxText || !utf8.Valid(f) || strings.ContainsFunc(string(f), unprintable)) {
		*p = string(f)
	}
}

// unprintable is what must not reach a terminal from a sentence or a name:
// controls, and formatting characters such as those that turn the writing direction.
func unprintable(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError
}

// line makes one bounded line of printable text.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unprintable(r):
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	for len(s) > maxText {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}

// path is a path: any bytes but NUL.
func (c *coder) path(p *string) {
	if !c.reading {
		c.fail(len(*p) > maxPath || strings.IndexByte(*p, 0) >= 0)
		c.put([]byte(*p))
		return
	}
	f := c.next()
	if !c.fail(len(f) > maxPath || strings.IndexByte(string(f), 0) >= 0) {
		*p = string(f)
	}
}

func (c *coder) bytes(p *[]byte, most int) {
	if !c.reading {
		c.fail(len(*p) > most)
		c.put(*p)
		return
	}
	if f := c.next(); !c.fail(len(f) > most) {
		*p = f
	}
}

// number is from 0 to most.
func (c *coder) number(p *int, most int) {
	n := int64(*p)
	c.long(&n, int64(most))
	*p = int(n)
}

// long is from 0 to most; reading leaves *p alone when it is not.
func (c *coder) long(p *int64, most int64) {
	if !c.reading {
		c.fail(*p < 0 || *p > most)
		c.put(frame.Uint64(uint64(*p)))
		return
	}
	n, err := frame.ReadUint64(c.next())
	if !c.fail(err != nil || n > uint64(most)) {
		*p = int64(n)
	}
}

func (c *coder) flag(p *bool) {
	n := 0
	if *p {
		n = 1
	}
	c.number(&n, 1)
	*p = n == 1
}

// maxSpan is about a year, in milliseconds.
const maxSpan = 366 * 24 * 3600 * 1000

// span is a duration from 0 to a year, in whole milliseconds.
func (c *coder) span(p *time.Duration) {
	n := p.Milliseconds()
	c.long(&n, maxSpan)
	if c.reading {
		*p = time.Duration(n) * time.Millisecond
	}
}

// moment is a point in time in whole seconds; 0 is the zero time.
func (c *coder) moment(p *time.Time) {
	var n int64
	if !c.reading && !p.IsZero() {
		n = max(0, p.Unix())
	}
	c.long(&n, 1<<40)
	if c.reading {
		*p = time.Time{}
		if n != 0 {
			*p = time.Unix(n, 0)
		}
	}
}

func encode(m Message) (byte, [][]byte, error) {
	c := coder{}
	m.code(&c)
	if c.err != nil {
		return 0, nil, fmt.Errorf("control message %T: a field is out of bounds", m)
	}
	return m.kind(), c.fields, nil
}

func decode(typ byte, fields [][]byte) (Message, error) {
	m := blank(typ)
	if m == nil {
		return nil, frame.ErrMalformed
	}
	size := 0
	for _, f := range fields {
		size += len(f)
	}
	c := coder{reading: true, fields: fields}
	if size > maxControl {
		return nil, frame.ErrMalformed
	}
	m.code(&c)
	if c.err != nil || len(c.fields) > 0 {
		return nil, frame.ErrMalformed
	}
	return m, nil
}
