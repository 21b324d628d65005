package tui

import (
	"context"
	"errors"
	"fmt"
	"image"
	"slices"
	"strings"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
	photo "sotto/client/picture" // picture is what the painter has
	"sotto/client/store"
	"sotto/client/text"
	"sotto/tui/attach"
	"sotto/tui/graphics"
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

// shot is what there is to draw of an image.
type shot struct {
	area     rect
	part     image.Rectangle
	protocol graphics.Protocol
	cell     graphics.Cell
	style    graphics.Style
}

// sight is a shot that was drawn.
type sight struct {
	shot
	cols, rows int
	lines      []string
	drawing    *graphics.Drawing
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

// area is where the content stands.
func (v *viewer) area(m *Model) rect {
	a := m.frame.areas
	h := a.notice.y
	return rect{0, 1, m.width, max(h-2, 1)}
}

// part is what is seen of the image, in its pixels: all of it, or as much as fits
// the area at this zoom.
func (v *viewer) part(m *Model) image.Rectangle {
	w, h := v.pic.Size()
	if v.zoom == 0 {
		return image.Rect(0, 0, w, h)
	}
	a := v.area(m)
	cell := m.cell
	if !cell.Known() {
		cell = graphics.Cell{W: 1, H: 2}
	}
	// How many pixels of the image one of the screen is worth, times 2^16.
	per := max((w<<16)/(a.w*cell.W), (h<<16)/(a.h*cell.H), 1)
	for range v.zoom {
		per = max(per*2/zoomStep, 1)
	}
	pw, ph := min(max(a.w*cell.W*per>>16, 1), w), min(max(a.h*cell.H*per>>16, 1), h)
	x, y := min(max(v.cx-pw/2, 0), w-pw), min(max(v.cy-ph/2, 0), h-ph)
	return image.Rect(x, y, x+pw, y+ph)
}

// redraw has the image drawn if what there is to see has changed.
func (m *Model) redraw() tea.Cmd {
	v := m.viewer()
	if v == nil || v.pic == nil || !m.frame.fits || m.covered() {
		return nil
	}
	want := shot{area: v.area(m), part: v.part(m), protocol: m.protocol(), cell: m.cell,
		style: graphics.Style{Profile: m.env.profile(), ASCII: m.look.glyphs == asciiGlyphs, Dark: m.look.Dark}}
	if want == v.want {
		return nil
	}
	v.close()
	ctx, stop := context.WithCancel(context.Background())
	v.want, v.stop = want, stop
	pic, file := v.pic, v.file.ID
	return func() tea.Msg {
		defer stop()
		return sightMsg{v, file, drawShot(ctx, pic, want)}
	}
}

// drawShot draws an image. Where the terminal's way to do it fails, characters do.
func drawShot(ctx context.Context, pic *photo.Picture, s shot) sight {
	out := sight{shot: s}
	cell := s.cell
	if s.protocol == graphics.Cells { // a half-block is taken for a square
		cell = graphics.Cell{W: 1, H: 2}
		if s.cell.Known() {
			cell = s.cell
		}
	}
	out.cols, out.rows = graphics.Fit(s.part.Dx(), s.part.Dy(), s.area.w, s.area.h, cell)
	w, h := s.protocol.Pixels(out.cols, out.rows, s.cell, s.style.Shades())
	img := scaled(ctx, pic, out.shot, w, h)
	if img == nil {
		return out
	}
	if s.protocol != graphics.Cells {
		d, err := s.protocol.Draw(img, s.area.x+(s.area.w-out.cols)/2, s.area.y+(s.area.h-out.rows)/2, out.cols, out.rows)
		if err == nil {
			out.drawing = d
			return out
		}
		out.protocol = graphics.Cells
		if w, h = out.protocol.Pixels(out.cols, out.rows, s.cell, s.style.Shades()); ctx.Err() == nil {
			img = scaled(ctx, pic, out.shot, w, h)
		}
	}
	out.lines = s.style.Lines(img)
	return out
}

// scaled is what is seen of an image in pixels of the screen.
func scaled(ctx context.Context, pic *photo.Picture, s shot, w, h int) *image.RGBA {
	if s.protocol != graphics.Cells {
		return pic.Scale(ctx, s.part, w, h)
	}
	return graphics.Ink(pic.Scale(ctx, s.part, w*graphics.Fine, h*graphics.Fine))
}

// seen takes a drawing.
func (v *viewer) seen(msg sightMsg) {
	if msg.v == v && msg.file == v.file.ID && msg.shot == v.want && (msg.lines != nil || msg.drawing != nil) {
		v.shown = msg.sight
	}
}

// onScreen is what the terminal itself draws now; nil for nothing.
func (m *Model) onScreen() *graphics.Drawing {
	v := m.viewer()
	if v == nil || v.pic == nil || m.covered() || !m.frame.fits || v.shown.area != v.area(m) || v.shown.protocol != m.protocol() {
		return nil
	}
	return v.shown.drawing
}

func (v *viewer) render(m *Model, w, _ int) ([]string, rect, *point) {
	k := &m.look
	a := v.area(m)
	box := make([]string, a.h+2)
	if m.covered() {
		k.middle(box, 0, w)
	} else {
		box[0] = v.title(m, w)
		v.body(m, box[1:1+a.h])
		box[a.h+1] = " " + paint(k.Faint, clip(k.m, v.keys(m), w-2, k.more))
	}
	for i := range box {
		box[i] = fit(k.m, box[i], w)
	}
	return box, rect{0, 0, w, len(box)}, nil
}

// title names the file, and says what is known of it.
func (v *viewer) title(m *Model, w int) string {
	k := &m.look
	size := ""
	if v.file.Size >= 0 {
		size = attach.Size(v.file.Size)
	}
	pixels := ""
	if v.pic != nil {
		pw, ph := v.pic.Size()
		pixels = fmt.Sprintf("%d x %d", pw, ph)
	}
	right := ""
	if at, all := v.among(m); len(all) > 1 && at >= 0 {
		right = fmt.Sprintf("%d of %d", at+1, len(all))
	}
	about := k.dots(v.head, pixels, size)
	l := &line{m: k.m}
	room := w - 2 - width(k.m, right)
	name := clip(k.m, v.file.Name.String(), max(room-width(k.m, about)-5, 12), k.more)
	l.space(1).add(k.Title, name)
	if left := room - l.width - 4; left > 8 {
		l.space(3).add(k.Faint, clip(k.m, about, left, k.more))
	}
	return l.to(w-1-width(k.m, right)).add(k.Faint, right).String()
}

// keys names the keys that do something here.
func (v *viewer) keys(m *Model) string {
	var keys []string
	switch {
	case v.pic != nil && v.zoom > 0:
		keys = append(keys, "+ - zoom", "arrows move", "0 all of it")
	case v.pic != nil:
		keys = append(keys, "+ zoom")
	case v.words != "":
		keys = append(keys, "Up, Down, PgDn")
	}
	if _, all := v.among(m); len(all) > 1 {
		keys = append(keys, "n next, p previous")
	}
	return m.look.dots(append(keys, "Esc back", "nothing is saved")...)
}

// body draws the content into lines.
func (v *viewer) body(m *Model, lines []string) {
	k := &m.look
	w := m.width
	switch {
	case v.words != "":
		if v.width != w {
			v.wrapped, v.width = wrap(k.m, v.words, w-2), w
			if v.cut {
				v.wrapped = append(v.wrapped, "", "The rest of the file is not shown.")
			}
		}
		for i, s := range v.window(v.wrapped, len(lines)) {
			lines[i] = " " + paint(k.Text, s)
		}
	case v.pic != nil && v.shown.area == v.area(m):
		if v.shown.drawing != nil {
			return // by the terminal, see onScreen
		}
		x, y := (w-v.shown.cols)/2, (len(lines)-len(v.shown.lines))/2
		for i, s := range v.shown.lines {
			if y+i >= 0 && y+i < len(lines) {
				lines[y+i] = spaces(x) + s
			}
		}
	case v.pic == nil:
		said := []string{}
		if !readable(&v.file) {
			said = append(said, k.dots(v.file.Name.String(), text.Line(v.file.Type).String()))
		}
		v.middle(k, lines, append(said, wrap(k.m, v.said, max(w-4, 1))...), w)
	}
}

// middle writes words in the middle of lines.
func (v *viewer) middle(k *look, lines, words []string, w int) {
	top := max((len(lines)-len(words))/2, 0)
	for i, s := range words {
		if top+i < len(lines) {
			s = clip(k.m, s, w-2, k.more)
			l := &line{m: k.m}
			lines[top+i] = l.space((w-width(k.m, s))/2).add(k.Text, s).String()
		}
	}
}
