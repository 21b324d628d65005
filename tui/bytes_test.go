package tui

import (
	"strings"
	"testing"
	"time"

	"sotto/client/store"
)

// The budgets of the screen, in bytes to the terminal at 80x24, measured on a
// real terminal with a real program.
const (
	bytesAKey     = 30
	bytesAMessage = 200
)

func TestBytesAKey(t *testing.T) {
	term := start(t, terminalSetup{})
	term.quiet()
	text := "Given 19:08, rhythm unchanged; next."
	total := 0
	for i := range text {
		before := term.written()
		term.press(text[i : i+1])
		term.sees(strings.TrimRight(">  "+text[:i+1], " "))
		if text[i] == ' ' {
			term.until("an answer", func() bool { return term.written() > before })
		}
		total += term.written() - before
	}
	term.quiet()
	a := float64(total) / float64(len(text))
	t.Logf("%.1f bytes a key of at most %d", a, bytesAKey)
	if a > bytesAKey {
		t.Errorf("%.1f bytes a key, want at most %d", a, bytesAKey)
	}
}

func TestIdleWritesNothing(t *testing.T) {
	for name, set := range map[string]func(*Config){
		"as it comes": func(c *Config) { c.Curtain, c.Mouse = true, true },
		"bare":        func(*Config) {},
		"all": func(c *Config) {
			c.Curtain, c.Mouse, c.Reveal, c.NoPaste, c.LockUnfocused = true, true, true, true, time.Hour
		},
	} {
		t.Run(name, func(t *testing.T) {
			term := start(t, terminalSetup{config: set})
			term.press("a word").sees("a word").quiet()
			idle := func() {
				t.Helper()
				before := term.written()
				term.clock.pass(20 * time.Second)
				term.quiet().quiet()
				if n := term.written() - before; n != 0 {
					t.Errorf("%d bytes while idle: %q", n, term.since(before))
				}
			}
			idle()
			term.press(focusOut)
			if name != "bare" {
				term.sees("covered while")
			}
			term.quiet()
			idle()
		})
	}
}

func TestBytesAMessage(t *testing.T) {
	for name, full := range map[string]bool{"with room below": false, "scrolling": true} {
		t.Run(name, func(t *testing.T) {
			term := start(t, terminalSetup{fake: func(f *fake) {
				n := 5
				if full {
					n = 60
				}
				for i := range n {
					f.say(ada, ada, "Repeat K in 30 min, then call me again.", time.Duration(100-i)*time.Minute, read)
				}
			}})
			term.quiet()
			total := 0
			for _, body := range []string{"Calcium gluconate ten ml given now.", "Rhythm is unchanged, ECG at the bed.", "I am four minutes away, start it."} {
				before := term.written()
				term.clock.pass(time.Minute / 10)
				term.fake.arrive(ada, body)
				term.sees(body)
				term.quiet()
				total += term.written() - before
			}
			t.Logf("%d bytes a message of at most %d", total/3, bytesAMessage)
			if total/3 > bytesAMessage {
				t.Errorf("%d bytes a message, want at most %d", total/3, bytesAMessage)
			}
		})
	}
}

func TestBytesOfAState(t *testing.T) {
	term := start(t, terminalSetup{})
	term.press("ping", keyEnter).sees("queued").quiet()
	before := term.written()
	term.fake.move(ada, store.Delivered, "")
	term.sees("you     ping                                                  delivered").quiet()
	if n := term.written() - before; n > 80 {
		t.Errorf("%d bytes for a new state: %q", n, term.since(before))
	}
}
