package tui

import (
	"fmt"
	"strings"
	"testing"
	"time"
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
	term.press(keyAltUp).sees(">               Repeat K in 30 min", "Esc back")
	term.press(keyAltUp).sees(">19:07  Okafor  STAT").misses(">               Repeat")
	term.press("typing goes on").sees(">  typing goes on", ">19:07")
	term.press(keyAltDown).sees(">               Repeat K in 30 min")
	term.press(keyAltDown).misses("Esc back") // beyond the newest none is
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
