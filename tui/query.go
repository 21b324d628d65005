package tui

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"sotto/client"
	"sotto/client/store"
)

// asked is what somebody typed to search for.
type asked struct {
	client.Query
	understood []string // the conditions, in words
	problem    string   // what could not be understood; "" if all was
}

// nothing reports whether there is nothing to search for.
func (a *asked) nothing() bool {
	return strings.TrimSpace(a.Text) == "" && len(a.understood) == 0
}

// ask reads what is searched for: words, and conditions such as from:okafor. What
// is between double quotes is no condition.
func (m *Model) ask(s string) asked {
	var a asked
	var words []string
	for _, w := range fields(s) {
		name, value, ok := strings.Cut(w, ":")
		if ok {
			ok = m.condition(&a, strings.ToLower(name), strings.Trim(value, `"`))
		}
		if !ok {
			words = append(words, w)
		}
	}
	a.Text = strings.Join(words, " ")
	return a
}

// fields are the words of s. What double quotes enclose, the value of a condition
// for one, is part of one word.
func fields(s string) []string {
	quoted := false
	return strings.FieldsFunc(s, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return !quoted && (r == ' ' || r == '\t' || r == '\n')
	})
}

// condition takes a condition; false if it is none but a word.
func (m *Model) condition(a *asked, name, value string) bool {
	switch name {
	case "from", "in", "on", "before", "after", "is":
	default:
		return false
	}
	if value == "" {
		return true // being typed
	}
	now := m.clock.wall.In(m.look.zone)
	cannot := func(what string) {
		a.problem = what + " " + clip(m.look.m, value, 20, m.look.more) + "?"
	}
	day := func() (from, until time.Time, ok bool) {
		if from, until, ok = dates(value, now); !ok {
			cannot("Which day is")
		}
		return from, until, ok
	}
	shown := func(t time.Time) string {
		if t.Year() == now.Year() {
			return t.Format("Mon 2 Jan")
		}
		return t.Format("2 Jan 2006")
	}
	switch name {
	case "from":
		if slices.Contains([]string{"me", "you"}, strings.ToLower(value)) {
			a.Sender = m.self.Address
			a.understood = append(a.understood, "from you")
		} else if peer, words := m.named(value, false); peer != "" {
			a.Sender = peer
			a.understood = append(a.understood, "from "+words)
		} else {
			cannot("Who is")
		}
	case "in":
		if peer, words := m.named(value, true); peer != "" {
			a.Peer = peer
			a.understood = append(a.understood, "in "+words)
		} else {
			cannot("Which conversation is")
		}
	case "on":
		if from, until, ok := day(); ok {
			a.From, a.Until = later(a.From, from), sooner(a.Until, until)
			a.understood = append(a.understood, "on "+shown(from))
		}
	case "before":
		if from, _, ok := day(); ok {
			a.Until = sooner(a.Until, from)
			a.understood = append(a.understood, "before "+shown(from))
		}
	case "after":
		if _, until, ok := day(); ok {
			a.From = later(a.From, until)
			a.understood = append(a.understood, "after "+shown(until.Add(-time.Second)))
		}
	case "is":
		switch strings.ToLower(value) {
		case "stat":
			a.Urgent = store.Stat
			a.understood = append(a.understood, "STAT")
		case "urgent":
			a.Urgent = max(a.Urgent, store.Urgent)
			a.understood = append(a.understood, "URGENT or STAT")
		default:
			cannot("is:stat or is:urgent; what is")
		}
	}
	return true
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func sooner(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// named finds a person, or with rooms any conversation, by name or address.
func (m *Model) named(s string, rooms bool) (peer, words string) {
	var best *client.Conversation
	most := 0
	for i := range m.list.all {
		c := &m.list.all[i]
		if c.Room && !rooms {
			continue
		}
		if n, ok := match([]string{fold(s)}, fold(c.Name.String()), fold(c.Peer)); ok && n > most {
			best, most = c, n
		}
	}
	if to := address(s); to != "" && (best == nil || best.Peer != to) {
		return to, to
	}
	if best == nil {
		return "", ""
	}
	return best.Peer, best.Name.String()
}

// dates reads a day, a month or a year, as the time from its beginning to its end:
// today, yesterday, monday, 2026-11-21, 21.11., 21.11.2026, 2026-11, 2026.
func dates(s string, now time.Time) (from, until time.Time, ok bool) {
	s = strings.ToLower(s)
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	day := func(t time.Time) (time.Time, time.Time, bool) { return t, t.AddDate(0, 0, 1), true }
	switch s {
	case "today":
		return day(today)
	case "yesterday":
		return day(today.AddDate(0, 0, -1))
	}
	if len(s) >= 3 {
		for back := range 7 { // the last of that name
			t := today.AddDate(0, 0, -back)
			if strings.HasPrefix(strings.ToLower(t.Weekday().String()), s) {
				return day(t)
			}
		}
	}
	for _, x := range []struct {
		layout              string
		years, months, days int
		thisYear            bool
	}{
		{"2006-1-2", 0, 0, 1, false}, {"2.1.2006", 0, 0, 1, false}, {"2Jan2006", 0, 0, 1, false}, {"2-Jan-2006", 0, 0, 1, false},
		{"2.1.", 0, 0, 1, true}, {"2.1", 0, 0, 1, true}, {"2Jan", 0, 0, 1, true}, {"2-Jan", 0, 0, 1, true},
		{"2006-1", 0, 1, 0, false}, {"2006", 1, 0, 0, false},
	} {
		t, err := time.ParseInLocation(x.layout, s, now.Location())
		if err != nil {
			continue
		}
		if x.thisYear {
			if t = t.AddDate(now.Year(), 0, 0); t.After(now) {
				t = t.AddDate(-1, 0, 0)
			}
		}
		return t, t.AddDate(x.years, x.months, x.days), true
	}
	return time.Time{}, time.Time{}, false
}

// recent orders conversations for somebody who wants to go to one: what is unread
// in the order of the list, then those with the newest message.
func recent(all []client.Conversation) []*client.Conversation {
	list := make([]*client.Conversation, len(all))
	for i := range all {
		list[i] = &all[i]
	}
	slices.SortStableFunc(list, func(a, b *client.Conversation) int {
		if a.Unread > 0 || b.Unread > 0 {
			return min(b.Unread, 1) - min(a.Unread, 1)
		}
		return cmp.Compare(b.Last.Unix(), a.Last.Unix())
	})
	return list
}
