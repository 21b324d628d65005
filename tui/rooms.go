package tui

import (
	"errors"
	"strings"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
	"sotto/client/stanza"
)

// roomCommands are what one does with rooms.
func roomCommands() []command {
	return []command{
		{"room", " NAME", "make a room for several people", (*Model).commandRoom},
		{"join", "", "enter the room you are invited to", (*Model).commandJoin},
		{"invite", " NAME", "let somebody into this room", (*Model).commandInvite},
		{"remove", " NAME", "take somebody out of this room", (*Model).commandRemove},
		{"topic", " TEXT", "say what this room is about, unencrypted", (*Model).commandTopic},
		{"members", "", "who can read in this room", (*Model).commandMembers},
		{"admin", " NAME", "let somebody invite and remove people here", affiliate(stanza.Admin, " runs this room from now on, as you do.")},
		{"owner", " NAME", "let somebody do everything here", affiliate(stanza.Owner, " owns this room from now on.")},
		{"member", " NAME", "make an admin or owner a member again", affiliate(stanza.Member, " is a member and nothing more from now on.")},
		{"decline", "", "turn the invitation to this room down", (*Model).commandDecline},
		{"leave", "", "leave this room, on all your devices", (*Model).commandLeave},
	}
}

// sentence is an error as a sentence.
func sentence(err error) string {
	words := err.Error()
	return strings.ToUpper(words[:1]) + words[1:]
}

// roomMsg says how something about a room ended.
type roomMsg struct {
	open  string // to go to, or ""
	words string // to say if it went well
	err   error
}

func (m *Model) roomDone(msg roomMsg) tea.Cmd {
	if msg.err != nil {
		m.warn(sentence(msg.err))
		return nil
	}
	if msg.words != "" {
		m.say(msg.words)
	}
	if msg.open != "" {
		return m.openPeer(msg.open)
	}
	return nil
}

func (m *Model) commandRoom(arg string) (bool, tea.Cmd) {
	if arg == "" {
		m.say("/room NAME makes a room, such as: /room Night shift ward 4")
		return false, nil
	}
	m.say("Making the room")
	return true, m.query(func(q queryContext) tea.Msg {
		peer, err := q.CreateRoom(q.ctx, arg)
		return roomMsg{peer, "The room is there, and nobody else is in it. Now: /invite NAME", err}
	})
}

// inRoom does something with the open conversation.
func (m *Model) inRoom(words string, f func(q queryContext, peer string) error) tea.Cmd {
	peer := m.open
	switch c := m.conversation(peer); {
	case peer == "":
		m.say("Open a room first: Ctrl+K.")
		return nil
	case c.Contact && !c.Room: // one that we are invited to is neither
		m.say("This is no room. Ctrl+K goes to one, /room NAME makes one.")
		return nil
	}
	return m.query(func(q queryContext) tea.Msg { return roomMsg{"", words, f(q, peer)} })
}

func (m *Model) commandJoin(string) (bool, tea.Cmd) {
	return true, m.inRoom("You are in the room. /members shows who can read.", func(q queryContext, peer string) error {
		return q.JoinRoom(q.ctx, peer)
	})
}

// somebody is the address of who is named, "" if nobody is.
func (m *Model) somebody(arg string) string {
	if to := address(arg); to != "" {
		return to
	}
	d := &switcher{}
	d.input.set(arg)
	for _, h := range d.found(m) {
		if !h.c.Room {
			return h.peer
		}
	}
	return ""
}

// withSomebody does something with the open room and who is named.
func (m *Model) withSomebody(arg, takes, words string, f func(q queryContext, peer, who string) error) (bool, tea.Cmd) {
	if arg == "" {
		m.say(takes)
		return false, nil
	}
	who := m.somebody(arg)
	if who == "" {
		m.warn("Nobody is called " + clip(m.look.m, arg, 30, m.look.more) + ". An address looks like okafor@mercy.example.")
		return false, nil
	}
	name := clip(m.look.m, m.conversation(who).Name.String(), 30, m.look.more)
	return true, m.inRoom(name+words, func(q queryContext, peer string) error { return f(q, peer, who) })
}

func (m *Model) commandInvite(arg string) (bool, tea.Cmd) {
	return m.withSomebody(arg, "/invite NAME lets somebody into this room.", " is invited, and can read what is written here from now on.",
		func(q queryContext, peer, who string) error { return q.Invite(q.ctx, peer, who) })
}

func (m *Model) commandRemove(arg string) (bool, tea.Cmd) {
	return m.withSomebody(arg, "/remove NAME takes somebody out of this room.", " cannot read what is written here from now on.",
		func(q queryContext, peer, who string) error { return q.Remove(q.ctx, peer, who) })
}

// affiliate makes a command that says what somebody may do in the open room.
func affiliate(a stanza.Affiliation, words string) func(*Model, string) (bool, tea.Cmd) {
	return func(m *Model, arg string) (bool, tea.Cmd) {
		return m.withSomebody(arg, "/"+string(a)+" NAME says who runs this room. They read no more than others, and decide who reads.", words,
			func(q queryContext, peer, who string) error { return q.SetAffiliation(q.ctx, peer, who, a) })
	}
}

func (m *Model) commandDecline(string) (bool, tea.Cmd) {
	return true, m.inRoom("You have turned the invitation down.", func(q queryContext, peer string) error { return q.Decline(q.ctx, peer) })
}

func (m *Model) commandTopic(arg string) (bool, tea.Cmd) {
	if arg == "" {
		m.say("/topic TEXT says what this room is about. The relay can read it.")
		return false, nil
	}
	return true, m.inRoom("", func(q queryContext, peer string) error { return q.SetTopic(q.ctx, peer, arg) })
}

func (m *Model) commandLeave(string) (bool, tea.Cmd) {
	if m.open != "" && !m.conversation(m.open).Room {
		m.say("This is no room.")
		return false, nil
	}
	if m.sure == "" {
		m.sure = trimmed(m.composer().String())
		m.warn("Enter again leaves this room on all your devices; Ctrl+C clears it.")
		return false, nil
	}
	m.sure = ""
	return true, m.inRoom("You have left the room.", func(q queryContext, peer string) error { return q.Leave(q.ctx, peer) })
}

// newReaders says of a message that others could read it than the person was shown,
// and gives it back: Enter again accepts them and sends it.
func (m *Model) newReaders(peer, words string, n *client.NewReaders) {
	m.readers, m.readersFor = n, words
	names := make([]string, 0, 4)
	for i, r := range n.Readers {
		if i == 3 && len(n.Readers) > 4 {
			names = append(names, "...")
			break
		}
		names = append(names, shortName(r.Name.String(), r.Address))
	}
	m.warn("Not sent yet: " + n.Error() + " (" + strings.Join(names, ", ") + "). Enter again sends it; /members shows who.")
}

// accepted returns who could read a message and was pointed out when it was tried
// before; nil if nobody was.
func (m *Model) accepted(peer, words string) *client.NewReaders {
	n := m.readers
	m.readers = nil
	if n == nil || n.Peer != peer || m.readersFor != words {
		return nil
	}
	return n
}

// sendAccepting sends a message, and first accepts who was pointed out.
func sendAccepting(q queryContext, n *client.NewReaders, peer, words string, a *about) (client.Message, error) {
	if n != nil {
		if err := q.AcceptReaders(q.ctx, n); err != nil {
			return client.Message{}, err
		}
	}
	switch {
	case a == nil:
		return q.Send(q.ctx, peer, words)
	case a.correct:
		return q.Correct(q.ctx, peer, a.id, words)
	case a.ack:
		return q.Acknowledge(q.ctx, peer, a.id, words)
	}
	return q.Reply(q.ctx, peer, a.id, words)
}

// pointsOut reports whether an error says that others can read a message.
func pointsOut(err error) (*client.NewReaders, bool) { return errors.AsType[*client.NewReaders](err) }
