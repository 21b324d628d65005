package tui

import (
	tea "charm.land/bubbletea/v2"

	"sotto/client"
	"sotto/client/store"
	"sotto/client/text"
	"sotto/themes"
)

// membersDialog shows who can read in a room, a line each, and of the chosen one
// on which devices.
type membersDialog struct {
	peer   string
	list   []client.Member
	known  map[string]client.Person // of them, as the directory has them
	new    *client.NewReaders
	loaded bool
	failed text.Safe
	chosen int
	page   int
}

func (m *Model) commandMembers(string) (bool, tea.Cmd) {
	if !m.conversation(m.open).Room {
		m.say("This is no room: /devices shows who can read here.")
		return false, nil
	}
	d := &membersDialog{peer: m.open}
	m.push(d)
	return true, m.loadMembers(d)
}

// membersMsg is the answer to loadMembers.
type membersMsg struct {
	d     *membersDialog
	list  []client.Member
	known map[string]client.Person
	new   *client.NewReaders
	err   error
}

func (m *Model) loadMembers(d *membersDialog) tea.Cmd {
	return m.query(func(q queryContext) tea.Msg {
		msg := membersMsg{d: d}
		if msg.list, msg.err = q.Members(q.ctx, d.peer); msg.err != nil {
			return msg
		}
		msg.known = make(map[string]client.Person)
		for i := range msg.list {
			if p, ok := q.Person(msg.list[i].Address); ok {
				msg.known[p.Address] = p
			}
		}
		s, err := q.Security(q.ctx, d.peer)
		msg.new, msg.err = s.New, err
		return msg
	})
}

// fill takes what was read. The first time, the first who is new is chosen.
func (d *membersDialog) fill(msg membersMsg) {
	if msg.err != nil {
		d.failed = text.Line(msg.err.Error())
		return
	}
	d.list, d.known, d.new = msg.list, msg.known, msg.new
	if !d.loaded {
		for i := len(d.list) - 1; i >= 0; i-- {
			if d.list[i].New {
				d.chosen = i
			}
		}
	}
	d.loaded = true
	d.chosen = min(d.chosen, max(len(d.list)-1, 0))
}

func (d *membersDialog) key(m *Model, key, typed string) (bool, tea.Cmd) {
	move := func(n int) { d.chosen = min(max(d.chosen+n, 0), max(len(d.list)-1, 0)) }
	switch key {
	case "enter":
		if n := d.new; n != nil {
			return true, m.must(func(q queryContext) tea.Msg {
				return doneMsg{"keep who can read", q.AcceptReaders(q.ctx, n)}
			})
		}
		return d.compare(m)
	case "up", "ctrl+p", "shift+tab":
		move(-1)
	case "down", "ctrl+n", "tab":
		move(1)
	case "pgup":
		move(-d.page)
	case "pgdown":
		move(d.page)
	case "home":
		move(-len(d.list))
	case "end":
		move(len(d.list))
	case "esc", "f3", "ctrl+c":
		return true, nil
	}
	if typed == "t" || typed == "T" {
		return d.compare(m)
	}
	return false, nil
}

// compare shows the devices of the chosen one.
func (d *membersDialog) compare(m *Model) (bool, tea.Cmd) {
	if d.chosen >= len(d.list) {
		return false, nil
	}
	devices := &devicesDialog{peer: d.list[d.chosen].Address}
	m.push(devices)
	return false, m.loadDevices(devices)
}

func (d *membersDialog) wheel(_ *Model, n int) {
	d.chosen = min(max(d.chosen+sign(n), 0), max(len(d.list)-1, 0))
}
func (d *membersDialog) click(*Model, int, int) (done bool, _ tea.Cmd) { return false, nil }
func (d *membersDialog) covers() bool                                  { return true }

func (d *membersDialog) render(m *Model, w, h int) ([]string, rect, *point) {
	k := &m.look
	bw := min(w-2, 79)
	inner := bw - 4
	var lines []string
	say := func(st themes.Style, s string) {
		for _, part := range wrap(k.m, s, inner) {
			lines = append(lines, paint(st, part))
		}
	}
	switch {
	case !d.failed.Empty():
		say(k.Failed, d.failed.String())
	case !d.loaded:
		say(k.Faint, "Reading who can read")
	}
	nameW, devices := 8, 0
	for i := range d.list {
		nameW = max(nameW, width(k.m, memberName(&d.list[i])))
		devices += inUse(&d.list[i])
	}
	nameW = min(nameW, inner/2-6)
	from, to := 0, 0 // the lines of the chosen one
	for i := range d.list {
		p := &d.list[i]
		l := &line{m: k.m}
		st, mark := k.Text, "  "
		if i == d.chosen {
			from, st, mark = len(lines), k.Title, "> "
		}
		l.add(k.Accent, mark).add(st, clip(k.m, memberName(p), nameW, k.more)).to(nameW + 4)
		l.add(k.Faint, count(inUse(p), "device")).to(nameW + 16)
		words, wordStyle := k.reads(p, d.new)
		if p.Affiliation != "member" {
			words = k.dots(words, p.Affiliation)
		}
		lines = append(lines, l.add(wordStyle, clip(k.m, words, max(inner-l.width, 0), k.more)).String())
		if i == d.chosen {
			detail := func(st themes.Style, s string) {
				for _, part := range wrap(k.m, s, inner-4) {
					lines = append(lines, "    "+paint(st, part))
				}
			}
			about := p.Address
			if who, ok := d.known[p.Address]; ok {
				about = k.dots(append([]string{p.Address}, who.About()...)...)
			}
			detail(k.Faint, about)
			for _, dev := range p.Devices {
				if dev.Active || dev.Own {
					words, st := k.standing(dev)
					detail(st, "device "+itoa(int(dev.ID))+": "+words)
				}
			}
			to = len(lines)
		}
	}
	keys := k.dots("Up, Down", "t compare", "Esc back")
	if d.new != nil {
		keys = k.dots("Enter: they may read", "Up, Down", "t compare", "Esc back")
	}
	d.page = max(h-2, 1)
	if len(lines) > d.page {
		top := max(min(from, to-d.page), 0)
		if from < d.page && to <= d.page {
			top = 0
		}
		lines = lines[top:min(top+d.page, len(lines))]
	}
	title := "who can read: " + m.conversation(d.peer).Name.String()
	if d.loaded {
		people := count(len(d.list), "person")
		if len(d.list) != 1 {
			people = itoa(len(d.list)) + " people"
		}
		title = k.dots(m.conversation(d.peer).Name.String(), people+", "+count(devices, "device"))
	}
	box := k.box(title, keys, lines, bw)
	return box, center(box, bw, w, h), nil
}

func memberName(p *client.Member) string {
	if p.Own {
		return p.Name.String() + " (you)"
	}
	return p.Name.String()
}

// inUse counts the devices that somebody reads on, or could.
func inUse(p *client.Member) (n int) {
	for _, d := range p.Devices {
		if d.Active || d.Own {
			n++
		}
	}
	return n
}

// reads says what is known of the devices that somebody reads on, and whether they
// could already when the person wrote last.
func (k *look) reads(p *client.Member, n *client.NewReaders) (string, themes.Style) {
	trusted, compared, waiting := 0, 0, 0
	for _, d := range p.Devices {
		switch {
		case d.Own || !d.Active:
		case d.Trust == store.Verified, d.Trust == store.Signed:
			trusted++
			compared++
		case d.Trust == store.FirstUse:
			trusted++
		case d.Trust == store.Undecided:
			waiting++
		}
	}
	switch {
	case waiting > 0:
		return newOnes(waiting) + ": nothing goes there yet", k.Warning
	case p.New && n != nil && !n.First:
		return "NEW since your last message", k.Warning
	case p.Own && trusted == 0:
		return "this device", k.Good
	case trusted == 0:
		return "no device known yet", k.Faint
	case compared == trusted:
		return "compared", k.Good
	case compared > 0:
		return itoa(compared) + " of " + itoa(trusted) + " compared", k.Good
	}
	return "not compared", k.Good
}

func newOnes(n int) string {
	if n == 1 {
		return "1 NEW device"
	}
	return itoa(n) + " NEW devices"
}
