package tui

import (
	"cmp"
	"slices"
	"time"

	"sotto/client"
	"sotto/client/store"
)

const (
	pageSize  = 60   // messages loaded at once
	maxLoaded = 1000 // messages kept in memory
)

// timeline is a window on the messages of the open conversation: the newest
// ones, or a part further up that is being read.
type timeline struct {
	peer string
	msgs []client.Message // in the order of their time, without gaps, at most maxLoaded

	older   bool  // there may be messages before msgs
	newer   int   // how many messages after msgs are not loaded, at most client.MaxBelow
	stats   int   // and how many of those are STAT, from others
	target  int64 // the message to choose when it is loaded; 0: none
	gaps    []client.Gap
	jumped  bool // the person came here from elsewhere, past what is unread
	loading bool // a page is on its way
	opening bool // the first page is on its way
	blank   bool // nothing was in the composer when opening began

	unreadAt int64 // id of the message under the unread line; 0: no line
	anchor   anchor
	follow   bool // the newest is shown, and kept in view; else anchor holds

	reveal bool  // text is shown of the chosen message only
	chosen int64 // id of the chosen message; 0: none
	gap    int64 // id of the gap whose line is chosen; 0: none
	kept   bool  // it is kept in view
	about  func(*client.Message) sayings
	shown  map[int64]bool // which were shown to their end, with reveal

	replacing int              // readings under way that replace msgs
	came      []client.Message // what came meanwhile

	height int       // lines shown last
	device uint32    // the own one: what another own one has sent says so
	stale  time.Time // when a word about how long a text lives changes; zero: none does
	rows   []row     // all of msgs, drawn; nil: to be drawn
	drawn  struct{ width, version int }
	blocks map[int64]block
	nameW  int // columns for names, grows with longer ones
}

// anchor is the line that stands at the top while somebody is reading.
type anchor struct {
	id   int64 // of a message
	line int   // of that message, from its first
}

// row is one line of the timeline.
type row struct {
	msg  int // index in msgs
	line int // of the message, from its first; separators before it have negative ones
	text string
}

func newTimeline(peer string, reveal bool) *timeline {
	return &timeline{peer: peer, follow: true, older: true, blocks: map[int64]block{}, reveal: reveal, shown: map[int64]bool{}}
}

func (t *timeline) touch() { t.rows = nil }

// before orders messages as the store does: by their place, and not by their
// times, which are other people's clocks.
func before(a, b client.Message) int { return cmp.Compare(a.Place, b.Place) }

// replace replaces everything by a part of the conversation.
func (t *timeline) replace(p client.Part) {
	t.msgs = slices.Clone(p.Messages)
	t.older, t.newer, t.stats = p.Older, p.Below, p.Stats
	t.loading = false
	for id := range t.blocks { // of messages that are far away now
		if t.index(id) < 0 {
			delete(t.blocks, id)
		}
	}
	t.touch()
}

// append puts a newer page after what is there, and forgets what is far above.
func (t *timeline) append(p client.Part, after int64) {
	t.loading = false
	if n := len(t.msgs); n == 0 || t.msgs[n-1].ID != after {
		return // for another window
	}
	t.msgs = append(t.msgs, p.Messages...)
	t.newer, t.stats = p.Below, p.Stats
	if extra := len(t.msgs) - maxLoaded; extra > 0 {
		t.drop(0, extra)
		t.older = true
	}
	if t.unreadAt == 0 {
		if i := slices.IndexFunc(p.Messages, func(m client.Message) bool { return !m.Outgoing && !m.Read }); i >= 0 {
			t.unreadAt = p.Messages[i].ID
		}
	}
	t.touch()
}

// replaced is called when a reading that replaced msgs has ended, or failed:
// what came while it was under way is put back.
func (t *timeline) replaced() {
	for _, m := range t.came {
		t.set(m)
	}
	if t.replacing--; t.replacing <= 0 {
		t.replacing, t.came = 0, nil
	}
	if t.chosen != 0 && t.index(t.chosen) < 0 {
		t.unchoose()
	}
}

// prepend puts an older page before what is there.
func (t *timeline) prepend(msgs []client.Message, before int64, limit int) {
	t.loading = false
	if len(t.msgs) == 0 || t.msgs[0].ID != before {
		return // for another window
	}
	t.older = len(msgs) == limit
	t.msgs = append(slices.Clone(msgs), t.msgs...)
	if extra := len(t.msgs) - maxLoaded; extra > 0 && !t.follow {
		for _, m := range t.msgs[maxLoaded:] {
			t.isBelow(m)
		}
		t.drop(maxLoaded, len(t.msgs))
	}
	t.touch()
}

// isBelow counts a message that stands after msgs.
func (t *timeline) isBelow(m client.Message) {
	t.newer = min(t.newer+1, client.MaxBelow)
	if m.Urgency >= store.Stat && !m.Outgoing {
		t.stats++
	}
}

// drop forgets the messages from i up to j.
func (t *timeline) drop(i, j int) {
	for _, m := range t.msgs[i:j] {
		delete(t.blocks, m.ID)
	}
	t.msgs = slices.Delete(t.msgs, i, j)
}

// put adds a message, or replaces the one with its id. It reports whether it
// is new here.
func (t *timeline) put(m client.Message) bool {
	t.keep(m)
	return t.set(m)
}

// keep remembers a message until what is being read is there.
func (t *timeline) keep(m client.Message) {
	if t.replacing > 0 && len(t.came) < maxLoaded {
		t.came = append(t.came, m)
	}
}

func (t *timeline) set(m client.Message) bool {
	for i := len(t.msgs) - 1; i >= 0; i-- {
		if t.msgs[i].ID == m.ID {
			t.msgs[i] = m
			t.touch()
			return false
		}
	}
	i, _ := slices.BinarySearchFunc(t.msgs, m, before)
	switch {
	case i == len(t.msgs) && t.newer > 0:
		t.isBelow(m)
		return true // after the part that is loaded
	case i == 0 && t.older && len(t.msgs) > 0:
		return true // before it
	}
	t.msgs = slices.Insert(t.msgs, i, m)
	if extra := len(t.msgs) - maxLoaded; extra > 0 && t.follow {
		t.drop(0, extra)
		t.older = true
	}
	t.touch()
	return true
}

// change replaces a message that is loaded.
func (t *timeline) change(m client.Message) {
	t.keep(m)
	for i := range t.msgs {
		if t.msgs[i].ID == m.ID {
			t.msgs[i] = m
			t.touch()
		}
	}
}

// index finds a message; -1 if it is not loaded.
func (t *timeline) index(id int64) int {
	return slices.IndexFunc(t.msgs, func(m client.Message) bool { return m.ID == id })
}

// top is the index in rows of the first line shown.
func (t *timeline) top() int {
	last := max(len(t.rows)-t.height, 0)
	if t.follow {
		return last
	}
	for i, r := range t.rows {
		if t.msgs[r.msg].ID == t.anchor.id && r.line >= t.anchor.line {
			return min(i, last)
		}
	}
	return last
}

// hold makes row i the first line shown.
func (t *timeline) hold(i int) {
	last := max(len(t.rows)-t.height, 0)
	i = min(max(i, 0), last)
	if i == last && t.newer == 0 {
		t.follow = true
		return
	}
	t.follow = false
	if len(t.rows) > 0 {
		t.anchor = anchor{t.msgs[t.rows[i].msg].ID, t.rows[i].line}
	}
}

// scroll moves by n lines, up if n is negative.
func (t *timeline) scroll(n int) { t.hold(t.top() + n) }

// end goes to the newest message. If that is not loaded it reports false.
func (t *timeline) end() bool {
	t.follow, t.jumped = true, false
	return t.newer == 0
}

// wantsOlder reports whether the page before the first message should be
// loaded now: there may be one and its end is near.
func (t *timeline) wantsOlder() bool {
	return t.older && !t.loading && len(t.msgs) > 0 && !t.follow && t.top() < max(t.height, 1)
}

// showUnread scrolls so that the unread line is in view, if it would not be.
func (t *timeline) showUnread() {
	if t.unreadAt == 0 || t.height == 0 {
		return
	}
	for i, r := range t.rows {
		if t.msgs[r.msg].ID == t.unreadAt {
			if i < len(t.rows)-t.height {
				t.hold(i - min(2, t.height/4))
			}
			return
		}
	}
}

// below counts the messages after the last line shown, and the STAT ones among them.
func (t *timeline) below() (n, stats int) {
	last := t.top() + t.height - 1
	if last < 0 || last >= len(t.rows)-1 {
		return t.newer, t.stats
	}
	for i := t.rows[last].msg + 1; i < len(t.msgs); i++ {
		n++
		if t.msgs[i].Urgency >= store.Stat && !t.msgs[i].Outgoing {
			stats++
		}
	}
	return n + t.newer, stats + t.stats
}

// seen is the id of the last message from others whose last line is shown, if
// any message up to it is unread; else 0.
func (t *timeline) seen() int64 {
	if t.reveal {
		return t.seenRevealed()
	}
	if t.passedBy() {
		return 0
	}
	last := min(t.top()+t.height, len(t.rows)) - 1
	if last < 0 {
		return 0
	}
	i := t.rows[last].msg
	if last+1 < len(t.rows) && t.rows[last+1].msg == i {
		i-- // its end is still below
	}
	var id int64
	for ; i >= 0; i-- {
		if m := t.msgs[i]; !m.Outgoing {
			if id == 0 {
				id = m.ID
			}
			if !m.Read {
				return id
			}
		}
	}
	return 0
}

// read notes that everything up to a message was marked as read.
func (t *timeline) read(upTo int64) {
	i := t.index(upTo)
	for ; i >= 0; i-- {
		t.msgs[i].Read = true
	}
}

// unread counts the messages from others under the unread line.
func (t *timeline) unread() int {
	n := 0
	for i := t.index(t.unreadAt); i >= 0 && i < len(t.msgs); i++ {
		if !t.msgs[i].Outgoing {
			n++
		}
	}
	return n
}

// wantsNewer reports whether messages after the loaded part should be loaded now:
// its end is near, and it is not the end. Who follows wants the newest.
func (t *timeline) wantsNewer() bool {
	return t.newer > 0 && !t.loading && len(t.msgs) > 0 && (t.follow || t.top()+2*t.height >= len(t.rows))
}

// passedBy reports whether the person came here past something that is unread
// still: it stands above, and was not on the screen.
func (t *timeline) passedBy() bool {
	if !t.jumped || len(t.msgs) == 0 {
		return t.jumped
	}
	i := slices.IndexFunc(t.msgs, func(m client.Message) bool { return !m.Outgoing && !m.Read })
	if top := t.top(); i < 0 || top >= len(t.rows) || i >= t.rows[top].msg {
		t.jumped = i >= 0 // nothing unread is left above
		return false
	}
	return true
}

// newDay reports whether message i begins another day than the one before.
func (t *timeline) newDay(i int, zone *time.Location) bool {
	if i == 0 {
		return true
	}
	return !sameDay(t.msgs[i-1].Time.In(zone), t.msgs[i].Time.In(zone))
}

// sameDay reports whether two times in the same zone are on one day.
func sameDay(a, b time.Time) bool {
	return a.YearDay() == b.YearDay() && a.Year() == b.Year()
}

// unreadBelow reports whether something unread stands after the last line shown.
func (t *timeline) unreadBelow() bool {
	last := t.top() + t.height - 1
	for i := len(t.msgs) - 1; i >= 0 && last >= 0 && last < len(t.rows) && i > t.rows[last].msg; i-- {
		if !t.msgs[i].Outgoing && !t.msgs[i].Read {
			return true
		}
	}
	return false
}
