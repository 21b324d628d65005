package tui

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sotto/client"
)

// withGap is a conversation with a gap before its last message.
func withGap(t *testing.T) (*Model, *fake) {
	f := newFake(newWristwatch().now)
	before := f.say(ada, ada, "before it", 6*time.Hour, read)
	f.say(ada, ada, "after it", 3*time.Hour, read)
	f.gaps = []client.Gap{{ID: 7, Since: night.Add(-5 * time.Hour), Until: night.Add(-4 * time.Hour), After: before.ID}}
	return still(t, 80, 24, Config{Open: ada}, f), f
}

// TestAGapIsAskedFor walks to the line about a gap, over it, and back, and asks the
// relay again.
func TestAGapIsAskedFor(t *testing.T) {
	m, f := withGap(t)
	shows := func(when, want string) {
		t.Helper()
		feed(m, eventsMsg{})
		if s := plain(m); !strings.Contains(s, want) {
			t.Errorf("%s, no %q:\n%s", when, want, s)
		}
	}
	m.choose(-1)
	shows("on the newest", ">16:08  Okafor  after it")
	m.choose(-1)
	shows("one up", ">Messages between 14:08 and 15:08 may be missing")
	shows("one up", "Enter ask the relay again")
	m.choose(-1)
	shows("two up", ">13:08  Okafor  before it")
	m.choose(1)
	shows("down again", ">Messages between")
	m.choose(1)
	shows("down to the newest", ">16:08")
	m.choose(-1)

	f.gapErr = client.ErrGapStays
	run(m, m.enter())
	shows("in vain", "The relay still does not have them.")
	shows("in vain", ">Messages between")
	f.gapErr = errors.New("fetch what is missing: the relay cannot be reached now")
	run(m, m.enter())
	shows("offline", "the relay cannot be reached now")
	f.gapErr = nil
	cmd := m.enter()
	shows("at once", "Asking the relay for what is missing.")
	run(m, cmd)
	shows("in the end", "12 messages came.")
	feed(m, eventsMsg{client.GapsChanged{}})
	if s := plain(m); strings.Contains(s, "may be missing") {
		t.Errorf("it is still there:\n%s", s)
	}
	if m.tl.gap != 0 || m.tl.chosen != 0 {
		t.Errorf("chosen: gap %d, message %d", m.tl.gap, m.tl.chosen)
	}
}

// TestAGapIsGivenUp: with Esc, and by writing on.
func TestAGapIsGivenUp(t *testing.T) {
	m, f := withGap(t)
	f.gapErr = errors.New("asked")
	m.choose(-1)
	m.choose(-1)
	if !m.tl.unchoose() || m.tl.chosenGap() != nil {
		t.Error("Esc does not give it up")
	}
	m.choose(-1)
	m.choose(-1)
	m.composer().paste("hello")
	run(m, m.enter())
	feed(m, eventsMsg{})
	if s := plain(m); strings.Contains(s, "asked") || !strings.Contains(s, "hello") {
		t.Errorf("Enter does not send what is written:\n%s", s)
	}
	if m.tl.chosenGap() != nil {
		t.Error("it is still chosen")
	}
}
