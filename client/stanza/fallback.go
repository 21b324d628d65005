package stanza

import (
	"slices"
	"strconv"
)

// NSFallback is XEP-0428.
const NSFallback = "urn:xmpp:fallback:0"

// maxFallbacks bounds the ranges that are read from one message.
const maxFallbacks = 16

// Fallback is a part of a message's body that is there only for clients which
// do not know the extension For. Start and End count characters (code points),
// as XEP-0426 has it; Whole means all of the body.
type Fallback struct {
	For        string // namespace of the extension
	Start, End int
	Whole      bool
}

// Element marks the body, or a part of it, as a fallback.
func (f Fallback) Element() *Element {
	e := New(NSFallback, "fallback").With("for", f.For)
	if !f.Whole {
		e.Add(New(NSFallback, "body").With("start", strconv.Itoa(f.Start)).With("end", strconv.Itoa(f.End)))
	}
	return e
}

// ReadFallbacks reads what a message says about its body, at most 16 ranges.
// Ranges that make no sense are left out.
func ReadFallbacks(e *Element) []Fallback {
	var all []Fallback
	for c := range e.Elements() {
		if !c.Is(NSFallback, "fallback") {
			continue
		}
		parts := 0
		for p := range c.Elements() {
			parts++
			if !p.Is(NSFallback, "body") || len(all) == maxFallbacks {
				continue
			}
			f := Fallback{For: c.Get("for")}
			start, hasStart := p.Lookup("start")
			end, hasEnd := p.Lookup("end")
			if !hasStart && !hasEnd {
				f.Whole = true
			} else {
				from, err1 := strconv.ParseUint(start, 10, 31)
				to, err2 := strconv.ParseUint(end, 10, 31)
				if err1 != nil || err2 != nil || from > to {
					continue
				}
				f.Start, f.End = int(from), int(to)
			}
			all = append(all, f)
		}
		if parts == 0 && len(all) < maxFallbacks {
			all = append(all, Fallback{For: c.Get("for"), Whole: true})
		}
	}
	return all
}

// WithoutFallback returns body without what is there for clients that do not
// know extension. Positions beyond the body are ignored.
func WithoutFallback(body, extension string, all []Fallback) string {
	var cut []Fallback
	for _, f := range all {
		switch {
		case f.For != extension:
		case f.Whole:
			return ""
		default:
			cut = append(cut, f)
		}
	}
	if len(cut) == 0 {
		return body
	}
	slices.SortFunc(cut, func(a, b Fallback) int { return a.Start - b.Start })
	text := []rune(body)
	kept := make([]rune, 0, len(text))
	at := 0
	for _, f := range cut {
		if f.Start >= len(text) {
			break
		}
		if f.Start > at {
			kept = append(kept, text[at:f.Start]...)
		}
		at = max(at, min(f.End, len(text)))
	}
	return string(append(kept, text[at:]...))
}
