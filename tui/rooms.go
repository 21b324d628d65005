package tui

import (
	"errors"
	"strings"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
	"sotto/client/store"
	"sotto/client/text"
	"sotto/themes"
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
	if peer == "" {
		m.say("Open a room first: Ctrl+K.")
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
	for _, c := range d.found(m) {
		if !c.Room {
			return c.Peer
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

// membersDialog shows who can read in a room.
type membersDialog struct {
	scrolled
	peer   string
	list   []client.Member
	new    *client.NewReaders
	loaded bool
	failed text.Safe
	page   int
}

func (m *Model) commandMembers(string) (bool, tea.Cmd) {
	if !m.conversation(m.open).Room {
		m.say("This is no room: /devices shows who can read here.")
		return false, nil
	}
	d := &membersDialog{peer: m.open}
	m.push(d)
	return true, m.loadMembers(d)
}

// membersMsg is the answer to loadMembers.
type membersMsg struct {
	d    *membersDialog
	list []client.Member
	new  *client.NewReaders
	err  error
}

func (m *Model) loadMembers(d *membersDialog) tea.Cmd {
	return m.query(func(q queryContext) tea.Msg {
		msg := membersMsg{d: d}
		if msg.list, msg.err = q.Members(q.ctx, d.peer); msg.err != nil {
			return msg
		}
		s, err := q.Security(q.ctx, d.peer)
		msg.new, msg.err = s.New, err
		return msg
	})
}

func (d *membersDialog) fill(msg membersMsg) {
	if msg.err != nil {
		d.failed = text.Line(msg.err.Error())
		return
	}
	d.list, d.new, d.loaded = msg.list, msg.new, true
}

func (d *membersDialog) key(m *Model, key, typed string) (bool, tea.Cmd) {
	switch {
	case key == "enter" && d.new != nil:
		n := d.new
		return true, m.must(func(q queryContext) tea.Msg {
			return doneMsg{"keep who can read", q.AcceptReaders(q.ctx, n)}
		})
	case d.scrolled.key(key, d.page):
		return false, nil
	}
	return true, nil
}

func (d *membersDialog) wheel(_ *Model, n int)                         { d.top += n }
func (d *membersDialog) click(*Model, int, int) (done bool, _ tea.Cmd) { return false, nil }
func (d *membersDialog) covers() bool                                  { return true }

func (d *membersDialog) render(m *Model, w, h int) ([]string, rect, *point) {
	k := &m.look
	bw := min(w-2, 79)
	inner := bw - 4
	var lines []string
	say := func(st themes.Style, s string) {
		for _, part := range wrap(k.m, s, inner) {
			lines = append(lines, paint(st, part))
		}
	}
	switch {
	case !d.failed.Empty():
		say(k.Failed, d.failed.String())
	case !d.loaded:
		say(k.Faint, "Reading who can read")
	}
	for i := range d.list {
		p := &d.list[i]
		l := &line{m: k.m}
		name := p.Name.String()
		if p.Own {
			name += " (you)"
		}
		if p.New {
			l.add(k.Warning, "NEW ")
		}
		l.add(k.Title, clip(k.m, name, max(inner-l.width-12, 8), k.more))
		if p.Affiliation != "member" {
			l.add(k.Faint, "  "+p.Affiliation)
		}
		lines = append(lines, l.String())
		words, st := k.reads(p)
		lines = append(lines, (&line{m: k.m}).space(2).add(k.Faint, clip(k.m, p.Address+"  ", max(inner-2, 8), k.more)).String(),
			(&line{m: k.m}).space(2).add(st, clip(k.m, words, inner-2, k.more)).String())
	}
	keys := "Esc back"
	if d.new != nil {
		keys = k.dots("Enter: they may read", "Esc back")
	}
	d.page = max(h-2, 1)
	box := k.box("who can read: "+m.conversation(d.peer).Name.String(), keys, d.window(lines, d.page), bw)
	return box, center(box, bw, w, h), nil
}

// reads says on which devices somebody reads.
func (k *look) reads(p *client.Member) (string, themes.Style) {
	trusted, compared, waiting := 0, 0, 0
	for _, d := range p.Devices {
		switch {
		case d.Own:
		case !d.Active:
		case d.Trust == store.Verified:
			trusted++
			compared++
		case d.Trust == store.FirstUse:
			trusted++
		case d.Trust == store.Undecided:
			waiting++
		}
	}
	switch {
	case waiting > 0:
		return count(waiting, "new device") + ": nothing is sent there until you compare. Open " + p.Name.String() + ", then /trust", k.Warning
	case p.Own && trusted == 0:
		return "this device", k.Good
	case trusted == 0:
		return "no device known yet", k.Faint
	}
	return count(trusted, "device") + ", " + itoa(compared) + " compared", k.Good
}
