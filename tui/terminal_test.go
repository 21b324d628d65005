package tui

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	xterm "github.com/charmbracelet/x/term"
	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
)

// beat is the time between two looks at the clock.
const beat = 20 * time.Millisecond

// patience is how long a test waits for something that should come at once.
const patience = 45 * time.Second

// wristwatch is a clock that tests turn. It also counts how often it is read.
type wristwatch struct {
	mu      sync.Mutex
	wall    time.Time
	steady  time.Duration
	looks   int
	changed *sync.Cond

	together bool          // the wall clock was read, and the other one follows
	then     time.Duration // what it showed at that moment
}

func newWristwatch() *wristwatch {
	w := &wristwatch{wall: night}
	w.changed = sync.NewCond(&w.mu)
	return w
}

func (w *wristwatch) now() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.wall }

// wallClock is now for the program. No time goes by until it has read the other
// clock, too: a minute between the two would be taken for sleep.
func (w *wristwatch) wallClock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.together, w.then = true, w.steady
	return w.wall
}

func (w *wristwatch) elapsed() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	w.changed.Broadcast()
	if w.together {
		w.together = false
		return w.then
	}
	return w.steady
}

// pass lets time go by, for both clocks.
func (w *wristwatch) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wall, w.steady = w.wall.Add(d), w.steady+d
}

// sleep is time in which the machine slept: only the wall clock goes on.
func (w *wristwatch) sleep(d time.Duration) { w.mu.Lock(); defer w.mu.Unlock(); w.wall = w.wall.Add(d) }

// terminal is a real pseudo-terminal with an emulator behind it, and the
// screens running in front.
type terminal struct {
	t      *testing.T
	tty    *os.File // the side of the program
	person *os.File // the side of the person
	clock  *wristwatch
	fake   *fake
	model  *Model
	screen *Screen

	mu       sync.Mutex
	vt       vt10x.Terminal
	raw      bytes.Buffer // all that was written
	locks    []Reason
	activity int

	stop   context.CancelFunc
	ended  chan struct{}
	result Result
	err    error
}

// terminalSetup is what a test may want otherwise.
type terminalSetup struct {
	cols, rows int
	env        []string
	config     func(*Config)
	fake       func(*fake)
}

// start runs the screens in a terminal and waits for the first picture.
func start(t *testing.T, setup terminalSetup) *terminal {
	t.Helper()
	if setup.cols == 0 {
		setup.cols, setup.rows = 80, 24
	}
	person, tty, err := pty.Open()
	if err != nil {
		t.Fatalf("open a pseudo-terminal: %v", err)
	}
	if err := pty.Setsize(tty, &pty.Winsize{Cols: uint16(setup.cols), Rows: uint16(setup.rows)}); err != nil {
		t.Fatal(err)
	}
	if _, err := xterm.MakeRaw(tty.Fd()); err != nil {
		t.Fatal(err)
	}
	term := &terminal{
		t: t, tty: tty, person: person, clock: newWristwatch(), ended: make(chan struct{}),
		vt: vt10x.New(vt10x.WithSize(setup.cols, setup.rows)),
	}
	term.fake = newFake(term.clock.now)
	if setup.fake == nil {
		setup.fake = (*fake).ward
	}
	setup.fake(term.fake)
	term.screen = NewScreen(tty)
	cfg := Config{
		Messenger: term.fake, Screen: term.screen, Input: tty, Open: ada, Theme: "dark",
		Environ: append([]string{"TERM=xterm-256color", "LANG=C.UTF-8", "SSH_TTY=/dev/null"}, setup.env...),
		Now:     term.clock.wallClock, Elapsed: term.clock.elapsed,
		OnActivity: func() { term.mu.Lock(); term.activity++; term.mu.Unlock() },
		OnLock:     func(r Reason) { term.mu.Lock(); term.locks = append(term.locks, r); term.mu.Unlock() },
	}
	if setup.config != nil {
		setup.config(&cfg)
	}
	if term.model, err = New(cfg); err != nil {
		t.Fatalf("New: %v", err)
	}
	term.model.beat = beat
	go term.watch()
	ctx, cancel := context.WithCancel(context.Background())
	term.stop = cancel
	go func() {
		defer close(term.ended)
		term.result, term.err = term.model.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-term.ended:
		case <-time.After(patience):
			t.Error("the screens do not end")
		}
		tty.Close()
		person.Close()
	})
	select {
	case <-term.screen.First():
	case <-time.After(patience):
		t.Fatal("no first picture")
	}
	return term
}

// watch feeds the emulator, until the terminal closes.
func (term *terminal) watch() {
	buf := make([]byte, 64<<10)
	for {
		n, err := term.person.Read(buf)
		if err != nil {
			return
		}
		term.mu.Lock()
		term.raw.Write(buf[:n])
		_, _ = term.vt.Write(buf[:n])
		term.mu.Unlock()
	}
}

// text is what the screen shows, without spaces at the ends of lines.
func (term *terminal) text() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	var b strings.Builder
	cols, rows := term.vt.Size()
	for y := range rows {
		var l strings.Builder
		for x := range cols {
			c := term.vt.Cell(x, y).Char
			if c == 0 {
				c = ' '
			}
			l.WriteRune(c)
		}
		b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
	}
	return b.String()
}

// until waits for something to be true.
func (term *terminal) until(what string, ok func() bool) *terminal {
	term.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			term.t.Fatalf("waited in vain for %s; the screen shows\n%s", what, term.text())
		}
	}
	return term
}

// sees waits for words on the screen.
func (term *terminal) sees(words ...string) *terminal {
	term.t.Helper()
	for _, w := range words {
		term.until("“"+w+"”", func() bool { return strings.Contains(term.text(), w) })
	}
	return term
}

// misses waits until words are not on the screen.
func (term *terminal) misses(words string) *terminal {
	term.t.Helper()
	return term.until("no “"+words+"”", func() bool { return !strings.Contains(term.text(), words) })
}

// keys of the person, as a terminal sends them.
const (
	keyEnter    = "\r"
	keyEsc      = "\x1b"
	keyTab      = "\t"
	keyCtrlC    = "\x03"
	keyCtrlK    = "\x0b"
	keyCtrlL    = "\x0c"
	keyCtrlQ    = "\x11"
	keyCtrlU    = "\x15"
	keyCtrlV    = "\x16"
	keyCtrlW    = "\x17"
	keyCtrlY    = "\x19"
	keyAltA     = "\x1ba"
	keyAltEnter = "\x1b\r"
	keyUp       = "\x1b[A"
	keyDown     = "\x1b[B"
	keyHome     = "\x1b[H"
	keyEnd      = "\x1b[F"
	keyPgUp     = "\x1b[5~"
	keyPgDn     = "\x1b[6~"
	keyF1       = "\x1bOP"
	keyF2       = "\x1bOQ"
	keyF3       = "\x1bOR"
	focusIn     = "\x1b[I"
	focusOut    = "\x1b[O"
)

// press types keys or text. After Escape a test waits for what it does, or the
// next key would be taken for the rest of a sequence.
func (term *terminal) press(keys ...string) *terminal {
	term.t.Helper()
	for _, k := range keys {
		if _, err := term.person.WriteString(k); err != nil {
			term.t.Fatalf("type: %v", err)
		}
	}
	return term
}

// paste pastes as a terminal does.
func (term *terminal) paste(s string) *terminal { return term.press("\x1b[200~" + s + "\x1b[201~") }

// taken waits until all that was pressed has reached the program, which must
// have a curtain.
func (term *terminal) taken() *terminal {
	term.t.Helper()
	return term.press(focusOut).sees("covered while").press(focusIn).misses("covered while")
}

// quiet waits until the program has read all that was pressed and has then looked
// at its clock a few times more, with nothing else to do: all that there was to
// write is written.
func (term *terminal) quiet() *terminal {
	term.t.Helper()
	begun, looks, before := time.Now(), 0, -1
	return term.until("nothing more to happen", func() bool {
		term.clock.mu.Lock()
		now := term.clock.looks
		term.clock.mu.Unlock()
		if n := term.written(); n != before || unread(term.tty) > 0 || unread(term.person) > 0 {
			begun, looks, before = time.Now(), now, n
		}
		return now >= looks+6 && time.Since(begun) > 3*beat
	})
}

// written is how many bytes went to the terminal so far.
func (term *terminal) written() int { term.mu.Lock(); defer term.mu.Unlock(); return term.raw.Len() }

// since is what went to the terminal after the first n bytes.
func (term *terminal) since(n int) string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return string(term.raw.Bytes()[n:])
}

// ends waits for the screens to end.
func (term *terminal) ends() Result {
	term.t.Helper()
	select {
	case <-term.ended:
	case <-time.After(patience):
		term.t.Fatalf("the screens do not end; the screen shows\n%s", term.text())
	}
	if term.err != nil {
		term.t.Errorf("Run: %v", term.err)
	}
	return term.result
}

func (term *terminal) marked() []string {
	term.fake.mu.Lock()
	defer term.fake.mu.Unlock()
	return slices.Clone(term.fake.marked)
}

func (term *terminal) sent() []string {
	term.fake.mu.Lock()
	defer term.fake.mu.Unlock()
	return slices.Clone(term.fake.sent)
}

// hasSent waits until this was sent and nothing else: the screen may show that the
// line was taken before the messenger has it.
func (term *terminal) hasSent(want ...string) {
	term.t.Helper()
	term.until(fmt.Sprintf("%q being all that was sent", want), func() bool { return slices.Equal(term.sent(), want) })
}

// still makes the screens without a terminal, and runs what they ask for, so
// that a picture can be looked at.
func still(t testing.TB, w, h int, cfg Config, f *fake) *Model {
	t.Helper()
	clock := newWristwatch()
	cfg.Messenger, cfg.Screen = f, NewScreen(new(bytes.Buffer))
	cfg.Now, cfg.Elapsed = clock.now, clock.elapsed
	if cfg.Environ == nil {
		cfg.Environ = []string{"TERM=xterm-256color", "LANG=C.UTF-8", "COLORFGBG=15;0"}
	}
	m, err := New(cfg)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	m.beat = 0
	feed(m, tea.WindowSizeMsg{Width: w, Height: h})
	run(m, m.loadList())
	return m
}

// feed gives the screens a message and runs what comes of it.
func feed(m *Model, msg tea.Msg) {
	_, cmd := m.Update(msg)
	run(m, cmd)
}

// run runs a command, and what comes of it, and takes the events of the fake.
func run(m *Model, cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	switch msg := cmd().(type) {
	case nil, tickMsg, tea.QuitMsg:
	case tea.BatchMsg:
		for _, c := range msg {
			run(m, c)
		}
	default:
		feed(m, msg)
	}
	for {
		select {
		case e := <-m.cfg.Messenger.Events():
			feed(m, eventsMsg{e})
		default:
			return
		}
	}
}

// lines is what a still shows.
func lines(m *Model) []string { return strings.Split(m.View().Content, "\n") }

// feedKey presses keys of a still.
func feedKey(m *Model, keys ...string) {
	for _, k := range keys {
		feed(m, tea.KeyPressMsg{Code: []rune(k)[0], Text: k})
	}
}
