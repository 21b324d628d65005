package stanza

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Bounds of one stanza. They are checked before memory is spent.
const (
	MaxSize     = 1 << 20 // bytes of one element on the wire
	MaxDepth    = 64      // nested elements
	MaxElements = 16384   // elements in one tree; a MUC member list or a roster stays far below
	MaxAttrs    = 64      // attributes of one element, namespace declarations included
)

// What can be wrong with the bytes of a stanza. Parse wraps one of these with
// the place.
var (
	ErrTooLarge   = errors.New("stanza is larger than 1 MiB")
	ErrTooDeep    = errors.New("stanza is nested too deeply")
	ErrTooMany    = errors.New("stanza has too many elements or attributes")
	ErrRestricted = errors.New("stanza uses XML that XMPP forbids (RFC 6120 section 11.1)")
	ErrMalformed  = errors.New("stanza is not well-formed XML")
)

// Parse reads one whole element. It accepts no comment, processing instruction,
// document type or entity beyond the five that XML predefines, no undeclared
// prefix, and nothing but white space around the element.
func Parse(b []byte) (*Element, error) {
	if len(b) > MaxSize {
		return nil, ErrTooLarge
	}
	p := parser{s: string(b)}
	p.space()
	e, err := p.element(0, nil)
	if err == nil {
		p.space()
		if p.i != len(p.s) {
			err = p.fail(ErrMalformed)
			if strings.HasPrefix(p.s[p.i:], "<!") || strings.HasPrefix(p.s[p.i:], "<?") {
				err = p.fail(ErrRestricted)
			}
		}
	}
	if err != nil {
		return nil, err
	}
	return e, nil
}

// scope is one level of namespace declarations, linked to the level around it.
type scope struct {
	outer         *scope
	prefix, space string
}

// resolve returns the namespace of prefix ("" for the default namespace).
func (n *scope) resolve(prefix string) (string, bool) {
	if prefix == "xml" {
		return NSXML, true
	}
	for ; n != nil; n = n.outer {
		if n.prefix == prefix {
			return n.space, true
		}
	}
	return "", prefix == ""
}

type parser struct {
	s     string // strings of the tree are slices of this one copy
	i     int
	count int
}

func (p *parser) fail(err error) error { return fmt.Errorf("%w (at byte %d)", err, p.i) }

func (p *parser) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

func (p *parser) space() {
	for p.i < len(p.s) && isSpace(p.s[p.i]) {
		p.i++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// element reads from '<' to the end of the matching end tag.
func (p *parser) element(depth int, ns *scope) (*Element, error) {
	if depth >= MaxDepth {
		return nil, p.fail(ErrTooDeep)
	}
	if p.count++; p.count > MaxElements {
		return nil, p.fail(ErrTooMany)
	}
	if p.peek() != '<' {
		return nil, p.fail(ErrMalformed)
	}
	p.i++
	if c := p.peek(); c == '!' || c == '?' {
		return nil, p.fail(ErrRestricted)
	}
	prefix, local, err := p.name()
	if err != nil {
		return nil, err
	}
	e := &Element{Local: local}
	ns, closed, err := p.attributes(e, ns)
	if err != nil {
		return nil, err
	}
	var ok bool
	if e.Space, ok = ns.resolve(prefix); !ok {
		return nil, p.fail(ErrMalformed)
	}
	if closed {
		return e, nil
	}
	return e, p.content(e, prefix, depth, ns)
}

// attributes reads up to '>' or '/>' and returns the namespace scope inside.
func (p *parser) attributes(e *Element, outer *scope) (ns *scope, closed bool, err error) {
	ns = outer
	var prefixed [MaxAttrs]string // the prefix of each attribute, resolved once all declarations are known
	some := false
	for n := 0; ; n++ {
		before := p.i
		p.space()
		switch p.peek() {
		case '>':
			p.i++
			return ns, false, p.resolveAttrs(e, ns, prefixed[:], some)
		case '/':
			p.i++
			if p.peek() != '>' {
				return nil, false, p.fail(ErrMalformed)
			}
			p.i++
			return ns, true, p.resolveAttrs(e, ns, prefixed[:], some)
		}
		if n >= MaxAttrs {
			return nil, false, p.fail(ErrTooMany)
		}
		if p.i == before { // attributes are separated by white space
			return nil, false, p.fail(ErrMalformed)
		}
		prefix, local, err := p.name()
		if err != nil {
			return nil, false, err
		}
		value, err := p.attrValue()
		if err != nil {
			return nil, false, err
		}
		switch {
		case prefix == "" && local == "xmlns":
			if declaredIn(ns, outer, "") || value == NSXML || value == NSXMLNS {
				return nil, false, p.fail(ErrMalformed)
			}
			ns = &scope{ns, "", value}
		case prefix == "xmlns":
			if local == "xml" && value == NSXML {
				continue
			}
			if declaredIn(ns, outer, local) || value == "" || local == "xml" || local == "xmlns" || value == NSXML || value == NSXMLNS {
				return nil, false, p.fail(ErrMalformed)
			}
			ns = &scope{ns, local, value}
		default:
			prefixed[len(e.Attrs)] = prefix
			some = some || prefix != ""
			e.Attrs = append(e.Attrs, Attr{Local: local, Value: value})
		}
	}
}

// declaredIn reports whether prefix was declared already in this very tag,
// whose scopes are those between ns and outer. Twice is not well-formed.
func declaredIn(ns, outer *scope, prefix string) bool {
	for ; ns != outer; ns = ns.outer {
		if ns.prefix == prefix {
			return true
		}
	}
	return false
}

func (p *parser) resolveAttrs(e *Element, ns *scope, prefixed []string, some bool) error {
	if some {
		for i := range e.Attrs {
			if prefixed[i] == "" {
				continue
			}
			space, ok := ns.resolve(prefixed[i])
			if !ok {
				return p.fail(ErrMalformed)
			}
			e.Attrs[i].Space = space
		}
	}
	for i := range e.Attrs {
		for j := range i {
			if e.Attrs[i].Local == e.Attrs[j].Local && e.Attrs[i].Space == e.Attrs[j].Space {
				return p.fail(ErrMalformed)
			}
		}
	}
	return nil
}

// content reads children up to and including the end tag of e.
func (p *parser) content(e *Element, prefix string, depth int, ns *scope) error {
	for {
		text, err := p.chars()
		if err != nil {
			return err
		}
		if text != "" {
			if n := len(e.Children); n > 0 && e.Children[n-1].Local == "" {
				e.Children[n-1].Data += text // around a CDATA section
			} else {
				if p.count++; p.count > MaxElements {
					return p.fail(ErrTooMany)
				}
				e.Children = append(e.Children, Text(text))
			}
		}
		rest := p.s[p.i:]
		switch {
		case strings.HasPrefix(rest, "</"):
			p.i += 2
			endPrefix, local, err := p.name()
			if err != nil {
				return err
			}
			p.space()
			if p.peek() != '>' || local != e.Local || endPrefix != prefix {
				return p.fail(ErrMalformed)
			}
			p.i++
			return nil
		case strings.HasPrefix(rest, "<![CDATA["):
			if err := p.cdata(e); err != nil {
				return err
			}
		case strings.HasPrefix(rest, "<"):
			child, err := p.element(depth+1, ns)
			if err != nil {
				return err
			}
			e.Children = append(e.Children, child)
		default:
			return p.fail(ErrMalformed)
		}
	}
}

func (p *parser) cdata(e *Element) error {
	start := p.i + len("<![CDATA[")
	n := strings.Index(p.s[start:], "]]>")
	if n < 0 {
		return p.fail(ErrMalformed)
	}
	raw := p.s[start : start+n]
	for k := 0; k < len(raw); {
		ok, size := xmlChar(raw[k:])
		if !ok {
			return p.fail(ErrMalformed)
		}
		k += size
	}
	p.i = start + n + 3
	if raw == "" {
		return nil
	}
	if p.count++; p.count > MaxElements {
		return p.fail(ErrTooMany)
	}
	raw = strings.ReplaceAll(strings.ReplaceAll(raw, "\r\n", "\n"), "\r", "\n")
	if k := len(e.Children); k > 0 && e.Children[k-1].Local == "" {
		e.Children[k-1].Data += raw
	} else {
		e.Children = append(e.Children, Text(raw))
	}
	return nil
}

// chars reads character data up to the next '<'.
func (p *parser) chars() (string, error) { return p.run('<') }

// attrValue reads ="…" or ='…'.
func (p *parser) attrValue() (string, error) {
	p.space()
	if p.peek() != '=' {
		return "", p.fail(ErrMalformed)
	}
	p.i++
	p.space()
	q := p.peek()
	if q != '"' && q != '\'' {
		return "", p.fail(ErrMalformed)
	}
	p.i++
	v, err := p.run(q)
	if err != nil {
		return "", err
	}
	p.i++ // the closing quote: run stops nowhere else
	return v, nil
}

// run reads text up to the byte end, which it leaves, and replaces references
// and line ends. Inside an attribute (end is a quote) '<' is not allowed and
// white space becomes a space (XML 1.0 section 3.3.3).
func (p *parser) run(end byte) (string, error) {
	attr := end != '<'
	start := p.i
	var b []byte // nil as long as the text is a plain slice of the input
	for p.i < len(p.s) {
		c := p.s[p.i]
		if c == end {
			if b == nil {
				return p.s[start:p.i], nil
			}
			return string(append(b, p.s[start:p.i]...)), nil
		}
		switch {
		case c == '&':
			b = append(b, p.s[start:p.i]...)
			r, err := p.reference()
			if err != nil {
				return "", err
			}
			b = utf8.AppendRune(b, r)
			start = p.i
		case c == '\r' || attr && (c == '\n' || c == '\t'):
			b = append(b, p.s[start:p.i]...)
			p.i++
			if c == '\r' && p.peek() == '\n' {
				p.i++
			}
			if attr {
				b = append(b, ' ')
			} else {
				b = append(b, '\n')
			}
			start = p.i
		case attr && c == '<':
			return "", p.fail(ErrMalformed)
		case c == ']' && !attr && strings.HasPrefix(p.s[p.i:], "]]>"):
			return "", p.fail(ErrMalformed)
		case c >= 0x20 && c < 0x80:
			p.i++
		default:
			ok, size := xmlChar(p.s[p.i:])
			if !ok {
				return "", p.fail(ErrMalformed)
			}
			p.i += size
		}
	}
	return "", p.fail(ErrMalformed)
}

// reference reads one of the five predefined entities or a character reference.
func (p *parser) reference() (rune, error) {
	n := strings.IndexByte(p.s[p.i:min(len(p.s), p.i+12)], ';')
	if n < 2 {
		return 0, p.fail(ErrMalformed)
	}
	name := p.s[p.i+1 : p.i+n]
	if name[0] != '#' {
		r, ok := predefined(name)
		if !ok {
			return 0, p.fail(ErrRestricted)
		}
		p.i += n + 1
		return r, nil
	}
	digits, base := name[1:], rune(10)
	if strings.HasPrefix(digits, "x") {
		digits, base = digits[1:], 16
	}
	var r rune
	for _, d := range []byte(digits) {
		v := rune(strings.IndexByte("0123456789abcdef", d|0x20))
		if d < 'A' {
			v = rune(strings.IndexByte("0123456789", d))
		}
		if v < 0 || v >= base {
			return 0, p.fail(ErrMalformed)
		}
		if r = r*base + v; r > utf8.MaxRune {
			return 0, p.fail(ErrMalformed)
		}
	}
	if digits == "" || !validRune(r) {
		return 0, p.fail(ErrMalformed)
	}
	p.i += n + 1
	return r, nil
}

// predefined returns the character of an entity that XML 1.0 section 4.6 predefines.
func predefined(name string) (rune, bool) {
	switch name {
	case "amp":
		return '&', true
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	return 0, false
}

// name reads prefix:local or local.
func (p *parser) name() (prefix, local string, err error) {
	local, err = p.ncName()
	if err == nil && p.peek() == ':' {
		p.i++
		prefix = local
		local, err = p.ncName()
	}
	return prefix, local, err
}

// ncName reads a name without a colon. Every name in XMPP and its extensions is
// ASCII, so the rest of what XML allows in names is refused: less to get wrong.
func (p *parser) ncName() (string, error) {
	start := p.i
	for p.i < len(p.s) {
		c := p.s[p.i]
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_':
			p.i++
			continue
		case (c >= '0' && c <= '9' || c == '-' || c == '.') && p.i > start:
			p.i++
			continue
		}
		break
	}
	if p.i == start {
		return "", p.fail(ErrMalformed)
	}
	return p.s[start:p.i], nil
}

// xmlChar reports whether s starts with a character XML can carry, and its length.
func xmlChar(s string) (bool, int) {
	r, size := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && size <= 1 {
		return false, max(size, 1)
	}
	return validRune(r), size
}

// validRune is Char of XML 1.0.
func validRune(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' ||
		r >= 0x20 && r <= 0xD7FF || r >= 0xE000 && r <= 0xFFFD || r >= 0x10000 && r <= 0x10FFFF
}
