package tui

import (
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
	"sotto/client/store"
	"sotto/themes"
)

// commandExpire says how long what is written in this conversation lives, or with
// a text after it how long that text does.
func (m *Model) commandExpire(arg string) (bool, tea.Cmd) {
	const takes = "/expire 24h: what is written here is gone after a day. 1h, 7d and off work, too; with a text after it, only that one is meant."
	if arg == "" {
		if m.security != nil && m.security.Lifespan > 0 {
			m.say("What is written here is gone after " + client.LifespanWords(m.security.Lifespan) + ". /expire off ends that.")
		} else {
			m.say(takes)
		}
		return false, nil
	}
	span, words, _ := strings.Cut(arg, " ")
	d, err := client.ParseLifespan(span)
	switch {
	case strings.EqualFold(span, "off") && words == "":
		d = 0
	case err != nil:
		m.warn("A time to live is a number and s, m, h or d, from 10s to 365d. " + takes)
		return false, nil
	}
	if words = trimmed(words); words != "" {
		return false, m.post(words + " !expires:" + span)
	}
	peer := m.open
	if peer == "" {
		m.say("Open a conversation first: Ctrl+K.")
		return false, nil
	}
	return true, m.must(func(q queryContext) tea.Msg {
		return doneMsg{"keep how long messages live", q.SetLifespan(q.ctx, peer, d)}
	})
}

// leftOf says how long a text is still here, and when these words change. Nothing
// counts seconds: the screen would change all the time.
func leftOf(expires, now time.Time) (words string, changes time.Time) {
	d := expires.Sub(now)
	unit, name := time.Minute, " min"
	switch {
	case d > 48*time.Hour:
		unit, name = 24*time.Hour, " days"
	case d > 2*time.Hour:
		unit, name = time.Hour, " h"
	case d <= time.Minute:
		return "gone in a minute", expires
	}
	n := (d + unit - 1) / unit
	return "gone in " + itoa(int(n)) + name, expires.Add(-(n - 1) * unit)
}

// lives returns what there is to say of a message's time, and has the timeline
// drawn anew when that changes.
func (t *timeline) lives(m *client.Message, now time.Time) string {
	if m.Expires.IsZero() || m.Gone != store.Here {
		return ""
	}
	words, changes := leftOf(m.Expires, now)
	if t.stale.IsZero() || changes.Before(t.stale) {
		t.stale = changes
	}
	return words
}

// age has the timeline drawn anew if a word about somebody's time has changed.
func (t *timeline) age(now time.Time) {
	if t != nil && !t.stale.IsZero() && !now.Before(t.stale) {
		t.touch()
	}
}

// gone says why a message has no text any more; "" if it has.
func (k *look) gone(m *client.Message) (string, themes.Style) {
	at := ""
	if !m.GoneAt.IsZero() {
		at = " at " + m.GoneAt.In(k.zone).Format("15:04")
		if t := m.GoneAt.In(k.zone); t.Format(time.DateOnly) != m.Time.In(k.zone).Format(time.DateOnly) {
			at = " on " + t.Format("2 January 15:04")
		}
	}
	switch m.Gone {
	case store.RanOut:
		return "gone: its time ended" + at, k.Faint
	case store.Recalled:
		by := ""
		if !m.GoneBy.Empty() && m.GoneBy != m.Sender {
			by = " by " + m.GoneBy.String()
		}
		return "taken back" + by + at, k.Faint
	}
	return "", k.Text
}
