package tui

import (
	"sotto/client"
	"sotto/client/text"
)

// The curtain is closed while the terminal has not the focus: people walk by a
// screen at which nobody works. It covers what somebody wrote, and to whom: the
// whole timeline, the draft, what a dialog holds. What one looks for from across
// the room stays: the names and counts of the list, the state of the connection,
// the time to the lock. Nothing moves, so that everything is in its place when
// the curtain opens: with the focus, with a key, or with a click.
//
// A terminal that never reports the focus never closes the curtain.

// coveredWords stand in the middle of what is covered.
const coveredWords = "covered while this window is not in use"

// covered reports whether the curtain is closed.
func (m *Model) covered() bool { return m.cfg.Curtain && !m.focus }

// left is called when the terminal has lost the focus.
func (m *Model) left() {
	m.clock.look()
	m.clock.leave()
	m.focus = false
	m.held = nil
	if m.tl != nil {
		m.tl.unchoose()
	}
}

// entered is called when the terminal has the focus, or must have it.
func (m *Model) entered() {
	m.clock.enter()
	m.focus = true
}

// coverTimeline draws what is covered in place of the messages. Under a dialog
// there are no words: they stand in it, or beside the list.
func (m *Model) coverTimeline(lines []string, a rect) {
	from := 0
	if n := len(m.dialogs); n > 0 {
		from = a.w
		if _, ok := m.dialogs[n-1].(*listDialog); ok {
			from = listWidth(m.width) - a.x
		}
	}
	m.look.middle(lines[a.y:a.y+a.h], from, a.w)
}

// middle puts coveredWords between two columns into the middle of empty lines.
func (k *look) middle(lines []string, from, to int) {
	clear(lines)
	words := wrap(k.m, coveredWords, max(to-from-2, 1))
	if len(words) > min(len(lines), 4) {
		return
	}
	top := (len(lines) - len(words)) / 2
	for i, s := range words {
		l := line{m: k.m}
		lines[top+i] = l.space((from+to-width(k.m, s))/2).add(k.Faint, s).String()
	}
}

// coverBox empties the box of a dialog that is w columns wide. Its edges stay.
func (k *look) coverBox(box []string, w int) {
	if len(box) < 3 {
		return
	}
	inside := box[1 : len(box)-1]
	k.middle(inside, 0, w-4)
	bar := paint(k.Rule, k.bar)
	for i, s := range inside {
		inside[i] = bar + " " + fit(k.m, s, w-4) + " " + bar
	}
}

// withoutWords is a conversation without what its person says of themselves.
func withoutWords(c *client.Conversation) *client.Conversation {
	if c == nil {
		return nil
	}
	some := *c
	some.Presence.Status = text.Safe{}
	return &some
}

// coverComposer draws the composer without the draft.
func (m *Model) coverComposer(lines []string, a rect) {
	for i := range a.h {
		lines[a.y+i] = ""
	}
	lines[a.y] = paint(m.look.Accent, " >")
}
