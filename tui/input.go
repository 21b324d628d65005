package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
)

// active is called first for everything a person does. It reports true if the
// screen locks instead, because that came too late.
func (m *Model) active() (lock tea.Cmd, late bool) {
	if _, why := m.clock.look(); why != "" {
		return m.lock(why, Unlock), true
	}
	if m.clock.touch() && m.cfg.OnActivity != nil {
		m.cfg.OnActivity()
	}
	return nil, false
}

// pressed takes a key.
func (m *Model) pressed(msg tea.KeyPressMsg) tea.Cmd {
	if cmd, late := m.active(); late {
		return cmd
	}
	key, typed := msg.Keystroke(), msg.Text
	action := m.keys[key]
	if m.burst.holds(m.clock) && action != lockNow && action != stopNow && action != quit && action != interrupt {
		m.together(key, action, typed)
		return nil
	}
	covered := m.covered()
	m.entered() // whatever it reported, a terminal without the focus has no keys
	m.notice = notice{}
	switch action {
	case lockNow:
		return m.lock(Asked, Unlock)
	case stopNow:
		m.cfg.Screen.Blackout()
		if m.cfg.OnStop != nil {
			m.cfg.OnStop()
		}
		return m.lock(Asked, Unlock)
	case quit:
		return m.finish(Quit, Unlock)
	}
	if m.outside() {
		return nil
	}
	if covered {
		return nil // it shows what is here, and does no more
	}
	switch action {
	case copyKey:
		return m.attemptHere(client.Copying, copyWords)
	case pasteKey:
		m.say(m.pasteWords())
		return nil
	}
	if !m.frame.fits {
		return nil // nobody can see what other keys would do
	}
	if n := len(m.dialogs); n > 0 {
		d := m.dialogs[n-1]
		done, cmd := d.key(m, key, typed)
		if done {
			m.pop(d)
		}
		return cmd
	}
	if m.asList {
		done, cmd := m.listKey(key)
		m.asList = !done
		return cmd
	}
	if cmd, done := m.act(action, key); done {
		return cmd
	}
	m.write(key, typed)
	return nil
}

// act does what a key stands for. It reports false if the composer is to have it.
func (m *Model) act(a action, key string) (tea.Cmd, bool) {
	c := m.composer()
	if a != takeBack {
		m.taking = 0
	}
	if a != submit {
		m.sure = ""
	}
	switch a {
	case acknowledge:
		return m.acknowledge(), true
	case replyTo:
		m.reply()
	case correct:
		m.correct()
	case takeBack:
		return m.takeBack(), true
	case showFate:
		return m.showFate(), true
	case showPolicy:
		m.push(&policyDialog{})
	case forwardTo:
		return m.forward(""), true
	case help:
		m.push(&helpDialog{})
	case switchTo:
		m.push(&switcher{})
	case showList:
		m.list.chosen = m.open
		if m.list.find(m.open) == nil && len(m.list.all) > 0 {
			m.list.chosen = m.list.all[0].Peer
		}
		if m.frame.areas.list.w > 0 {
			m.asList = true
		} else {
			m.push(&listDialog{})
		}
	case showDevices:
		return m.showDevices(), true
	case nextUnread:
		return m.nextUnread(), true
	case interrupt:
		if msg, ok := m.chosenMessage(); ok && c.empty() {
			return m.attempt(client.Copying, msg.ID, copyWords), true
		}
		if c.about != nil {
			m.giveUpAbout()
		} else if c.empty() {
			m.say("Nothing is copied from here. Ctrl+Q ends sotto, Ctrl+L locks it.")
		} else {
			c.clear()
			m.say("Cleared, and not copied. Ctrl+Q ends sotto, Ctrl+L locks it.")
		}
	case submit:
		return m.enter(), true
	case complete:
		if cmd, ok := m.completeFile(); ok {
			return cmd, true
		}
		m.complete()
	case search:
		m.push(newSearch(m, ""))
		return m.dialogs[len(m.dialogs)-1].(*searchDialog).look(m), true
	case showInbox:
		m.push(&inboxDialog{})
	case back:
		if c.about != nil {
			m.giveUpAbout()
			break
		}
		if cmd, done := m.comeBack(); done {
			return cmd, true
		}
		if m.tl != nil && !m.tl.unchoose() {
			m.tl.end()
		}
	case chooseAbove:
		m.choose(-1)
	case chooseBelow:
		m.choose(1)
	case pageUp, pageDown, lineUp, lineDown, toStart, toEnd:
		m.scroll(a)
	default:
		switch {
		case key == "home" && c.empty():
			m.scroll(toStart)
		case key == "end" && m.tl != nil && !m.tl.follow && c.at == c.lineEnd():
			m.scroll(toEnd)
		case key == "up" && m.cfg.Reveal && c.empty():
			m.choose(-1)
		case key == "down" && m.cfg.Reveal && c.empty():
			m.choose(1)
		case key == "up" || key == "ctrl+p":
			c.up(m.look.m)
		case key == "down" || key == "ctrl+n":
			c.down(m.look.m)
		default:
			return nil, false
		}
	}
	return nil, true
}

// write gives a key to the composer.
func (m *Model) write(key, typed string) {
	c := m.composer()
	room := true
	if typed != "" {
		room = c.typed(typed)
	} else if _, room = c.edit(m.look.m, key); key == "ctrl+d" && c.empty() {
		m.say("Ctrl+Q ends sotto, Ctrl+L locks it.")
	}
	if !room {
		m.full()
	}
}

func (m *Model) full() {
	m.warn("A message has at most " + itoa(maxDraft>>10) + " kB. What came last was left out.")
}

// enter sends what is written, or does what it says.
func (m *Model) enter() tea.Cmd {
	c := m.composer()
	s := c.String()
	again := m.sure != "" && m.sure == trimmed(s)
	m.sure = ""
	if isCommand(s) {
		if again { // the command was asked whether it is meant
			m.sure = trimmed(s)
		}
		return m.runCommand(s)
	}
	if s = trimmed(s); s == "" {
		if cmd, ok := m.askGap(); ok {
			return cmd
		}
		cmd, done := m.lookAtFile()
		if _, ok := m.chosenMessage(); ok && !done {
			return m.showFate()
		}
		return cmd
	}
	if !again && likePIN(s) {
		m.warn("This looks like a PIN. Enter again sends it to " + clip(m.look.m, m.conversation(m.open).Name.String(), 30, m.look.more) + "; Ctrl+C clears it.")
		m.sure = s
		return nil
	}
	if len(s) > 1 && s[:2] == "//" {
		s = s[1:]
	}
	return m.post(s)
}

// likePIN reports whether a text is nothing but as many digits as a PIN may
// have. Somebody who does not see that sotto is unlocked types one and Enter.
func likePIN(s string) bool {
	return len(s) >= 6 && len(s) <= 12 && strings.Trim(s, "0123456789") == ""
}

// scroll moves in the messages.
func (m *Model) scroll(a action) {
	if m.tl == nil {
		return
	}
	page := max(m.tl.height-2, 1)
	m.tl.kept = false
	switch a {
	case pageUp:
		m.tl.scroll(-page)
	case pageDown:
		m.tl.scroll(page)
	case lineUp:
		m.tl.scroll(-1)
	case lineDown:
		m.tl.scroll(1)
	case toStart:
		m.tl.hold(0)
	case toEnd:
		m.tl.end()
	}
}

// nextUnread goes to what waits longest, the urgent first: further down here,
// or in another conversation.
func (m *Model) nextUnread() tea.Cmd {
	if c := m.list.stat(); c != nil {
		// One that is on the screen and still unread was come to past others.
		return m.goUnread(c.Peer, c.Peer != m.open || m.tl == nil || !m.tl.unreadSTAT())
	}
	if m.tl != nil {
		switch {
		case m.tl.chooseUnread():
			m.showChosen()
			return nil
		case m.tl.unreadBelow() && !m.cfg.Reveal:
			m.tl.end()
			return nil
		}
	}
	if to := m.list.next(m.open); to != "" {
		return m.openPeer(to)
	}
	m.say("Nothing is unread.")
	return nil
}

// lock blanks the screen, before anything else, and ends the screens. What
// still has to be stored, Run stores.
func (m *Model) lock(why Reason, intent Intent) tea.Cmd {
	m.cfg.Screen.Blackout()
	if m.cfg.OnLock != nil {
		m.cfg.OnLock(why)
	}
	return m.finish(why, intent)
}

// finish ends the screens.
func (m *Model) finish(why Reason, intent Intent) tea.Cmd {
	m.cfg.Screen.Blackout()
	m.end = &Result{Reason: why, Intent: intent, Place: m.place()}
	m.frame.picture = picture{}
	return tea.Quit
}
