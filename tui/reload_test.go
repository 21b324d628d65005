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

// long fills the fake with n messages of Okafor's, a minute apart.
func long(f *fake, n int) {
	for i := range n {
		f.say(ada, ada, fmt.Sprintf("line %04d", i), time.Duration(n+10-i)*time.Minute, read)
	}
}

// TestResyncKeepsThePlace: whoever reads further up stays there when everything
// is read again, and sees what has changed.
func TestResyncKeepsThePlace(t *testing.T) {
	for _, tc := range []struct {
		name string
		up   int // lines
	}{{"at the end", 0}, {"a little up", 40}, {"far up", 700}, {"beyond what is kept", 1400}} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(newWristwatch().now)
			long(f, 1600)
			m := still(t, 80, 24, Config{Open: ada}, f)
			for range tc.up {
				m.tl.scroll(-1)
				feed(m, eventsMsg{})
			}
			was := plain(m)
			at := m.tl.msgs[m.tl.rows[m.tl.top()+5].msg].ID
			i := slices.IndexFunc(f.msgs[ada], func(m client.Message) bool { return m.ID == at })
			f.msgs[ada][i].Untrusted = true // changed, and nobody said so
			f.events <- client.Resync{}
			run(m, func() tea.Msg { return nil })
			got := plain(m)
			changed := strings.Count(got, "device not trusted")
			if changed != 1 {
				t.Errorf("%d lines have changed, want 1:\n%s", changed, got)
			}
			got = strings.ReplaceAll(got, "device not trusted", "")
			for i, l := range strings.Split(got, "\n")[:18] {
				if before := strings.Split(was, "\n")[i]; strings.TrimRight(l, " ") != before {
					t.Errorf("row %d was %q and is %q", i, before, l)
				}
			}
			if len(m.tl.msgs) > maxLoaded {
				t.Errorf("%d messages are kept", len(m.tl.msgs))
			}
			m.tl.end()
			feed(m, eventsMsg{})
			if s := plain(m); !strings.Contains(s, "line 1599") {
				t.Errorf("End does not come to the newest:\n%s", s)
			}
		})
	}
}

// What comes while everything is read again is not lost.
func TestAMessageThatComesDuringAResync(t *testing.T) {
	f := newFake(newWristwatch().now)
	long(f, 30)
	m := still(t, 80, 24, Config{Open: ada}, f)
	again := m.reload()
	stale := again() // read before the message came
	late := f.say(ada, ada, "came meanwhile", 0)
	feed(m, eventsMsg{client.MessageAdded{Message: late}})
	feed(m, stale)
	if s := plain(m); strings.Count(s, "came meanwhile") != 1 {
		t.Errorf("the message is not there, or twice:\n%s", s)
	}
	if m.tl.replacing != 0 || m.tl.came != nil {
		t.Errorf("%d readings are thought to be under way, %d messages kept", m.tl.replacing, len(m.tl.came))
	}
}
