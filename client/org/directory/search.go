package directory

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"sotto/client/org"
)

// maxQuery bounds what is searched for, in bytes.
const maxQuery = 256

func newPerson(e Entry) *person {
	p := &person{Entry: e, sum: org.HashOf(e.text())}
	p.name = fold(e.Name)
	p.folded = p.name + fold(e.Address) + fold(strings.Join(e.Roles, " ")) + fold(e.Department)
	return p
}

// fold returns the words of s, each with a space before it, without case and
// diacritics: "Jörg Weiß" is " jorg weiss". What is neither letter nor digit
// separates.
func fold(s string) string {
	b := make([]byte, 0, len(s)+2)
	gap := true
	add := func(r rune) {
		if gap {
			b = append(b, ' ')
			gap = false
		}
		b = utf8.AppendRune(b, unicode.ToLower(r))
	}
	for _, r := range s {
		switch {
		case 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z':
			add(r)
		case r < utf8.RuneSelf:
			gap = true
		case r == 'ß' || r == 'ẞ':
			add('s')
			add('s')
		case r == 'ø' || r == 'Ø':
			add('o')
		case r == 'ł' || r == 'Ł':
			add('l')
		case r == 'đ' || r == 'Đ' || r == 'ð' || r == 'Ð':
			add('d')
		case r == 'æ' || r == 'Æ':
			add('a')
			add('e')
		case r == 'œ' || r == 'Œ':
			add('o')
			add('e')
		case unicode.IsMark(r) || r == '\u200c' || r == '\u200d':
			// goes with what is before it
		case unicode.IsLetter(r) || unicode.IsNumber(r):
			var one [utf8.UTFMax]byte
			decomposed := norm.NFKD.Properties(utf8.AppendRune(one[:0], r)).Decomposition()
			if decomposed == nil {
				add(r)
			}
			for _, r := range string(decomposed) {
				if unicode.IsLetter(r) || unicode.IsNumber(r) {
					add(r)
				}
			}
		default:
			gap = true
		}
	}
	return string(b)
}

// Search returns up to most people of whom name, address, roles or department have
// a word that begins with each word of query: those found by their names alone
// first, then by name. Who was removed is not among them.
func (d *Directory) Search(query string, most int) []Entry {
	if len(query) > maxQuery {
		query = query[:maxQuery]
	}
	words := strings.Fields(fold(strings.TrimPrefix(query, "@role/")))
	for i := range words {
		words[i] = " " + words[i]
	}
	if most <= 0 || len(words) == 0 {
		return nil
	}
	d.order()
	d.mu.RLock()
	defer d.mu.RUnlock()
	var first, second []*person
	for _, p := range d.byName {
		if p.State == Removed || !all(p.folded, words) {
			continue
		}
		if all(p.name, words) {
			if first = append(first, p); len(first) == most {
				break
			}
		} else if len(second) < most {
			second = append(second, p)
		}
	}
	first = append(first, second...)
	first = first[:min(most, len(first))]
	found := make([]Entry, len(first))
	for i, p := range first {
		found[i] = p.clone()
	}
	return found
}

func all(s string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(s, w) {
			return false
		}
	}
	return true
}

// order puts byName in order where something has changed.
func (d *Directory) order() {
	d.mu.RLock()
	changed := d.changed
	d.mu.RUnlock()
	if !changed {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.changed {
		return
	}
	d.byName = d.byName[:0]
	for _, p := range d.people {
		d.byName = append(d.byName, p)
	}
	slices.SortFunc(d.byName, func(a, b *person) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.Address, b.Address)
	})
	d.changed = false
}
