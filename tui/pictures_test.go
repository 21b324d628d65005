package tui

import (
	"bytes"
	"image"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"sotto/client/store"
	"sotto/tui/graphics"
)

const (
	kittyYes = "\x1b_Gi=31;OK\x1b\\"
	sixelYes = "\x1b[?62;4;22c"
	kittyOff = "\x1b_Gq=2,a=d,d=I,i=5074\x1b\\"
	kittyOn  = "a=T"
)

// has waits for bytes on the way to the terminal, after the first n.
func (term *terminal) has(n int, words string) *terminal {
	term.t.Helper()
	return term.until("the bytes "+words, func() bool { return strings.Contains(term.since(n), words) })
}

// able is a terminal that images can be drawn on, and tells how large its
// characters are.
func able(t *testing.T, env ...string) *terminal {
	t.Helper()
	term := start(t, terminalSetup{fake: (*fake).ecg, env: env, config: func(c *Config) { c.Curtain = true }})
	if err := pty.Setsize(term.tty, &pty.Winsize{Cols: 80, Rows: 24, X: 800, Y: 480}); err != nil {
		t.Fatal(err)
	}
	return term
}

func TestKittyDrawsAndForgets(t *testing.T) {
	term := able(t)
	before := term.written()
	if strings.Contains(term.since(0), "\x1b_G") || strings.Contains(term.since(0), "\x1b[c") {
		t.Error("the terminal was asked before there was an image")
	}
	term.press(keyEnter).sees("▀▀▀▀").has(before, graphics.Questions)
	term.press(kittyYes).misses("▀").has(before, kittyOn)
	if s := term.since(before); strings.Contains(s, kittyOff) {
		t.Error("it was taken away at once")
	}

	n := term.written()
	term.press("+").sees("arrows move").has(n, kittyOn) // the same id replaces it
	n = term.written()
	term.press(focusOut).sees("covered while").has(n, kittyOff)
	n = term.written()
	term.press(focusIn).misses("covered while").has(n, kittyOn)
	n = term.written()
	term.press(keyEsc).sees("spironolactone").has(n, kittyOff)
	n = term.written()
	term.press(keyEnter).has(n, kittyOn)
	if strings.Contains(term.since(n), graphics.Questions) {
		t.Error("it was asked again")
	}
	n = term.written()
	term.press(keyCtrlL).ends()
	term.has(n, blank)
	if s := term.since(n); !strings.Contains(s, kittyOff) || strings.Index(s, kittyOff) > strings.Index(s, blank) || !strings.HasSuffix(s, blank) {
		t.Errorf("locking wrote %.100q … %q", s, s[max(0, len(s)-100):])
	}
	onlyImages(t, term.since(0))
}

// images is all that may go to the terminal beside drawing, where images are drawn.
var images = regexp.MustCompile(`^(CSI  c|string _ G(i=31,s=1,v=1,a=q,t=d,f=24;AAAA|[a-zA-Z0-9=,]*(;[A-Za-z0-9+/=]*)?)|string P 0;1q[-!-~]*)$`)

func onlyImages(t *testing.T, raw string) {
	t.Helper()
	for _, s := range beyondDrawing(raw) {
		if !images.MatchString(s) {
			t.Errorf("to the terminal went %.200q", s)
		}
	}
}

func TestSixelsAreDrawnAndDrawnOver(t *testing.T) {
	term := able(t)
	term.press(keyEnter).sees("▀▀▀▀").has(0, graphics.Questions)
	n := term.written()
	term.press(sixelYes).misses("▀").has(n, "\x1bP0;1q\"1;1;").has(n, "\x1b\\\x1b8")
	n = term.written()
	term.press(keyEsc).sees("spironolactone").has(n, "\x1b[2J")
	term.press(keyEnter).sees("Esc back").quiet()
	n = term.written()
	term.press(keyCtrlL).ends()
	term.has(n, blank)
	if s := term.since(n); !strings.HasSuffix(s, blank) {
		t.Errorf("locking wrote %.100q … %q", s, s[max(0, len(s)-100):])
	}
	onlyImages(t, term.since(0))
}

// A terminal that does not tell how large its characters are gets no sixels: they
// could go beyond their place.
func TestNoSixelsOfUnknownSize(t *testing.T) {
	term := start(t, terminalSetup{fake: (*fake).ecg})
	term.press(keyEnter).sees("▀▀▀▀").press(sixelYes, "+").sees("arrows move").quiet().sees("▀▀▀▀")
	if strings.Contains(term.since(0), "\x1bP") {
		t.Error("sixels were drawn")
	}
}

// Whoever sends an answer that was not asked for, or asks for more, changes nothing.
func TestAnswersAreHardlyBelieved(t *testing.T) {
	term := able(t)
	term.press(kittyYes, sixelYes).taken()
	term.press(keyEnter).sees("▀▀▀▀")
	for _, s := range []string{"\x1b_Gi=32;OK\x1b\\", "\x1b_Gi=31;ENOENT:no\x1b\\", "\x1b_Gi=31;OK\x07more\x1b\\", "\x1b[?62;22c", "\x1b[?4c", "\x1b[c", "\x1b_Ga=T;AAAA\x1b\\"} {
		term.press(s)
	}
	term.press("+").sees("arrows move").quiet().sees("▀▀▀▀")
	for _, s := range beyondDrawing(term.since(0)) {
		if s != "CSI  c" && s != "string _ Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA" {
			t.Errorf("to the terminal went %q", s)
		}
	}
}

func TestWhoIsNotAsked(t *testing.T) {
	for _, env := range []string{"TMUX=/tmp/x", "STY=1.pts", "TERM=screen-256color", "TERM=tmux-256color", "TERM=linux", "TERM=dumb", "TERM=vt220", "NO_COLOR=1"} {
		term := able(t, env)
		term.press(keyEnter).sees("nothing is saved", "+ zoom").press(kittyYes, "+").sees("arrows move").quiet()
		if s := term.since(0); strings.Contains(s, "\x1b_") || strings.Contains(s, "\x1b[c") {
			t.Errorf("%s: asked", env)
		}
	}
}

// slowTerminal takes a part of an image and then waits.
type slowTerminal struct {
	mu   sync.Mutex
	all  bytes.Buffer
	hold chan struct{} // the second part of an image waits for it
	at   chan struct{} // closed when it does
	n    int
}

func (s *slowTerminal) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bytes.Contains(p, []byte("\x1b_G")) || s.n > 0 {
		if s.n++; s.n == 2 {
			close(s.at)
			<-s.hold
		}
	}
	return s.all.Write(p)
}

// Locking does not wait for an image, and what there is of it goes.
func TestLockingCutsAnImageOff(t *testing.T) {
	img := image.NewRGBA(image.Rect(0, 0, 300, 300))
	for i := range img.Pix {
		img.Pix[i] = uint8(i * i / 7 * (i % 251) >> 3)
	}
	for _, p := range []graphics.Protocol{graphics.Kitty, graphics.Sixel} {
		d, err := p.Draw(img, 0, 0, 30, 15)
		if err != nil || len(d.Parts) < 4 {
			t.Fatalf("%d parts, %v", len(d.Parts), err)
		}
		if p == graphics.Sixel {
			d.Parts = append([][]byte{[]byte("\x1b_G\x1b\\")}, d.Parts...) // so that the terminal counts
		}
		out := &slowTerminal{hold: make(chan struct{}), at: make(chan struct{})}
		s := NewScreen(out)
		if _, err := s.Write([]byte("text")); err != nil {
			t.Fatal(err)
		}
		drawn := make(chan error, 1)
		go func() { drawn <- s.Draw(d) }()
		<-out.at
		dark := make(chan struct{})
		go func() { s.Blackout(); close(dark) }()
		for !s.Dark() {
			time.Sleep(time.Millisecond)
		}
		close(out.hold)
		<-dark
		if err := <-drawn; err != nil {
			t.Fatal(err)
		}
		if err := s.Draw(d); err != nil {
			t.Fatal(err)
		}
		s.Ask()
		s.Bell()
		if err := s.Remove(); err != nil {
			t.Fatal(err)
		}
		want := string(d.Cancel) + string(d.Remove) + blank
		if got := out.all.String(); !strings.HasSuffix(got, want) || !strings.HasPrefix(want, "\x18") || out.n > 3 {
			t.Errorf("%d: it ends with %q after %d parts", p, got[max(0, len(got)-300):], out.n)
		}
	}
}

// The names and types of files are a stranger's words.
func TestHostileFilesReachNoTerminal(t *testing.T) {
	term := start(t, terminalSetup{config: func(c *Config) { c.Curtain = true }, fake: func(f *fake) {
		f.ward()
		for _, s := range hostile(t) {
			f.file(ada, ada, s, "text/"+s, 100, store.Done, []byte(s), 0, read)
		}
	}})
	for range hostile(t) {
		term.press(keyAltUp)
	}
	term.press(keyEnter).sees("nothing is saved")
	for range hostile(t) {
		term.press("p", "n", "p")
	}
	term.taken().press("q").quiet()
	for _, s := range beyondDrawing(term.since(0)) {
		if s != "CSI  c" && s != "string _ Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA" {
			t.Errorf("to the terminal went %q", s)
		}
	}
}
