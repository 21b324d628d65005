package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"
)

// dialog is something that stands over the conversation and takes the keys.
type dialog interface {
	// key handles a key. done takes the dialog away.
	key(m *Model, key, typed string) (done bool, cmd tea.Cmd)
	// wheel scrolls by n lines, up if n is negative.
	wheel(m *Model, n int)
	// click handles a click at a column and row of the screen, which may be
	// anywhere. done takes the dialog away.
	click(m *Model, x, y int) (done bool, cmd tea.Cmd)
	// covers reports whether the curtain covers the dialog.
	covers() bool
	// render draws the dialog for a screen of w columns and h rows. The
	// cursor is within the drawn lines; nil hides it.
	render(m *Model, w, h int) (box []string, at rect, cursor *point)
}

type point struct{ x, y int }

// push puts a dialog on top.
func (m *Model) push(d dialog) { m.dialogs = append(m.dialogs, d) }

// pop takes a dialog away, wherever it is by now.
func (m *Model) pop(d dialog) {
	for i := range m.dialogs {
		if m.dialogs[i] == d {
			m.dialogs = append(m.dialogs[:i:i], m.dialogs[i+1:]...)
			return
		}
	}
}

// box draws a frame around lines of at most w-4 columns: w columns in all, with
// a title in the upper edge and the keys in the lower one.
func (k *look) box(title, keys string, lines []string, w int) []string {
	edge := func(left, right, words string) string {
		l := &line{m: k.m}
		l.add(k.Rule, left)
		if words != "" {
			l.add(k.Title, clip(k.m, " "+words+" ", w-2, ""))
		}
		return l.add(k.Rule, strings.Repeat(k.rule, max(w-1-l.width, 0))+right).String()
	}
	out := make([]string, 0, len(lines)+2)
	out = append(out, edge(k.topLeft, k.topRight, title))
	bar := paint(k.Rule, k.bar)
	for _, s := range lines {
		out = append(out, bar+" "+fit(k.m, s, w-4)+" "+bar)
	}
	return append(out, edge(k.bottomLeft, k.bottomRght, keys))
}

// scrolled is text in a dialog that may be longer than the screen.
type scrolled struct{ top int }

// window cuts lines to h of them, and moves with the keys.
func (s *scrolled) window(lines []string, h int) []string {
	s.top = min(max(s.top, 0), max(len(lines)-h, 0))
	return lines[s.top:min(s.top+h, len(lines))]
}

func (s *scrolled) key(key string, page int) bool {
	switch key {
	case "up", "ctrl+p":
		s.top--
	case "down", "ctrl+n":
		s.top++
	case "pgup":
		s.top -= page
	case "pgdown", "space":
		s.top += page
	case "home":
		s.top = 0
	case "end":
		s.top = 1 << 20
	default:
		return false
	}
	return true
}

// helpDialog lists the keys and the commands.
type helpDialog struct {
	scrolled
	page int
}

func (d *helpDialog) key(m *Model, key, typed string) (bool, tea.Cmd) {
	return !d.scrolled.key(key, d.page), nil
}

func (d *helpDialog) wheel(_ *Model, n int)                         { d.top += n }
func (d *helpDialog) click(*Model, int, int) (done bool, _ tea.Cmd) { return false, nil }
func (d *helpDialog) covers() bool                                  { return false }

func (d *helpDialog) render(m *Model, w, h int) ([]string, rect, *point) {
	k := &m.look
	bw := min(w, 64)
	keyW := 20
	if bw < 50 {
		keyW = 12
	}
	var lines []string
	entry := func(key, words string) {
		l := &line{m: k.m}
		l.add(k.Accent, clip(k.m, key, keyW-1, k.more)).to(keyW)
		for i, s := range wrap(k.m, words, bw-4-keyW) {
			if i > 0 {
				lines = append(lines, l.String())
				l = (&line{m: k.m}).space(keyW)
			}
			l.add(k.Text, s)
		}
		lines = append(lines, l.String())
	}
	for _, b := range bindings(m.cfg.Reveal) {
		if b.label != "" {
			entry(b.label, b.words)
		}
	}
	if m.cfg.Mouse {
		lines = append(lines, "", paint(k.Title, "Mouse"))
		entry("wheel", "read further up, down")
		if m.cfg.Reveal {
			entry("click", "go to a conversation, show a message")
		} else {
			entry("click", "go to a conversation")
		}
	}
	lines = append(lines, "", paint(k.Title, "Writing"))
	for _, e := range writing(m.cfg.Reveal) {
		entry(e[0], e[1])
	}
	lines = append(lines, "", paint(k.Title, "Commands"))
	for _, c := range commands() {
		entry("/"+c.name+c.takes, c.words)
	}
	lines = append(lines, "", paint(k.Title, "In a message"))
	entry("!stat, !urgent", "at the start: rings even where it is locked")
	entry("!ack", "at the start: seen, and in hand")
	entry("#mrn:44120", "points at a record")
	entry("@role/cardiology", "points at a role")
	d.page = max(h-2, 1)
	keys := "Esc back"
	if len(lines) > d.page {
		keys = "Up, Down, PgDn " + k.dot + " Esc back"
	}
	box := k.box("help", keys, d.window(lines, d.page), bw)
	return box, center(box, bw, w, h), nil
}

// center places a box of bw columns in the middle of the screen.
func center(box []string, bw, w, h int) rect {
	return rect{max((w-bw)/2, 0), max((h-len(box))/2, 0), bw, len(box)}
}

// listDialog is the conversation list, where there is no room beside the timeline.
type listDialog struct{}

func (d *listDialog) key(m *Model, key, typed string) (bool, tea.Cmd) {
	return m.listKey(key)
}

func (d *listDialog) wheel(m *Model, n int) { m.list.scroll(n, m.height) }

func (d *listDialog) click(m *Model, x, y int) (bool, tea.Cmd) {
	if to := m.list.at(y); to != "" && x < listWidth(m.width) {
		return true, m.openPeer(to)
	}
	return false, nil
}

func (d *listDialog) covers() bool { return false }

// listWidth is the width of the list as a dialog, on a screen of w columns.
func listWidth(w int) int { return min(w, 34) }

func (d *listDialog) render(m *Model, w, h int) ([]string, rect, *point) {
	lw := listWidth(w)
	rows := m.list.render(&m.look, lw-1, h, m.list.chosen)
	for i := range rows {
		rows[i] += paint(m.look.Rule, m.look.bar)
	}
	return rows, rect{0, 0, lw, h}, nil
}

// listKey moves in the conversation list, and reports when it is left.
func (m *Model) listKey(key string) (done bool, cmd tea.Cmd) {
	switch key {
	case "up", "ctrl+p", "shift+tab":
		m.list.move(-1)
	case "down", "ctrl+n", "tab":
		m.list.move(1)
	case "pgup":
		m.list.move(-10)
	case "pgdown":
		m.list.move(10)
	case "home":
		m.list.move(-len(m.list.all))
	case "end":
		m.list.move(len(m.list.all))
	case "enter", "right":
		if m.list.find(m.list.chosen) == nil {
			return true, nil
		}
		return true, m.openPeer(m.list.chosen)
	case "esc", "left", "f2", "alt+l", "ctrl+c":
		return true, nil
	}
	return false, nil
}
