package tui

import (
	"slices"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
	"sotto/client/store"
	"sotto/client/text"
	"sotto/themes"
)

// fateDialog shows who has a message, and since when; of one that was taken back,
// on which devices it is gone.
type fateDialog struct {
	scrolled
	id     int64
	fate   client.Fate
	loaded bool
	failed text.Safe
	page   int
}

// fateMsg is the answer to loadFate.
type fateMsg struct {
	d    *fateDialog
	fate client.Fate
	err  error
}

// showFate opens the dialog for the chosen message, or the last own one.
func (m *Model) showFate() tea.Cmd {
	msg := m.target(func(x *client.Message) bool { return x.Kind != store.Notice && (x.Outgoing || m.tl.chosen == x.ID) },
		"You have written nothing here yet.", "These are sotto's own words, which went to nobody.")
	if msg == nil {
		return nil
	}
	d := &fateDialog{id: msg.ID}
	m.push(d)
	return m.loadFate(d)
}

func (m *Model) loadFate(d *fateDialog) tea.Cmd {
	return m.query(func(q queryContext) tea.Msg {
		f, err := q.Fate(q.ctx, d.id)
		return fateMsg{d, f, err}
	})
}

func (d *fateDialog) fill(msg fateMsg) {
	if msg.err != nil {
		d.failed = text.Line(msg.err.Error())
		return
	}
	d.fate, d.loaded = msg.fate, true
}

func (d *fateDialog) key(_ *Model, key, _ string) (bool, tea.Cmd) {
	return !d.scrolled.key(key, d.page), nil
}

func (d *fateDialog) wheel(_ *Model, n int)                         { d.top += n }
func (d *fateDialog) click(*Model, int, int) (done bool, _ tea.Cmd) { return false, nil }
func (d *fateDialog) covers() bool                                  { return true }

func (d *fateDialog) render(m *Model, w, h int) ([]string, rect, *point) {
	k := &m.look
	bw := min(w-2, 70)
	inner := bw - 4
	var lines []string
	say := func(st themes.Style, s string) {
		for _, part := range wrap(k.m, s, inner) {
			lines = append(lines, paint(st, part))
		}
	}
	entry := func(name, state string, st themes.Style) {
		l := &line{m: k.m}
		state = clip(k.m, state, inner, k.more)
		l.add(k.Text, clip(k.m, name, max(inner-width(k.m, state)-2, 6), k.more))
		if l.width+2+width(k.m, state) > inner {
			lines = append(lines, l.String())
			l = &line{m: k.m}
		}
		lines = append(lines, l.to(max(inner-width(k.m, state), 0)).add(st, state).String())
	}
	f := &d.fate
	msg := &f.Message
	switch {
	case !d.failed.Empty():
		say(k.Failed, d.failed.String())
	case !d.loaded:
		say(k.Faint, "Reading who has it")
	default:
		d.about(m, say, entry)
	}
	title := "the message"
	if d.loaded {
		title = "the message of " + m.at(msg.Time, m.clock.wall)
	}
	d.page = max(h-2, 1)
	box := k.box(title, "Esc back", d.window(lines, d.page), bw)
	return box, center(box, bw, w, h), nil
}

// about says what there is to say.
func (d *fateDialog) about(m *Model, say func(themes.Style, string), entry func(name, state string, st themes.Style)) {
	k := &m.look
	f := &d.fate
	msg := &f.Message
	if words, st := m.instead(msg); words != "" {
		say(st, words)
	}
	if words, st := k.recall(msg.Recall); words != "" {
		say(st, words)
	}
	if !msg.Encrypted {
		say(k.Warning, "It came unencrypted: anybody along the way could read and change it.")
	}
	if !msg.Outgoing {
		say(k.Text, "From "+m.person(msg.Sender.String())+". It is stored here.")
	}
	switch {
	case len(f.Recall) > 0:
		say(k.Title, "Devices that had it")
		for _, r := range f.Recall {
			name := r.Name.String() + ", device " + itoa(int(r.Device))
			if r.Own {
				name = "you, device " + itoa(int(r.Device))
			}
			switch r.Outcome {
			case store.CarriedOut:
				entry(name, "gone "+m.at(r.Time, m.clock.wall), k.Good)
			case store.Refused:
				entry(name, "NOT removed: has another text", k.Failed)
			default:
				entry(name, "no answer yet", k.Warning)
			}
		}
		if slices.ContainsFunc(f.Recall, func(r client.Recalled) bool { return r.Outcome != store.CarriedOut && r.Outcome != store.Refused }) {
			say(k.Faint, "No answer: it is offline, or another app, of which nobody can tell. Other apps may keep the text.")
		}
	case len(f.Recipients) > 0 && msg.Gone == store.Here:
		for _, r := range f.Recipients {
			entry(r.Name.String(), r.State.String()+" "+m.at(r.Time, m.clock.wall), k.recipient(r.State))
		}
	case msg.Outgoing && msg.Gone == store.Here:
		say(k.State, msg.State.String())
	}
	if !msg.Why.Empty() {
		say(k.Warning, msg.Why.String())
	}
	for _, r := range m.remarks(msg) {
		say(r.style, r.words)
	}
	if !f.ID.Empty() { // whoever has it recalled by order, or looks into audit logs, asks for it
		say(k.Faint, "Message id "+f.ID.String())
	}
}

// recipient is the style of how far a message has come with somebody.
func (k *look) recipient(s store.State) themes.Style {
	switch s {
	case store.Failed:
		return k.Failed
	case store.Delivered, store.Read:
		return k.Good
	}
	return k.State
}
