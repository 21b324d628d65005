package tui

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"sotto/client/text"
)

// bytesACurtain is what closing the curtain may cost at 80x24.
const bytesACurtain = 300

func TestTheCurtainClosesWithTheFocus(t *testing.T) {
	term := start(t, terminalSetup{config: curtained})
	term.press("half a thou").sees("Hold the spironolactone", "on call until", ">  half a thou").quiet()
	marked := len(term.marked())
	before := term.written()
	term.press(focusOut).sees("covered while this window is not in use", "Okafor, Ada", "1 unread", "lock in 2 min")
	for _, covered := range []string{"spironolactone", "ECG", "19:03", "STAT", "half a thou", "on call until"} {
		term.misses(covered)
	}
	term.quiet()
	cost := term.written() - before
	t.Logf("closing costs %d bytes of at most %d", cost, bytesACurtain)
	if cost > bytesACurtain {
		t.Errorf("closing costs %d bytes: %q", cost, term.since(before))
	}

	before = term.written()
	term.fake.arrive(ada, "!stat come quickly")
	term.fake.arrive(icu, "!stat bed 4 arrests")
	term.sees("3 unread, 2 STAT", "STAT from ICU night").quiet()
	if raw := term.since(before); strings.Contains(raw, "quickly") || strings.Contains(raw, "arrests") {
		t.Errorf("what came under the curtain was drawn: %q", raw)
	}
	if n := len(term.marked()); n != marked {
		t.Error("what came under the curtain was marked as read")
	}

	before = term.written()
	term.press(focusIn).sees("come quickly", "spironolactone", ">  half a thou").misses("covered while")
	term.quiet()
	t.Logf("opening costs %d bytes", term.written()-before)
	term.until("marked as read", func() bool { return len(term.marked()) > marked })
}

// The same with the curtain off: the test above looks for the right thing.
func TestWithoutACurtainNothingIsCovered(t *testing.T) {
	term := start(t, terminalSetup{})
	term.sees("Hold the spironolactone").press(focusOut).quiet().sees("Hold the spironolactone").misses("covered while")
}

// A terminal that lost a report of the focus is not stuck: a key opens, and does
// nothing else that nobody could see coming.
func TestAKeyOpensTheCurtain(t *testing.T) {
	for _, key := range []string{"x", keyEnter, keyUp, keyF1, keyCtrlC, keyCtrlU, keyCtrlK} {
		term := start(t, terminalSetup{config: curtained})
		term.press("draft").sees(">  draft").press(focusOut).misses("draft")
		term.press(key).misses("covered while").sees(">  draft").quiet()
		if s := term.text(); !strings.Contains(s, ">  draft\n") || strings.Contains(s, "help ─") || strings.Contains(s, "go to") {
			t.Errorf("%q did more than to open the curtain:\n%s", key, s)
		}
		if n := len(term.sent()); n != 0 {
			t.Errorf("%q sent what was covered", key)
		}
	}
	term := start(t, terminalSetup{config: curtained})
	term.press(focusOut).sees("covered").press(keyCtrlL)
	if r := term.ends(); r.Reason != Asked {
		t.Errorf("Ctrl+L under the curtain ended with %+v", r)
	}
}

// TestTheCurtainCoversEverySize draws every scene under the curtain: nothing that
// somebody wrote is in the picture, nothing sticks out, and what stays is where
// it was.
func TestTheCurtainCoversEverySize(t *testing.T) {
	secrets := []string{"spironolactone", "potassium", "mrn", "19:02", "Draft", "on call", "ECG", "line 2", "STAT  ", "4791db25", "Bed 4", "ecg", "labs", "pdf"}
	for _, scene := range scenes {
		if scene.name == "help" || scene.set != nil { // the help holds nobody's words
			continue
		}
		scene.set = curtained
		m := scene.still(t, 80, 24, nil, "dark")
		if m.open != "" && m.composer().empty() {
			m.composer().paste("Draft of mine")
		}
		found := false
		for _, size := range [][2]int{{80, 24}, {140, 40}, {60, 20}, {40, 12}, {30, 8}, {31, 9}, {101, 14}, {200, 60}} {
			m.width, m.height = size[0], size[1]
			m.focus = true
			m.draw()
			open := plain(m)
			found = found || slices.ContainsFunc(secrets, func(s string) bool { return strings.Contains(open, s) })
			feed(m, tea.BlurMsg{})
			shut := plain(m)
			within(t, m, size[0], size[1])
			for _, s := range secrets {
				if strings.Contains(shut, s) {
					t.Errorf("%s at %v shows %q:\n%s", scene.name, size, s, shut)
				}
			}
			if m.frame.cursor != nil {
				t.Errorf("%s at %v: the cursor shows how long the draft is", scene.name, size)
			}
			was, is := strings.Split(open, "\n"), strings.Split(shut, "\n")
			for i, l := range was {
				if strings.Trim(l, " ─-") == "" && len(l) > 60 && l != is[i] {
					t.Errorf("%s at %v: rule %d has moved:\n%s\n%s", scene.name, size, i, open, shut)
				}
			}
		}
		if !found && !strings.HasSuffix(scene.name, "empty") {
			t.Errorf("%s holds no secret: this covers nothing", scene.name)
		}
	}
}

func TestCoveredCompletionsAndNotices(t *testing.T) {
	f := newFake(newWristwatch().now)
	f.ward()
	m := still(t, 80, 24, Config{Open: ada, Curtain: true}, f)
	m.composer().paste("/to Hadd")
	feed(m, tickMsg{})
	if !strings.Contains(plain(m), "Haddad, Rana") {
		t.Fatalf("no completion:\n%s", plain(m))
	}
	feed(m, tea.BlurMsg{})
	if s := plain(m); strings.Contains(s, "Hadd") {
		t.Errorf("the completion of a covered draft is shown:\n%s", s)
	}
	feed(m, tea.FocusMsg{})
	m.warn("Nobody is called Smith.")
	feed(m, tea.BlurMsg{})
	if s := plain(m); strings.Contains(s, "Smith") {
		t.Errorf("a notice is shown that quotes what was typed:\n%s", s)
	}
	feed(m, tea.FocusMsg{})
	f.state.Words = text.Line("The relay is away.")
}

func TestTheFocusLostForTooLongLocks(t *testing.T) {
	away := func(c *Config) { c.LockUnfocused = time.Minute }
	for _, size := range [][2]int{{80, 24}, {140, 40}, {12, 1}, {30, 8}} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			term := start(t, terminalSetup{config: away, cols: size[0], rows: size[1]})
			term.press(focusOut).quiet()
			term.clock.pass(45 * time.Second)
			term.sees("lock in 15 s")
			term.press(focusIn).misses("lock in 15 s").press(focusOut).quiet()
			term.clock.pass(45 * time.Second)
			term.sees("lock in 15 s").press("x").misses("lock in 15 s").press(focusOut).quiet()
			term.clock.pass(61 * time.Second)
			if r := term.ends(); r.Reason != Unfocused || !r.Locked() {
				t.Errorf("ended with %+v", r)
			}
			term.until("a blank screen", func() bool { return strings.TrimSpace(term.text()) == "" })
		})
	}
}

func TestTheFocusBackTooLateIsNoFocus(t *testing.T) {
	f := newFake(newWristwatch().now)
	f.ward()
	m := still(t, 80, 24, Config{Open: ada, Curtain: true, LockUnfocused: time.Minute}, f)
	feed(m, tea.BlurMsg{})
	steady := m.clock.steady
	m.clock.elapsed = func() time.Duration { return steady + 2*time.Minute - time.Second }
	feed(m, tea.FocusMsg{})
	if m.end == nil || m.end.Reason != Unfocused {
		t.Errorf("the focus came after the deadline and gave %+v", m.end)
	}
}

// Without the setting the focus locks nothing, and an idle window locks as ever.
func TestTheFocusAloneLocksNothing(t *testing.T) {
	term := start(t, terminalSetup{})
	term.press(focusOut).quiet()
	term.clock.pass(100 * time.Second)
	term.sees("lock in 20 s")
	term.clock.pass(21 * time.Second)
	if r := term.ends(); r.Reason != Idle {
		t.Errorf("ended with %+v", r)
	}
}

func TestTheCountdownAtEverySize(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {140, 40}, {30, 8}, {20, 1}, {12, 1}, {60, 5}} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			term := start(t, terminalSetup{cols: size[0], rows: size[1], config: func(c *Config) { c.Mouse = true }})
			term.clock.pass(101 * time.Second)
			term.sees("lock in 19 s")
			term.clock.pass(time.Second)
			term.sees("lock in 18 s").press("x").misses("lock in 18 s")
			term.clock.pass(105 * time.Second)
			term.sees("lock in 15 s").press("\x1b[<64;3;1M").misses("lock in 15 s") // the wheel
			term.clock.pass(105 * time.Second)
			term.sees("lock in 15 s").press("\x1b[<0;3;1M").misses("lock in 15 s") // a click
		})
	}
}
