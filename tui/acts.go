package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
	"sotto/client/quote"
	"sotto/client/store"
)

// about is the message that what is being written answers, corrects or acknowledges.
type about struct {
	id           int64
	correct, ack bool
	words        string // what it is, for the line under the composer
}

// target is the message that a key is for: the chosen one, or else the newest that
// fits. Without one, it says why.
func (m *Model) target(fits func(*client.Message) bool, none, chosen string) *client.Message {
	if msg, ok := m.chosenMessage(); ok {
		if !fits(&msg) {
			m.say(chosen)
			return nil
		}
		return &msg
	}
	if m.tl != nil {
		for i := len(m.tl.msgs) - 1; i >= 0; i-- {
			if msg := m.tl.msgs[i]; fits(&msg) {
				return &msg
			}
		}
	}
	m.say(none)
	return nil
}

func isText(msg *client.Message) bool { return msg.Kind == store.Text && msg.Gone == store.Here }

func isOwn(msg *client.Message) bool { return isText(msg) && msg.Outgoing }

// excerpt is the beginning of a message, to say which one is meant.
func (m *Model) excerpt(msg *client.Message) string {
	s := strings.TrimPrefix(quote.Of(msg.Body.String()), "> ")
	if m.tl != nil && m.tl.hides(msg) {
		return msg.Time.In(m.look.zone).Format("15:04")
	}
	return msg.Time.In(m.look.zone).Format("15:04") + ", " + strings.TrimRight(clip(m.look.m, s, 40, m.look.more), ".")
}

// reply begins an answer.
func (m *Model) reply() {
	msg := m.target(func(x *client.Message) bool { return isText(x) && (!x.Outgoing || m.tl.chosen == x.ID) },
		"There is nothing here to answer.", "This cannot be answered: its text is not here, or these are sotto's own words.")
	c := m.composer()
	switch {
	case msg == nil:
	case c.about != nil && c.about.correct: // its words would be sent as an answer
		m.say("You are correcting a message. Enter sends that, Esc gives it up.")
	default:
		c.about = &about{id: msg.ID, words: "answers " + m.excerpt(msg)}
		c.dirty = true
		m.unchooseFor(msg)
	}
}

// unchooseFor gives up the choice once the composer has the message.
func (m *Model) unchooseFor(*client.Message) {
	if !m.cfg.Reveal { // there it is being read
		m.tl.unchoose()
	}
}

// correct puts an own message into the composer, to say it another way.
func (m *Model) correct() {
	c := m.composer()
	msg := m.target(isOwn, "You have written nothing here yet.", "Only your own messages can be corrected.")
	switch {
	case msg == nil:
	case len(msg.Files) > 0:
		m.say("A file cannot be corrected. Take it back with Alt+T, and send another.")
	case !c.empty():
		m.say("Send what you are writing first, or clear it with Ctrl+C.")
	default:
		c.set(msg.Body.String())
		c.about = &about{id: msg.ID, correct: true, words: "corrects " + m.excerpt(msg)}
		c.dirty = true
		m.unchooseFor(msg)
	}
}

// giveUpAbout has what is written be a message of its own again.
func (m *Model) giveUpAbout() {
	c := m.composer()
	if c.about.correct {
		c.clear()
	}
	c.about = nil
	c.dirty = true
}

// aboutHint says what the message that is being written is about; "" if about none.
func (m *Model) aboutHint() string {
	if a := m.composer().about; a != nil {
		return m.look.dots(a.words, "Esc: not so")
	}
	return ""
}

// acknowledge says of the chosen message, or of the newest that waits for it, that
// this person has it in hand.
func (m *Model) acknowledge() tea.Cmd {
	msg, ok := m.chosenMessage()
	if !ok {
		newest := m.unacknowledged()
		if newest == nil {
			m.say("Nothing here waits to be acknowledged. Ctrl+J begins a new line.")
			return nil
		}
		msg = *newest
	}
	if !m.wantsAck(&msg) {
		m.say("This needs no acknowledgement, or you have given it.")
		return nil
	}
	return m.sendAck(&msg, "")
}

// sendAck sends an acknowledgement, and leaves what is being written as it is.
func (m *Model) sendAck(msg *client.Message, words string) tea.Cmd {
	a := &about{id: msg.ID, ack: true}
	peer := m.open
	accepted := m.accepted(peer, words)
	return m.must(func(q queryContext) tea.Msg {
		sent, err := sendAccepting(q, accepted, peer, words, a)
		return takenMsg{sent: sent, err: err, peer: peer, doing: "acknowledge it", readersFor: words}
	})
}

// takenMsg says what became of an acknowledgement or a recall.
type takenMsg struct {
	peer, doing string
	words       string         // to say if it went well
	sent        client.Message // the acknowledgement
	readersFor  string         // what it says, for who presses Enter again
	err         error
}

func (m *Model) taken(msg takenMsg) tea.Cmd {
	if n, ok := pointsOut(msg.err); ok {
		m.newReaders(msg.peer, msg.readersFor, n)
		m.warn(strings.Replace(m.notice.words, "Enter again sends it", "Alt+Enter again sends it", 1))
		return nil
	}
	if msg.err != nil {
		m.warn("Could not " + msg.doing + ": " + lastWords(msg.err))
		return nil
	}
	if msg.sent.ID != 0 && m.tl != nil && m.tl.peer == msg.peer && m.tl.index(msg.sent.ID) < 0 {
		m.tl.put(msg.sent)
	}
	if msg.words != "" {
		m.say(msg.words)
	}
	return nil
}

// lastWords is what an error says, without what was being done.
func lastWords(err error) string {
	s := err.Error()
	for _, p := range []string{"take the message back: ", "remove the conversation: "} {
		s = strings.TrimPrefix(s, p)
	}
	return s
}

// takeBack asks, and the second time takes a message back.
func (m *Model) takeBack() tea.Cmd {
	msg := m.recallTarget()
	if msg == nil {
		m.taking = 0
		return nil
	}
	if m.taking != msg.ID {
		m.taking = msg.ID
		m.warn("Alt+T again takes back " + m.excerpt(msg) + ". " + m.takingMeans(msg))
		return nil
	}
	m.taking = 0
	return m.recall(msg.ID)
}

func (m *Model) recallTarget() *client.Message {
	room := m.open != "" && m.conversation(m.open).Room
	return m.target(func(x *client.Message) bool { return isOwn(x) || room && isText(x) && m.tl.chosen == x.ID },
		"You have written nothing here that can be taken back.", "Only your own messages can be taken back.")
}

// takingMeans says what taking a message back does.
func (m *Model) takingMeans(msg *client.Message) string {
	if msg.Outgoing && (msg.State == store.Queued || msg.State == store.Failed) {
		return "It is removed here if it has not left, and else from every sotto."
	}
	return "Its text leaves every sotto; other apps are asked to hide it."
}

func (m *Model) recall(id int64) tea.Cmd {
	peer := m.open
	m.tl.unchoose()
	return m.must(func(q queryContext) tea.Msg {
		withdrawn, err := q.Recall(q.ctx, peer, id)
		words := "Taken back. Its text is gone here, and the others are asked. Alt+W on it shows on which devices it is gone."
		if withdrawn {
			words = "Taken back. It had not left this computer."
		}
		return takenMsg{peer: peer, doing: "take it back", words: words, err: err}
	})
}

// changed takes a message that has changed. What was taken back leaves what is
// being written, too.
func (m *Model) changed(msg client.Message) {
	if i := m.tl.index(msg.ID); i >= 0 && msg.Gone != store.Here && m.tl.msgs[i].Gone == store.Here {
		m.forgetWords(m.tl.msgs[i], msg.Gone)
	}
	m.tl.change(msg)
}

// forgetWords takes the words of a message out of what is being written about it.
func (m *Model) forgetWords(old client.Message, why store.Gone) {
	c := m.composers[old.Peer]
	if c == nil {
		return
	}
	if c.about != nil && c.about.id == old.ID {
		if c.about.correct {
			c.clear()
		}
		c.about = nil
		c.dirty = true
		m.say(map[bool]string{true: "What you were writing about was taken back.", false: "What you were writing about has expired."}[why == store.Recalled])
	}
	instead := quote.TakenBack
	if why == store.RanOut {
		instead = quote.Expired
	}
	if s, ok := quote.Without(c.String(), old.Body.String(), instead); ok {
		c.set(s)
		c.dirty = true
	}
}

func (m *Model) commandAck(arg string) (bool, tea.Cmd) {
	msg := m.unacknowledged()
	if chosen, ok := m.chosenMessage(); ok && m.wantsAck(&chosen) {
		msg = &chosen
	}
	if msg == nil {
		m.say("Nothing here waits to be acknowledged.")
		return false, nil
	}
	return true, m.sendAck(msg, arg)
}

func (m *Model) commandReply(arg string) (bool, tea.Cmd) {
	m.reply()
	a := m.composer().about
	if a == nil || arg == "" {
		return a != nil, nil
	}
	return false, m.post(arg)
}

func (m *Model) commandCorrect(arg string) (bool, tea.Cmd) {
	c := m.composer()
	typed := c.String()
	c.clear()
	m.correct()
	if c.about == nil {
		c.set(typed)
		return false, nil
	}
	if arg == "" {
		return false, nil
	}
	c.set(arg)
	return false, m.post(arg)
}

func (m *Model) commandRecall(string) (bool, tea.Cmd) {
	msg := m.recallTarget()
	if msg == nil {
		return true, nil
	}
	if m.sure == "" || m.sureOf != msg.ID {
		m.sure, m.sureOf = trimmed(m.composer().String()), msg.ID
		m.warn("Enter again takes back " + m.excerpt(msg) + ". " + m.takingMeans(msg))
		return false, nil
	}
	m.sure = ""
	return true, m.recall(msg.ID)
}

// commandWithdraw takes back what has not left: the chosen message, or all here.
func (m *Model) commandWithdraw(string) (bool, tea.Cmd) {
	waits := func(x *client.Message) bool {
		return x.Outgoing && x.Kind == store.Text && x.Gone == store.Here && (x.State == store.Queued || x.State == store.Failed)
	}
	msg := m.target(waits, "Nothing here waits to be sent.", "This message does not wait to be sent.")
	if msg == nil {
		return true, nil
	}
	peer, id := m.open, msg.ID
	return true, m.must(func(q queryContext) tea.Msg {
		return takenMsg{peer: peer, doing: "take it back", words: "Taken back. It had not left this computer.", err: q.Withdraw(q.ctx, peer, id)}
	})
}

func (m *Model) commandForget(string) (bool, tea.Cmd) {
	if m.open == "" {
		m.say("Open a conversation first: Ctrl+K.")
		return false, nil
	}
	name := clip(m.look.m, m.conversation(m.open).Name.String(), 30, m.look.more)
	if m.sure == "" {
		m.sure = trimmed(m.composer().String())
		m.warn("Enter again removes the conversation with " + name + " and all of its messages from this device; Ctrl+C clears it.")
		return false, nil
	}
	m.sure = ""
	peer := m.open
	m.composer().clear()
	m.composer().dirty = false
	return true, m.must(func(q queryContext) tea.Msg {
		return forgottenMsg{peer, q.Forget(q.ctx, peer)}
	})
}

// forgottenMsg says what became of removing a conversation.
type forgottenMsg struct {
	peer string
	err  error
}

func (m *Model) forgotten(msg forgottenMsg) tea.Cmd {
	if msg.err != nil {
		m.warn("Not removed: " + lastWords(msg.err))
		return nil
	}
	m.say("The conversation is removed from this device.")
	if m.open != msg.peer {
		return m.loadList()
	}
	delete(m.composers, msg.peer)
	m.open, m.tl, m.security = "", nil, nil
	return m.loadList()
}

func (m *Model) commandWho(string) (bool, tea.Cmd) { return true, m.showFate() }
