package tui

import (
	"time"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
)

// What people try and sotto does not do, to keep text inside: they are told once and
// clearly, and the audit log has it.

// saveWords are what is said to somebody who wants to keep a text or a file elsewhere.
const saveWords = "Nothing is saved outside sotto: texts and files stay encrypted here."

// attemptPause is how long after one attempt another of its kind is the same one: a
// mouse that is drawn to and fro.
const attemptPause = 2 * time.Second

// attempt says why something is not done, and notes that it was tried: with a message
// of the open conversation, or with none (0).
func (m *Model) attempt(what client.Attempt, id int64, words string) tea.Cmd {
	m.warn(words)
	if m.tried == nil {
		m.tried = make(map[client.Attempt]time.Duration)
	}
	last, before := m.tried[what]
	m.tried[what] = m.clock.steady
	if before && m.clock.steady-last < attemptPause {
		return nil
	}
	peer := m.open
	return m.must(func(q queryContext) tea.Msg {
		return doneMsg{"write to the audit log", q.Attempted(q.ctx, what, peer, id)}
	})
}

// attemptHere is attempt with the chosen message.
func (m *Model) attemptHere(what client.Attempt, words string) tea.Cmd {
	msg, _ := m.chosenMessage()
	return m.attempt(what, msg.ID, words)
}

// attemptCommands are typed by people who look for what sotto does not do. They are in
// no help.
func attemptCommands() []command {
	save := func(m *Model, _ string) (bool, tea.Cmd) { return true, m.attemptHere(client.Saving, saveWords) }
	list := []command{{name: "copy", run: func(m *Model, _ string) (bool, tea.Cmd) {
		return true, m.attemptHere(client.Copying, copyWords)
	}}}
	for _, name := range []string{"save", "export", "print", "download"} {
		list = append(list, command{name: name, run: save})
	}
	return list
}
