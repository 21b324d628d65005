package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
)

// forward has the person choose to whom the chosen message, or the newest, is passed
// on. comment goes before it; it may be "".
func (m *Model) forward(comment string) tea.Cmd {
	msg := m.target(isText, "There is nothing here to pass on.", "This cannot be passed on: its text is not here, or these are sotto's own words.")
	if msg == nil {
		return nil
	}
	from, id := m.open, msg.ID
	if m.cfg.Messenger.Policy().Value("forwarding").Text() == "nobody" {
		return m.attempt(client.Forwarding, id, "Messages are not passed on: your organisation's policy says so.")
	}
	m.push(&switcher{title: "pass on " + m.excerpt(msg) + " to", choose: func(m *Model, to string) (bool, tea.Cmd) {
		if to == from {
			m.say("It is in this conversation already.")
			return false, nil
		}
		m.unchooseFor(msg)
		return true, m.must(func(q queryContext) tea.Msg {
			sent, err := q.Forward(q.ctx, id, to, comment)
			return forwardedMsg{to, sent, err}
		})
	}})
	return nil
}

// forwardedMsg says what became of a message that was passed on.
type forwardedMsg struct {
	to   string
	sent client.Message
	err  error
}

// forwarded says to whom it went. A room in which somebody new can read is not
// written to unseen: the person goes there and looks first.
func (m *Model) forwarded(msg forwardedMsg) {
	name := clip(m.look.m, m.conversation(msg.to).Name.String(), 30, m.look.more)
	if n, ok := pointsOut(msg.err); ok {
		m.warn("Not passed on to " + name + " yet: " + n.Error() + ". Go there and look who reads (/members), then pass it on again.")
		return
	}
	if m.tl != nil && m.tl.peer == msg.to && msg.sent.ID != 0 && m.tl.index(msg.sent.ID) < 0 {
		m.tl.put(msg.sent)
	}
	switch {
	case msg.err != nil && msg.sent.ID != 0:
		m.warn("Passed on to " + name + " without all: " + msg.err.Error())
	case msg.err != nil:
		m.warn("Not passed on: " + strings.TrimSuffix(msg.err.Error(), ". Nothing was sent") + ".")
	default:
		m.say("Passed on to " + name + ".")
	}
}

func (m *Model) commandForward(arg string) (bool, tea.Cmd) {
	if m.open == "" {
		m.say("Open a conversation first: Ctrl+K.")
		return false, nil
	}
	return true, m.forward(arg)
}
