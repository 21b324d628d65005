package tui

import (
	"strings"

	"sotto/client/store"
	"sotto/themes"
)

// badge is the word for the mark at the start of a message, and its style.
func (k *look) badge(urgency int, body string) (string, themes.Style) {
	switch {
	case urgency >= store.Stat:
		return "STAT", k.Stat
	case urgency == store.Urgent:
		return "URGENT", k.Urgent
	case acknowledges(body):
		return "ACK", k.Ack
	}
	return "", themes.Style{}
}

// ack is the mark of a message that says: seen, and in hand.
const ack = "!ack"

// acknowledges reports whether a text begins with the mark for that.
func acknowledges(body string) bool {
	body = strings.TrimLeft(body, " \n")
	if len(body) < len(ack) || !strings.EqualFold(body[:len(ack)], ack) {
		return false
	}
	rest := body[len(ack):]
	return rest == "" || strings.ContainsAny(rest[:1], " \n:,.!-")
}

// withoutMark takes the mark that the badge stands for off the beginning of a
// text: !stat, !urgent or !ack.
func withoutMark(body string, urgency int) string {
	mark := ""
	switch {
	case urgency >= store.Stat:
		mark = "!stat"
	case urgency == store.Urgent:
		mark = "!urgent"
	case acknowledges(body):
		mark = ack
	}
	trimmed := strings.TrimLeft(body, " \n")
	if mark == "" || len(trimmed) < len(mark) || !strings.EqualFold(trimmed[:len(mark)], mark) {
		return body
	}
	return strings.TrimLeft(trimmed[len(mark):], " \n:,.")
}

// marked reports whether a word is one of the marks people type to point at a
// record or a role: #mrn:44120, @role/cardiology.
func marked(word string) bool {
	rest, ok := strings.CutPrefix(word, "#mrn:")
	if !ok {
		rest, ok = strings.CutPrefix(word, "@role/")
	}
	return ok && rest != "" && rest[0] != ' '
}

// words paints a line of a message: plain, with the marks in it shown.
func (k *look) words(st themes.Style, s string) string {
	if !strings.Contains(s, "#mrn:") && !strings.Contains(s, "@role/") {
		return paint(st, s)
	}
	var b strings.Builder
	plain := 0
	for i := 0; i < len(s); {
		end := strings.IndexByte(s[i:], ' ')
		if end < 0 {
			end = len(s) - i
		}
		word := s[i : i+end]
		if marked(word) {
			word = strings.TrimRight(word, ".,;:!?)")
			b.WriteString(paint(st, s[plain:i]))
			b.WriteString(paint(k.Mark, word))
			plain = i + len(word)
		}
		i += end + 1
	}
	if plain < len(s) {
		b.WriteString(paint(st, s[plain:]))
	}
	return b.String()
}
