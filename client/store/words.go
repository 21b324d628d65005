package store

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxWord bounds a word of the search index, in bytes. Longer ones are cut, in
// texts and in searches alike.
const maxWord = 64

// firstTag is the first of the private characters that the index's own words
// are made of. They are never looked up in the column of texts.
const firstTag = '\U000f0000'

// words calls fn for every word of s, folded: without case and diacritics, so
// that "Förde" is found by "forde". start and end are where it stands in s, in
// bytes. Letters and digits make words, and what is between them separates.
// Scripts that are written without spaces have a word for every character.
//
// Folding a folded word changes nothing. The slice is good until fn returns.
func words(s string, fn func(word []byte, start, end int) error) error {
	var buf [maxWord]byte
	w := buf[:0]
	start := -1
	emit := func(end int) error {
		from := start
		start = -1
		if from < 0 || len(w) == 0 {
			return nil
		}
		return fn(w, from, end)
	}
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			switch {
			case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
			case 'A' <= c && c <= 'Z':
				c += 'a' - 'A'
			default:
				if start >= 0 {
					if err := emit(i); err != nil {
						return err
					}
				}
				i++
				continue
			}
			if start < 0 {
				start, w = i, buf[:0]
			}
			if len(w) < maxWord {
				w = append(w, c)
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		var err error
		switch {
		case unicode.IsMark(r) || r == '\u200c' || r == '\u200d' || r == '\u00ad':
			// Goes with what is before it, and makes no difference.
		case r == utf8.RuneError || !(unicode.IsLetter(r) || unicode.IsNumber(r) || r >= firstTag):
			err = emit(i)
		case alone(r):
			err = emit(i)
			for w = fold(buf[:0], r); err == nil && len(w) > 0; {
				_, k := utf8.DecodeRune(w)
				err = fn(w[:k], i, i+n)
				w = w[k:]
			}
		default:
			if start < 0 {
				start, w = i, buf[:0]
			}
			w = fold(w, r)
		}
		if err != nil {
			return err
		}
		i += n
	}
	return emit(len(s))
}

// fold appends a letter or digit without its case and diacritics, as long as
// there is room.
func fold(w []byte, r rune) []byte {
	add := func(r rune) {
		if r = unicode.ToLower(unicode.ToUpper(r)); len(w)+utf8.RuneLen(r) <= maxWord {
			w = utf8.AppendRune(w, r)
		}
	}
	if s := spelled(r); s != "" {
		for _, r := range s {
			add(r)
		}
		return w
	}
	if unicode.IsLetter(r) || unicode.IsDigit(r) {
		var one [utf8.UTFMax]byte
		if d := norm.NFKD.Properties(utf8.AppendRune(one[:0], r)).Decomposition(); d != nil {
			for len(d) > 0 {
				r, n := utf8.DecodeRune(d)
				if d = d[n:]; unicode.IsLetter(r) || unicode.IsNumber(r) {
					add(r)
				}
			}
			return w
		}
	}
	add(r)
	return w
}

// spelled is how people without the key for it type a letter that Unicode does
// not take apart.
func spelled(r rune) string {
	switch r {
	case 'ß', 'ẞ':
		return "ss"
	case 'ø', 'Ø':
		return "o"
	case 'đ', 'Đ', 'ð', 'Ð':
		return "d"
	case 'ł', 'Ł':
		return "l"
	case 'æ', 'Æ':
		return "ae"
	case 'œ', 'Œ':
		return "oe"
	case 'þ', 'Þ':
		return "th"
	case 'ı', 'İ':
		return "i"
	}
	return ""
}

// unspaced are the scripts that are written without spaces between words.
var unspaced = []*unicode.RangeTable{
	unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar,
}

func alone(r rune) bool {
	return r >= 0x0e00 && r < firstTag && (r == 'ー' || r == 'ｰ' || unicode.In(r, unspaced...))
}

// A Matcher finds in a text what was searched for. The zero value matches nothing.
// It is safe for concurrent use.
type Matcher struct{ terms []term }

// term is a word, or several that follow each other; of the last, a beginning
// may be enough.
type term struct {
	words  []string
	prefix bool
}

// What a search may consist of. The rest is left out.
const (
	MaxSearch = 512 // bytes
	maxTerms  = 12
	maxWords  = 24
	minPrefix = 3 // characters of a word that are enough to find it
)

// NewMatcher reads what a person searches for: words, which must all be there,
// and phrases in double quotes. A word outside quotes finds every word that
// begins with it, if it has at least three characters. What stands together
// without a space, as in #mrn:44120 or 6.8, is a phrase. There are no operators.
func NewMatcher(s string) Matcher {
	if len(s) > MaxSearch {
		s = strings.ToValidUTF8(s[:MaxSearch], "")
	}
	var m Matcher
	left := maxWords
	for i, part := range strings.Split(s, `"`) {
		if i%2 == 1 {
			left = m.add(part, false, left)
			continue
		}
		for _, word := range strings.Fields(part) {
			left = m.add(word, true, left)
		}
	}
	return m
}

func (m *Matcher) add(s string, prefix bool, left int) int {
	var t term
	words(s, func(w []byte, _, _ int) error {
		if len(t.words) < left {
			t.words = append(t.words, string(w))
		}
		return nil
	})
	if len(t.words) == 0 || len(m.terms) == maxTerms {
		return left
	}
	last := t.words[len(t.words)-1]
	r, _ := utf8.DecodeRuneInString(last)
	t.prefix = prefix && utf8.RuneCountInString(last) >= minPrefix && !alone(r)
	m.terms = append(m.terms, t)
	return left - len(t.words)
}

// Empty reports whether there is nothing to find.
func (m Matcher) Empty() bool { return len(m.terms) == 0 }

// expression is a term in FTS5's language, as it stands in a shard's texts. Words
// hold letters and digits only, so nothing that a person types is syntax.
func (t *term) expression(shard int64) string {
	e := `body : "` + inShard(shard, strings.Join(t.words, " ")) + `"`
	if t.prefix {
		e += "*"
	}
	return e
}

// Span is a part of a text, in bytes.
type Span struct{ Start, End int }

// maxSpans bounds what is marked in one text.
const maxSpans = 256

// Spans returns where s, a text as it is shown, has what was searched for: whole
// words, in their order, none overlapping another. It returns nil if something is
// not there. Only the first 256 are told.
func (m Matcher) Spans(s string) []Span {
	if m.Empty() {
		return nil
	}
	type place struct {
		word string
		Span
	}
	var list []place
	words(s, func(w []byte, start, end int) error {
		list = append(list, place{string(w), Span{start, end}})
		return nil
	})
	hit := make([]bool, len(list))
	for _, t := range m.terms {
		found := false
		for i := 0; i+len(t.words) <= len(list); i++ {
			n := 0
			for n < len(t.words) && (list[i+n].word == t.words[n] ||
				t.prefix && n == len(t.words)-1 && strings.HasPrefix(list[i+n].word, t.words[n])) {
				n++
			}
			if n < len(t.words) {
				continue
			}
			found = true
			for k := range n {
				hit[i+k] = true
			}
		}
		if !found {
			return nil
		}
	}
	var spans []Span
	for i, ok := range hit {
		if ok && len(spans) < maxSpans {
			spans = append(spans, list[i].Span)
		}
	}
	return spans
}
