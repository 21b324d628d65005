package stanza

import "strconv"

// Bytes returns e as XML that Parse reads back to the same tree.
func (e *Element) Bytes() []byte { return e.Append(nil) }

// String returns e as XML.
func (e *Element) String() string { return string(e.Append(nil)) }

// Append appends e as XML to dst and returns the longer slice. Every element
// whose namespace differs from its parent's declares it, so the result stands
// on its own, as RFC 7395 section 3.3.3 asks. Elements in the stream namespace
// are written with the prefix "stream", because deployed servers and clients
// look for those very letters.
func (e *Element) Append(dst []byte) []byte {
	if e == nil {
		return dst
	}
	return e.append(dst, "")
}

func (e *Element) append(dst []byte, parent string) []byte {
	if e.Local == "" {
		return escape(dst, e.Data, false)
	}
	prefix := ""
	if e.Space == NSStream {
		prefix = "stream:"
	}
	dst = append(dst, '<')
	dst = append(dst, prefix...)
	dst = append(dst, e.Local...)
	inner := parent
	switch {
	case prefix != "":
		dst = append(dst, ` xmlns:stream="`+NSStream+`"`...)
	case e.Space != parent:
		dst = append(dst, ` xmlns="`...)
		dst = escape(dst, e.Space, true)
		dst = append(dst, '"')
		inner = e.Space
	}
	for i := range e.Attrs {
		dst = appendAttr(dst, &e.Attrs[i], i)
	}
	if len(e.Children) == 0 {
		return append(dst, "/>"...)
	}
	dst = append(dst, '>')
	for _, c := range e.Children {
		if c != nil {
			dst = c.append(dst, inner)
		}
	}
	dst = append(dst, "</"...)
	dst = append(dst, prefix...)
	dst = append(dst, e.Local...)
	return append(dst, '>')
}

// appendAttr writes one attribute; n makes the prefix of a foreign namespace unique.
func appendAttr(dst []byte, a *Attr, n int) []byte {
	dst = append(dst, ' ')
	switch a.Space {
	case "":
	case NSXML:
		dst = append(dst, "xml:"...)
	default:
		prefix := "a" + strconv.Itoa(n)
		dst = append(dst, "xmlns:"+prefix+`="`...)
		dst = escape(dst, a.Space, true)
		dst = append(dst, `" `+prefix+":"...)
	}
	dst = append(dst, a.Local...)
	dst = append(dst, `="`...)
	dst = escape(dst, a.Value, true)
	return append(dst, '"')
}

// escape appends s as character data or, with attr, as an attribute value.
// Characters that XML cannot carry at all become U+FFFD, so that no text a
// person types can produce a stanza which a relay must refuse.
func escape(dst []byte, s string, attr bool) []byte {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		rep, size := "", 1
		switch {
		case c == '&':
			rep = "&amp;"
		case c == '<':
			rep = "&lt;"
		case c == '>':
			rep = "&gt;"
		case c == '"' && attr:
			rep = "&quot;"
		case c == '\'' && attr:
			rep = "&apos;"
		case c == '\r':
			rep = "&#xD;"
		case (c == '\n' || c == '\t') && attr:
			rep = "&#x" + string("0123456789ABCDEF"[c]) + ";"
		case c >= 0x20 && c < 0x80 || c == '\n' || c == '\t':
			i++
			continue
		default:
			var ok bool
			if ok, size = xmlChar(s[i:]); ok {
				i += size
				continue
			}
			rep = "\uFFFD"
		}
		dst = append(append(dst, s[start:i]...), rep...)
		i += size
		start = i
	}
	return append(dst, s[start:]...)
}
