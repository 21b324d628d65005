package tui

import (
	"cmp"
	"strings"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
	"sotto/client/store"
	"sotto/client/wire"
	"sotto/themes"
)

// frame is what is on the screen, or about to be.
type frame struct {
	picture
	areas areas
	fits  bool // the screen is large enough

	notice []string // what there is to say, in rows
	style  themes.Style
}

// View implements tea.Model. It is not what draws: Update gives each picture to
// the painter.
func (m *Model) View() tea.View { return tea.NewView(m.frame.content) }

// arrange lays out the screen and draws the timeline, as far as something
// changed, so that its lines are known.
func (m *Model) arrange() {
	rows, _, _ := m.layoutComposer(m.width)
	m.frame.notice, m.frame.style = m.notices()
	m.frame.areas, m.frame.fits = arrange(m.width, m.height, len(rows), len(m.frame.notice))
	if m.tl != nil && m.frame.fits {
		a := m.frame.areas.timeline
		m.askAck = 0
		if msg := m.unacknowledged(); msg != nil && m.height >= roomyHeight {
			m.askAck = msg.ID
		}
		m.tl.about = m.sayings
		m.tl.draw(&m.look, m.nameOf, m.clock.wall, a.w, a.h)
	}
}

const promptWidth = 4

// layoutComposer breaks the draft for a screen of w columns.
func (m *Model) layoutComposer(w int) (rows []string, x, y int) {
	if w >= wideWidth {
		w -= min(max(w/5, 18), 28) + 1
	}
	return m.composer().layout(m.look.m, w-promptWidth-1)
}

// nameOf is what stands before a message's words.
func (m *Model) nameOf(msg client.Message) string {
	sender := msg.Sender.String()
	switch {
	case msg.Kind == store.Notice:
		return "sotto"
	case msg.Outgoing:
		return "you"
	case sender == msg.Peer:
		return shortName(m.conversation(msg.Peer).Name.String(), sender)
	}
	if _, nick, ok := strings.Cut(sender, "/"); ok && nick != "" {
		return nick
	}
	return shortName(m.conversation(sender).Name.String(), sender)
}

// draw makes the picture. Until there is a conversation to show, there is none,
// and the terminal keeps what the process before had drawn.
func (m *Model) draw() {
	if m.width == 0 || !m.arrived {
		return
	}
	defer func() {
		if m.paint != nil {
			m.paint(m.frame.picture)
		}
	}()
	if m.outside() {
		m.frame.picture = picture{w: m.width, h: m.height, method: m.look.m, synced: m.synced}
		m.drawOutside()
		return
	}
	m.arrange()
	m.keepInView()
	m.frame.picture = picture{w: m.width, h: m.height, method: m.look.m, synced: m.synced}
	if !m.frame.fits {
		m.frame.areas = areas{}
		m.frame.content = m.tooSmall()
		return
	}
	a := m.frame.areas
	lines := make([]string, m.height)
	at := m.body(lines, a)
	m.foot(lines, a)
	if a.list.w > 0 {
		m.beside(lines, a.list)
	}
	for _, d := range m.dialogs {
		box, where, cursor := d.render(m, m.width, m.height)
		if m.covered() && d.covers() {
			m.look.coverBox(box, where.w)
		}
		overlay(m.look.m, lines, box, where.x, where.y, m.width)
		at = nil
		if cursor != nil {
			at = &point{where.x + cursor.x, where.y + cursor.y}
		}
	}
	if m.asList || m.covered() {
		at = nil
	}
	m.frame.image = m.onScreen()
	m.frame.cursor = at
	m.frame.content = strings.Join(lines, "\n")
}

// body draws the open conversation: title, messages, composer.
func (m *Model) body(lines []string, a areas) *point {
	k := &m.look
	var c *client.Conversation
	if m.open != "" {
		c = m.conversation(m.open)
	}
	if m.covered() {
		c = withoutWords(c)
	}
	lines[0] = k.titleLine(c, m.security, a.title.w)
	if a.rule.h > 0 {
		lines[a.rule.y] = k.hrule(a.rule.w, "", themes.Style{}, false)
	}
	below, st := "", k.Unread
	switch {
	case m.covered():
		m.coverTimeline(lines, a.timeline)
	case m.tl != nil && m.tl.opening && len(m.tl.msgs) == 0:
	case m.tl == nil || len(m.tl.msgs) == 0:
		words := "Nothing written yet."
		if m.open == "" {
			words = "No conversation yet. Ctrl+K finds somebody, /to takes an address."
			if len(m.list.all) > 0 {
				words = "Choose whom to write to: Ctrl+K. Alt+A goes to what is unread."
			}
		}
		for i, s := range wrap(k.m, words, a.timeline.w-2) {
			if i < a.timeline.h {
				lines[a.timeline.y+i] = " " + paint(k.Faint, s)
			}
		}
	default:
		top := m.tl.top()
		for i := 0; i < a.timeline.h && top+i < len(m.tl.rows); i++ {
			lines[a.timeline.y+i] = m.tl.rows[top+i].text
		}
	}
	if m.tl != nil && len(m.tl.msgs) > 0 {
		if n, stats := m.tl.below(); n > 0 {
			below = thousands(n) + " below"
			if n >= client.MaxBelow {
				below = "more than " + below
			}
			if stats > 0 {
				below += ", " + itoa(stats) + " STAT"
				st = k.Stat
			}
			below = k.dots(below, "End")
		} else if !m.tl.follow {
			below = k.dots("more below", "End")
		} else if m.cfg.Reveal && m.tl.chosen == 0 {
			below, st = "Alt+Up shows a message", k.Faint
		}
	}
	lines[a.edge.y] = k.hrule(a.edge.w, below, st, false)
	return m.drawComposer(lines, a.composer)
}

// notices is what there is to say, broken into rows: an answer to the last key,
// what a command could be, what the connection or the devices ask for.
func (m *Model) notices() ([]string, themes.Style) {
	k := &m.look
	words, st := m.notice.words, m.notice.style
	hide := m.covered() && !m.notice.covered // it answers what was written
	hint := ""
	if words == "" && !m.fullScreen() {
		if hint = cmp.Or(m.hint(), m.aboutHint()); hint == "" && m.height >= roomyHeight { // elsewhere its row is one of the message's
			hint = m.chosenHint()
		}
	}
	switch {
	case words != "":
	case hint != "":
		words, st = hint, k.Faint
	case m.offline():
		hide = false
		words, st = m.state.Words.String(), k.Warning
		if m.state.Phase != wire.Refused {
			words = "What you write waits, and goes out by itself. " + words
		}
	case m.security != nil && m.security.Warn:
		hide = false
		words, st = m.security.Words.String(), k.Warning
	}
	if words == "" {
		return nil, st
	}
	rows := wrap(k.m, words, max(m.width-2, 1))
	if most, _ := noticeRows(m.height); len(rows) > most && most > 0 {
		rows = rows[:most]
		rows[most-1] = clip(k.m, rows[most-1]+" "+k.more, m.width-2, k.more)
	}
	if hide {
		clear(rows)
	}
	return rows, st
}

// foot draws the last lines: what there is to say, and how things stand.
func (m *Model) foot(lines []string, a areas) {
	k := &m.look
	for i := range a.notice.h {
		if i < len(m.frame.notice) {
			lines[a.notice.y+i] = paint(m.frame.style, " "+m.frame.notice[i])
		}
	}
	left, _ := m.clock.look()
	lock, soon := lockWords(left)
	unread, stats := m.list.unread()
	lines[a.status.y] = k.statusLine(m.state, m.clock.wall, m.organisation(), unread, stats, lock, soon, a.status.w)
}

// beside draws the conversation list at the left of everything but the last lines.
func (m *Model) beside(lines []string, a rect) {
	k := &m.look
	chosen := m.open
	if m.asList {
		chosen = m.list.chosen
	}
	bar := paint(k.Rule, k.bar)
	for i, s := range m.list.render(k, a.w, a.h, chosen) {
		lines[i] = s + bar + lines[i]
	}
}

// drawComposer draws the composer, and says where the cursor stands.
func (m *Model) drawComposer(lines []string, a rect) *point {
	if m.covered() {
		m.coverComposer(lines, a)
		return nil
	}
	k := &m.look
	rows, x, y := m.layoutComposer(m.width)
	top := min(max(y-a.h+1, 0), max(len(rows)-a.h, 0))
	for i := 0; i < a.h && top+i < len(rows); i++ {
		prompt := paint(k.Accent, " >") + "  "
		if top+i > 0 {
			prompt = spaces(promptWidth)
		}
		lines[a.y+i] = prompt + paint(k.Text, rows[top+i])
	}
	return &point{a.x + promptWidth + x, a.y + y - top}
}

// tooSmall is shown instead of everything where there is no room for it.
func (m *Model) tooSmall() string {
	words := "sotto needs " + itoa(minWidth) + "x" + itoa(minHeight) + ", this is " +
		itoa(m.width) + "x" + itoa(m.height) + ". Ctrl+L locks."
	left, _ := m.clock.look()
	if lock, soon := lockWords(left); soon { // first, where there may be one row
		words = lock + "\n" + words
	}
	lines := wrap(m.look.m, words, max(m.width, 1))
	return strings.Join(lines[:min(len(lines), max(m.height, 1))], "\n")
}

func trimmed(s string) string { return strings.Trim(s, " \n") }
