package tui

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
	"sotto/client/store"
)

// storeTime bounds one reading or writing of the store.
const storeTime = 20 * time.Second

// queryContext is what a command may use: the messenger, within a time.
type queryContext struct {
	Messenger
	ctx context.Context
}

// query makes a command of something that reads or writes the store.
func (m *Model) query(f func(queryContext) tea.Msg) tea.Cmd {
	messenger := m.cfg.Messenger
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(context.Background(), storeTime)
		defer cancel()
		return f(queryContext{messenger, ctx})
	}
}

// job is a command that must not be lost when the screens end: the message that
// was sent just before locking. It runs once, whoever comes first.
type job struct {
	once sync.Once
	run  func(queryContext) tea.Msg
	msg  tea.Msg
}

// jobMsg is the answer of a job.
type jobMsg struct {
	job *job
	msg tea.Msg
}

// do runs the job, or waits for whoever runs it.
func (j *job) do(messenger Messenger) tea.Msg {
	j.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), storeTime)
		defer cancel()
		j.msg = j.run(queryContext{messenger, ctx})
	})
	return j.msg
}

// must is query for what must not be lost.
func (m *Model) must(f func(queryContext) tea.Msg) tea.Cmd {
	j, messenger := &job{run: f}, m.cfg.Messenger
	m.jobs = append(m.jobs, j)
	return func() tea.Msg { return jobMsg{j, j.do(messenger)} }
}

// doneMsg says how something ended that has no other answer.
type doneMsg struct {
	doing string
	err   error
}

// draftMsg says how storing a draft ended.
type draftMsg struct {
	peer string
	err  error
}

// listMsg is the conversation list.
type listMsg struct {
	all   []client.Conversation
	known map[string]client.Person
	inbox []client.Waiting
	err   error
}

// loadList reads the conversation list, once at a time.
func (m *Model) loadList() tea.Cmd {
	if m.listing.running {
		m.listing.again = true
		return nil
	}
	m.listing.running = true
	return m.query(func(q queryContext) tea.Msg {
		all, err := q.Conversations(q.ctx)
		if err != nil {
			return listMsg{err: err}
		}
		known := q.introduce(all)
		inbox, err := q.Inbox(q.ctx)
		return listMsg{all, known, inbox, err}
	})
}

// openedMsg is what opening a conversation needs.
type openedMsg struct {
	peer     string
	part     client.Part
	gaps     []client.Gap
	security client.Security
	draft    store.Draft
	about    *client.Message // what the draft is about, if it is still here
	anchor   anchor
	err      error
}

// openPeer shows a conversation, at its newest message or its unread line.
func (m *Model) openPeer(peer string) tea.Cmd {
	m.trail = nil
	return m.openAt(peer, anchor{})
}

func (m *Model) openAt(peer string, at anchor) tea.Cmd {
	if peer == m.open && m.tl != nil {
		m.list.chosen = peer
		return nil
	}
	keep := m.keepDraft()
	// From here on keys are for the new conversation, although its messages have
	// yet to be read: what is typed at once must not go to somebody else.
	m.open, m.list.chosen, m.security, m.asked, m.sure = peer, peer, nil, 0, ""
	m.tl = newTimeline(peer, m.cfg.Reveal)
	m.tl.device = m.self.Device
	m.tl.opening, m.tl.anchor, m.tl.blank = true, at, m.composer().empty()
	limit, from := pageSize, at.id
	if c := m.list.find(peer); c != nil {
		if limit = max(limit, c.Unread+20); limit > maxLoaded && from == 0 {
			from = c.FirstUnread
		}
		limit = min(limit, maxLoaded)
	}
	load := m.query(func(q queryContext) tea.Msg {
		msg := openedMsg{peer: peer, anchor: at}
		if msg.part, msg.err = q.read(peer, from, limit); msg.err != nil {
			return msg
		}
		if msg.gaps, msg.err = q.Gaps(q.ctx, peer); msg.err != nil {
			return msg
		}
		if msg.security, msg.err = q.Security(q.ctx, peer); msg.err != nil {
			return msg
		}
		if msg.draft, msg.err = q.Draft(q.ctx, peer); msg.err == nil {
			msg.about, msg.err = q.aboutOf(peer, msg.draft)
		}
		return msg
	})
	return tea.Batch(keep, load)
}

// opened shows a conversation that was read.
func (m *Model) opened(msg openedMsg) tea.Cmd {
	m.arrived = true
	if m.tl == nil || m.tl.peer != msg.peer || !m.tl.opening {
		return nil // another was opened since
	}
	m.tl.opening = false
	if msg.err != nil {
		m.warn("The conversation could not be read: " + msg.err.Error())
		return nil
	}
	m.security = &msg.security
	came := m.tl.msgs // while the store was read
	m.tl.replace(msg.part)
	m.tl.gaps = msg.gaps
	for _, one := range came {
		if i := m.tl.index(one.ID); i < 0 || one.State > m.tl.msgs[i].State {
			m.tl.put(one)
		}
	}
	for i := range m.tl.msgs {
		if !m.tl.msgs[i].Outgoing && !m.tl.msgs[i].Read {
			m.tl.unreadAt = m.tl.msgs[i].ID
			break
		}
	}
	m.offerDraft(msg)
	m.arrange() // the timeline must know its lines to find one
	if msg.anchor.id != 0 && m.tl.index(msg.anchor.id) >= 0 {
		m.tl.anchor, m.tl.follow = msg.anchor, false
		m.tl.hold(m.tl.top())
	} else {
		m.tl.showUnread()
	}
	m.land()
	return nil
}

// read reads the newest messages of a conversation, or those around the one with
// the id at, if it is not 0 and still there.
func (q queryContext) read(peer string, at int64, limit int) (client.Part, error) {
	if at != 0 {
		p, err := q.Around(q.ctx, peer, at, limit)
		if !errors.Is(err, client.ErrNotHere) {
			return p, err
		}
	}
	msgs, err := q.Messages(q.ctx, peer, 0, limit)
	return client.Part{Messages: msgs, Older: len(msgs) == limit}, err
}

// pageMsg is a page of older messages; or, for before 0, what replaces all that is
// loaded.
type pageMsg struct {
	peer   string
	before int64
	limit  int
	part   client.Part
	err    error
}

// loadPage reads messages of the open conversation.
func (m *Model) loadPage(before int64, limit int) tea.Cmd {
	peer := m.open
	m.tl.loading = true
	if before == 0 {
		m.tl.replacing++
	}
	return m.query(func(q queryContext) tea.Msg {
		msgs, err := q.Messages(q.ctx, peer, before, limit)
		return pageMsg{peer, before, limit, client.Part{Messages: msgs, Older: len(msgs) == limit}, err}
	})
}

// reload reads again what is loaded, which may have changed unseen. Somebody
// who reads further up stays at the same line.
func (m *Model) reload() tea.Cmd {
	t := m.tl
	if t == nil || t.opening || len(t.msgs) == 0 && t.loading {
		return nil
	}
	t.replacing++
	peer, at := t.peer, int64(0)
	if !t.follow && len(t.msgs) > 0 {
		at = t.anchor.id
	}
	limit := min(max(len(t.msgs), pageSize), maxLoaded)
	return m.query(func(q queryContext) tea.Msg {
		p, err := q.read(peer, at, limit)
		return pageMsg{peer: peer, part: p, err: err}
	})
}

func (m *Model) page(msg pageMsg) {
	if m.tl == nil || m.tl.peer != msg.peer {
		return
	}
	if msg.before == 0 {
		defer m.tl.replaced()
	}
	if msg.err != nil {
		m.tl.loading = false
		m.warn("The messages could not be read: " + msg.err.Error())
		return
	}
	if msg.before == 0 {
		m.tl.replace(msg.part)
		m.land()
	} else {
		m.tl.prepend(msg.part.Messages, msg.before, msg.limit)
	}
}

// securityMsg says who can read in a conversation.
type securityMsg struct {
	peer     string
	security client.Security
	err      error
}

func (m *Model) loadSecurity() tea.Cmd {
	peer := m.open
	if peer == "" {
		return nil
	}
	return m.query(func(q queryContext) tea.Msg {
		s, err := q.Security(q.ctx, peer)
		return securityMsg{peer, s, err}
	})
}

// sentMsg says what became of a message to send.
type sentMsg struct {
	peer, text string
	msg        client.Message
	err        error
	about      *about
}

// post sends what the composer holds; text is what is sent of it.
func (m *Model) post(text string) tea.Cmd {
	peer := m.open
	if peer == "" {
		m.warn("Nobody is chosen to write to: Ctrl+K.")
		return nil
	}
	c := m.composer()
	about := c.about
	c.about = nil
	c.clear()
	c.sent(text)
	c.dirty = false
	m.tl.unreadAt = 0
	m.tl.unchoose()
	m.tl.touch()
	m.tl.end()
	unread := m.tl.opening && m.tl.blank // an earlier draft has yet to be offered
	accepted := m.accepted(peer, text)
	return m.must(func(q queryContext) tea.Msg {
		msg, err := sendAccepting(q, accepted, peer, text, about)
		if err == nil && !unread {
			// A draft that stays behind is offered again: a nuisance, no loss.
			err = q.SetDraft(q.ctx, peer, store.Draft{})
		}
		return sentMsg{peer, text, msg, err, about}
	})
}

// jobDone takes the answer of a job.
func (m *Model) jobDone(msg jobMsg) tea.Cmd {
	m.jobs = slices.DeleteFunc(m.jobs, func(j *job) bool { return j == msg.job })
	return m.handle(msg.msg)
}

// sentDone shows a message that was stored, or gives back one that was not.
func (m *Model) sentDone(msg sentMsg) {
	if msg.msg.ID != 0 {
		// Its event may have come first, and brought more.
		if m.tl != nil && m.tl.peer == msg.peer && m.tl.index(msg.msg.ID) < 0 {
			m.tl.put(msg.msg)
		}
		return
	}
	if n, ok := pointsOut(msg.err); ok {
		m.newReaders(msg.peer, msg.text, n)
	} else {
		m.warn("Not sent: " + msg.err.Error())
	}
	c := m.composers[msg.peer]
	if c != nil && c.empty() {
		c.set(msg.text)
		c.dirty = true
		c.about = msg.about
	}
}

// resend sends again every message of the open conversation that failed.
func (m *Model) resend() tea.Cmd {
	if m.tl == nil {
		return nil
	}
	var cmds []tea.Cmd
	for _, msg := range m.tl.msgs {
		if id := failedID(&msg); id != 0 {
			cmds = append(cmds, m.query(func(q queryContext) tea.Msg {
				return doneMsg{"send again", q.Resend(q.ctx, id)}
			}))
		}
	}
	if len(cmds) == 0 {
		m.say("Nothing here has failed.")
		return nil
	}
	return tea.Sequence(cmds...)
}

// failedID is the id of what has failed of a message: of one that was taken back, of
// what asks the others for the same; 0 if nothing has.
func failedID(msg *client.Message) int64 {
	switch {
	case msg.Gone == store.Recalled && msg.Recall.State == store.Failed:
		return msg.Recall.ID
	case msg.Gone == store.Here && msg.Outgoing && msg.State == store.Failed:
		return msg.ID
	}
	return 0
}

// keepDraft stores what is written in the open conversation, if it changed.
func (m *Model) keepDraft() tea.Cmd {
	c := m.composers[m.open]
	if c == nil || !c.dirty || m.open == "" {
		return nil
	}
	c.dirty = false
	peer, draft := m.open, c.kept()
	return m.must(func(q queryContext) tea.Msg {
		return draftMsg{peer, q.SetDraft(q.ctx, peer, draft)}
	})
}

// markRead marks what is on the screen as read, if somebody is there to read
// it: the terminal has the focus, and nothing covers the messages.
func (m *Model) markRead() tea.Cmd {
	if m.tl == nil || !m.focus || len(m.dialogs) > 0 || m.frame.areas.timeline.h == 0 || m.end != nil {
		return nil
	}
	id := m.tl.seen()
	if id == 0 || id == m.asked {
		return nil
	}
	if c := m.list.find(m.open); c != nil && (m.cfg.Reveal || m.tl.jumped) && c.FirstUnread != 0 && m.tl.index(c.FirstUnread) < 0 {
		return nil // what is unread further up would be marked along with it
	}
	m.asked = id
	m.tl.read(id)
	peer := m.open
	return m.query(func(q queryContext) tea.Msg {
		return doneMsg{"mark as read", q.MarkRead(q.ctx, peer, id)}
	})
}
