package tui

import (
	"strings"
	"time"

	"sotto/client"
	"sotto/client/store"
	"sotto/themes"
)

// block is a drawn message. It is drawn anew when anything in its key changes.
type block struct {
	key   blockKey
	lines []string
}

// blockKey is what a message's picture depends on, beside its text.
type blockKey struct {
	width, nameW, version int
	head                  bool // time and name are shown
	state                 store.State
	showState             bool
	untrusted             bool
	hidden, chosen        bool
	enter                 bool // Enter looks at its file
	files                 string
	gone                  store.Gone
	lives                 string // how long the text is still here
	elsewhere             bool   // it was written on another own device
	why                   string
	body                  string
	about, instead        string
	progress              store.Progress
	recall                store.State // of what asks others to forget it
	recallWhy             string
}

// columns is how the width of the timeline is divided.
type columns struct {
	width   int // all of it
	name    int // where names begin
	nameW   int // how wide they may be
	body    int // where words begin
	stacked bool
}

// stateRoom is kept free on the last line of a message for how far it has
// come, so that no line moves when "sent" becomes "delivered".
const stateRoom = 11

// divide lays out w columns. A narrow screen has the words under the name, set
// in, so that no line of a message can pass for the time and name of another.
func divide(w, nameW int) columns {
	if w < 60 {
		return columns{width: w, name: 7, nameW: max(w-8, 1), body: 3, stacked: true}
	}
	return columns{width: w, name: 8, nameW: nameW, body: 8 + nameW + 2}
}

// draw makes rows for a width and height, as far as they are not there yet.
func (t *timeline) draw(k *look, names func(client.Message) string, now time.Time, w, h int) {
	t.height = h
	if t.drawn.width != w || t.drawn.version != k.version {
		t.drawn.width, t.drawn.version = w, k.version
		t.touch()
	}
	if t.rows != nil {
		return
	}
	for _, m := range t.msgs {
		t.nameW = min(max(t.nameW, 3, width(k.m, names(m))), 14)
	}
	c := divide(w, t.nameW)
	toLook := t.toLook()
	t.stale = time.Time{}
	t.rows = make([]row, 0, 2*len(t.msgs)+8)
	for i, m := range t.msgs {
		above := 0
		sep := func(s string) {
			above++
			t.rows = append(t.rows, row{i, 0, s})
		}
		for _, s := range t.gapLine(k, i, now, w) {
			sep(s)
		}
		newDay := t.newDay(i, k.zone)
		if newDay {
			if i > 0 {
				sep("")
			}
			sep(k.day(m.Time.In(k.zone), now.In(k.zone), w))
		}
		if m.ID == t.unreadAt {
			sep(k.hrule(w, itoa(t.unread())+" new", k.Unread, true))
		}
		for n := range above {
			t.rows[len(t.rows)-above+n].line = n - above
		}
		key := blockKey{
			width: w, nameW: t.nameW, version: k.version, state: m.State, why: m.Why.String(), body: m.Body.String(),
			head:      newDay || m.ID == t.unreadAt || !joins(&t.msgs[i-1], &t.msgs[i]),
			untrusted: m.Untrusted, gone: m.Gone, lives: t.lives(&m, now), elsewhere: m.Outgoing && m.Kind == store.Text && m.Device != 0 && m.Device != t.device,
			hidden: t.hides(&m), chosen: m.ID == t.chosen,
			files: filesKey(&m), enter: i == toLook,
			showState: m.Outgoing && (i == len(t.msgs)-1 || !t.msgs[i+1].Outgoing || t.msgs[i+1].State != m.State || m.State == store.Failed),
		}
		var said sayings
		if t.about != nil {
			said = t.about(&m)
		}
		key.about, key.instead, key.progress = said.key(), said.instead.words, m.Progress
		key.recall, key.recallWhy = m.Recall.State, m.Recall.Why.String()
		b, ok := t.blocks[m.ID]
		if !ok || b.key != key {
			b = block{key, k.message(m, names(m), key, c, said)}
			t.blocks[m.ID] = b
		}
		for n, s := range b.lines {
			t.rows = append(t.rows, row{i, n, s})
		}
		if i == len(t.msgs)-1 {
			for n, s := range t.gapLine(k, i+1, now, w) {
				t.rows = append(t.rows, row{i, len(b.lines) + n, s})
			}
		}
	}
}

// joins reports whether b goes on under the time and name of a.
func joins(a, b *client.Message) bool {
	return a.Sender == b.Sender && a.Outgoing == b.Outgoing && a.Kind == b.Kind && a.Time.Unix()/60 == b.Time.Unix()/60
}

// day is the separator above the first message of a day.
func (k *look) day(t, now time.Time, w int) string {
	s := t.Format("Monday 2 January 2006")
	switch {
	case w < 40:
		s = t.Format("Mon 2 Jan")
	case t.Year() == now.Year():
		s = t.Format("Monday 2 January")
	}
	l := line{m: k.m}
	return l.space((w-width(k.m, s))/2).add(k.Faint, s).String()
}

// message draws one message.
func (k *look) message(m client.Message, name string, key blockKey, c columns, about sayings) []string {
	var lines []string
	l := &line{m: k.m}
	if key.chosen {
		l.add(k.Accent, ">")
	}
	head := func() {
		l.to(1).add(k.Faint, m.Time.In(k.zone).Format("15:04")).to(c.name)
		st := k.person(m.Sender.String())
		switch {
		case m.Kind == store.Notice:
			st = k.Notice
		case m.Outgoing:
			st = k.Own
		}
		l.add(st, clip(k.m, name, c.nameW, k.more))
	}
	end := func() {
		lines = append(lines, l.String())
		l = &line{m: k.m}
	}
	if key.head {
		head()
		if c.stacked {
			end()
		}
	}
	st := k.Text
	if m.Kind == store.Notice {
		st = k.Notice
	}
	room := c.width - c.body - 1
	body := m.Body.String()
	if m.Encrypted || m.Urgency > store.Routine {
		body = withoutMark(body, m.Urgency)
	}
	if key.hidden {
		body = k.hidden
	}
	says := m.Body.String()
	if !m.Encrypted {
		says = "" // anybody on its way could have acknowledged so
	}
	word, wordStyle := k.badge(m.Urgency, says)
	lead := ""
	if word != "" && m.Kind != store.Notice {
		lead = strings.Repeat("\u00a0", width(k.m, word)+2) // the badge takes the place of these
	} else {
		word = ""
	}
	if about.instead.words != "" {
		body, st, word, lead = about.instead.words, about.instead.style, "", ""
	} else if lines, rest := quoted(m.Body.String()); lines != nil && !key.hidden && m.Kind == store.Text {
		body = withoutMark(rest, m.Urgency)
		for i, s := range wrap(k.m, strings.Join(lines, " "), room-2) {
			if i == maxQuoteRows {
				break
			}
			l.to(c.body).add(k.Faint, "> "+s)
			end()
		}
		if body == "" && word == "" {
			body = k.more
		}
	}
	text := wrap(k.m, lead+body, room)
	if len(m.Files) > 0 && !key.hidden && m.Gone == store.Here {
		text = nil // it says the same in words
		for i, f := range k.files(&m, key.enter, room) {
			if i > 0 {
				end()
			}
			l.to(c.body).b.WriteString(f.painted)
			l.width += f.width
		}
	}
	for i, s := range text {
		l.to(c.body)
		if i == 0 && word != "" {
			l.add(wordStyle, word).space(2)
			s = strings.TrimPrefix(s, lead)
		}
		l.b.WriteString(k.words(st, s))
		l.width += width(k.m, s)
		if i < len(text)-1 {
			end()
		}
	}
	for _, r := range about.remarks {
		for _, s := range wrap(k.m, r.words, room) {
			end()
			l.to(c.body).add(r.style, s)
		}
	}
	said, saidStyle := k.delivery(m, key.showState)
	if key.elsewhere && m.State != store.Failed && m.Why.String() == "" {
		if said == "" {
			saidStyle = k.State
		}
		said = k.dots("other device", said)
	}
	if key.lives != "" && m.State != store.Failed && m.Why.String() == "" {
		if said == "" {
			saidStyle = k.State
		}
		said = k.dots(key.lives, said)
	}
	switch {
	case said == "":
		end()
	case m.State == store.Failed && m.Gone == store.Here || m.Why.String() != "" || m.Gone == store.Recalled && m.Recall.State == store.Failed || !m.Recall.Why.Empty():
		end()
		for _, s := range wrap(k.m, said, room) {
			l.to(c.body).add(saidStyle, s)
			end()
		}
	default:
		if l.width+1+max(stateRoom, width(k.m, said)) > c.width-1 {
			end()
		}
		l.to(c.width-1-width(k.m, said)).add(saidStyle, said)
		end()
	}
	return lines
}

// delivery is what is to be said of how a message came or went.
func (k *look) delivery(m client.Message, show bool) (string, themes.Style) {
	plain := ""
	if !m.Encrypted {
		plain = "not encrypted"
	}
	why := strings.TrimRight(m.Why.String(), ".")
	switch {
	case m.Gone == store.Recalled:
		return k.recall(m.Recall)
	case m.Kind == store.Notice: // sotto's own words went nowhere
		return "", k.State
	case !m.Outgoing && plain != "":
		return plain, k.Warning
	case m.Untrusted:
		return "device not trusted", k.Warning
	case !m.Outgoing || !show:
		return "", k.State
	case m.Gone != store.Here && (m.State == store.Queued || m.State == store.Failed):
		return "was not sent", k.Failed
	case m.State == store.Failed:
		said := "failed"
		if why = strings.TrimPrefix(why, "Not sent: "); why != "" {
			said += ": " + why
		}
		return said + ". Send it again: /again", k.Failed
	case why != "":
		return k.dots(m.State.String(), strings.TrimPrefix(why, "Waiting: ")), k.Warning
	case plain != "":
		return m.State.String() + ", " + plain, k.Warning
	}
	return progress(m), k.State
}

// recall is what keeps others from being asked to forget a message that was taken
// back; "" if nothing does.
func (k *look) recall(r client.Recall) (string, themes.Style) {
	why := strings.TrimPrefix(strings.TrimRight(r.Why.String(), "."), "Not sent: ")
	switch r.State {
	case store.Failed:
		if why != "" {
			why = ": " + why
		}
		return "the others were not asked" + why + ". Ask again: /again", k.Failed
	case store.Queued, store.Sent:
		return strings.TrimPrefix(why, "Waiting: "), k.Warning
	}
	return "", k.State
}

// progress is how far an own message has come; in a room, with how many.
func progress(m client.Message) string {
	p := m.Progress
	of := " of " + itoa(p.Of)
	switch {
	case p.Of < 2 || m.State == store.Queued || m.State == store.Failed || p.Read == p.Of:
	case p.Read > 0:
		return "read by " + itoa(p.Read) + of
	case p.Delivered > 0 && p.Delivered < p.Of:
		return "delivered to " + itoa(p.Delivered) + of
	case p.Delivered == p.Of:
		return store.Delivered.String()
	}
	return m.State.String()
}

// sayings are what sotto says of a message.
type sayings struct {
	remarks []remark
	instead remark // of the text
}

// key tells sayings from others, but for their styles.
func (s *sayings) key() string {
	words := ""
	for _, r := range s.remarks {
		words += r.words + "\n"
	}
	return words
}

// maxQuoteRows bounds the rows of a quote: whoever wants more goes to the message.
const maxQuoteRows = 2
