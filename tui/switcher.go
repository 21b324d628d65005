package tui

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
	"sotto/client/text"
)

// switcher is the dialog of Ctrl+K: a few letters of a name, and Enter.
type switcher struct {
	input  composer
	chosen int
	top    int  // first line shown
	lines  rect // where the lines stand on the screen

	title  string                                    // "" for going there
	choose func(m *Model, to string) (bool, tea.Cmd) // what Enter does; nil: to go there

	asked     string // what was looked for in the directory
	people    []client.Person
	why       text.Safe // why there can be no conversation with the address that stands there
	peopleFor string    // what they were found for
}

// hit is somebody, or a room, in the switcher.
type hit struct {
	peer string
	name text.Safe
	c    *client.Conversation // nil: of the directory
	p    *client.Person       // nil: of the conversations
}

func (d *switcher) key(m *Model, key, typed string) (bool, tea.Cmd) {
	found := d.found(m)
	switch key {
	case "esc", "ctrl+k", "ctrl+c", "alt+g":
		return true, nil
	case "up", "ctrl+p", "shift+tab":
		d.chosen = max(d.chosen-1, 0)
	case "down", "ctrl+n":
		d.chosen = min(d.chosen+1, max(len(found)-1, 0))
	case "tab":
		if len(found) > 0 {
			d.input.set(found[min(d.chosen, len(found)-1)].name.String())
		}
	case "enter":
		if to := address(d.input.String()); to != "" && len(found) == 0 {
			if !m.mayOpen(to) {
				return false, nil
			}
			return d.take(m, to)
		}
		if len(found) == 0 {
			return false, nil
		}
		return d.pick(m, found[min(d.chosen, len(found)-1)])
	case "alt+enter", "ctrl+j", "shift+enter":
	default:
		if typed != "" {
			d.input.typed(strings.ReplaceAll(typed, "\n", " "))
			d.chosen = 0
		} else {
			d.input.edit(m.look.m, key)
		}
	}
	return false, m.loadPeople(d)
}

// pick goes to who was chosen, or says why that cannot be.
func (d *switcher) pick(m *Model, h hit) (bool, tea.Cmd) {
	if h.p != nil && !h.p.Why.Empty() {
		m.refuseTalk(h.p.Why)
		return false, nil
	}
	return d.take(m, h.peer)
}

func (d *switcher) take(m *Model, to string) (bool, tea.Cmd) {
	if d.choose != nil {
		return d.choose(m, to)
	}
	return true, m.openPeer(to)
}

// query is what is looked for.
func (d *switcher) query() string { return strings.TrimSpace(d.input.String()) }

func (d *switcher) wheel(m *Model, n int) {
	d.chosen = min(max(d.chosen+sign(n), 0), max(len(d.found(m))-1, 0))
}

// click opens what is clicked.
func (d *switcher) click(m *Model, x, y int) (bool, tea.Cmd) {
	found := d.found(m)
	if i := d.top + y - d.lines.y; d.lines.has(x, y) && i < len(found) {
		return d.pick(m, found[i])
	}
	return false, nil
}

func (d *switcher) covers() bool { return true }

// sign is the direction of n.
func sign(n int) int { return cmp.Compare(n, 0) }

// found are the conversations that match what is written, best first, of those that
// fit as well the unread before the recent; and who of the directory does. Those of
// which a word begins so come before the directory, all others after it.
func (d *switcher) found(m *Model) []hit {
	query := strings.Fields(fold(d.input.String()))
	type scored struct {
		c     *client.Conversation
		score int
		weak  bool
	}
	var list []scored
	for _, c := range recent(m.list.all) {
		fields := []string{fold(c.Name.String()), fold(c.Group.String()), fold(c.Peer)}
		if s, ok := match(query, fields...); ok {
			list = append(list, scored{c, s, !begins(query, fields)})
		}
	}
	slices.SortStableFunc(list, func(a, b scored) int { return cmp.Compare(b.score, a.score) })
	var found, weak []hit
	listed := make(map[string]bool)
	for _, x := range list {
		h := hit{peer: x.c.Peer, name: x.c.Name, c: x.c}
		listed[h.peer] = true
		if x.weak {
			weak = append(weak, h)
		} else {
			found = append(found, h)
		}
	}
	if d.peopleFor == d.query() {
		for i := range d.people {
			if p := &d.people[i]; !listed[p.Address] {
				found = append(found, hit{peer: p.Address, name: p.Name, p: p})
			}
		}
	}
	return append(found, weak...)
}

// begins reports whether each word of a query begins a word of one of the fields.
func begins(query, fields []string) bool {
	return !slices.ContainsFunc(query, func(q string) bool {
		return !slices.ContainsFunc(fields, func(f string) bool { return fits(q, f) >= 12 })
	})
}

// fold makes text comparable: lower case, accents left out where they are
// separate marks.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
}

// match scores how well the words of a query fit one of some fields, the more
// important first; every word must fit one.
func match(query []string, fields ...string) (score int, ok bool) {
	for _, q := range query {
		best := 0
		for i, f := range fields {
			best = max(best, fits(q, f)*(len(fields)-i))
		}
		if best == 0 {
			return 0, false
		}
		score += best
	}
	return score, true
}

// fits scores one word against one field: the start of the field, the start of
// a word in it, anywhere, its letters in order with others between, not at all.
func fits(q, field string) int {
	i := strings.Index(field, q)
	switch {
	case i == 0:
		return 16
	case strings.Contains(field, " "+q):
		return 12
	case i > 0:
		return 6
	}
	rest := field
	for _, r := range q {
		at := strings.IndexRune(rest, r)
		if at < 0 {
			return 0
		}
		rest = rest[at+len(string(r)):]
	}
	return 1
}

func (d *switcher) render(m *Model, w, h int) ([]string, rect, *point) {
	k := &m.look
	bw := min(w-2, 64)
	room := max(min(h-6, 10), 1)
	found := d.found(m)
	d.chosen = min(d.chosen, max(len(found)-1, 0))
	prompt := &line{m: k.m}
	rows, x, y := d.input.layout(k.m, bw-7)
	prompt.add(k.Accent, "> ").add(k.Text, rows[y])
	lines := []string{prompt.String()}
	d.top = max(d.chosen-room+1, 0)
	nameW := min(max((bw-4)/3, 12), 26)
	for i := d.top; i < len(found) && i < d.top+room; i++ {
		l := &line{m: k.m}
		name := clip(k.m, found[i].name.String(), nameW, k.more)
		about, word, wordStyle := "", "", k.Text
		if p := found[i].p; p != nil {
			about = k.dots(p.About()...)
		}
		if c := found[i].c; c != nil {
			about = k.about(c)
		}
		if c := found[i].c; c != nil && c.Unread > 0 {
			about = k.dots(itoa(c.Unread)+" unread", about)
			if word, wordStyle = k.badge(c.Urgency, ""); word != "" {
				word += " "
			}
		}
		about = clip(k.m, about, max(bw-4-nameW-2-len(word), 0), k.more)
		if i == d.chosen {
			l.add(k.Chosen, name+spaces(nameW+2-width(k.m, name))+word+about)
			l.add(k.Chosen, spaces(bw-4-l.width))
		} else {
			l.add(k.Text, name).to(nameW + 2)
			if word != "" {
				l.add(wordStyle, word[:len(word)-1]).space(1)
			}
			l.add(k.Faint, about)
		}
		lines = append(lines, l.String())
	}
	if len(found) == 0 {
		words := "Nobody of that name. An address works too."
		if to := address(d.input.String()); to != "" {
			words = "Enter writes to " + text.Line(to).String()
			if d.peopleFor == d.query() && !d.why.Empty() {
				words = d.why.String()
			}
		}
		lines = append(lines, paint(k.Faint, clip(k.m, words, bw-4, k.more)))
	}
	for len(lines) < min(room, max(len(m.list.all), len(found)))+1 {
		lines = append(lines, "")
	}
	title, enter := "go to", "Enter open"
	if d.title != "" {
		title, enter = d.title, "Enter choose"
	}
	box := k.box(title, k.dots(enter, "Tab complete", "Esc back"), lines, bw)
	at := center(box, bw, w, h)
	at.y = min(at.y, 2)
	d.lines = rect{at.x + 1, at.y + 2, at.w - 2, min(len(found), room)}
	return box, at, &point{4 + x, 1}
}
