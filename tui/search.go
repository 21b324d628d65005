package tui

import (
	"strings"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
	"sotto/client/store"
	"sotto/themes"
)

const (
	searchPage = 50   // messages read at once
	maxFound   = 2000 // messages kept in a search
)

// searchDialog searches all messages as somebody types, over the whole screen.
type searchDialog struct {
	input   composer
	asked   asked
	hits    hitList
	found   []client.Hit
	next    client.Query // what reads the next page
	more    bool         // there may be one
	number  int          // of the search: grows when what is asked changes
	running bool         // a page is being read
	stale   bool         // and new messages have come meanwhile
	problem string       // why the last one could not be
	done    int          // number of the search that found belongs to
}

// foundMsg is a page of a search.
type foundMsg struct {
	d      *searchDialog
	number int
	first  bool
	found  client.Found
	err    error
}

func newSearch(m *Model, text string) *searchDialog {
	d := &searchDialog{}
	if text != "" {
		d.input.set(text)
	}
	return d
}

func (m *Model) commandSearch(arg string) (bool, tea.Cmd) {
	d := newSearch(m, arg)
	m.push(d)
	return true, d.look(m)
}

// look searches for what is written now. One page is read at a time: while that
// goes on, only the last of what was typed is remembered.
func (d *searchDialog) look(m *Model) tea.Cmd {
	d.asked = m.ask(d.input.String())
	d.number++
	d.hits.chosen, d.hits.top = 0, 0
	if d.asked.nothing() {
		d.found, d.more, d.done, d.problem = nil, false, d.number, ""
		return nil
	}
	d.next = d.asked.Query
	d.next.Limit = searchPage
	return d.read(m, true)
}

// searchAgain repeats a search whose screen is open, as there are new messages,
// unless the person has moved in what was found.
func (m *Model) searchAgain() tea.Cmd {
	if len(m.dialogs) == 0 {
		return nil
	}
	d, ok := m.dialogs[len(m.dialogs)-1].(*searchDialog)
	if !ok || d.asked.nothing() || d.hits.chosen > 0 {
		return nil
	}
	if d.running { // the first page, too, may have been read before they came
		d.stale = true
		return nil
	}
	if d.done != d.number {
		return nil
	}
	d.next = d.asked.Query
	d.next.Limit = searchPage
	return d.read(m, true)
}

// read reads the next page, unless one is being read.
func (d *searchDialog) read(m *Model, first bool) tea.Cmd {
	if d.running {
		return nil
	}
	d.running = true
	q, number := d.next, d.number
	return m.query(func(c queryContext) tea.Msg {
		found, err := c.Search(c.ctx, q)
		return foundMsg{d, number, first, found, err}
	})
}

// take takes a page. What is not asked for any more is dropped.
func (d *searchDialog) take(m *Model, msg foundMsg) tea.Cmd {
	d.running = false
	if msg.number != d.number {
		if d.asked.nothing() {
			return nil
		}
		return d.read(m, true)
	}
	if msg.first {
		d.found, d.problem, d.done = nil, "", d.number
	}
	if msg.err != nil {
		d.problem, d.more = msg.err.Error(), false
		return nil
	}
	d.found = append(d.found, msg.found.Hits...)
	d.next.After, d.more = msg.found.Next, msg.found.More && len(d.found) < maxFound
	if d.stale {
		d.stale = false
		return m.searchAgain()
	}
	return d.further(m)
}

// further reads on while the list is not full, or its end is near.
func (d *searchDialog) further(m *Model) tea.Cmd {
	open := false
	for _, x := range m.dialogs {
		open = open || x == dialog(d)
	}
	if open && d.more && d.done == d.number && len(d.found) < d.hits.chosen+searchPage/2 {
		return d.read(m, false)
	}
	return nil
}

func (d *searchDialog) key(m *Model, key, typed string) (bool, tea.Cmd) {
	if d.hits.key(key, len(d.found)) {
		return false, d.further(m)
	}
	if d.hits.leaves(m, key) {
		return true, nil
	}
	switch key {
	case "esc", "ctrl+f", "alt+s":
		return true, nil
	case "ctrl+c":
		if d.input.empty() {
			return true, nil
		}
		d.input.clear()
		return false, d.look(m)
	case "enter":
		if d.done != d.number || len(d.found) == 0 { // for something else that was typed
			return false, nil
		}
		h := &d.found[d.hits.chosen]
		return true, m.jump(h.Peer, h.ID, d)
	case "alt+enter", "ctrl+j", "shift+enter":
		return false, nil
	}
	was := d.input.String()
	if typed != "" {
		d.input.typed(strings.ReplaceAll(typed, "\n", " "))
	} else {
		d.input.edit(m.look.m, key)
	}
	if d.input.String() == was {
		return false, nil
	}
	return false, d.look(m)
}

func (d *searchDialog) wheel(_ *Model, n int) { d.hits.move(sign(n), len(d.found)) }

func (d *searchDialog) click(m *Model, _, y int) (bool, tea.Cmd) {
	if i := d.hits.line(y); i >= 0 && i < len(d.found) && d.done == d.number {
		d.hits.chosen = i
		return true, m.jump(d.found[i].Peer, d.found[i].ID, d)
	}
	return false, nil
}

func (d *searchDialog) covers() bool { return false } // it does so itself

// says is what to say about the search.
func (d *searchDialog) says(k *look) (string, themes.Style) {
	switch {
	case d.asked.problem != "":
		return d.asked.problem, k.Warning
	case d.problem != "":
		return d.problem, k.Failed
	case d.asked.nothing():
		return "Words, or from:NAME in:ROOM on:yesterday before:2026-11-21 after:monday is:stat", k.Faint
	case len(d.asked.understood) > 0:
		return k.dots(d.asked.understood...), k.Faint
	}
	return "", k.Faint
}

// total says how many were found.
func (d *searchDialog) total() string {
	switch n := len(d.found); {
	case d.asked.nothing():
		return ""
	case d.done != d.number, n == 0 && d.more:
		return "searching"
	case n == 0:
		return "nothing found"
	case d.more:
		return itoa(n) + " found, and more"
	default:
		return itoa(n) + " found"
	}
}

func (d *searchDialog) render(m *Model, w, h int) ([]string, rect, *point) {
	k := &m.look
	rows, x, y := d.input.layout(k.m, max(w-promptWidth-1, 1))
	prompt := &line{m: k.m}
	prompt.add(k.Accent, " >").space(2).add(k.Text, rows[y])
	words, st := d.says(k)
	lines := []string{
		k.screenTitle("search", d.total(), w), prompt.String(),
		" " + paint(st, clip(k.m, words, w-2, k.more)), k.hrule(w, "", themes.Style{}, false),
	}
	if m.covered() {
		clear(lines[1:3])
		lines = append(lines, k.curtain(w, h-6)...)
		return k.wholeScreen(lines, "", m, w, h), rect{0, 0, w, h}, nil
	}
	lines = append(lines, d.hits.draw(m, len(d.found), 4, w, h-6, func(i int) (client.Message, []store.Span, string, themes.Style) {
		hit := &d.found[i]
		word, st := k.badge(hit.Urgency, "")
		return hit.Message, hit.Spans, word, st
	})...)
	return k.wholeScreen(lines, k.dots("Enter go there", "Up, Down", "Esc back"), m, w, h), rect{0, 0, w, h}, &point{promptWidth + x, 1}
}
