package tui

import (
	"errors"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
	photo "sotto/client/picture" // picture is what the painter has
	"sotto/client/text"
	"sotto/tui/attach"
)

// fileCommands are those about files.
func fileCommands() []command {
	return []command{
		{"attach", " PATH CAPTION", "send a file; Tab shows what there is", (*Model).commandAttach},
		{"look", "", "look at the newest image", (*Model).commandLook},
		{"cancel", "", "stop a file on its way", (*Model).commandCancel},
	}
}

// attachedMsg says what became of a file to send.
type attachedMsg struct {
	peer, typed string
	msg         client.Message
	err         error
}

func (m *Model) commandAttach(arg string) (bool, tea.Cmd) {
	peer := m.open
	switch {
	case peer == "":
		m.warn("Nobody is chosen to send it to: Ctrl+K.")
		return false, nil
	case len(m.cfg.AttachFrom) == 0:
		m.warn(fullSentence(attach.ErrNone))
		return false, nil
	case arg == "":
		m.warn(fullSentence(attach.ErrNoPath))
		return false, nil
	}
	typed := "/attach " + arg
	accepted := m.accepted(peer, typed)
	folders := m.cfg.AttachFrom
	m.tl.unchoose()
	m.tl.end()
	m.say("Reading the file.")
	return true, m.must(func(q queryContext) tea.Msg {
		msg, err := attachFile(q, folders, accepted, peer, arg)
		return attachedMsg{peer, typed, msg, err}
	})
}

// attachFile reads a file, takes out of an image what does not belong into it, and
// sends it.
func attachFile(q queryContext, folders attach.Folders, accepted *client.NewReaders, peer, arg string) (client.Message, error) {
	f, err := folders.Read(q.ctx, arg, q.MaxFile())
	if errors.Is(err, attach.ErrOutside) {
		err = errors.Join(err, q.Attempted(q.ctx, client.Attaching, peer, 0))
	}
	if large, ok := errors.AsType[*attach.TooLarge](err); ok {
		err = errors.Join(err, q.AttemptedSize(q.ctx, peer, large.Size))
	}
	if err != nil {
		return client.Message{}, err
	}
	defer clear(f.Content)
	name, mediaType, content, err := photo.Clean(q.ctx, f.Name, f.Content)
	if err != nil {
		return client.Message{}, err
	}
	defer clear(content)
	if accepted != nil {
		if err := q.AcceptReaders(q.ctx, accepted); err != nil {
			return client.Message{}, err
		}
	}
	return q.Attach(q.ctx, peer, name, mediaType, content, f.Caption)
}

// attached shows the message of a file, or gives back what was typed.
func (m *Model) attached(msg attachedMsg) {
	m.notice = notice{}
	if msg.err == nil {
		if m.tl != nil && m.tl.peer == msg.peer && m.tl.index(msg.msg.ID) < 0 {
			m.tl.put(msg.msg)
		}
		if slices.ContainsFunc(msg.msg.Files, func(f client.File) bool { return !readable(&f) }) {
			m.warn("On its way. But sotto shows images and text only: whoever reads with sotto cannot open this file.")
		}
		return
	}
	if n, ok := pointsOut(msg.err); ok {
		m.newReaders(msg.peer, msg.typed, n)
	} else {
		m.warn(fullSentence(msg.err))
	}
	if c := m.composers[msg.peer]; c != nil && c.empty() {
		c.set(msg.typed)
		c.dirty = true
	}
}

// fullSentence makes a sentence of an error. The name of a file stays as it is.
func fullSentence(err error) string {
	s := text.Line(err.Error()).String()
	first, _, _ := strings.Cut(s, " ")
	if s != "" && s[0] >= 'a' && s[0] <= 'z' && !strings.ContainsAny(first, "./_-0123456789") && first != "sotto" {
		s = strings.ToUpper(s[:1]) + s[1:]
	}
	return strings.TrimRight(s, ".") + "."
}

func (m *Model) commandLook(string) (bool, tea.Cmd) {
	if cmd, ok := m.lookAtFile(); ok {
		return true, cmd
	}
	m.say("There is no image here to look at.")
	return false, nil
}

func (m *Model) commandCancel(string) (bool, tea.Cmd) {
	f, ok := m.moving()
	if !ok {
		m.say("No file is on its way here.")
		return false, nil
	}
	return true, m.cancelFile(f)
}

// offer is what Tab found for /attach.
type offer struct {
	typed string // in the composer
	found []string
}

// offerMsg brings an offer.
type offerMsg struct {
	peer string
	offer
}

const attachPrefix = "/attach "

// completeFile looks for files where the composer holds /attach and Tab was
// pressed. It reports false if it does not.
func (m *Model) completeFile() (tea.Cmd, bool) {
	typed := m.composer().String()
	arg, ok := strings.CutPrefix(typed, attachPrefix)
	if !ok || !isCommand(typed) {
		return nil, false
	}
	if len(m.cfg.AttachFrom) == 0 {
		m.warn(fullSentence(attach.ErrNone))
		return nil, true
	}
	peer, folders := m.open, m.cfg.AttachFrom
	return m.query(func(q queryContext) tea.Msg {
		return offerMsg{peer, offer{typed, folders.Complete(q.ctx, arg)}}
	}), true
}

// offered writes what all files that were found share, and shows them.
func (m *Model) offered(msg offerMsg) {
	c := m.composer()
	if msg.peer != m.open || c.String() != msg.typed {
		return // somebody went on typing
	}
	m.offer = offer{}
	switch len(msg.found) {
	case 0:
		if s := strings.TrimPrefix(msg.typed, attachPrefix); strings.HasSuffix(s, " ") && !strings.HasSuffix(s, `\ `) && strings.TrimSpace(s) != "" {
			m.say("Enter sends it. What you write after the name goes with it.")
			return
		}
		m.say("There is nothing here to attach that begins so.")
		return
	case 1:
		if s := attachPrefix + msg.found[0]; s != msg.typed {
			if !strings.HasSuffix(s, "/") {
				s += " "
			}
			c.set(s)
			c.dirty = true
		}
		return
	}
	if s := attachPrefix + common(msg.found); len(s) > len(msg.typed) {
		c.set(s)
		c.dirty = true
	}
	m.offer = offer{c.String(), msg.found}
}

// common is what all texts begin with, without half a character or escape.
func common(all []string) string {
	s := all[0]
	for _, f := range all[1:] {
		n := 0
		for n < min(len(s), len(f)) && s[n] == f[n] {
			n++
		}
		s = strings.ToValidUTF8(s[:n], "")
	}
	if n := len(s) - len(strings.TrimRight(s, `\`)); n%2 == 1 {
		s = s[:len(s)-1]
	}
	return s
}

// offerHint lists the files that Tab found, as long as nothing more is typed.
func (m *Model) offerHint() string {
	if m.offer.typed == "" || m.composer().String() != m.offer.typed {
		return ""
	}
	names := make([]string, len(m.offer.found))
	for i, f := range m.offer.found {
		dir := strings.TrimSuffix(f, "/")
		names[i] = f[strings.LastIndexByte(dir, '/')+1:]
	}
	return strings.Join(names, "  ")
}
