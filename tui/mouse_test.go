package tui

import (
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
)

// bytesAWheel is what a step of the wheel may cost at 80x24: three lines.
const bytesAWheel = 300

func moused(c *Config) { c.Mouse = true }

// sgr is what a terminal reports of a button (or the wheel) at a column and row
// counted from 0.
func sgr(button, x, y int, release bool) string {
	end := "M"
	if release {
		end = "m"
	}
	return fmt.Sprintf("\x1b[<%d;%d;%d%s", button, x+1, y+1, end)
}

func clickAt(x, y int) string { return sgr(0, x, y, false) + sgr(0, x, y, true) }

const (
	wheelUp   = "\x1b[<64;40;10M"
	wheelDown = "\x1b[<65;40;10M"
)

// row is where words stand on the screen.
func (term *terminal) row(words string) int {
	term.t.Helper()
	for y, l := range strings.Split(term.text(), "\n") {
		if strings.Contains(l, words) {
			return y
		}
	}
	term.t.Fatalf("%q is not on the screen:\n%s", words, term.text())
	return 0
}

func TestTheMouseIsReportedWhileUnlocked(t *testing.T) {
	term := start(t, terminalSetup{config: moused})
	term.quiet()
	for _, mode := range []string{"\x1b[?1000h", "\x1b[?1006h"} {
		if strings.Count(term.since(0), mode) != 1 {
			t.Errorf("%q was not written once: %q", mode, term.since(0))
		}
	}
	for _, mode := range []string{"?9h", "?1001h", "?1002h", "?1003h", "?1005h", "?1015h", "?1016h"} {
		if strings.Contains(term.since(0), mode) {
			t.Errorf("the terminal was put into mode %s", mode)
		}
	}
	term.press(keyCtrlL).ends()
	term.until("a blank screen", func() bool { return strings.Contains(term.since(0), blank) })
	for _, mode := range []string{"1000", "1006"} {
		if raw := term.since(0); strings.LastIndex(raw, mode+"l") < strings.LastIndex(raw, mode+"h") {
			t.Errorf("mode %s stays on when the screen is locked", mode)
		}
	}
}

func TestTheMouseCanBeTurnedOff(t *testing.T) {
	term := start(t, terminalSetup{})
	term.sees("19:02").press(wheelUp, clickAt(5, 5), sgr(0, 3, 3, false), sgr(0, 9, 3, true)).quiet().misses("copied")
	if raw := term.since(0); strings.Contains(raw, "1000h") || strings.Contains(raw, "1006h") {
		t.Errorf("the mouse is reported: %q", raw)
	}
}

func TestTheWheelScrolls(t *testing.T) {
	term := start(t, terminalSetup{config: moused, fake: func(f *fake) {
		for i := range 300 {
			f.say(ada, ada, fmt.Sprintf("line %03d", i), time.Duration(400-i)*time.Minute, read)
		}
	}})
	term.sees("line 299").quiet()
	before := term.written()
	term.press(wheelUp).misses("line 297").sees("line 296", "3 below · End").quiet()
	cost := term.written() - before
	t.Logf("a step of the wheel costs %d bytes of at most %d", cost, bytesAWheel)
	if cost > bytesAWheel {
		t.Errorf("a step of the wheel costs %d bytes: %q", cost, term.since(before))
	}
	term.press(wheelDown).sees("line 299").misses("below")
	before = term.written()
	term.press(wheelDown, wheelDown).quiet()
	if n := term.written() - before; n != 0 {
		t.Errorf("the wheel at the end writes %d bytes", n)
	}
	term.press(strings.Repeat(wheelUp, 10)).sees("30 below").press(clickAt(40, term.row("30 below"))).sees("line 299")
	term.press(keyF1).sees("lock now").press(wheelDown, wheelDown).misses("lock now").press(keyEsc).sees("line 299")
}

func TestClicksGoWhereTheyPoint(t *testing.T) {
	wide := terminalSetup{cols: 140, rows: 40, config: func(c *Config) { c.Mouse, c.Reveal = true, true }}
	term := start(t, wide)
	term.sees("Lind, Per").press(clickAt(5, term.row("Lind, Per"))).sees("Lind, Per   pharmacy")
	term.press(clickAt(27, term.row("Okafor, Ada"))).sees("Okafor, Ada   cardiology", "STAT  ••••")
	y := term.row("STAT  ••••")
	term.press(clickAt(60, y)).sees("STAT  Calcium").press(clickAt(60, y)).misses("Calcium")
	term.press(clickAt(60, y+2)).sees("Repeat K").press(clickAt(60, y+9)).quiet().sees("Repeat K")
	term.press(keyF2).press("x").quiet().misses(">  x") // keys go to the list
	term.press(clickAt(60, term.row(" >"))).press("x").sees(">  x")
	term.press(keyCtrlK).sees("go to").press(clickAt(60, 20)).quiet().sees("go to")
	term.press(clickAt(60, term.row("│ ICU night"))).sees("ICU night   rooms").misses("go to")

	narrow := start(t, terminalSetup{config: moused})
	narrow.press(keyF2).sees("inbox").press(clickAt(60, 3)).quiet().sees("inbox")
	narrow.press(clickAt(5, narrow.row("Haddad, Rana"))).sees("Haddad, Rana   laboratory").misses("inbox")
}

func TestTheListScrollsUnderTheWheel(t *testing.T) {
	f := newFake(newWristwatch().now)
	for i := range 80 {
		c := f.convs[0]
		c.Peer = fmt.Sprintf("p%d@mercy.example", i)
		f.convs = append(f.convs, c)
	}
	m := still(t, 140, 30, Config{Open: f.convs[0].Peer, Mouse: true}, f)
	over := tea.MouseWheelMsg{X: 3, Y: 5, Button: tea.MouseWheelDown}
	for range 3 {
		feed(m, over)
	}
	if m.list.top != 9 {
		t.Errorf("the list begins at line %d, want 9", m.list.top)
	}
	for range 100 {
		feed(m, over)
	}
	if want := len(m.list.all) - m.frame.areas.list.h + 1; m.list.top != want {
		t.Errorf("the list ends at line %d, want %d", m.list.top, want)
	}
	feed(m, tea.MouseClickMsg{X: 3, Y: m.frame.areas.list.h - 1, Button: tea.MouseLeft})
	if last := m.list.all[len(m.list.all)-1].Peer; m.open != last {
		t.Errorf("a click on the last line opened %s, want %s", m.open, last)
	}
}

func TestDraggingCopiesNothingAndSaysSo(t *testing.T) {
	term := start(t, terminalSetup{config: moused})
	drag := sgr(0, 10, 4, false) + sgr(0, 40, 4, true)
	term.press(drag).sees("sotto keeps text inside: it cannot be copied.")
	term.press("x").misses("copied").press(clickAt(10, 4), sgr(0, 10, 4, false), sgr(0, 11, 4, true)).quiet().misses("copied")
	term.press(sgr(0, 10, 4, false), sgr(0, 10, 6, true)).sees("copied").press("y").misses("copied")
	term.press(sgr(1, 10, 4, false), sgr(1, 10, 4, true)).sees("Shift and the")
	term.press(keyCtrlV).sees("Shift and the")
}

func TestAClickOpensTheCurtainAndTheWheelDoesNot(t *testing.T) {
	term := start(t, terminalSetup{config: func(c *Config) { c.Mouse, c.Curtain = true, true }, cols: 140, rows: 40})
	term.sees("spironolactone").press(focusOut).misses("spironolactone").press(wheelUp).quiet().misses("spironolactone")
	term.press(clickAt(5, term.row("Lind, Per"))).sees("spironolactone", "Okafor, Ada   cardiology")
}

func TestTheMouseIsActivity(t *testing.T) {
	term := start(t, terminalSetup{config: moused})
	term.quiet()
	before := func() int { term.mu.Lock(); defer term.mu.Unlock(); return term.activity }
	for _, s := range []string{wheelUp, sgr(0, 5, 5, false), sgr(0, 5, 5, true)} {
		n := before()
		term.clock.pass(2 * time.Second)
		term.quiet().press(s).until("activity", func() bool { return before() > n })
	}
}

// Terminals that do not know mode 1006 report with characters. Those must not be
// typed, nor wait for more.
func TestOldMouseReportsAreNoText(t *testing.T) {
	g := pasteGuard{mouse: true}
	in := "a\x1b[M !!b\x1b[M\x1b[Cc\x1b[A"
	want := "a\x1b[nb\x1b[nc\x1b[A"
	if got := string(g.feed(nil, []byte(in), 0)); got != want {
		t.Errorf("%q became %q, want %q", in, got, want)
	}
	term := start(t, terminalSetup{config: moused})
	for _, part := range []string{"\x1b[M", " ", "0", "0", "x"} {
		term.press(part)
		term.quiet()
	}
	term.sees(">  x").misses("0x")
}

func FuzzMouse(f *testing.F) {
	f.Add(0, 5, 5, byte(0))
	f.Add(64, -1, 70000, byte(1))
	f.Add(3, 1<<30, -1<<30, byte(7))
	fk := newFake(newWristwatch().now)
	fk.ward()
	f.Fuzz(func(t *testing.T, button, x, y int, what byte) {
		width, height := 20+int(what%4)*40, 5+int(what/4%4)*10
		m := still(t, width, height, Config{Open: ada, Mouse: true, Reveal: what&16 != 0, Curtain: what&32 != 0}, fk)
		switch what >> 6 {
		case 1:
			m.push(&switcher{})
		case 2:
			m.push(&listDialog{})
		case 3:
			m.push(&helpDialog{})
		}
		feed(m, eventsMsg{})
		at := tea.Mouse{X: x, Y: y, Button: tea.MouseButton(button)}
		for range 2 {
			feed(m, tea.MouseClickMsg(at))
			feed(m, tea.MouseWheelMsg(at))
			feed(m, tea.MouseReleaseMsg{X: y, Y: x})
			feed(m, tea.MouseMotionMsg(at))
			feed(m, tea.MouseWheelMsg{X: x, Y: y, Button: tea.MouseWheelDown})
			feed(m, tea.MouseClickMsg{X: x, Y: y, Button: tea.MouseLeft})
		}
		within(t, m, width, height)
	})
}
