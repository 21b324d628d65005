package tui

import (
	"sotto/client"
	"sotto/themes"
)

// list is the conversation list, in the order the messenger gives: the urgent,
// the unread by age, the others by name.
type list struct {
	all    []client.Conversation
	chosen string // address of the chosen line
	top    int    // first line shown
	marked string // address of the line shown reversed
	waits  int    // how many messages are in the inbox
	turned string // the wheel has moved top; the line that was marked then
}

// set replaces the conversations. The chosen one stays chosen wherever it moves.
func (l *list) set(all []client.Conversation) { l.all = all }

func (l *list) find(peer string) *client.Conversation {
	for i := range l.all {
		if l.all[i].Peer == peer {
			return &l.all[i]
		}
	}
	return nil
}

func (l *list) index() int {
	for i := range l.all {
		if l.all[i].Peer == l.chosen {
			return i
		}
	}
	return -1
}

// move chooses the line n below, or above if n is negative.
func (l *list) move(n int) {
	if len(l.all) > 0 {
		l.chosen = l.all[min(max(l.index()+n, 0), len(l.all)-1)].Peer
	}
}

// scroll moves by n lines.
func (l *list) scroll(n, h int) {
	l.top = min(max(l.top+n, 0), max(len(l.all)-max(h-1, 1), 0))
	l.turned = l.marked
}

// at is the address of the line at row y of the list; "" if there is none.
func (l *list) at(y int) string {
	if i := l.top + y - 1; y >= 1 && i >= 0 && i < len(l.all) {
		return l.all[i].Peer
	}
	return ""
}

// unread sums up what waits.
func (l *list) unread() (messages, stats int) {
	for _, c := range l.all {
		messages += c.Unread
		stats += c.Stats
	}
	return messages, stats
}

// stat is the conversation with the STAT message that was unread first; nil if
// there is none.
func (l *list) stat() *client.Conversation {
	for i := range l.all {
		if l.all[i].Stats > 0 {
			return &l.all[i]
		}
	}
	return nil
}

// next is the first conversation with something unread, other than one.
func (l *list) next(other string) string {
	for _, c := range l.all {
		if c.Unread > 0 && c.Peer != other {
			return c.Peer
		}
	}
	return ""
}

// render draws the list in w columns and h rows. chosen is the address of the
// line to show reversed.
func (l *list) render(k *look, w, h int, chosen string) []string {
	rows := make([]string, 0, h)
	head := &line{m: k.m}
	head.space(1).add(k.Title, "inbox")
	if l.waits > 0 {
		head.add(k.Unread, " "+itoa(l.waits))
	}
	rows = append(rows, fit(k.m, head.String(), w))
	at := 0
	for i := range l.all {
		if l.all[i].Peer == chosen {
			at = i
		}
	}
	room := max(h-1, 1)
	if l.turned != chosen { // the marked line is in view, unless the wheel took it away
		l.turned = ""
		l.top = max(min(l.top, at), at-room+1)
	}
	l.top = min(max(l.top, 0), max(len(l.all)-room, 0))
	l.marked = chosen
	for i := l.top; i < len(l.all) && len(rows) < h; i++ {
		rows = append(rows, l.row(k, &l.all[i], w, l.all[i].Peer == chosen))
	}
	for len(rows) < h {
		rows = append(rows, fit(k.m, "", w))
	}
	return rows
}

// row draws one conversation: an exclamation mark if it is urgent, the name,
// how many are unread.
func (l *list) row(k *look, c *client.Conversation, w int, chosen bool) string {
	sign, number := " ", ""
	var st, nst, sst themes.Style
	if c.Unread > 0 {
		number = itoa(c.Unread)
		st, nst = k.Title, k.Unread
		if word, style := k.badge(c.Urgency, ""); word != "" {
			sign, sst = "!", style
			if w >= 26 {
				number = word + " " + number
			}
		}
	} else if c.Draft != "" {
		number, nst = "draft", k.Faint
	}
	name := clip(k.m, c.Name.String(), w-5-width(k.m, number), k.more)
	if chosen {
		st, nst, sst = k.Chosen, k.Chosen, k.Chosen
	}
	sst.Reverse = chosen
	r := &line{m: k.m}
	r.add(st, " ").add(sst, sign).add(st, " "+name)
	if gap := w - 1 - r.width - width(k.m, number); gap > 0 {
		if chosen {
			r.add(st, spaces(gap))
		} else {
			r.space(gap)
		}
	}
	r.add(nst, number)
	if chosen {
		r.add(st, spaces(w-r.width))
	}
	return r.to(w).String()
}
