package tui

import (
	"io"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	uv "github.com/charmbracelet/ultraviolet"

	"sotto/tui/graphics"
)

// The terminal is asked how it can draw images when the first one is looked at,
// and not before: most are never asked. Until it answers, and where it does not,
// characters draw. Of an answer one bit is believed: yes.

// pictures is what is known of that.
type pictures struct {
	asked, kitty, sixel bool
	cell                graphics.Cell // of the terminal; zero if it does not tell
	one                 chan struct{} // holds something while a file is read for the viewer
}

// turn is what whoever reads a file for the viewer fills meanwhile.
func (p *pictures) turn() chan struct{} {
	if p.one == nil {
		p.one = make(chan struct{}, 1)
	}
	return p.one
}

// asksGraphics reports whether there is something to ask: not simple terminals, which
// would show the question, not tmux and screen, which would not pass the image on or
// keep it, and not where colours are not wanted.
func (e environment) asksGraphics() bool {
	term := e.get("TERM")
	return !e.simple() && e.get("TMUX") == "" && e.get("STY") == "" &&
		!strings.HasPrefix(term, "screen") && !strings.HasPrefix(term, "tmux") && e.profile() != colorprofile.ASCII
}

// askGraphics asks once.
func (m *Model) askGraphics() tea.Cmd {
	if m.pictures.asked || !m.env.asksGraphics() {
		return nil
	}
	m.pictures.asked = true
	screen := m.cfg.Screen
	return func() tea.Msg {
		screen.Ask()
		return cellMsg(cellOf(screen.Fd()))
	}
}

// cellMsg says how large a character is.
type cellMsg graphics.Cell

// answered takes what the terminal says of itself.
func (m *Model) answered(msg tea.Msg) {
	if !m.pictures.asked {
		return
	}
	switch msg := msg.(type) {
	case uv.KittyGraphicsEvent:
		m.pictures.kitty = m.pictures.kitty || graphics.KnowsKitty(msg.Options.ID, msg.Payload)
	case uv.PrimaryDeviceAttributesEvent:
		m.pictures.sixel = m.pictures.sixel || graphics.KnowsSixel(msg)
	}
}

// protocol is how images are drawn now.
func (m *Model) protocol() graphics.Protocol {
	switch {
	case m.pictures.kitty:
		return graphics.Kitty
	case m.pictures.sixel && m.cell.Known(): // else it could be too large
		return graphics.Sixel
	}
	return graphics.Cells
}

// Ask asks the terminal how it can draw images. In the dark it does nothing.
func (s *Screen) Ask() {
	s.whole.Lock()
	defer s.whole.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drawn && !s.dark.Load() {
		// An error will show when something is drawn.
		_, _ = io.WriteString(s.out, graphics.Questions)
	}
}

// Draw has the terminal draw an image. What it writes was made by package graphics
// from pixels, and does not pass the filter, which would drop it. It goes out in
// parts, so that the screen can go dark between two of them.
func (s *Screen) Draw(d *graphics.Drawing) error {
	s.whole.Lock()
	defer s.whole.Unlock()
	for i, part := range d.Parts {
		if err := s.drawPart(d, part, i+1 == len(d.Parts)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Screen) drawPart(d *graphics.Drawing, part []byte, last bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dark.Load() || !s.drawn {
		return nil
	}
	s.image, s.partly = d, !last
	_, err := s.out.Write(part)
	return err
}

// Remove takes the image away that was drawn last. Sixels are gone when something
// is drawn over them.
func (s *Screen) Remove() error {
	s.whole.Lock()
	defer s.whole.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.image
	if s.image = nil; d == nil || s.dark.Load() {
		return nil
	}
	_, err := s.out.Write(d.Remove)
	return err
}

// withoutImage is what Blackout writes: first of all, it ends a drawing and takes
// away what the terminal keeps. It is called with mu held.
func (s *Screen) withoutImage() string {
	if s.image == nil {
		return blank
	}
	words := string(s.image.Remove) + blank
	if s.partly {
		words = string(s.image.Cancel) + words
	}
	return words
}
