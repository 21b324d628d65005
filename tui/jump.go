package tui

import (
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
	"sotto/client/store"
)

// Jumping goes to one message, wherever it is: from a search, the inbox, or to
// what is unread. The conversation is shown around it, and the message is chosen.
// Esc goes back to where the person was.

// step is where somebody was before a jump.
type step struct {
	peer   string
	anchor anchor // zero: at the newest message
	dialog dialog // what they jumped from; nil: the conversation itself
}

// maxTrail bounds how far Esc leads back.
const maxTrail = 16

// jump shows a message in its conversation. from is the dialog to come back to.
func (m *Model) jump(peer string, id int64, from dialog) tea.Cmd {
	s := step{peer: m.open, dialog: from}
	if m.tl != nil && !m.tl.follow {
		s.anchor = m.tl.anchor
	}
	m.trail = append(m.trail, s)
	if len(m.trail) > maxTrail {
		m.trail = slices.Delete(m.trail, 0, 1)
	}
	return m.goTo(peer, id)
}

// goTo shows a message without a step back.
func (m *Model) goTo(peer string, id int64) tea.Cmd {
	if peer == m.open && m.tl != nil && !m.tl.opening {
		m.tl.unchoose()
		m.tl.jumped = true
		if m.tl.index(id) >= 0 {
			m.pick(id)
			return nil
		}
		m.tl.target = id
		t := m.tl
		t.replacing++
		t.follow = false
		return m.query(func(q queryContext) tea.Msg {
			p, err := q.read(peer, id, 2*pageSize)
			return pageMsg{peer: peer, part: p, err: err}
		})
	}
	cmd := m.openAt(peer, anchor{id: id})
	m.tl.jumped, m.tl.target = true, id
	return cmd
}

// land chooses the message that was jumped to, once it is loaded.
func (m *Model) land() {
	if m.tl == nil || m.tl.target == 0 {
		return
	}
	id := m.tl.target
	m.tl.target = 0
	if m.tl.index(id) < 0 {
		m.say("This message is not here any more.")
		m.tl.jumped = false
		m.tl.end()
		return
	}
	m.pick(id)
}

// pick chooses a message, and puts it a third of the screen from the top.
func (m *Model) pick(id int64) {
	t := m.tl
	t.chosen, t.kept = id, true
	t.touch()
	m.arrange()
	i := slices.IndexFunc(t.rows, func(r row) bool { return t.msgs[r.msg].ID == id && r.line >= 0 })
	t.follow = false
	t.hold(i - t.height/3)
}

// comeBack undoes the last jump; false if there was none.
func (m *Model) comeBack() (tea.Cmd, bool) {
	n := len(m.trail)
	if n == 0 {
		return nil, false
	}
	s := m.trail[n-1]
	m.trail = m.trail[:n-1]
	if s.dialog != nil {
		m.push(s.dialog)
	}
	m.tl.unchoose()
	m.tl.jumped = false
	if s.peer != m.open {
		return m.openAt(s.peer, s.anchor), true
	}
	if s.anchor.id == 0 {
		m.tl.end()
		return nil, true
	}
	m.tl.anchor, m.tl.follow = s.anchor, false
	if m.tl.index(s.anchor.id) >= 0 {
		return nil, true
	}
	return m.reload(), true
}

// afterMsg is a page of newer messages.
type afterMsg struct {
	peer  string
	after int64
	part  client.Part
	err   error
}

// loadAfter reads the messages after the loaded part of the open conversation.
func (m *Model) loadAfter(after int64) tea.Cmd {
	peer := m.open
	m.tl.loading = true
	return m.query(func(q queryContext) tea.Msg {
		p, err := q.After(q.ctx, peer, after, pageSize)
		return afterMsg{peer, after, p, err}
	})
}

func (m *Model) after(msg afterMsg) {
	switch {
	case m.tl == nil || m.tl.peer != msg.peer:
	case msg.err != nil:
		m.tl.loading = false
		m.warn("The messages could not be read: " + msg.err.Error())
	default:
		m.tl.append(msg.part, msg.after)
	}
}

// jumpMsg says which message of a conversation to go to; id 0: none.
type jumpMsg struct {
	peer string
	id   int64
	err  error
}

func (m *Model) jumpFound(msg jumpMsg) tea.Cmd {
	switch {
	case msg.err != nil:
		m.warn("The messages could not be read: " + msg.err.Error())
		return nil
	case msg.id == 0:
		return m.openPeer(msg.peer)
	}
	m.trail = nil
	return m.goTo(msg.peer, msg.id)
}

// goUnread goes to the first message of a conversation that is unread; with urgent,
// to the first that is STAT.
func (m *Model) goUnread(peer string, urgent bool) tea.Cmd {
	return m.query(func(q queryContext) tea.Msg {
		id, err := q.FirstUnread(q.ctx, peer, urgent)
		return jumpMsg{peer, id, err}
	})
}

// unreadSTAT reports whether an unread STAT message of the open conversation is on
// the screen.
func (t *timeline) unreadSTAT() bool {
	for i := t.top(); i < len(t.rows) && i < t.top()+t.height; i++ {
		if m := &t.msgs[t.rows[i].msg]; !m.Outgoing && !m.Read && m.Urgency >= store.Stat {
			return true
		}
	}
	return false
}

// moment says when something was, as short as it can be told: 14:10, yesterday
// 14:10, Sat 14 Nov 14:10.
func (k *look) moment(t, now time.Time) string {
	t, now = t.In(k.zone), now.In(k.zone)
	clock := t.Format("15:04")
	switch {
	case sameDay(t, now):
		return clock
	case sameDay(t, now.AddDate(0, 0, -1)):
		return "yesterday " + clock
	case t.Year() == now.Year():
		return t.Format("Mon 2 Jan ") + clock
	}
	return t.Format("2 Jan 2006 ") + clock
}

// until is moment for the end of a time that begins with since.
func (k *look) until(since, t, now time.Time) string {
	if sameDay(since.In(k.zone), t.In(k.zone)) {
		return t.In(k.zone).Format("15:04")
	}
	return k.moment(t, now)
}
