package tui

import (
	"cmp"
	"strings"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
	"sotto/client/store"
	"sotto/themes"
)

// inboxDialog is what waits for the person, over the whole screen: what is urgent
// and not acknowledged, what was not sent, what names them or answers them.
type inboxDialog struct {
	chosen int64 // id of the chosen message; 0: the first
	hits   hitList
	typed  bool // letters, which do nothing here: Enter behind them does not, either
}

// setInbox takes what waits for the person.
func (m *Model) setInbox(list []client.Waiting) {
	m.inbox = list
	m.list.waits = len(list)
}

func (d *inboxDialog) at(m *Model) int {
	for i := range m.inbox {
		if m.inbox[i].ID == d.chosen {
			return i
		}
	}
	return min(max(d.hits.chosen, 0), max(len(m.inbox)-1, 0)) // what was chosen is dealt with
}

// What acts are chords, and never letters: who believes to be writing writes
// nothing, and does no harm.
func (d *inboxDialog) key(m *Model, key, typed string) (bool, tea.Cmd) {
	d.hits.chosen = d.at(m)
	if typed != "" {
		d.typed = true
		m.say("This is the inbox: nothing is written here. Esc leads back.")
		return false, nil
	}
	behind := d.typed
	d.typed = false
	if d.hits.key(key, len(m.inbox)) {
		d.keep(m)
		return false, nil
	}
	if d.hits.leaves(m, key) {
		return true, nil
	}
	switch key {
	case "esc", "f4", "alt+n", "ctrl+c":
		return true, nil
	}
	if len(m.inbox) == 0 {
		return false, nil
	}
	w := m.inbox[d.hits.chosen]
	switch key {
	case "enter", "kpenter":
		if behind {
			m.say("This is the inbox: Enter again goes there, Esc leads back.")
			return false, nil
		}
		d.keep(m)
		return true, m.jump(w.Peer, w.ID, d)
	case "ctrl+r":
		if id := failedID(&w.Message); w.Reason == store.NotSent && id != 0 {
			return false, m.query(func(q queryContext) tea.Msg { return doneMsg{"send again", q.Resend(q.ctx, id)} })
		}
		m.say("Only what has failed is sent again.")
	case "ctrl+d", "delete":
		if w.Reason == store.Unacknowledged {
			m.say("What is urgent stays here until it is acknowledged: Enter goes there, then Alt+Enter.")
			return false, nil
		}
		return false, m.query(func(q queryContext) tea.Msg {
			return doneMsg{"take it out of the inbox", q.Dismiss(q.ctx, cmp.Or(failedID(&w.Message), w.ID))}
		})
	}
	return false, nil
}

// keep remembers which message is chosen, wherever it moves.
func (d *inboxDialog) keep(m *Model) {
	if d.hits.chosen < len(m.inbox) {
		d.chosen = m.inbox[d.hits.chosen].ID
	}
}

func (d *inboxDialog) wheel(m *Model, n int) {
	d.hits.chosen = d.at(m)
	d.hits.move(sign(n), len(m.inbox))
	d.keep(m)
}

func (d *inboxDialog) click(m *Model, _, y int) (bool, tea.Cmd) {
	if i := d.hits.line(y); i >= 0 && i < len(m.inbox) {
		d.hits.chosen = i
		d.keep(m)
		return true, m.jump(m.inbox[i].Peer, m.inbox[i].ID, d)
	}
	return false, nil
}

func (d *inboxDialog) covers() bool { return false } // it does so itself

// why says why a message is in the inbox.
func (k *look) why(w *client.Waiting) (string, themes.Style) {
	switch w.Reason {
	case store.Unacknowledged:
		if word, st := k.badge(w.Urgency, ""); word != "" {
			return word + ", not acknowledged", st
		}
	case store.NotSent:
		if failedID(&w.Message) != 0 {
			return "failed", k.Failed
		}
		return "not sent yet", k.Warning
	case store.Mentioned:
		return "names you", k.Unread
	case store.Replied:
		return "answers you", k.Unread
	}
	return "", k.Faint
}

func (d *inboxDialog) render(m *Model, w, h int) ([]string, rect, *point) {
	k := &m.look
	d.hits.chosen = d.at(m)
	lines := []string{k.screenTitle("inbox", count(len(m.inbox), "message")+" waiting", w), k.hrule(w, "", themes.Style{}, false)}
	if m.covered() {
		lines = append(lines, k.curtain(w, h-4)...)
		return k.wholeScreen(lines, "", m, w, h), rect{0, 0, w, h}, nil
	}
	if len(m.inbox) == 0 {
		lines[0] = k.screenTitle("inbox", "", w)
		lines = append(lines, "", " "+paint(k.Faint, clip(k.m, "Nothing waits for you.", w-2, k.more)))
	} else {
		lines = append(lines, d.hits.draw(m, len(m.inbox), 2, w, h-4, func(i int) (client.Message, []store.Span, string, themes.Style) {
			word, st := k.why(&m.inbox[i])
			return m.inbox[i].Message, nil, word, st
		})...)
	}
	return k.wholeScreen(lines, k.dots("Enter go there", "Ctrl+R send again", "Ctrl+D done", "Esc back"), m, w, h), rect{0, 0, w, h}, nil
}

// commandRole says which @role/… is for this person.
func (m *Model) commandRole(arg string) (bool, tea.Cmd) {
	role := strings.ToLower(strings.TrimPrefix(arg, "@role/"))
	if role == "" {
		m.say("Which role? /role cardiology has the inbox show what is written to @role/cardiology; /role -cardiology ends that.")
		return false, nil
	}
	name, gone := strings.CutPrefix(role, "-")
	m.say(map[bool]string{false: "What is written to @role/" + name + " is for you now.", true: "What is written to @role/" + name + " is not for you any more."}[gone])
	return true, m.query(func(q queryContext) tea.Msg { return doneMsg{"change the role", q.SetRole(q.ctx, name, !gone)} })
}
