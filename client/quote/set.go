package quote

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Set are texts that are gone, of which any may be quoted.
type Set map[string][]string

// NewSet makes a set of texts; those without words are left out.
func NewSet(bodies ...string) Set {
	s := make(Set, len(bodies))
	for _, body := range bodies {
		words := plain(body)
		if words == "" {
			words = fields(body)
		}
		if k := key(words); k != "" && !slices.Contains(s[k], body) {
			s[k] = append(s[k], body)
		}
	}
	return s
}

// key is what a quote and what it quotes have in common, see Matches.
func key(words string) string {
	if len(words) > least && utf8.RuneCountInString(words) > least {
		return string([]rune(words)[:least])
	}
	return words
}

// Without is the function Without for whichever text of the set is quoted.
func (s Set) Without(answer, instead string) (string, bool) {
	if !strings.Contains(answer, ">") {
		return answer, false
	}
	_, quoted, _ := Split(answer)
	for _, body := range s[key(unmarked(fields(quoted)))] {
		if out, ok := Without(answer, body, instead); ok {
			return out, true
		}
	}
	return answer, false
}
