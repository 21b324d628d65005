package tui

import (
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"
	"mellium.im/xmpp/jid"

	"sotto/themes"
)

// command is something typed after a slash.
type command struct {
	name, takes, words string
	run                func(m *Model, arg string) (clear bool, cmd tea.Cmd)
}

// commands are all of them, in the order of the help.
func commands() []command {
	list := []command{
		{"to", " NAME", "go to somebody, or to an address", (*Model).commandTo},
		{"search", " WORDS", "search all messages: from: in: on: before: after: is:stat", (*Model).commandSearch},
		{"inbox", "", "what waits for you", func(m *Model, _ string) (bool, tea.Cmd) { m.push(&inboxDialog{}); return true, nil }},
		{"role", " NAME", "@role/NAME is for you, /role -NAME is not", (*Model).commandRole},
		{"stat", " TEXT", "send as STAT: rings even where it is locked", urgently("!stat")},
		{"urgent", " TEXT", "send as urgent", urgently("!urgent")},
		{"ack", " TEXT", "acknowledge the newest STAT: seen, and in hand", (*Model).commandAck},
		{"reply", " TEXT", "answer the chosen message, or the newest", (*Model).commandReply},
		{"forward", " COMMENT", "pass the chosen message on, or the newest", (*Model).commandForward},
		{"correct", " TEXT", "say your last or chosen message another way", (*Model).commandCorrect},
		{"recall", "", "take back your last or chosen message, everywhere", (*Model).commandRecall},
		{"withdraw", "", "take back what has not left yet", (*Model).commandWithdraw},
		{"who", "", "who has the chosen message, or your last", (*Model).commandWho},
		{"forget", "", "remove this conversation from here", (*Model).commandForget},
		{"devices", "", "who can read; in a room, your own", (*Model).commandDevices},
		{"trust", "", "compare devices and decide", func(m *Model, _ string) (bool, tea.Cmd) { return true, m.showDevices() }},
		{"code", "", "the code of this device, for others to compare", (*Model).commandCode},
		{"verify", " CODE", "compare by the code that the other's screen shows", (*Model).commandVerify},
		{"rejoin", "", "put this device back after it was removed", (*Model).commandRejoin},
		{"policy", "", "every setting, and whether you or the organisation decides it", (*Model).commandPolicy},
		{"expire", " TIME", "how long messages here live: 24h, off", (*Model).commandExpire},
		{"again", "", "send again what failed here", (*Model).commandAgain},
		{"theme", " NAME", "auto, light or dark", (*Model).commandTheme},
		{"lock", "", "lock now", func(m *Model, _ string) (bool, tea.Cmd) { return true, m.lock(Asked, Unlock) }},
		{"pin", "", "change the PIN; locks first", func(m *Model, _ string) (bool, tea.Cmd) { return true, m.lock(Asked, ChangePIN) }},
		{"help", "", "keys and commands", func(m *Model, _ string) (bool, tea.Cmd) { m.push(&helpDialog{}); return true, nil }},
		{"quit", "", "end sotto", func(m *Model, _ string) (bool, tea.Cmd) { return true, m.finish(Quit, Unlock) }},
	}
	list = slices.Insert(list, 11, roomCommands()...)
	return slices.Insert(list, 4, fileCommands()...)
}

// isCommand reports whether a text is a command: a slash and a word. Two
// slashes begin a message with one.
func isCommand(s string) bool {
	return strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//") && !strings.Contains(s, "\n")
}

// runCommand does what the composer says. What it did not understand stays
// there to be corrected.
func (m *Model) runCommand(s string) tea.Cmd {
	name, arg, _ := strings.Cut(strings.TrimSpace(s[1:]), " ")
	for _, c := range append(commands(), attemptCommands()...) {
		if !strings.EqualFold(c.name, name) {
			continue
		}
		at := m.composer()
		clear, cmd := c.run(m, strings.TrimSpace(arg))
		if clear {
			at.clear()
		}
		return cmd
	}
	if name == "" {
		m.warn("Which command? Tab shows them; // begins a message with a slash.")
		return nil
	}
	m.warn("There is no command /" + clip(m.look.m, name, 20, m.look.more) + ". Tab shows them; // begins a message with a slash.")
	return nil
}

// urgently sends what follows a command with a mark at its start.
func urgently(mark string) func(*Model, string) (bool, tea.Cmd) {
	return func(m *Model, arg string) (bool, tea.Cmd) {
		if arg == "" {
			m.composer().set(mark + " ")
			m.say("Now write the message. Enter sends it as " + strings.ToUpper(mark[1:]) + ".")
			return false, nil
		}
		return false, m.post(mark + " " + arg)
	}
}

func (m *Model) commandTo(arg string) (bool, tea.Cmd) {
	if arg == "" {
		m.push(&switcher{})
		return true, nil
	}
	to := ""
	d := &switcher{}
	d.input.set(arg)
	found := d.found(m)
	if len(found) == 0 && !strings.Contains(arg, "@") && m.cfg.Messenger.Policy() != nil {
		m.push(d) // somebody of the directory, perhaps
		return true, m.loadPeople(d)
	}
	if len(found) > 0 && !strings.Contains(arg, "@") {
		to = found[0].peer
	} else if c := m.list.find(strings.ToLower(arg)); c != nil {
		to = c.Peer
	} else {
		if to = address(arg); to != "" && !m.mayOpen(to) {
			return false, nil
		}
	}
	if to != "" {
		m.composer().clear() // or the command would be kept as a draft
		return true, m.openPeer(to)
	}
	m.warn("Nobody is called " + clip(m.look.m, arg, 30, m.look.more) + ". An address looks like okafor@mercy.example.")
	return false, nil
}

// address is the address that a text is, as it is stored; "" if it is none.
func address(s string) string {
	j, err := jid.Parse(s)
	if err != nil || j.Localpart() == "" || j.Resourcepart() != "" {
		return ""
	}
	return j.String()
}

func (m *Model) commandAgain(string) (bool, tea.Cmd) { return true, m.resend() }

func (m *Model) commandTheme(arg string) (bool, tea.Cmd) {
	arg = strings.ToLower(arg)
	if arg == "" {
		m.say("Themes: " + strings.Join(themes.Names(), ", ") + ", auto. Choose with /theme NAME.")
		return false, nil
	}
	if err := m.setTheme(arg); err != nil {
		m.warn("There is no theme " + clip(m.look.m, arg, 20, m.look.more) + ". There are " + strings.Join(themes.Names(), ", ") + " and auto.")
		return false, nil
	}
	m.theme = arg
	if m.auto {
		return true, tea.RequestBackgroundColor
	}
	return true, nil
}

// completions are what Tab could make of a text, whole.
func (m *Model) completions(s string) []string {
	var found []string
	name, arg, hasArg := strings.Cut(s, " ")
	add := func(prefix, candidate, typed string) {
		if strings.HasPrefix(fold(candidate), fold(typed)) {
			found = append(found, prefix+candidate)
		}
	}
	switch {
	case !isCommand(s):
	case !hasArg:
		for _, c := range commands() {
			add("/", c.name, name[1:])
		}
	case name == "/to":
		for _, c := range m.list.all {
			add("/to ", c.Name.String(), arg)
		}
	case name == "/theme":
		for _, t := range append(themes.Names(), themes.Auto) {
			add("/theme ", t, arg)
		}
	}
	return found
}

// complete does what Tab does: as much as all completions share.
func (m *Model) complete() {
	c := m.composer()
	found := m.completions(c.String())
	if len(found) == 0 {
		return
	}
	s := found[0]
	for _, f := range found[1:] {
		n := 0
		for n < min(len(s), len(f)) && s[n] == f[n] {
			n++
		}
		s = strings.ToValidUTF8(s[:n], "")
	}
	if len(found) == 1 && strings.HasPrefix(s, "/") && !strings.Contains(s, " ") {
		for _, cmd := range commands() {
			if "/"+cmd.name == s && cmd.takes != "" {
				s += " "
			}
		}
	}
	if len(s) >= len(c.String()) {
		c.set(s)
		c.dirty = true
	}
}

// hint lists the commands that the composer's text could become.
func (m *Model) hint() string {
	c := m.composer()
	if c.empty() || c.runes[0] != '/' {
		return ""
	}
	if offer := m.offerHint(); offer != "" {
		return offer
	}
	found := m.completions(c.String())
	if len(found) == 1 {
		for _, cmd := range commands() {
			if "/"+cmd.name == strings.TrimSpace(found[0]) {
				return "/" + cmd.name + cmd.takes + ": " + cmd.words
			}
		}
	}
	for i, f := range found {
		if _, arg, ok := strings.Cut(f, " "); ok {
			found[i] = arg
		}
	}
	return strings.Join(found, "  ")
}
