package tui

import (
	"time"

	tea "charm.land/bubbletea/v2"
	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"

	"sotto/client"
	"sotto/client/store"
	"sotto/client/text"
	"sotto/client/wire"
	"sotto/tui/graphics"
)

type (
	tickMsg   struct{}
	eventsMsg []client.Event
	lockMsg   struct{} // the messenger ends
	askedMsg  struct{} // the person has asked for a lock
)

// tick looks at the clocks once a second. It draws nothing unless a word changes.
func (m *Model) tick() tea.Cmd {
	return tea.Tick(m.beat, func(time.Time) tea.Msg { return tickMsg{} })
}

// Init implements tea.Model.
func (m *Model) Init() tea.Cmd {
	return tea.Batch(m.tick(), m.loadList(), m.loadOrganisation())
}

// Update implements tea.Model.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if m.end != nil {
		return m, nil
	}
	cmd := m.handle(msg)
	if m.end != nil {
		return m, cmd
	}
	m.goneFromView()
	m.draw()
	m.burst.done(m.clock)
	return m, tea.Batch(cmd, m.markRead(), m.further(), m.redraw())
}

// further loads further messages where the screen has come near their end.
func (m *Model) further() tea.Cmd {
	switch {
	case m.tl == nil:
	case m.tl.wantsNewer() && m.tl.follow:
		return m.loadPage(0, pageSize)
	case m.tl.wantsNewer():
		return m.loadAfter(m.tl.msgs[len(m.tl.msgs)-1].ID)
	case m.tl.wantsOlder():
		return m.loadPage(m.tl.msgs[0].ID, pageSize)
	}
	return nil
}

func (m *Model) handle(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.KeyPressMsg:
		return m.pressed(msg)
	case tea.PasteMsg:
		return m.pasted(msg.Content)
	case tickMsg:
		return m.ticked()
	case lockMsg:
		return m.lock(Ended, Unlock)
	case askedMsg:
		return m.lock(Asked, Unlock)
	case tea.WindowSizeMsg:
		if msg.Width > 0 && msg.Height > 0 {
			m.width, m.height = min(msg.Width, maxWidth), min(msg.Height, maxHeight)
		}
	case tea.FocusMsg:
		if _, why := m.clock.look(); why != "" {
			return m.lock(why, Unlock)
		}
		m.entered()
	case tea.BlurMsg:
		m.left()
	case tea.MouseMsg:
		return m.mouse(msg)
	case tea.BackgroundColorMsg:
		if m.auto && msg.Color != nil && msg.IsDark() != m.look.Dark {
			name := "light"
			if msg.IsDark() {
				name = "dark"
			}
			_ = m.setTheme(name) // built in, and tested to load
			m.auto = true
		}
	case tea.ModeReportMsg:
		switch {
		case msg.Mode == ansi.ModeSynchronizedOutput && msg.Value == ansi.ModeReset:
			m.synced = true
		case msg.Mode == ansi.ModeUnicodeCore && (msg.Value == ansi.ModeReset || msg.Value == ansi.ModeSet || msg.Value == ansi.ModePermanentlySet):
			m.look.m = ansi.GraphemeWidth // as the painter from now on
			m.look.version++
		}
	case eventsMsg:
		return m.events(msg)
	case listMsg:
		return m.listed(msg)
	case openedMsg:
		return m.opened(msg)
	case pageMsg:
		m.page(msg)
	case afterMsg:
		m.after(msg)
	case jumpMsg:
		return m.jumpFound(msg)
	case organisationMsg:
		m.organisationRead(msg)
	case peopleMsg:
		m.peopleFound(msg)
	case forwardedMsg:
		m.forwarded(msg)
	case foundMsg:
		return msg.d.take(m, msg)
	case gapsMsg:
		m.gapsRead(msg)
	case gapAskedMsg:
		m.gapAsked(msg)
	case securityMsg:
		if msg.err == nil && msg.peer == m.open {
			m.security = &msg.security
		}
	case devicesMsg:
		msg.d.fill(msg)
	case verifiedMsg:
		m.verified(msg)
	case roomMsg:
		return m.roomDone(msg)
	case membersMsg:
		msg.d.fill(msg)
	case fateMsg:
		msg.d.fill(msg)
	case forgottenMsg:
		return m.forgotten(msg)
	case takenMsg:
		return m.taken(msg)
	case sentMsg:
		m.sentDone(msg)
	case jobMsg:
		return m.jobDone(msg)
	case draftMsg:
		if msg.err != nil {
			m.warn("The draft could not be kept: " + msg.err.Error())
			return nil
		}
		return m.loadList() // which shows where drafts are
	case uv.KittyGraphicsEvent, uv.PrimaryDeviceAttributesEvent:
		m.answered(msg)
	case cellMsg:
		m.cell = graphics.Cell(msg)
	case attachedMsg:
		m.attached(msg)
	case offerMsg:
		m.offered(msg)
	case contentMsg:
		msg.v.content(m, msg)
	case sightMsg:
		msg.v.seen(msg)
	case doneMsg:
		if msg.err != nil {
			m.warn("Could not " + msg.doing + ": " + msg.err.Error())
		}
	}
	return nil
}

// ticked is called once a second.
func (m *Model) ticked() tea.Cmd {
	if _, why := m.clock.look(); why != "" {
		return m.lock(why, Unlock)
	}
	if m.notice.words != "" && m.clock.steady >= m.notice.until {
		m.notice = notice{}
	}
	m.tl.age(m.clock.wall)
	var keep tea.Cmd
	if m.clock.steady-m.clock.active > 3*time.Second {
		keep = m.keepDraft()
	}
	return tea.Batch(m.tick(), keep)
}

// listed takes the conversation list. While none is open, it opens one: where
// the person was, or the only one there is. Among several nobody has chosen, and
// what is typed must not go to somebody by chance.
func (m *Model) listed(msg listMsg) tea.Cmd {
	m.listing.running = false
	var cmd tea.Cmd
	if m.listing.again {
		m.listing.again = false
		cmd = m.loadList()
	}
	if msg.err != nil {
		m.arrived = true
		m.warn("The conversations could not be read: " + msg.err.Error())
		return cmd
	}
	m.list.set(msg.all)
	for _, p := range msg.known {
		m.know(p)
	}
	m.setInbox(msg.inbox)
	if m.list.find(m.list.chosen) == nil && len(msg.all) > 0 {
		m.list.chosen = msg.all[0].Peer
	}
	if m.open != "" || len(m.dialogs) > 0 {
		return cmd
	}
	to := m.start // which may not be listed yet, before the roster has come
	m.start = place{}
	if to.peer == "" && len(msg.all) == 1 {
		to.peer = msg.all[0].Peer
	}
	if to.peer == "" {
		m.arrived = true
		return cmd
	}
	return tea.Batch(cmd, m.openAt(to.peer, to.anchor))
}

// events takes what changed in the messenger.
func (m *Model) events(events []client.Event) tea.Cmd {
	var cmds []tea.Cmd
	security, again, more := false, false, false
	for _, e := range events {
		switch e := e.(type) {
		case client.StateChanged:
			m.state = e.State
		case client.CaughtUp:
			m.state.CaughtUp, more = true, true
		case client.ConversationsChanged, client.PresenceChanged:
			cmds = append(cmds, m.loadList())
		case client.MessageAdded:
			m.added(e.Message)
			more = more || m.state.CaughtUp
			cmds = append(cmds, m.ring(e.Message))
		case client.MessageChanged:
			if m.tl != nil && m.tl.peer == e.Message.Peer {
				m.changed(e.Message)
			}
			cmds = append(cmds, m.viewed(e.Message))
		case client.DevicesChanged:
			security = true
			if e.Peer == m.open { // who is trusted shows at each message
				again = true
			}
		case client.GapsChanged:
			cmds = append(cmds, m.loadGaps())
		case client.OrganisationChanged: // the directory, too: names and roles stand in the list
			cmds = append(cmds, m.loadOrganisation(), m.loadList())
			security = true
		case client.PolicyChanged:
			cmds = append(cmds, m.policyChanged(e))
		case client.NoticeEvent:
			m.warn(e.Text.String())
		case client.JoiningChanged:
			m.joining = m.cfg.Messenger.Joining()
		case client.Resync:
			m.state, m.joining = m.cfg.Messenger.State(), m.cfg.Messenger.Joining()
			security, again, more = true, true, true
			cmds = append(cmds, m.loadList())
		}
	}
	if more {
		cmds = append(cmds, m.searchAgain())
	}
	if again {
		cmds = append(cmds, m.reload())
	}
	if security {
		cmds = append(cmds, m.loadSecurity())
		for _, d := range m.dialogs {
			switch d := d.(type) {
			case *devicesDialog:
				cmds = append(cmds, m.loadDevices(d))
			case *membersDialog:
				cmds = append(cmds, m.loadMembers(d))
			}
		}
	}
	return tea.Batch(cmds...)
}

// added shows a message that is new.
func (m *Model) added(msg client.Message) {
	if m.tl == nil || m.tl.peer != msg.Peer {
		if !msg.Outgoing && !msg.Read && msg.Urgency >= store.Stat && m.state.CaughtUp {
			from := m.conversation(msg.Peer)
			m.tell("STAT from "+shortName(from.Name.String(), msg.Peer)+": Alt+A", m.look.Stat)
		}
		return
	}
	fresh := m.tl.put(msg)
	if fresh && !msg.Outgoing && !msg.Read && m.tl.unreadAt == 0 && (!m.focus || !m.tl.follow || m.cfg.Reveal) {
		m.tl.unreadAt = msg.ID
		m.tl.touch()
	}
}

// ring rings the bell for a STAT message while the terminal has not the focus.
func (m *Model) ring(msg client.Message) tea.Cmd {
	if m.focus || m.cfg.Quiet || msg.Outgoing || msg.Read || msg.Urgency < store.Stat {
		return nil
	}
	return func() tea.Msg {
		m.cfg.Screen.Bell()
		return nil
	}
}

// conversation is what is known of a conversation, listed or not.
func (m *Model) conversation(peer string) *client.Conversation {
	if c := m.list.find(peer); c != nil {
		return c
	}
	c := &client.Conversation{Peer: peer, Name: text.Line(peer)}
	if p, ok := m.known[peer]; ok {
		described(c, p)
	}
	return c
}

// offline reports whether the connection has something to say in a sentence.
func (m *Model) offline() bool {
	return m.state.Phase != wire.Online && !m.state.Words.Empty()
}
