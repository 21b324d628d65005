package tui

import (
	"time"

	"sotto/client"
	"sotto/client/wire"
	"sotto/themes"
)

// titleLine says with whom the conversation is, and who can read it.
func (k *look) titleLine(c *client.Conversation, sec *client.Security, w int) string {
	l := &line{m: k.m}
	l.space(1)
	if c == nil {
		return fit(k.m, l.add(k.Title, "sotto").String(), w)
	}
	words, st := k.security(sec)
	words = clip(k.m, words, w-2, k.more)
	room := w - 2 - width(k.m, words) - 2
	if room < 8 { // the name is needed more than how many devices there are
		room = min(w-2, max(room, w/3))
		words = clip(k.m, words, w-4-room, k.more)
	}
	name := clip(k.m, c.Name.String(), room, k.more)
	l.add(k.Title, name)
	about := k.about(c)
	if sec != nil && sec.Lifespan > 0 {
		about = k.dots("kept "+client.LifespanWords(sec.Lifespan), about)
	}
	if about != "" && room-l.width >= 8 {
		l.space(3).add(k.Faint, clip(k.m, about, room-l.width, k.more))
	}
	return l.to(w-1-width(k.m, words)).add(st, words).String()
}

// about is what else is known of a person: group, presence, status.
func (k *look) about(c *client.Conversation) string {
	show := ""
	switch p := c.Presence; {
	case !p.Available:
	case p.Show == "away" || p.Show == "xa":
		show = "away"
	case p.Show == "dnd":
		show = "busy"
	case c.Presence.Status.Empty():
		show = "here"
	}
	return k.dots(c.Group.String(), show, c.Presence.Status.String())
}

// security says in a few words who can read what is sent. The whole sentence,
// where something is to be done, stands in the line for notices.
func (k *look) security(s *client.Security) (string, themes.Style) {
	switch {
	case s == nil:
		return "", k.Good
	case !s.Short.Empty():
		return s.Short.String(), k.Warning
	case s.Room && s.Warn:
		return s.Words.String(), k.Warning
	case s.Room:
		return s.Words.String(), k.Good
	case s.Undecided > 0:
		return count(s.Undecided, "new device") + ": /trust", k.Warning
	case s.Devices == 0:
		return "no device to encrypt to yet", k.Warning
	case s.Trusted == 0:
		return "no trusted device: /trust", k.Warning
	case s.Warn:
		return s.Words.String(), k.Warning
	}
	return s.Words.String(), k.Good
}

// relay says how the connection stands.
func (k *look) relay(s client.State, now time.Time) (string, themes.Style) {
	queued := ""
	if s.Queued > 0 {
		queued = itoa(s.Queued) + " queued"
	}
	since := ""
	if !s.Since.IsZero() {
		since = " since " + s.Since.In(k.zone).Format("15:04")
	}
	switch s.Phase {
	case wire.Online:
		if !s.CaughtUp || s.CatchUp.Active {
			return k.dots("online", k.catchingUp(s.CatchUp, now), queued), k.State
		}
		return k.dots("online", queued), k.State
	case wire.Connecting:
		return k.dots("connecting", queued), k.Warning
	case wire.Refused:
		return k.dots("offline"+since, queued), k.Failed
	}
	if !s.RetryAt.IsZero() {
		since += ", retrying"
	}
	return k.dots("offline"+since, queued), k.Warning
}

// catchingUp says how far what was missed is here.
func (k *look) catchingUp(c client.CatchUp, now time.Time) string {
	words := "catching up"
	if !c.At.IsZero() {
		words += ", at " + k.moment(c.At, now)
	}
	if c.Count > 0 {
		words += ", " + thousands(c.Count) + " so far"
	}
	return words
}

// thousands writes a number with commas: 12,345.
func thousands(n int) string {
	s := itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// statusLine is the last line: the connection, what is unread, the keys to
// know, the time to the lock. What matters least is left out first. org is what there
// is to say of the organisation; may be "".
func (k *look) statusLine(s client.State, now time.Time, org string, unread, stats int, lock string, soon bool, w int) string {
	state, stateStyle := k.relay(s, now)
	if org != "" {
		state, stateStyle = k.dots(state, org), k.Warning
	}
	waiting := ""
	if unread > 0 {
		waiting = itoa(unread) + " unread"
		if stats > 0 {
			waiting += ", " + itoa(stats) + " STAT"
		}
	}
	return k.statusWith([][2]string{{"Ctrl+K", "switch"}, {"F1", "help"}}, state, stateStyle, waiting, stats, lock, soon, w)
}

// statusWith is statusLine with other keys.
func (k *look) statusWith(hints [][2]string, state string, stateStyle themes.Style, waiting string, stats int, lock string, soon bool, w int) string {
	lockStyle := k.Faint
	if soon {
		lockStyle = k.Warning
		lockStyle.Bold = true
	}
	for keys := len(hints); ; keys-- {
		l := &line{m: k.m}
		l.space(1).add(stateStyle, state)
		if waiting != "" {
			st := k.Unread
			if stats > 0 {
				st = k.Stat
			}
			l.add(k.Faint, " "+k.dot+" ").add(st, waiting)
			if keys > 0 {
				l.add(k.Accent, "  Alt+A")
			}
		}
		for _, h := range hints[:max(keys, 0)] {
			l.add(k.Faint, " "+k.dot+" ").add(k.Accent, h[0]).add(k.Faint, " "+h[1])
		}
		if l.width+2+width(k.m, lock) < w || keys < 0 {
			if keys < 0 { // too much even so
				return fit(k.m, k.m.Truncate(l.String(), w-2-width(k.m, lock), k.more)+reset+" "+paint(lockStyle, lock), w)
			}
			return l.to(w-1-width(k.m, lock)).add(lockStyle, lock).String()
		}
	}
}

// lockWords says how long until the screen locks itself: in minutes, which
// change seldom, and in seconds when it is time to press a key.
func lockWords(left time.Duration) (words string, soon bool) {
	if left <= countdown {
		return "lock in " + itoa(int((left+time.Second-1)/time.Second)) + " s", true
	}
	return "lock in " + itoa(int((left+time.Minute-1)/time.Minute)) + " min", false
}
