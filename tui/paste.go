package tui

import (
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
)

// What is said to somebody who wants to copy or to paste.
const (
	copyWords    = "Copying is off: what is written here stays in sotto."
	dragWords    = "sotto keeps text inside: it cannot be copied."
	noPasteWords = "Pasting is turned off here."
)

// pasteWords say how to paste.
func (m *Model) pasteWords() string {
	switch {
	case m.cfg.NoPaste:
		return noPasteWords
	case m.cfg.Mouse:
		return "Paste with your terminal's own key, often Ctrl+Shift+V, or with Shift and the middle button."
	}
	return "Paste with your terminal's own key, often Ctrl+Shift+V or the middle button."
}

// burstGap is how long after a paste, or after a key that came with it, the next
// key is not taken for a person's.
const burstGap = 100 * time.Millisecond

// burst is what comes in one go with a paste. A text may hold the sequence that
// ends a paste (tmux lets it through), and what follows it looks like keys: an
// Enter that sends, a letter that a dialog waits for.
type burst struct {
	on    bool
	fresh bool          // some of it is being dealt with
	last  time.Duration // when the last of it had been, by the steady clock
}

// holds reports whether what comes now belongs to the burst.
func (b *burst) holds(c *clock) bool {
	b.on = b.on && c.steady-b.last < burstGap
	b.fresh = b.on
	return b.on
}

// done is called when what came was dealt with, whether it was of the burst or not.
func (b *burst) done(c *clock) {
	if b.fresh {
		b.fresh, b.last = false, c.elapsed()
	}
}

// together takes a key of a burst: as more of the paste, or not at all.
func (m *Model) together(key string, a action, typed string) {
	switch {
	case typed != "":
		m.insert(typed)
	case a == complete:
		m.insert(" ") // as of every tab in a paste
	case a == submit, key == "ctrl+j", key == "alt+enter", key == "shift+enter":
		if !m.cfg.NoPaste && m.frame.fits && !m.asList && len(m.dialogs) == 0 {
			m.write("ctrl+j", "")
		}
	}
}

// pasted takes text from the terminal's clipboard.
func (m *Model) pasted(s string) tea.Cmd {
	if cmd, late := m.active(); late {
		return cmd
	}
	m.entered()
	m.notice = notice{}
	if m.outside() {
		return nil
	}
	m.burst.on, m.burst.fresh = true, true
	m.insert(s)
	return nil
}

// insert puts what was pasted where it was pasted to.
func (m *Model) insert(s string) {
	if m.cfg.NoPaste {
		m.warn(noPasteWords)
		return
	}
	if !m.frame.fits || m.asList {
		return
	}
	if n := len(m.dialogs); n > 0 {
		if d, ok := m.dialogs[n-1].(*switcher); ok {
			d.chosen = 0
			d.input.typed(clip(m.look.m, strings.ReplaceAll(s, "\n", " "), 200, ""))
		}
		return
	}
	if !m.composer().paste(s) {
		m.full()
	}
}
