// Package quote is how an answer names what it answers: by its words.
//
// OMEMO 0.3 encrypts the text of a message and nothing else, so a relay can put
// whatever id it likes into the element that says what is answered (XEP-0461). The
// words that an answer quotes are part of its text, and nobody can change them. An
// answer therefore begins with a line of them, as people write it,
//
//	> Calcium gluconate 10 ml now.
//
// and counts as an answer to a message only if those are the message's words. A
// mark such as !stat or !ack stands on a line before the quote.
package quote

import (
	"strings"
	"unicode/utf8"
)

const (
	// most is how many characters of a message are quoted.
	most = 160
	// least is how many characters of a message a quote that was cut has to have.
	least = 40

	cut = " …"
)

// These stand in a quote for words that are gone.
const (
	TakenBack = "> [taken back]"
	Expired   = "> [expired]" // their time to live has ended
)

// marks stand at the beginning of a text, on a line of their own before a quote.
var marks = [...]string{"!stat", "!urgent", "!ack"}

// Of returns the line that quotes a message's text; "" if there is nothing to quote.
func Of(body string) string {
	words := plain(body)
	if words == "" {
		words = strings.Join(strings.Fields(body), " ")
	}
	if words == "" {
		return ""
	}
	if utf8.RuneCountInString(words) > most {
		r := []rune(words)[:most]
		words = strings.TrimSpace(string(r)) + cut
	}
	return "> " + words
}

// Split takes apart a text: a mark on a line before a quote, or "", the lines that
// it quotes, without their signs, and the rest. Without a quote all is rest.
func Split(body string) (mark, quoted, rest string) {
	rest = body
	if first, after, ok := strings.Cut(body, "\n"); ok {
		for _, m := range marks {
			if strings.EqualFold(strings.TrimSpace(first), m) && strings.HasPrefix(after, ">") {
				mark, rest = m, after
			}
		}
	}
	var lines []string
	for strings.HasPrefix(rest, ">") {
		line, after, _ := strings.Cut(rest, "\n")
		lines = append(lines, strings.TrimPrefix(line[1:], " "))
		rest = after
	}
	if lines == nil {
		return "", "", body
	}
	return mark, strings.Join(lines, "\n"), rest
}

// Join is the opposite of Split: a text that answers a message. A mark at the
// beginning of the answer comes before the quote.
func Join(original, answer string) string {
	line := Of(original)
	if line == "" {
		return answer
	}
	for _, m := range marks {
		rest, ok := cutMark(answer, m)
		switch {
		case !ok:
		case rest == "":
			return m + "\n" + line
		default:
			if strings.HasPrefix(rest, ">") {
				rest = "\n" + rest
			}
			return m + "\n" + line + "\n" + rest
		}
	}
	if strings.HasPrefix(answer, ">") {
		answer = "\n" + answer // not of the quote
	}
	return line + "\n" + answer
}

// Matches reports whether quoted, as Split returns it, are words of the text body,
// from its beginning: all of them, or many.
func Matches(quoted, body string) bool {
	q, words := unmarked(fields(quoted)), plain(body)
	if words == "" { // nothing but a quote itself
		words = fields(body)
	}
	if q == "" || words == "" {
		return false
	}
	if q == words {
		return true
	}
	start, ok := strings.CutSuffix(q, cut)
	if !ok {
		start, ok = strings.CutSuffix(q, "…")
	}
	return ok && utf8.RuneCountInString(start) >= least && strings.HasPrefix(words, start)
}

// Without takes the words of a text out of an answer that quotes them, and puts
// instead, which is TakenBack or Expired. It reports false if the answer does not.
func Without(answer, body, instead string) (string, bool) {
	mark, quoted, rest := Split(answer)
	if quoted == "" || !Matches(quoted, body) {
		return answer, false
	}
	out := instead
	if mark != "" {
		out = mark + "\n" + out
	}
	if rest != "" {
		out += "\n" + rest
	}
	return out, true
}

// plain is a text in one line, without its mark and without what it quotes itself.
func plain(body string) string {
	_, _, rest := Split(body)
	return unmarked(fields(rest))
}

func fields(s string) string { return strings.Join(strings.Fields(s), " ") }

func unmarked(s string) string {
	for _, m := range marks {
		if rest, ok := cutMark(s, m); ok {
			return rest
		}
	}
	return s
}

// cutMark takes a mark off the beginning of a text.
func cutMark(s, mark string) (string, bool) {
	t := strings.TrimLeft(s, " \t\r\n")
	if len(t) < len(mark) || !strings.EqualFold(t[:len(mark)], mark) {
		return s, false
	}
	t = t[len(mark):]
	if t != "" && !strings.ContainsAny(t[:1], " \t\r\n:,.!-") {
		return s, false
	}
	return strings.TrimLeft(t, " \t\r\n:,."), true
}
