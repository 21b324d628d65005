package tui

import (
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sotto/tui/graphics"
)

// maxHeld bounds what is kept until there is something to see, in bytes.
const maxHeld = 1 << 20

// bellPause is how long the bell is silent after it was rung.
const bellPause = time.Minute

const (
	beginFrame = "\x1b[?2026h\x1b[0m\x1b[H\x1b[2J" // hold the picture, then start clean
	endFrame   = "\x1b[?2026l"

	// blank ends whatever sequence or synchronized update was under way, puts
	// back what was switched on (the mouse, bracketed paste, focus reports, the
	// two extended keyboards, clusters; see environment.greeting), and erases the
	// picture. Erasing comes last, in the same write: a simple terminal may have
	// shown a sequence that it does not know.
	blank = "\x18\x1b[?2026l\x1b[?1000l\x1b[?1006l\x1b[?2004l\x1b[?1004l\x1b[>4m\x1b[<u\x1b[?2027l" +
		"\x1b[0m\x1b[r\x1b[?25h\x1b[H\x1b[2J"
)

// Screen is the only way from the screens to the terminal. It lets drawing
// through and nothing else (see filter), draws the first picture at once over
// whatever the process before had shown, and can go dark for good. Its methods
// may be called from any goroutine.
type Screen struct {
	out   io.Writer
	dark  atomic.Bool
	whole sync.Mutex // held, before mu, while something is written that may come in parts
	mu    sync.Mutex // held while writing to out
	f     filter
	buf   []byte
	drawn bool
	first chan struct{}
	rang  time.Time // when the bell last rang

	blanked bool // by Blackout

	image  *graphics.Drawing // drawn last; nil if there is none
	partly bool              // not all of it is written
}

// NewScreen returns a screen that draws on out. The size of the window is known
// from out if it is a terminal's file.
func NewScreen(out io.Writer) *Screen {
	return &Screen{out: out, first: make(chan struct{})}
}

// Write filters p and draws it. In the dark it does nothing. It reports all of
// p as written, whatever was dropped.
func (s *Screen) Write(p []byte) (int, error) {
	s.whole.Lock()
	defer s.whole.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dark.Load() {
		return len(p), nil
	}
	if !s.drawn {
		return s.start(p)
	}
	s.buf = s.f.append(s.buf[:0], p)
	return len(p), s.put(s.buf)
}

// start is Write until the first picture. What only asks the terminal goes out
// at once, since what it answers depends on whether an update is under way; the
// rest is kept until there is something to see.
func (s *Screen) start(p []byte) (int, error) {
	from := len(s.buf)
	s.buf = s.f.append(s.buf, p)
	switch part := s.buf[from:]; {
	case s.f.visible:
		s.drawn = true
		defer close(s.first)
		return len(p), s.put(slices.Concat([]byte(beginFrame), s.buf, []byte(endFrame)))
	case questions(part):
		err := s.put(part)
		s.buf = s.buf[:from]
		return len(p), err
	case len(s.buf) > maxHeld:
		return 0, errors.New("the screen was written to at length, and nothing can be seen")
	}
	return len(p), nil
}

// questions reports whether p is nothing but questions to the terminal.
func questions(p []byte) bool {
	s := strings.ReplaceAll(string(p), askBackground, "")
	s = strings.NewReplacer("\x1b[?2026$p", "", "\x1b[?2027$p", "", "\x1b[?u", "").Replace(s)
	return s == ""
}

// put writes to the terminal, and clears what it wrote.
func (s *Screen) put(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	_, err := s.out.Write(p)
	clear(p)
	return err
}

// First is closed when the first picture has been drawn.
func (s *Screen) First() <-chan struct{} { return s.first }

// Bell rings the terminal's bell: once a minute at most, and never before the
// first picture or in the dark. Nothing that is written rings it.
func (s *Screen) Bell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.drawn || s.partly || s.dark.Load() || !s.rang.IsZero() && time.Since(s.rang) < bellPause {
		return
	}
	s.rang = time.Now()
	// An error will show when something is drawn.
	_, _ = io.WriteString(s.out, "\a")
}

// Blackout erases the terminal and drops everything that is written later. It
// does not wait for the program that draws, only for a write under way. When it
// returns, this screen writes no more: what the next process draws stays, even
// if another goroutine called it at the same time.
func (s *Screen) Blackout() {
	s.dark.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.blanked {
		return
	}
	s.blanked = true
	// An error here has nobody to go to: the terminal is gone, and with it
	// what it showed.
	_, _ = io.WriteString(s.out, s.withoutImage())
}

// Dark reports whether Blackout was called.
func (s *Screen) Dark() bool { return s.dark.Load() }

// Fd returns the terminal's descriptor, or one that is no terminal.
func (s *Screen) Fd() uintptr {
	if f, ok := s.out.(interface{ Fd() uintptr }); ok {
		return f.Fd()
	}
	return ^uintptr(0)
}
