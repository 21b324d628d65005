package memory

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// minCanary is the least length of a canary in bytes: what is shorter is found
// by chance.
const minCanary = 8

// Canary is what is looked for.
type Canary struct {
	Name  string
	Bytes []byte
	Text  bool // characters, which may be kept as UTF-16 or UTF-32 too
}

// Hit is one copy of a canary.
type Hit struct {
	Canary string // its name
	Form   string // how it is written: "raw", "hex", "base64", "HMAC pad", ...
	Place  string // a file, or a kind of memory
}

// Search looks for canaries in every form that they are likely to be kept in.
// It is safe for concurrent use.
type Search struct {
	needles []needle
	longest int
	// begin has, for a hash of four bytes, the needles that begin with such: all
	// are looked for in one pass.
	begin [1 << hashBits][]*needle
}

const hashBits = 14

func hash(b []byte) uint32 {
	return binary.LittleEndian.Uint32(b) * 0x9e3779b1 >> (32 - hashBits)
}

type needle struct {
	canary, form string
	bytes        []byte
}

// NewSearch prepares looking for the canaries.
func NewSearch(canaries ...Canary) *Search {
	s := new(Search)
	for _, c := range canaries {
		if len(c.Bytes) < minCanary {
			panic(fmt.Sprintf("the canary %q has %d bytes; fewer than %d are found by chance", c.Name, len(c.Bytes), minCanary))
		}
		s.add(c.Name, "raw", c.Bytes)
		s.add(c.Name, "hex", []byte(hex.EncodeToString(c.Bytes)))
		s.add(c.Name, "hex", []byte(strings.ToUpper(hex.EncodeToString(c.Bytes))))
		for _, pad := range []byte{0x36, 0x5c} { // how HMAC keeps a key (RFC 2104)
			padded := bytes.Clone(c.Bytes)
			for i := range padded {
				padded[i] ^= pad
			}
			s.add(c.Name, "HMAC pad", padded)
		}
		s.add(c.Name, "percent", percent(c.Bytes, upper))
		s.add(c.Name, "percent", percent(c.Bytes, lower))
		s.add(c.Name, "percent", []byte(url.QueryEscape(string(c.Bytes))))
		for shift := range 3 {
			s.add(c.Name, "base64", inBase64(base64.RawStdEncoding, c.Bytes, shift))
			s.add(c.Name, "base64", inBase64(base64.RawURLEncoding, c.Bytes, shift))
		}
		if c.Text {
			var wide, other, wider []byte
			for _, r := range string(c.Bytes) {
				wider = append(wider, byte(r), byte(r>>8), byte(r>>16), 0)
				for _, u := range utf16.AppendRune(nil, r) {
					wide = append(wide, byte(u), byte(u>>8))
					other = append(other, byte(u>>8), byte(u))
				}
			}
			s.add(c.Name, "UTF-16", wide)
			s.add(c.Name, "UTF-16", other)
			s.add(c.Name, "runes", wider)
		}
	}
	for i := range s.needles {
		n := &s.needles[i]
		h := hash(n.bytes)
		s.begin[h] = append(s.begin[h], n)
	}
	return s
}

func (s *Search) add(canary, form string, b []byte) {
	if slices.ContainsFunc(s.needles, func(n needle) bool { return n.canary == canary && bytes.Equal(n.bytes, b) }) {
		return
	}
	s.needles = append(s.needles, needle{canary, form, bytes.Clone(b)})
	s.longest = max(s.longest, len(b))
}

const upper, lower = "0123456789ABCDEF", "0123456789abcdef"

// percent writes every byte of b as %XX.
func percent(b []byte, digits string) (p []byte) {
	for _, c := range b {
		p = append(p, '%', digits[c>>4], digits[c&15])
	}
	return p
}

// inBase64 is how b looks in the middle of something that is encoded, when the
// bytes before are shift more than a multiple of three: the characters that
// depend on b alone.
func inBase64(e *base64.Encoding, b []byte, shift int) []byte {
	encoded := e.AppendEncode(nil, append(make([]byte, shift), b...))
	return encoded[(shift*8+5)/6 : (shift+len(b))*8/6]
}

// in reports every copy in b that does not lie in the first seen bytes, which
// were searched before. It returns how many bytes at the end of b a copy could
// begin in that is cut off by b's end.
func (s *Search) in(b []byte, seen int, hit func(n *needle, at int)) (tail int) {
	for at := max(0, seen-s.longest+1); at+minCanary <= len(b); at++ {
		for _, n := range s.begin[hash(b[at:])] {
			if at+len(n.bytes) > seen && bytes.HasPrefix(b[at:], n.bytes) {
				hit(n, at)
			}
		}
	}
	return min(len(b), s.longest-1)
}

// Bytes looks in b.
func (s *Search) Bytes(place string, b []byte) (hits []Hit) {
	s.in(b, 0, func(n *needle, _ int) { hits = append(hits, Hit{n.canary, n.form, place}) })
	return hits
}

// Count returns how many of the hits are of a canary.
func Count(hits []Hit, canary string) (n int) {
	for _, h := range hits {
		if h.Canary == canary {
			n++
		}
	}
	return n
}

// Describe says which forms of a canary were found where, and how often.
func Describe(hits []Hit, canary string) string {
	counts := map[string]int{}
	for _, h := range hits {
		if h.Canary == canary {
			counts[h.Form+" in "+h.Place]++
		}
	}
	var lines []string
	for what, n := range counts {
		lines = append(lines, fmt.Sprintf("%d %s", n, what))
	}
	slices.Sort(lines)
	return strings.Join(lines, ", ")
}

// TextCanary makes a canary of a text.
func TextCanary(name, text string) Canary {
	return Canary{Name: name, Bytes: []byte(text), Text: utf8.ValidString(text)}
}
