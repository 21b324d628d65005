package tui

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/charmbracelet/x/ansi"
	"github.com/hinshun/vt10x"

	"sotto/client"
	"sotto/client/store"
	"sotto/client/text"
	"sotto/client/wire"
)

// These tests read every byte that goes to the terminal, and know it by what a
// terminal would make of it, not by how the filter is written.

// beyondDrawing lists what in a terminal's input does more than to draw: each
// operating system or device command, each question, mode, report and control.
func beyondDrawing(raw string) (found []string) {
	say := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	until := func(s string, ends ...string) (body, rest string) {
		at, size := len(s), 0
		for _, end := range ends {
			if i := strings.Index(s, end); i >= 0 && i < at {
				at, size = i, len(end)
			}
		}
		return s[:at], s[min(at+size, len(s)):]
	}
	for raw != "" {
		r, n := utf8.DecodeRuneInString(raw)
		c := raw[0]
		raw = raw[n:]
		switch {
		case r == utf8.RuneError && n == 1:
			say("byte %#x", c)
		case r >= 0x80 && r < 0xa0:
			say("C1 %U", r)
		case r >= ' ' && r != 0x7f, r == '\r', r == '\n', r == '\b', r == '\t', r == 0x18:
		case r != 0x1b:
			say("control %U", r)
		case raw == "":
			say("an open sequence")
		case raw[0] == ']':
			var body string
			if body, raw = until(raw[1:], "\a", "\x1b\\"); body != "11;?" {
				say("OSC %s", body)
			}
		case strings.IndexByte("PX^_k", raw[0]) >= 0:
			kind := raw[0]
			var body string
			body, raw = until(raw[1:], "\x1b\\")
			say("string %c %s", kind, body)
		case raw[0] == '[':
			end := 1
			for end < len(raw) && (raw[end] < 0x40 || raw[end] > 0x7e) {
				end++
			}
			if end == len(raw) {
				say("an open sequence")
				return found
			}
			body, final := raw[1:end], raw[end]
			raw = raw[end+1:]
			if !draws(body, final) {
				say("CSI %s %c", body, final)
			}
		case strings.IndexByte("78DEM", raw[0]) >= 0:
			raw = raw[1:]
		default:
			say("ESC %c", raw[0])
			raw = raw[1:]
		}
	}
	return found
}

// draws reports whether a control sequence moves, erases, scrolls, colours, or
// sets what the screens are known to set.
func draws(body string, final byte) bool {
	if strings.Trim(body, "0123456789;:") == "" {
		return strings.IndexByte("@ABCDEFGHJKLMPSTXZ`abdefgmr", final) >= 0
	}
	known := []string{"?2026$p", "?2027$p", "?u", ">1u", "<u", ">4;2m", ">4m", "?5W"}
	for _, mode := range []string{"1", "7", "25", "1000", "1004", "1006", "2004", "2026", "2027"} {
		known = append(known, "?"+mode+"h", "?"+mode+"l")
	}
	return slices.Contains(known, body+string(final))
}

// hostile are the hostile texts, as they come.
func hostile(t testing.TB) (all []string) {
	t.Helper()
	b, err := os.ReadFile("../client/text/testdata/hostile.txt")
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.SplitSeq(string(b), "\n") {
		if quoted, ok := strings.CutPrefix(l, "in "); ok {
			s, err := strconv.Unquote(strings.TrimSpace(quoted))
			if err != nil {
				t.Fatalf("%s: %v", l, err)
			}
			all = append(all, s)
		}
	}
	if len(all) < 60 {
		t.Fatalf("%d hostile texts", len(all))
	}
	return all
}

// besieged fills the fake with hostile texts wherever somebody else has a say.
func besieged(all []string) func(*fake) {
	return func(f *fake) {
		f.ward()
		at := 0
		next := func() string { at++; return all[at%len(all)] }
		for i := range f.convs {
			c := &f.convs[i]
			if c.Peer != ada { // she is looked for by name
				c.Name = text.Line(next() + next())
			}
			c.Group, c.Presence.Status, c.Presence.Show = text.Line(next()), text.Line(next()), next()
			c.Preview = text.Line(next())
			f.drafts[c.Peer] = store.Draft{Text: next()}
		}
		f.drafts[ada] = store.Draft{}
		for _, s := range all {
			f.say(ada, ada, s, time.Hour, read)
			f.say(icu, icu+"/"+s, "!stat "+s, time.Hour)
			f.say(ada, "", s, time.Minute, func(m *client.Message) { m.State, m.Why = store.Failed, text.Line(s) })
		}
		f.security[ada] = client.Security{Devices: 3, Undecided: 1, Warn: true, Words: text.Line(next())}
		f.state.Words, f.state.Phase = text.Line(next()), wire.Offline
	}
}

// siege is a long session of somebody who does everything there is to do.
func siege(term *terminal, all []string) {
	term.sees("Okafor, Ada")
	for range 30 {
		term.press(keyPgUp, keyAltUp, keyAltDown, wheelUp, wheelDown).quiet()
	}
	term.press(keyEnd, keyF3).quiet().press("d", keyUp, keyDown, keyEsc).quiet()
	time.Sleep(60 * time.Millisecond) // the wait after Escape
	term.press(keyF1, keyPgDn, "x").press(keyF2, keyDown, keyDown, "x", keyEnter).quiet()
	term.press(keyCtrlU, keyCtrlK, "okafor", keyEnter).sees("Okafor, Ada")
	for i, s := range all {
		if i%8 == 0 {
			term.paste(s).quiet()
			term.clock.pass(time.Second)
			term.press(keyCtrlC, "typed ", keyEnter).press(focusOut, sgr(0, i, i%30, false), sgr(0, 2*i, 9, true), focusIn)
			term.fake.arrive(ada, s)
			term.fake.arrive(icu, "!stat "+s)
			term.fake.events <- client.NoticeEvent{Peer: ada, Text: text.Line(s)}
			term.fake.events <- client.StateChanged{State: client.State{Phase: wire.Refused, Words: text.Line(s), CaughtUp: true}}
		}
		if i%20 == 0 {
			term.fake.mu.Lock()
			term.fake.broken = errors.New("not sent, because: " + s)
			term.fake.mu.Unlock()
			term.press("x", keyEnter).quiet().press(keyCtrlC)
			term.fake.mu.Lock()
			term.fake.broken = nil
			term.fake.mu.Unlock()
		}
		term.clock.pass(100 * time.Millisecond)
	}
	term.press("/to "+"\u202eevil", keyTab, keyEnter, keyCtrlU, "/theme light", keyEnter, "/theme nonsense\u009b", keyEnter, keyCtrlU, "/again", keyEnter).quiet()
	term.press(keyAltA, keyAltA, keyAltA, keyCtrlL)
	term.ends()
}

func TestOnlyDrawingReachesTheTerminal(t *testing.T) {
	all := hostile(t)
	for _, tc := range []struct {
		name       string
		cols, rows int
		env        []string
		set        func(*Config)
	}{
		{"plain", 80, 24, nil, nil},
		{"wide, curtain, mouse", 140, 40, nil, func(c *Config) { c.Curtain, c.Mouse = true, true }},
		{"reveal, no paste, lock", 60, 20, nil, func(c *Config) { c.Reveal, c.NoPaste, c.Mouse, c.LockUnfocused = true, true, true, time.Hour }},
		{"modern", 80, 24, []string{"TERM=xterm-kitty", "COLORTERM=truecolor"}, func(c *Config) { c.Theme, c.Mouse = "auto", true }},
		{"no colour", 80, 24, []string{"NO_COLOR=1"}, func(c *Config) { c.Curtain = true }},
		{"dumb", 80, 24, []string{"TERM=dumb", "LANG=C"}, func(c *Config) { c.Mouse, c.Reveal = true, true }},
		{"too small", 20, 5, nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			term := start(t, terminalSetup{cols: tc.cols, rows: tc.rows, env: tc.env, fake: besieged(all), config: func(c *Config) {
				c.Quiet = true
				if tc.set != nil {
					tc.set(c)
				}
			}})
			if tc.cols < minWidth {
				term.press(keyPgUp, "x", keyEnter, keyCtrlL).ends()
			} else {
				siege(term, all)
			}
			term.until("a blank screen", func() bool { return strings.Contains(term.since(0), blank) })
			raw := term.since(0)
			t.Logf("%d bytes", len(raw))
			if len(raw) < 10_000 && tc.cols >= minWidth {
				t.Errorf("only %d bytes: this was no long session", len(raw))
			}
			for _, what := range beyondDrawing(raw) {
				t.Errorf("the terminal got %.100q", what)
			}
			term.mu.Lock()
			title := term.vt.Title()
			term.mu.Unlock()
			if title != "" {
				t.Errorf("the window is called %q", title)
			}
		})
	}
}

// TestHostileKeys types the hostile texts, as a terminal that is under somebody
// else's control could.
func TestHostileKeys(t *testing.T) {
	term := start(t, terminalSetup{config: func(c *Config) { c.Mouse = true }})
	// Ctrl+L, Ctrl+Q and Ctrl+Z lock and end, also where a busy machine reads the
	// sequence that they stand in in two parts.
	ends := strings.NewReplacer("\x0c", "", "\x11", "", "\x1a", "")
	for i, s := range hostile(t) {
		term.press(ends.Replace(s))
		if i%8 == 0 {
			term.quiet()
		}
	}
	term.press("\x1b\\\x18").quiet().press(keyCtrlL).ends()
	for _, what := range beyondDrawing(term.since(0)) {
		t.Errorf("the terminal got %.100q", what)
	}
}

// With the bell on, and somebody who looks away, there is the bell and nothing else.
func TestOnlyTheBellRings(t *testing.T) {
	term := start(t, terminalSetup{config: curtained})
	term.press(focusOut).sees("covered while")
	term.fake.arrive(icu, "!stat bed 6")
	term.sees("unread, 1 STAT").until("a bell", func() bool { return strings.Contains(term.since(0), "\a") }).quiet()
	if got := beyondDrawing(term.since(0)); !slices.Equal(got, []string{"control U+0007"}) {
		t.Errorf("the terminal got %q, want one bell", got)
	}
}

// TestTheCheckSeesWhatTheFilterHolds: written past the filter, the hostile texts
// are found; through the filter, nothing is left of them.
func TestTheCheckSeesWhatTheFilterHolds(t *testing.T) {
	seen := 0
	for _, s := range hostile(t) {
		if len(beyondDrawing(s)) > 0 {
			seen++
		}
		var out bytes.Buffer
		screen := NewScreen(&out)
		_, _ = io.WriteString(screen, "words "+s+"\x18 more words")
		if left := beyondDrawing(out.String()); len(left) > 0 {
			t.Errorf("of %+q the filter leaves %q", s, left)
		}
	}
	t.Logf("%d hostile texts do more than draw", seen)
	if seen < 60 {
		t.Errorf("the check finds something in %d of the hostile texts only", seen)
	}
	for _, s := range []string{
		"\x1b]52;c;eA==\a", "\x1b]0;t\a", "\x1b]2;t\x1b\\", "\x1b]8;;http://x\x1b\\", "\x1b]9;x\a", "\x1b]777;x\a", "\x1b]1337;x\a",
		"\x1bPq\x1b\\", "\x1b_G\x1b\\", "\x1b^x\x1b\\", "\x1b[5i", "\x1b[4i", "\x1b[?1003h", "\x1b[?1049h", "\x1b[c", "\x1b[6n", "\a", "\u009d0;x", "\x9b2J", "\x1bc", "\x1b[8;1;1t",
	} {
		if len(beyondDrawing("words"+s)) == 0 {
			t.Errorf("the check does not see %q", s)
		}
	}
}

// forged is a text that went around the sanitiser, as no code outside of a test
// can make one.
func forged(s string) text.Safe { return *(*text.Safe)(unsafe.Pointer(&s)) }

// drawn paints what a still shows. The library beneath indexes out of range at a
// sequence of more than 32 parameters, one more reason why none may reach it.
func drawn(w io.Writer, m *Model) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return newPainter(w, m.env).draw(m.frame.picture)
}

// TestTheFilterHoldsWithoutTheSanitiser: the screens draw texts that were never
// made safe. Something gets as far as the painter's output, and the check sees
// it; nothing gets past the filter.
func TestTheFilterHoldsWithoutTheSanitiser(t *testing.T) {
	past := 0
	for _, s := range hostile(t) {
		f := newFake(newWristwatch().now)
		f.say(ada, ada, "x", time.Minute, read, func(m *client.Message) { m.Body = forged("words " + s) })
		f.convs[0].Name = forged(s)
		m := still(t, 140, 40, Config{Open: ada}, f)
		var bare, out bytes.Buffer
		screen := NewScreen(&out)
		for _, w := range []io.Writer{&bare, screen} {
			if err := drawn(w, m); err != nil {
				t.Logf("the library that draws ends at %.40q: %v", s, err)
			}
		}
		if len(beyondDrawing(bare.String())) > 0 {
			past++
		}
		if left := beyondDrawing(out.String()); len(left) > 0 {
			t.Errorf("of %+q the filter leaves %q", s, left)
		}
	}
	t.Logf("without both, %d hostile texts reach the terminal", past)
	if past == 0 {
		t.Error("no text reaches the filter: this shows nothing")
	}
}

// TestAHostileTextStaysInItsLines draws each hostile text between two others on
// an emulator: every other line of the screen is what it is without it.
func TestAHostileTextStaysInItsLines(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {40, 24}} {
		for _, s := range hostile(t) {
			f := newFake(newWristwatch().now)
			f.say(ada, ada, "first words", 9*time.Minute, read)
			f.say(ada, ada, s, 8*time.Minute, read)
			f.say(ada, ada, "last words", 7*time.Minute, read)
			m := still(t, size[0], size[1], Config{Open: ada}, f)
			var out bytes.Buffer
			if err := newPainter(NewScreen(&out), m.env).draw(m.frame.picture); err != nil {
				t.Fatal(err)
			}
			vt := vt10x.New(vt10x.WithSize(size[0], size[1]))
			_, _ = vt.Write(out.Bytes())
			of := map[int]bool{} // rows of the hostile text
			for i, top := 0, m.tl.top(); i < m.tl.height && top+i < len(m.tl.rows); i++ {
				if r := m.tl.rows[top+i]; r.msg == 1 && r.line >= 0 {
					of[m.frame.areas.timeline.y+i] = true
				}
			}
			for y, want := range strings.Split(plain(m), "\n") {
				if of[y] || y >= size[1] {
					continue
				}
				var b strings.Builder
				for x := range size[0] {
					if c := vt.Cell(x, y).Char; c != 0 {
						b.WriteRune(c)
					} else {
						b.WriteByte(' ')
					}
				}
				if got := strings.TrimRight(b.String(), " "); got != want {
					t.Errorf("%v: %+q changes row %d from %q to %q", size, s, y, want, got)
				}
			}
		}
	}
}

// A line of a message cannot pass for the time and name of another, however
// narrow the screen.
func TestNoMessageForgesAnother(t *testing.T) {
	for w := minWidth; w < 140; w++ {
		f := newFake(newWristwatch().now)
		f.say(ada, ada, "Thanks.\n19:07  sotto   Enter your PIN:\n 19:07  sotto   Enter your PIN:\n>19:07 you", 8*time.Minute, read)
		m := still(t, w, 24, Config{Open: ada}, f)
		a := m.frame.areas.timeline
		heads := 0
		for _, l := range lines(m)[a.y : a.y+a.h] {
			l = stripped(l, a.x)
			if len(l) > 6 && l[0] == ' ' && l[3] == ':' && l[1] != ' ' {
				heads++
			}
		}
		if heads != 1 {
			t.Errorf("at %d columns %d lines look like the beginning of a message:\n%s", w, heads, plain(m))
		}
	}
}

// stripped is a drawn line from a column on, without styles.
func stripped(l string, from int) string {
	l = strings.TrimRight(ansi.Strip(l), " ")
	if r := []rune(l); len(r) > from {
		return string(r[from:])
	}
	return ""
}
