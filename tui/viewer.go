package tui

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
	photo "sotto/client/picture" // picture is what the painter has
	"sotto/client/store"
	"sotto/client/text"
)

// maxText bounds what is shown of a file of text, in bytes.
const maxText = 128 << 10

// Steps of the viewer.
const (
	zoomStep = 3 // halves: each step is half as large again
	maxZoom  = 9 // steps
)

// viewer shows a file: an image, or text. It takes the whole screen but for the
// lines at its foot. Nothing can be saved from it.
type viewer struct {
	scrolled
	msg  int64 // the message
	file client.File
	out  bool // an own one
	head string

	reading bool   // its content is being read
	said    string // in place of the content
	pic     *photo.Picture
	words   string // of a text
	cut     bool   // there is more of it

	zoom   int // steps beyond the whole image
	cx, cy int // what stands in the middle, in pixels of the image

	wrapped []string // words, in lines of width
	width   int
	want    shot   // asked for last
	shown   sight  // drawn last
	stop    func() // ends the drawing under way
	unread  func() // ends the reading under way
}

// contentMsg brings the content of a file.
type contentMsg struct {
	v     *viewer
	file  int64
	pic   *photo.Picture
	words string
	cut   bool
	err   error
}

// sightMsg brings a drawing.
type sightMsg struct {
	v    *viewer
	file int64
	sight
}

// view opens the viewer on a file of a message.
func (m *Model) view(msg client.Message, file int) tea.Cmd {
	v := &viewer{}
	m.push(v)
	return tea.Batch(m.askGraphics(), v.load(m, msg, file))
}

// load begins to show a file.
func (v *viewer) load(m *Model, msg client.Message, file int) tea.Cmd {
	v.close()
	f := msg.Files[file]
	from := "you"
	if !msg.Outgoing {
		from = m.nameOf(msg)
	}
	*v = viewer{msg: msg.ID, file: f, out: msg.Outgoing, head: from + " " + msg.Time.In(m.look.zone).Format("15:04")}
	return v.proceed(m)
}

// close ends what is under way.
func (v *viewer) close() {
	if v.stop != nil {
		v.stop()
	}
	if v.unread != nil {
		v.unread()
	}
	v.stop, v.unread = nil, nil
}

// proceed does what comes next: it has the file fetched, or reads it.
func (v *viewer) proceed(m *Model) tea.Cmd {
	f := v.file
	switch {
	case v.pic != nil || v.words != "" || v.reading:
		return nil
	case !readable(&f):
		v.said = "sotto shows images and text, and saves nothing. For this file you need another app with your account, or ask for it as an image or text."
		return nil
	case f.State == store.Lost:
		v.said = "This file cannot be had any more. Ask for it again."
		if !f.Why.Empty() {
			v.said = fullSentence(errors.New(f.Why.String()))
		}
		return nil
	case f.State == store.Downloading:
		v.said = progressWords("Arriving", &f)
		if !f.Host.Empty() {
			v.said += " from " + f.Host.String()
		}
		if !f.Why.Empty() {
			v.said += ": " + f.Why.String()
		}
		return nil
	case f.State == store.Offered || f.State == store.Broken && !v.out:
		if v.said != "" && f.State == store.Broken { // it was tried
			v.said = "Stopped. Enter tries again."
			if !f.Why.Empty() {
				v.said = fullSentence(errors.New("stopped: "+f.Why.String())) + " Enter tries again."
			}
			return nil
		}
		v.said = "Fetching it."
		return m.query(func(q queryContext) tea.Msg {
			return contentMsg{v: v, file: f.ID, err: q.Fetch(q.ctx, f.ID)}
		})
	}
	v.said, v.reading = "Opening it.", true
	wanted, unread := context.WithCancel(context.Background())
	v.unread = unread
	turn := m.pictures.turn()
	return m.query(func(q queryContext) tea.Msg {
		defer unread()
		ctx, cancel := context.WithCancel(q.ctx)
		defer cancel()
		defer context.AfterFunc(wanted, cancel)()
		q.ctx = ctx
		msg := readFile(q, turn, v, f)
		if msg.err != nil && wanted.Err() != nil {
			return nil // another is shown by now
		}
		return msg
	})
}

// readFile decrypts a file and reads it as what it is, when it is its turn: an image
// can take hundreds of megabytes, and a key that is held down asks for many.
func readFile(q queryContext, turn chan struct{}, v *viewer, f client.File) contentMsg {
	msg := contentMsg{v: v, file: f.ID}
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-q.ctx.Done():
	}
	if msg.err = q.ctx.Err(); msg.err != nil {
		return msg
	}
	content, err := q.Contents(q.ctx, f.ID)
	if err != nil {
		msg.err = err
		return msg
	}
	defer clear(content)
	switch {
	case f.Image, photo.Sniff(content) != "":
		msg.pic, msg.err = photo.Decode(q.ctx, content)
	default:
		msg.words, msg.cut, msg.err = plainText(content)
	}
	return msg
}

// plainText is what can be shown of a file of text.
func plainText(content []byte) (words string, cut bool, err error) {
	if cut = len(content) > maxText; cut {
		content = content[:maxText]
		for range utf8.UTFMax { // not within a character
			if r, n := utf8.DecodeLastRune(content); r != utf8.RuneError || n != 1 {
				break
			}
			content = content[:len(content)-1]
		}
	}
	if !utf8.Valid(content) || strings.IndexByte(string(content), 0) >= 0 {
		return "", false, errors.New("this is no plain text, and sotto does not open it")
	}
	words = text.Sanitize(string(content)).String()
	if strings.TrimSpace(words) == "" {
		return "", false, errors.New("there is nothing in this file")
	}
	return words, cut, nil
}

// content takes what was read, or why it was not.
func (v *viewer) content(m *Model, msg contentMsg) {
	if msg.v != v || msg.file != v.file.ID {
		return // another is shown by now
	}
	if msg.err == nil && msg.pic == nil && msg.words == "" {
		return // it is being fetched
	}
	v.reading, v.said = false, ""
	v.pic, v.words, v.cut = msg.pic, msg.words, msg.cut
	if msg.err != nil {
		v.said = fullSentence(msg.err)
		return
	}
	if v.pic != nil {
		w, h := v.pic.Size()
		v.cx, v.cy = w/2, h/2
	}
}

// viewed takes a message that changed, which may be the one that is looked at.
func (m *Model) viewed(msg client.Message) tea.Cmd {
	v := m.viewer()
	if v == nil || v.msg != msg.ID {
		return nil
	}
	for _, f := range msg.Files {
		if f.ID == v.file.ID {
			v.file = f
			return v.proceed(m)
		}
	}
	return nil // see goneFromView
}

// goneFromView takes the viewer away if its file is not here any more: its message
// was taken back, has expired, or was removed. It is called after each change, and
// before anything is drawn.
func (m *Model) goneFromView() {
	v := m.viewer()
	if v == nil || m.tl == nil || m.tl.opening || m.tl.replacing > 0 {
		return
	}
	if i := m.tl.index(v.msg); i >= 0 && m.tl.msgs[i].Gone == store.Here &&
		slices.ContainsFunc(m.tl.msgs[i].Files, func(f client.File) bool { return f.ID == v.file.ID }) {
		return
	}
	m.closeViewer()
	m.say("This file is not here any more.")
}

// closeViewer takes the viewer away.
func (m *Model) closeViewer() {
	if v := m.viewer(); v != nil {
		v.close()
		m.pop(v)
	}
}

// viewer is the viewer on top; nil if there is none.
func (m *Model) viewer() *viewer {
	if n := len(m.dialogs); n > 0 {
		v, _ := m.dialogs[n-1].(*viewer)
		return v
	}
	return nil
}

func (v *viewer) covers() bool { return false } // it does that itself

func (v *viewer) wheel(_ *Model, n int) { v.top += n }

func (v *viewer) click(*Model, int, int) (bool, tea.Cmd) { return false, nil }

func (v *viewer) key(m *Model, key, _ string) (bool, tea.Cmd) {
	switch m.keys[key] {
	case nextUnread: // what came meanwhile is more urgent
		v.close()
		return true, m.nextUnread()
	case switchTo:
		v.close()
		m.push(&switcher{})
		return true, nil
	}
	switch key {
	case "esc", "q", "ctrl+c":
		v.close()
		return true, nil
	case "n", "tab":
		return false, v.step(m, 1)
	case "p", "shift+tab":
		return false, v.step(m, -1)
	case "enter":
		if v.file.State == store.Broken && !v.out {
			v.said = ""
			return false, v.proceed(m)
		}
		return false, nil
	}
	if v.pic == nil {
		v.scrolled.key(key, max(v.area(m).h-1, 1))
		return false, nil
	}
	part := v.part(m)
	dx, dy := max(part.Dx()/4, 1), max(part.Dy()/4, 1)
	switch key {
	case "+", "=":
		v.zoom = min(v.zoom+1, maxZoom)
	case "-":
		v.zoom = max(v.zoom-1, 0)
	case "0":
		v.zoom = 0
	case "left", "h":
		v.cx -= dx
	case "right", "l":
		v.cx += dx
	case "up", "k":
		v.cy -= dy
	case "down", "j":
		v.cy += dy
	case "pgup":
		v.cy -= part.Dy()
	case "pgdown", "space":
		v.cy += part.Dy()
	case "home":
		v.cx = 0
	case "end":
		v.cx = 1 << 20
	}
	part = v.part(m)
	v.cx, v.cy = (part.Min.X+part.Max.X)/2, (part.Min.Y+part.Max.Y)/2
	return false, nil
}

// step goes to the image n further in the conversation, as far as it is loaded.
func (v *viewer) step(m *Model, n int) tea.Cmd {
	at, all := v.among(m)
	to := at + n
	switch {
	case len(all) == 0 || at < 0 || to < 0 || to >= len(all):
		if n > 0 {
			m.say("This is the last image.")
		} else {
			m.say("This is the first image that is loaded.")
		}
		return nil
	}
	return v.load(m, m.tl.msgs[all[to].msg], all[to].file)
}

// spot is a file of a loaded message.
type spot struct{ msg, file int }

// among says which of the images of the conversation this is.
func (v *viewer) among(m *Model) (at int, all []spot) {
	at = -1
	if m.tl == nil {
		return at, nil
	}
	for i, msg := range m.tl.msgs {
		for j, f := range msg.Files {
			if f.ID == v.file.ID {
				at = len(all)
			} else if !f.Image || f.State == store.Lost {
				continue
			}
			all = append(all, spot{i, j})
		}
	}
	return at, all
}
