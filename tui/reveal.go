package tui

import (
	"slices"

	"sotto/client"
	"sotto/client/store"
)

// With reveal, a message's text is shown only while its line is chosen: with the
// arrows, Alt+A or a click, one at a time. The others keep their time, sender,
// badge and state; four dots stand for the text, however long it is. What sotto
// itself says hides nothing.

// hides reports whether a message's text is not to be shown now.
func (t *timeline) hides(m *client.Message) bool {
	return t.reveal && m.ID != t.chosen && m.Kind != store.Notice && m.Gone == store.Here
}

// choose goes n messages down, or up if n is negative, and chooses the one
// there. Where none is chosen it begins with the last one on the screen, or on
// the way down with the first that is unread. Beyond the newest none is chosen.
func (t *timeline) choose(n int) {
	if t.chooseGap(n) {
		return
	}
	i := t.index(t.chosen)
	switch {
	case len(t.msgs) == 0:
		return
	case i >= 0:
		i += n
	case n > 0 && t.firstUnread() >= 0:
		i = t.firstUnread()
	default:
		i = len(t.msgs) - 1
		if last := t.top() + t.height - 1; last >= 0 && last < len(t.rows) {
			i = t.rows[last].msg
		}
	}
	if i >= len(t.msgs) {
		t.unchoose()
		t.end()
		return
	}
	t.chosen = t.msgs[max(i, 0)].ID
	t.touch()
}

// chooseUnread chooses the first message that was not read. It reports false if
// there is none, or if text is not hidden.
func (t *timeline) chooseUnread() bool {
	i := t.firstUnread()
	if !t.reveal || i < 0 {
		return false
	}
	t.chosen = t.msgs[i].ID
	t.touch()
	return true
}

// firstUnread is the index of the first message from others that was neither
// read nor shown; -1 if there is none.
func (t *timeline) firstUnread() int {
	return slices.IndexFunc(t.msgs, func(m client.Message) bool { return !m.Outgoing && !m.Read && !t.shown[m.ID] })
}

// unchoose covers the chosen message again. It reports false if none was chosen.
func (t *timeline) unchoose() bool {
	if t.chosen == 0 && t.chosenGap() == nil {
		return false
	}
	t.chosen, t.gap = 0, 0
	t.touch()
	return true
}

// show scrolls so that a message is on the screen: all of it if it has room,
// else its beginning. The rows must have been drawn.
func (t *timeline) show(id int64) {
	i := slices.IndexFunc(t.rows, func(r row) bool { return t.msgs[r.msg].ID == id && r.line >= 0 })
	if i < 0 {
		return
	}
	end := i
	for end < len(t.rows) && t.rows[end].msg == t.rows[i].msg {
		end++
	}
	switch top := t.top(); {
	case i < top || end-i >= t.height:
		t.hold(i)
	case end > top+t.height:
		t.hold(end - t.height)
	}
}

// seenRevealed is seen with reveal: the id up to which every message from others
// was shown to its end, or is a sentence of sotto's on the screen; 0 if nothing
// of that is unread.
func (t *timeline) seenRevealed() int64 {
	last := min(t.top()+t.height, len(t.rows)) - 1
	if last < 0 {
		return 0
	}
	if i := t.rows[last].msg; t.chosen != 0 && t.index(t.chosen) >= 0 {
		whole := last+1 == len(t.rows) || t.rows[last+1].msg != i
		if at := t.index(t.chosen); at < i || at == i && whole {
			t.shown[t.chosen] = true
		}
	}
	var id int64
	for i, m := range t.msgs {
		switch {
		case m.Outgoing || m.Read:
		case t.shown[m.ID], m.Kind == store.Notice && i <= t.rows[last].msg:
			id = m.ID
		default:
			return id
		}
	}
	return id
}

// choose moves the chosen line of the open conversation.
func (m *Model) choose(n int) {
	if m.tl != nil {
		m.tl.choose(n)
		m.showChosen()
	}
}

// showChosen brings the chosen message into view.
func (m *Model) showChosen() {
	if m.tl.chosenGap() != nil {
		m.arrange()
		m.tl.showGap()
	}
	if m.tl.chosen != 0 {
		m.tl.kept = true
		m.arrange() // its lines are others now
		m.tl.show(m.tl.chosen)
	}
}
