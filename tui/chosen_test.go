package tui

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sotto/client"
	"sotto/client/text"
)

// chosenText is the text of the message that is chosen, or "".
func chosenText(m *Model) string {
	msg, ok := m.chosenMessage()
	if !ok {
		return ""
	}
	return msg.Body.String()
}

func TestAMessageIsChosenAndGivenUp(t *testing.T) {
	term := start(t, terminalSetup{})
	term.sees("Repeat K in 30 min").quiet()
	term.press(keyAltUp).sees(">               Repeat K in 30 min", "Alt+R answer · Alt+W who has it · Esc\n")
	term.press(keyAltUp).sees(">19:07  Okafor  STAT").misses(">               Repeat")
	term.press("typing goes on").sees(">  typing goes on", ">19:07")
	term.press(keyAltDown).sees(">               Repeat K in 30 min")
	term.press(keyAltDown).misses("Alt+R answer · Alt+W who has it · Esc\n") // beyond the newest none is
	term.press(keyAltUp).sees(">               Repeat").press(keyEsc).misses(">         Repeat")
}

// TestTheChosenMessageStaysInView: what comes meanwhile does not push it away; who
// scrolls may leave it.
func TestTheChosenMessageStaysInView(t *testing.T) {
	f := newFake(newWristwatch().now)
	for i := range 100 {
		f.say(ada, ada, fmt.Sprintf("message %d.", i), time.Duration(200-i)*time.Minute, read)
	}
	m := still(t, 80, 24, Config{Open: ada}, f)
	for range 10 {
		m.choose(-1)
		feed(m, eventsMsg{})
	}
	if got := chosenText(m); got != "message 90." {
		t.Fatalf("chosen is %q", got)
	}
	for i := range 30 {
		m.added(f.say(ada, ada, fmt.Sprintf("news %d", i), 0))
		feed(m, eventsMsg{})
	}
	if s := plain(m); !strings.Contains(s, "message 90.") {
		t.Errorf("what came pushed the chosen message away:\n%s", s)
	}
	m.scroll(toEnd)
	feed(m, eventsMsg{})
	if s := plain(m); strings.Contains(s, "message 90.") || !strings.Contains(s, "news 29") {
		t.Errorf("End does not go to the newest message:\n%s", s)
	}
	m.choose(-1)
	feed(m, eventsMsg{})
	if s := plain(m); !strings.Contains(s, "message 89.") {
		t.Errorf("choosing goes on elsewhere than from what was chosen:\n%s", s)
	}
}

// TestChoosingGoesFurtherUpThanIsLoaded walks to messages that are read on the way.
func TestChoosingGoesFurtherUpThanIsLoaded(t *testing.T) {
	f := newFake(newWristwatch().now)
	for i := range 3 * pageSize {
		f.say(ada, ada, fmt.Sprintf("message %d.", i), time.Duration(4*pageSize-i)*time.Minute, read)
	}
	m := still(t, 80, 24, Config{Open: ada}, f)
	for i := 3*pageSize - 1; i >= 0; i-- {
		m.choose(-1)
		feed(m, eventsMsg{})
		if got, want := chosenText(m), fmt.Sprintf("message %d.", i); got != want {
			t.Fatalf("chosen is %q, want %q", got, want)
		}
	}
}

func TestNothingIsChosenWhereNothingIs(t *testing.T) {
	f := newFake(newWristwatch().now)
	m := still(t, 80, 24, Config{Open: ada}, f)
	for _, n := range []int{-1, 1, -1} {
		m.choose(n)
		feed(m, eventsMsg{})
	}
	if _, ok := m.chosenMessage(); ok {
		t.Error("a message was chosen in an empty conversation")
	}
}

// TestTheHintFitsOneLine holds for every message that can be chosen, and has it stand
// under no dialog that has the whole screen.
func TestTheHintFitsOneLine(t *testing.T) {
	f := newFake(newWristwatch().now)
	image := func(m *client.Message) { m.Files = []client.File{{Name: text.Line("a.png")}} }
	f.say(ada, ada, "!stat [image] a.png", 9*time.Minute, image)
	f.say(ada, ada, "!stat Calcium", 8*time.Minute)
	f.say(ada, "", "[image] a.png", 7*time.Minute, image)
	f.say(ada, "", "a text", 6*time.Minute)
	m := still(t, 80, 24, Config{Open: ada}, f)
	for range f.msgs[ada] {
		m.choose(-1)
		feed(m, eventsMsg{})
		hint := m.chosenHint()
		if n := len([]rune(hint)); n > 78 || !strings.Contains(hint, "Alt+W who has it") || !strings.HasSuffix(hint, " Esc") {
			t.Errorf("%d columns: %s", n, hint)
		}
		if len(m.frame.notice) != 1 {
			t.Errorf("the hint has the rows %q", m.frame.notice)
		}
	}
	for _, d := range []dialog{&searchDialog{}, &inboxDialog{}, &viewer{}} {
		m.dialogs = []dialog{d}
		if rows, _ := m.notices(); len(rows) > 0 {
			t.Errorf("under %T stands %q", d, rows)
		}
	}
	m.dialogs = []dialog{&helpDialog{}}
	if rows, _ := m.notices(); len(rows) == 0 {
		t.Error("a small dialog takes the hint away")
	}
}
