package tui

import (
	tea "charm.land/bubbletea/v2"

	"sotto/client"
)

// The mouse is reported so that the terminal does not select text with it: what
// is selected can be copied. It is of use besides: the wheel scrolls, a click
// goes to a conversation, chooses a message, or leaves the list. Only buttons
// are reported (modes 1000 and 1006), no movement. Most terminals select all the
// same while Shift is held; no program can prevent that.

// wheelLines is how far one step of the wheel scrolls.
const wheelLines = 3

func (r rect) has(x, y int) bool { return x >= r.x && y >= r.y && x < r.x+r.w && y < r.y+r.h }

// mouse takes what the mouse does. Coordinates may be anything.
func (m *Model) mouse(msg tea.MouseMsg) tea.Cmd {
	if !m.cfg.Mouse {
		return nil
	}
	if cmd, late := m.active(); late {
		return cmd
	}
	if m.outside() {
		return nil
	}
	at := msg.Mouse()
	switch msg.(type) {
	case tea.MouseWheelMsg:
		if !m.covered() { // it turns without the focus, too
			m.wheel(at)
		}
	case tea.MouseClickMsg:
		covered := m.covered()
		m.entered() // a click gives it
		m.notice = notice{}
		if covered || !m.frame.fits {
			return nil
		}
		m.held = nil
		switch at.Button {
		case tea.MouseLeft:
			m.held = &point{at.X, at.Y}
			return m.click(at.X, at.Y)
		case tea.MouseMiddle:
			m.say(m.pasteWords())
		}
	case tea.MouseReleaseMsg:
		if h := m.held; h != nil && (at.Y != h.y || at.X < h.x-1 || at.X > h.x+1) { // a hand may tremble
			m.held = nil
			return m.attemptHere(client.Copying, dragWords)
		}
		m.held = nil
	}
	return nil
}

// wheel scrolls what is under the pointer, or the dialog on top.
func (m *Model) wheel(at tea.Mouse) {
	n := 0
	switch at.Button {
	case tea.MouseWheelUp:
		n = -wheelLines
	case tea.MouseWheelDown:
		n = wheelLines
	}
	a := m.frame.areas
	switch {
	case n == 0 || !m.frame.fits:
	case len(m.dialogs) > 0:
		m.dialogs[len(m.dialogs)-1].wheel(m, n)
	case a.list.has(at.X, at.Y):
		m.list.scroll(n, a.list.h)
	case m.tl != nil:
		m.tl.kept = false
		m.tl.scroll(n)
	}
}

// click is the left button.
func (m *Model) click(x, y int) tea.Cmd {
	if n := len(m.dialogs); n > 0 {
		d := m.dialogs[n-1]
		done, cmd := d.click(m, x, y)
		if done {
			m.pop(d)
		}
		return cmd
	}
	m.asList = false
	a := m.frame.areas
	switch {
	case a.list.has(x, y):
		if to := m.list.at(y); to != "" {
			return m.openPeer(to)
		}
	case m.tl == nil:
	case a.edge.has(x, y) && !m.tl.follow:
		m.tl.end()
	case a.timeline.has(x, y) && m.cfg.Reveal:
		if i := m.tl.top() + y - a.timeline.y; i < len(m.tl.rows) {
			id := m.tl.msgs[m.tl.rows[i].msg].ID
			if m.tl.chosen == id {
				m.tl.unchoose()
				break
			}
			m.tl.chosen = id
			m.tl.touch()
			m.showChosen()
		}
	}
	return nil
}
