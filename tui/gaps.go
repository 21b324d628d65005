package tui

import (
	"context"
	"errors"
	"time"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
)

// Where messages may be missing, a line says so. It is chosen as messages are, and
// Enter asks the relay again.

// gapsMsg says what may be missing in a conversation.
type gapsMsg struct {
	peer string
	gaps []client.Gap
	err  error
}

func (m *Model) loadGaps() tea.Cmd {
	peer := m.open
	if peer == "" {
		return nil
	}
	return m.query(func(q queryContext) tea.Msg {
		gaps, err := q.Gaps(q.ctx, peer)
		return gapsMsg{peer, gaps, err}
	})
}

func (m *Model) gapsRead(msg gapsMsg) {
	if msg.err == nil && m.tl != nil && m.tl.peer == msg.peer {
		m.tl.gaps = msg.gaps
		if m.tl.gap != 0 && m.tl.gapIndex(m.tl.gap) < 0 {
			m.tl.gap = 0
		}
		m.tl.touch()
	}
}

// gapAt is where messages may be missing right before message i; nil if none are.
// Beyond the last message, i is the number of messages.
func (t *timeline) gapAt(i int) *client.Gap {
	for n := range t.gaps {
		if g := &t.gaps[n]; t.beginsAt(g, i) {
			return g
		}
	}
	return nil
}

func (t *timeline) beginsAt(g *client.Gap, i int) bool {
	switch {
	case !g.Pending() && g.After != 0:
		return i > 0 && t.msgs[i-1].ID == g.After
	case !g.Pending():
		return i == 0 && !t.older
	}
	newer := func(m *client.Message) bool { return m.Time.After(g.Since) }
	return (i == len(t.msgs) && t.newer == 0 || i < len(t.msgs) && newer(&t.msgs[i])) &&
		(i == 0 && !t.older || i > 0 && !newer(&t.msgs[i-1]))
}

// gapIndex is the index of the message that a gap is right before; -1 if it is not
// among those that are loaded.
func (t *timeline) gapIndex(id int64) int {
	for i := range len(t.msgs) + 1 {
		if g := t.gapAt(i); g != nil && g.ID == id {
			return i
		}
	}
	return -1
}

// chosenGap is the gap whose line was chosen; nil if none was.
func (t *timeline) chosenGap() *client.Gap {
	if t.gap == 0 || t.chosen != 0 {
		return nil
	}
	if i := t.gapIndex(t.gap); i >= 0 {
		return t.gapAt(i)
	}
	return nil
}

// chooseGap goes from a message to the line of a gap beside it, or from there to a
// message. It reports false if neither is the next step.
func (t *timeline) chooseGap(n int) bool {
	if t.chosenGap() != nil {
		i := t.gapIndex(t.gap)
		if n < 0 {
			i--
		}
		switch {
		case i < 0:
		case i == len(t.msgs):
			t.unchoose()
			t.end()
		default:
			t.gap, t.chosen = 0, t.msgs[i].ID
		}
		t.touch()
		return true
	}
	t.gap = 0
	i := t.index(t.chosen)
	if i < 0 {
		return false
	}
	if n > 0 {
		i++
	}
	g := t.gapAt(i)
	if g == nil {
		return false
	}
	t.gap, t.chosen = g.ID, 0
	t.touch()
	return true
}

// showGap scrolls so that the line of the chosen gap is on the screen.
func (t *timeline) showGap() {
	at := t.gapIndex(t.gap)
	for i := range t.rows {
		r := &t.rows[i]
		if r.msg != min(at, len(t.msgs)-1) {
			continue
		}
		if at == len(t.msgs) {
			i = len(t.rows) - 1
		}
		if top := t.top(); i < top || i >= top+t.height {
			t.hold(i)
		}
		return
	}
}

// gapWords says that messages may be missing.
func (k *look) gapWords(g *client.Gap, now time.Time) string {
	since := k.moment(g.Since, now)
	if g.Pending() {
		return "Messages after " + since + " are still being fetched."
	}
	return "Messages between " + since + " and " + k.until(g.Since, g.Until, now) + " may be missing. The relay does not have them."
}

// gap draws the line about messages that may be missing right before message i.
func (t *timeline) gapLine(k *look, i int, now time.Time, w int) (lines []string) {
	g := t.gapAt(i)
	if g == nil {
		return nil
	}
	chosen := g == t.chosenGap()
	for n, s := range wrap(k.m, k.gapWords(g, now), max(w-2, 1)) {
		l := line{m: k.m}
		left := max((w-width(k.m, s))/2, 1)
		if chosen && n == 0 {
			l.add(k.Accent, ">")
			left--
		}
		lines = append(lines, l.space(left).add(k.Warning, s).String())
	}
	return lines
}

// gapTime is how long a gap is waited for: it may have many pages.
const gapTime = 10 * time.Minute

// gapAskedMsg says how asking for what is missing in a gap ended.
type gapAskedMsg struct {
	n       int
	pending bool
	err     error
}

// askGap has the relay asked for what is missing at the chosen line. It reports
// false if none is chosen.
func (m *Model) askGap() (tea.Cmd, bool) {
	if m.tl == nil {
		return nil, false
	}
	g := m.tl.chosenGap()
	if g == nil {
		return nil, false
	}
	m.say("Asking the relay for what is missing.")
	messenger, id, pending := m.cfg.Messenger, g.ID, g.Pending()
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), gapTime)
		defer cancel()
		n, err := messenger.FillGap(ctx, id)
		return gapAskedMsg{n, pending, err}
	}, true
}

func (m *Model) gapAsked(msg gapAskedMsg) {
	switch {
	case errors.Is(msg.err, client.ErrGapStays):
		m.say("The relay still does not have them. Those who wrote then may have them: ask.")
	case msg.err != nil:
		m.warn(sentence(msg.err))
	case msg.n == 1:
		m.say("1 message came.")
	case msg.n > 1:
		m.say(itoa(msg.n) + " messages came.")
	case !msg.pending:
		m.say("Nothing is missing there any more.")
	}
}
