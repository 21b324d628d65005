package tui

import (
	"strings"

	"sotto/client"
	"sotto/client/store"
	"sotto/themes"
)

// hitList is a list of messages from anywhere, two lines each: when and from whom,
// and the words.
type hitList struct {
	chosen, top int
	first, rows int // the row of the screen where it begins, and how many messages it shows
}

// move chooses the message n further down.
func (l *hitList) move(n, all int) { l.chosen = min(max(l.chosen+n, 0), max(all-1, 0)) }

// key moves, and reports whether it was a key for that.
func (l *hitList) key(key string, all int) bool {
	switch key {
	case "up", "ctrl+p", "shift+tab":
		l.move(-1, all)
	case "down", "ctrl+n", "tab":
		l.move(1, all)
	case "pgup":
		l.move(-max(l.rows-1, 1), all)
	case "pgdown":
		l.move(max(l.rows-1, 1), all)
	case "ctrl+home", "alt+<":
		l.move(-all, all)
	case "ctrl+end", "alt+>":
		l.move(all, all)
	default:
		return false
	}
	return true
}

// leaves does the keys of a list of messages that lead elsewhere: to the switcher.
func (l *hitList) leaves(m *Model, key string) bool {
	if key == "ctrl+k" || key == "alt+g" {
		m.push(&switcher{})
		return true
	}
	return false
}

// line is the message at row y of the screen; -1 if there is none.
func (l *hitList) line(y int) int {
	if i := (y - l.first) / 2; y >= l.first && i < l.rows {
		return l.top + i
	}
	return -1
}

// draw draws the list in h rows from row first of the screen on. hit returns a message, what
// to mark in it, and a word about it.
func (l *hitList) draw(m *Model, all, first, w, h int, hit func(int) (client.Message, []store.Span, string, themes.Style)) []string {
	k := &m.look
	l.first, l.rows = first, max(h/2, 1)
	l.chosen = min(max(l.chosen, 0), max(all-1, 0))
	l.top = min(max(l.top, l.chosen-l.rows+1, 0), l.chosen)
	var lines []string
	for i := l.top; i < all && i < l.top+l.rows; i++ {
		msg, spans, word, wordStyle := hit(i)
		sign := " "
		if i == l.chosen {
			sign = ">"
		}
		head := &line{m: k.m}
		head.add(k.Accent, sign).add(k.Faint, k.moment(msg.Time, m.clock.wall)).space(2)
		who, st := m.nameOf(msg), k.person(msg.Sender.String())
		if msg.Outgoing {
			st = k.Own
		}
		right := ""
		if word != "" {
			right = "  " + word
		}
		room := max(w-1-head.width-width(k.m, right), 4)
		head.add(st, clip(k.m, who, room, k.more))
		where := m.conversation(msg.Peer)
		in := ""
		switch {
		case where.Room:
			in = " in " + where.Name.String()
		case msg.Outgoing:
			in = " to " + where.Name.String()
		}
		head.add(k.Faint, clip(k.m, in, max(w-1-head.width-width(k.m, right), 0), k.more))
		head.to(w-1-width(k.m, right)).add(wordStyle, right)
		body := &line{m: k.m}
		body.add(k.Accent, sign).space(2)
		if m.cfg.Reveal && i != l.chosen {
			body.add(k.Text, k.hidden)
		} else {
			text := msg.Body.String()
			if words, st := m.instead(&msg); words != "" {
				body.add(st, clip(k.m, words, w-1-body.width, k.more))
			}
			rest := withoutMark(text, msg.Urgency) // for the badge stands for it
			k.snippet(body, rest, shift(spans, len(rest)-len(text)), w-1)
		}
		lines = append(lines, head.String(), body.String())
	}
	return lines
}

// shift moves spans by n bytes, and leaves out what is before the text then.
func shift(spans []store.Span, n int) []store.Span {
	var list []store.Span
	for _, s := range spans {
		if s.Start+n >= 0 {
			list = append(list, store.Span{Start: s.Start + n, End: s.End + n})
		}
	}
	return list
}

// snippet draws one line of a text, up to column w, with what was looked for
// marked. A long text begins shortly before the first of that.
func (k *look) snippet(l *line, body string, spans []store.Span, w int) {
	room := w - l.width
	from := 0
	if len(spans) > 0 {
		if start := spans[0].Start; width(k.m, body[:min(spans[len(spans)-1].End, len(body))]) > room {
			from = start
			for n := 0; from > 0 && n < room/3; n++ {
				from--
				for from > 0 && body[from]&0xc0 == 0x80 {
					from--
				}
			}
			if at := strings.IndexByte(body[from:start], ' '); from > 0 && at >= 0 {
				from += at + 1
			}
		}
	}
	if from > 0 {
		l.add(k.Faint, k.more)
		room -= width(k.m, k.more)
	}
	flat := func(s string) string { return strings.ReplaceAll(s, "\n", " ") }
	put := func(st themes.Style, s string) {
		s = clip(k.m, flat(s), room, k.more)
		l.add(st, s)
		room -= width(k.m, s)
	}
	hit := k.Text
	hit.Bold, hit.Underline = true, true
	for _, s := range spans {
		if s.Start < from || s.End > len(body) || room <= 0 {
			continue
		}
		put(k.Text, body[from:s.Start])
		if room > 0 {
			put(hit, body[s.Start:s.End])
		}
		from = s.End
	}
	if room > 0 {
		put(k.Text, body[from:])
	}
}

// screenTitle is the first line of a dialog that has the whole screen.
func (k *look) screenTitle(name, about string, w int) string {
	l := &line{m: k.m}
	l.space(1).add(k.Title, name)
	about = clip(k.m, about, max(w-3-l.width, 0), k.more)
	return l.to(w-1-width(k.m, about)).add(k.Faint, about).String()
}

// curtain is what stands in h rows of a dialog that is covered.
func (k *look) curtain(w, h int) []string {
	lines := make([]string, max(h, 0))
	k.middle(lines, 0, w)
	return lines
}

// wholeScreen fills the screen with lines, the keys below them, and how long until
// the lock.
func (k *look) wholeScreen(lines []string, keys string, m *Model, w, h int) []string {
	for len(lines) < h-2 {
		lines = append(lines, "")
	}
	lines = lines[:max(h-2, 0)]
	words, st := m.notice.words, m.notice.style
	if words == "" || m.covered() && !m.notice.covered {
		words, st = keys, k.Faint
	}
	left, _ := m.clock.look()
	lock, soon := lockWords(left)
	lockStyle := k.Faint
	if soon {
		lockStyle = k.Warning
	}
	l := &line{m: k.m}
	l.space(1).add(st, clip(k.m, words, max(w-4-width(k.m, lock), 0), k.more))
	lines = append(lines, k.hrule(w, "", themes.Style{}, false), l.to(w-1-width(k.m, lock)).add(lockStyle, lock).String())
	for i := range lines {
		lines[i] = fit(k.m, lines[i], w)
	}
	return lines
}
