package tui

import (
	"strings"

	"sotto/themes"
)

// A device that its organisation has not let in yet shows how that stands, and
// nothing else: no conversation, and nothing that could be written into one.

// outside reports whether the device is on its way into an organisation.
func (m *Model) outside() bool { return m.joining.Active() }

// drawOutside draws the screen of a device on its way.
func (m *Model) drawOutside() {
	m.frame.areas, m.frame.fits, m.frame.cursor, m.frame.image = areas{}, true, nil, nil
	k, j := &m.look, m.joining
	head := "Waiting for " + j.Organisation.String() + " to let this device in"
	switch {
	case j.CutOff:
		head = "This device is not set up yet"
	case !j.Waiting():
		head = j.Organisation.String() + " has not let this device in"
	}
	type row struct {
		text  string
		style themes.Style
	}
	var rows []row
	add := func(st themes.Style, words string) {
		for _, s := range wrap(k.m, words, max(min(m.width-2, 70), 1)) {
			rows = append(rows, row{s, st})
		}
	}
	gap := func() { rows = append(rows, row{}) }
	add(k.Text, head)
	gap()
	st := k.Text
	if j.Waiting() {
		st = k.Faint
	}
	add(st, j.Words.String()+".")
	gap()
	add(k.Faint, m.self.Address+", device "+itoa(int(m.self.Device))+", whose fingerprint is")
	add(k.Faint, m.self.Fingerprint.String())

	body := max(m.height-1, 1)
	if len(rows) > body { // what matters stands first
		tight := rows[:0]
		for _, r := range rows {
			if r.text != "" {
				tight = append(tight, r)
			}
		}
		rows = tight[:min(len(tight), body)]
	}
	lines := make([]string, m.height)
	top := (body - len(rows)) / 3
	widest := 0
	for _, r := range rows {
		widest = max(widest, width(k.m, r.text))
	}
	left := max((m.width-widest)/2, 0)
	for i, r := range rows {
		if r.text != "" {
			lines[top+i] = spaces(left) + paint(r.style, clip(k.m, r.text, m.width-left, k.more))
		}
	}
	if m.height > 1 {
		left, _ := m.clock.look()
		lock, soon := lockWords(left)
		state, st := k.relay(m.state, m.clock.wall)
		lines[m.height-1] = k.statusWith([][2]string{{"Ctrl+Q", "leave"}, {"Ctrl+L", "lock"}}, state, st, "", 0, lock, soon, m.width)
	}
	m.frame.content = strings.Join(lines, "\n")
}
