package tui

import (
	"strings"

	"sotto/client"
	"sotto/client/store"
)

// Alt with an arrow chooses a message of the open conversation, and further keys
// act on it. They are chords too, and never letters: who goes on typing writes,
// whatever is chosen. The chosen message has a > before its time, and stays in
// view until the person scrolls or gives it up with Esc.

// chosenMessage is the message that was chosen in the open conversation; false if
// none is.
func (m *Model) chosenMessage() (client.Message, bool) {
	if m.tl == nil || m.tl.chosen == 0 {
		return client.Message{}, false
	}
	i := m.tl.index(m.tl.chosen)
	if i < 0 {
		return client.Message{}, false
	}
	return m.tl.msgs[i], true
}

// chosenHint names the keys that act on the chosen message, within 80 columns; "" if
// none is chosen.
func (m *Model) chosenHint() string {
	if m.tl != nil && m.tl.chosenGap() != nil {
		return m.look.dots("Enter ask the relay again", "Esc back")
	}
	msg, ok := m.chosenMessage()
	if !ok {
		return ""
	}
	return m.look.dots(append(m.actsOn(&msg), "Esc")...)
}

// fullScreen reports whether a dialog has the whole screen: keys for messages do
// nothing there.
func (m *Model) fullScreen() bool {
	for _, d := range m.dialogs {
		switch d.(type) {
		case *viewer, *searchDialog, *inboxDialog:
			return true
		}
	}
	return false
}

// actsOn names what can be done with a message, and by which key.
func (m *Model) actsOn(msg *client.Message) (keys []string) {
	if len(msg.Files) > 0 {
		keys = append(keys, "Enter look")
	}
	if m.wantsAck(msg) {
		keys = append(keys, "Alt+Enter ack")
	}
	if msg.Kind == store.Text && msg.Gone == store.Here {
		keys = append(keys, "Alt+R answer")
		if msg.Outgoing && len(msg.Files) == 0 {
			keys = append(keys, "Alt+E correct")
		}
		if msg.Outgoing {
			keys = append(keys, "Alt+T take back")
		}
	}
	if msg.Kind != store.Notice {
		keys = append(keys, "Alt+W who has it")
	}
	return keys
}

// keepInView scrolls back to the chosen message where something else has moved the
// lines: a message that came, a window that was made smaller.
func (m *Model) keepInView() {
	if m.tl != nil && m.tl.chosen != 0 && m.tl.kept {
		m.tl.show(m.tl.chosen)
	}
}

// chooseLabels are the keys of choosing as the help has them.
func chooseLabels(list []binding, reveal bool) []binding {
	if !reveal {
		return list
	}
	for i := range list {
		if strings.HasPrefix(list[i].label, "Alt+Up") {
			list[i].words = "show the message above, below; without a draft Up and Down do, too"
		}
	}
	return list
}
