package tui

import (
	"context"
	"fmt"
	"image"

	tea "charm.land/bubbletea/v2"

	photo "sotto/client/picture" // picture is what the painter has
	"sotto/client/text"
	"sotto/tui/attach"
	"sotto/tui/graphics"
)

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
