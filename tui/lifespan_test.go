package tui

import (
	"testing"
	"time"

	"sotto/client"
	"sotto/client/store"
	"sotto/client/text"
)

func TestLeftOf(t *testing.T) {
	now := night
	for d, want := range map[time.Duration]string{
		10 * time.Second: "gone in a minute", 61 * time.Second: "gone in 2 min", 2 * time.Hour: "gone in 120 min",
		2*time.Hour + 1: "gone in 3 h", 24 * time.Hour: "gone in 24 h", 48*time.Hour + 1: "gone in 3 days", 365 * 24 * time.Hour: "gone in 365 days",
	} {
		words, changes := leftOf(now.Add(d), now)
		if words != want {
			t.Errorf("%v: %s", d, words)
		}
		if !changes.After(now) || changes.After(now.Add(d)) {
			t.Errorf("%v: changes at %v", d, changes)
		}
		if at, _ := leftOf(now.Add(d), changes.Add(-1)); at != want {
			t.Errorf("%v: changes to %s before it says", d, at)
		}
		if at, _ := leftOf(now.Add(d), changes); at == want && changes.Before(now.Add(d)) {
			t.Errorf("%v: does not change when it says", d)
		}
	}
}

// A night in which what is written is gone after a day.
func TestExpire(t *testing.T) {
	term := start(t, terminalSetup{})
	term.press("/expire", keyEnter).sees("gone after a day").press(keyCtrlU)
	term.press("/expire 2w", keyEnter).sees("from 10s to 365d").press(keyCtrlU)
	term.press("/expire 24h", keyEnter).sees("kept 24 hours").misses(">  /expire")
	term.press("/expire 1h The door code is 4711", keyEnter).sees("you     The door code").misses(">  /expire")
	term.hasSent(ada + " The door code is 4711 !expires:1h")
	m := term.fake.arrive(ada, "Code 0815, burn it", func(m *client.Message) { m.Expires = m.Time.Add(90 * time.Minute) })
	term.sees("Code 0815, burn it", "gone in 90 min")
	for range 30 { // with a key now and then, or it would lock itself
		term.clock.pass(time.Minute)
		term.press("x").sees(">  x").press(keyCtrlU).misses(">  x")
	}
	term.sees("gone in 60 min")
	m.Body, m.Gone, m.GoneAt = text.Safe{}, store.RanOut, m.Expires
	term.fake.events <- client.MessageChanged{Message: m}
	term.sees("gone: its time ended at 20:38").misses("0815")
}
