package tui

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
)

const (
	keyAltUp   = "\x1b[1;3A"
	keyAltDown = "\x1b[1;3B"
)

func (term *terminal) readTo() []int64 {
	term.fake.mu.Lock()
	defer term.fake.mu.Unlock()
	return slices.Clone(term.fake.readTo)
}

func TestAMessageIsShownWhileItIsChosen(t *testing.T) {
	term := start(t, terminalSetup{config: revealing})
	term.sees("19:07  Okafor  STAT  ••••", "Alt+Up shows a message", "3 unread, 1 STAT").quiet()
	if raw := term.since(0); strings.Contains(raw, "Calcium") || strings.Contains(raw, "potassium") {
		t.Fatalf("text was drawn before anything was chosen: %q", raw)
	}
	if n := term.readTo(); len(n) != 0 {
		t.Errorf("marked as read up to %v what nobody could read", n)
	}
	term.press(keyAltDown).sees("STAT  Calcium gluconate 10 ml now").misses("Alt+Up shows")
	term.press(keyDown).sees("Repeat K in 30 min").misses("Calcium")
	term.until("both read, one after the other", func() bool { return slices.Equal(term.readTo(), []int64{5, 6}) })
	term.press(keyDown).misses("Repeat K").sees("Alt+Up shows a message") // beyond the newest
	term.press(keyAltUp).sees("Repeat K in 30 min").press(keyEsc).misses("Repeat K")
	time.Sleep(60 * time.Millisecond) // the terminal's own wait for the rest of a sequence after Escape
	term.press(keyUp, keyUp, keyUp).sees("ECG: peaked T").press(focusOut).misses("ECG").press(focusIn).quiet().misses("ECG")
	term.press(keyAltUp).sees("Repeat K").press("yes").sees(">  yes", "Repeat K").press(keyUp).sees("Repeat K")
	term.press(keyEnter).sees("you     ••••").misses("Repeat K")
	if raw := term.since(0); strings.Contains(raw, "potassium") {
		t.Error("text was drawn that was never chosen")
	}
}

// What is unread stays unread as long as something before it does: there is one
// mark for all up to a message.
func TestNothingIsReadThatWasNotShown(t *testing.T) {
	term := start(t, terminalSetup{config: revealing})
	term.press(keyAltUp).sees("Repeat K in 30 min").quiet()
	if n := term.readTo(); len(n) != 0 {
		t.Errorf("the last one was shown, and all were marked as read up to %v", n)
	}
	term.press(keyAltUp).sees("Calcium")
	term.until("both read", func() bool { return slices.Equal(term.readTo(), []int64{6}) })
}

func TestWithoutTheFocusNothingIsRevealed(t *testing.T) {
	for _, curtain := range []bool{false, true} {
		term := start(t, terminalSetup{config: func(c *Config) { c.Reveal, c.Curtain = true, curtain }})
		term.press(keyAltDown).sees("Calcium").press(focusOut).misses("Calcium").quiet()
		before := term.written()
		term.fake.arrive(ada, "come quickly")
		term.sees("unread").quiet()
		term.press(focusIn).quiet()
		if strings.Contains(term.since(before), "quickly") || strings.Contains(term.since(before), "Calcium") {
			t.Errorf("curtain %v: text was drawn that was not chosen", curtain)
		}
	}
}

// What is covered looks the same whatever it is: its length must not tell.
func TestWhatIsHiddenHasNoLength(t *testing.T) {
	picture := func(body string) string {
		f := newFake(newWristwatch().now)
		f.say(ada, "", body, 3*time.Minute, delivered)
		f.say(ada, ada, body, 2*time.Minute, read)
		f.say(ada, ada, body, time.Minute)
		return plain(still(t, 80, 24, Config{Open: ada, Reveal: true}, f))
	}
	short := picture("a")
	for _, long := range []string{strings.Repeat("long words ", 40), "two\nlines", "#mrn:44120", "長い言葉"} {
		if got := picture(long); got != short {
			t.Errorf("%q can be told from a short text:\n%s\n%s", long, got, short)
		}
	}
}

func TestNextUnreadShowsOneAfterTheOther(t *testing.T) {
	term := start(t, terminalSetup{config: revealing})
	term.sees("STAT  ••••").press(keyAltA).sees("Calcium").press(keyAltA).sees("Repeat K").misses("Calcium")
	term.press(keyAltA).sees("ICU night").misses("Bed 4").press(keyAltA).sees("Bed 4 is free")
}

func TestHistoryIsReachedBesideReveal(t *testing.T) {
	term := start(t, terminalSetup{config: revealing})
	term.press("first", keyEnter).sees("queued").press("\x10").sees(">  first").press("\x0e").misses(">  first")
}

// TestChoosingInALongConversation walks through messages longer than the screen,
// and through more than are loaded at first: the chosen one is always in view.
func TestChoosingInALongConversation(t *testing.T) {
	f := newFake(newWristwatch().now)
	for i := range 300 {
		n := 1
		if i%7 == 0 {
			n = 40
		}
		f.say(ada, ada, strings.Repeat(fmt.Sprintf("message %d goes on. ", i), n), time.Duration(400-i)*time.Minute, read)
	}
	for _, size := range [][2]int{{80, 24}, {40, 9}} {
		m := still(t, size[0], size[1], Config{Open: ada, Reveal: true}, f)
		for i := 299; i >= 0; i-- {
			m.choose(-1)
			feed(m, eventsMsg{})
			if s := plain(m); !strings.Contains(s, fmt.Sprintf("message %d goes", i)) {
				t.Fatalf("%v: message %d is chosen and not shown:\n%s", size, i, s)
			}
			within(t, m, size[0], size[1])
		}
		m.choose(-1)
		if feed(m, eventsMsg{}); !strings.Contains(plain(m), "message 0 goes") {
			t.Fatalf("%v: above the first there is something:\n%s", size, plain(m))
		}
		for i := 1; i < 300; i++ {
			m.choose(1)
			feed(m, eventsMsg{})
			if s := plain(m); !strings.Contains(s, fmt.Sprintf("message %d goes", i)) {
				t.Fatalf("%v: message %d is chosen on the way down and not shown:\n%s", size, i, s)
			}
		}
		m.choose(1)
		if feed(m, eventsMsg{}); m.tl.chosen != 0 || !m.tl.follow || strings.Contains(plain(m), "goes on") {
			t.Fatalf("%v: below the last something is chosen:\n%s", size, plain(m))
		}
	}
}

func TestADeviceThatIsNotTrustedIsMarked(t *testing.T) {
	for _, reveal := range []bool{false, true} {
		f := newFake(newWristwatch().now)
		f.say(ada, ada, "known", 2*time.Minute, read)
		f.say(ada, ada, "new device", 0, read, func(m *client.Message) { m.Untrusted = true })
		m := still(t, 80, 24, Config{Open: ada, Reveal: reveal}, f)
		if n := strings.Count(plain(m), "device not trusted"); n != 1 {
			t.Errorf("reveal %v: %d messages are marked:\n%s", reveal, n, plain(m))
		}
		f.msgs[ada][1].Untrusted = false // somebody has compared it
		f.events <- client.DevicesChanged{Peer: ada}
		run(m, func() tea.Msg { return nil })
		if strings.Contains(plain(m), "not trusted") {
			t.Errorf("reveal %v: the mark stays when the device is trusted:\n%s", reveal, plain(m))
		}
	}
}

// One mark stands for all up to a message: where so much is unread that not all of
// it is loaded, that begins with the first of it, and the rest stays unread.
func TestWhatIsUnreadAndNotLoadedStaysUnread(t *testing.T) {
	for _, n := range []int{maxLoaded - 100, maxLoaded + 100} {
		f := newFake(newWristwatch().now)
		for i := range n {
			f.say(ada, ada, fmt.Sprintf("line %d", i), time.Duration(2*n-i)*time.Second)
		}
		m := still(t, 80, 24, Config{Open: ada, Reveal: true}, f)
		for _, msg := range m.tl.msgs {
			m.tl.shown[msg.ID] = true
		}
		last := m.tl.msgs[len(m.tl.msgs)-1].ID
		if feed(m, eventsMsg{}); len(f.readTo) != 1 || f.readTo[0] != last || f.msgs[ada][0].ID != m.tl.msgs[0].ID {
			t.Errorf("with %d unread, %d loaded and shown, marked as read up to %v", n, len(m.tl.msgs), f.readTo)
		}
	}
}
