package tui

import (
	"strings"
	"testing"

	"sotto/client"
	"sotto/client/org/invitation"
	"sotto/client/text"
)

// underway is a device that waits for its organisation.
var underway = client.Joining{
	Organisation: text.Line("mercy.example"), Contact: text.Line("sotto@mercy.example"),
	Words: text.Line("Your administrator lets it in with sotto org approve, or sotto org serve has done so in a moment. You can leave: it goes on the next time"),
}

func (f *fake) Joining() client.Joining {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.joining
}

// becomes changes how far joining has come.
func (f *fake) becomes(j client.Joining) {
	f.mu.Lock()
	f.joining = j
	f.mu.Unlock()
	f.events <- client.JoiningChanged{}
}

func TestOutsideNothingElseIsShown(t *testing.T) {
	term := start(t, terminalSetup{fake: func(f *fake) { f.ward(); f.joining = underway }})
	term.sees("Waiting for mercy.example to let this device in", "sotto org approve", "Ctrl+Q leave", "device 5")
	term.fake.arrive(ada, "!stat come quickly")
	term.press("half a thought\r", "/to okafor@mercy.example\r", "\x0b", "\x1b[200~pasted\x1b[201~").quiet()
	for _, hidden := range []string{"spironolactone", "quickly", "half", "pasted", "Okafor", "unread", "go to"} {
		term.misses(hidden)
	}
	if n := len(term.marked()); n > 0 {
		t.Error("what nobody has seen was marked as read")
	}

	refused := underway
	refused.Verdict, refused.Words = invitation.Expired, text.Line("This invitation is too old")
	term.fake.becomes(refused)
	term.sees("mercy.example has not let this device in", "This invitation is too old.").misses("Waiting")
	term.fake.becomes(client.Joining{CutOff: true, Words: text.Line("Joining was cut off")})
	term.sees("This device is not set up yet", "Joining was cut off.")

	term.fake.becomes(client.Joining{})
	term.sees("spironolactone", "come quickly").misses("Waiting for")
	if got := term.fake.drafts[ada].Text; strings.Contains(got, "half") {
		t.Errorf("what was typed outside is a draft now: %q", got)
	}
}

func TestOutsideOnSmallScreens(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {40, 10}, {20, 5}, {8, 2}, {1, 1}, {200, 60}} {
		f := newFake(newWristwatch().now)
		f.ward()
		f.joining = underway
		m := still(t, size[0], size[1], Config{}, f)
		rows := strings.Split(plain(m), "\n")
		if len(rows)-1 != size[1] {
			t.Errorf("%v: %d rows", size, len(rows)-1)
		}
		for _, r := range rows {
			if width(m.look.m, r) > size[0] {
				t.Errorf("%v: %q is too wide", size, r)
			}
		}
	}
}
