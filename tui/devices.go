package tui

import (
	tea "charm.land/bubbletea/v2"

	"sotto/client"
	"sotto/client/store"
	"sotto/client/text"
	"sotto/themes"
)

// devicesDialog shows who can read what is sent to a conversation: every
// device with its fingerprint and what is known of it. The person compares a
// fingerprint with what the other sees, and says whether they are the same.
type devicesDialog struct {
	peer   string
	list   []client.Device // theirs, then the own ones
	theirs int             // how many of list are theirs
	loaded bool
	failed text.Safe
	chosen int
	sure   bool // asked whether to refuse the chosen device
	remove bool // asked whether to remove the chosen device, an own one
}

// showDevices opens the dialog for the open conversation.
func (m *Model) showDevices() tea.Cmd {
	if m.open == "" {
		m.say("Open a conversation first: Ctrl+K.")
		return nil
	}
	if m.conversation(m.open).Room {
		_, cmd := m.commandMembers("")
		return cmd
	}
	d := &devicesDialog{peer: m.open}
	m.push(d)
	return m.loadDevices(d)
}

// commandDevices shows the devices: in a room, where F3 shows the people, the own
// ones.
func (m *Model) commandDevices(string) (bool, tea.Cmd) {
	if m.open != "" && !m.conversation(m.open).Room {
		return true, m.showDevices()
	}
	d := &devicesDialog{peer: m.self.Address}
	m.push(d)
	return true, m.loadDevices(d)
}

// devicesMsg is the answer to loadDevices.
type devicesMsg struct {
	d           *devicesDialog
	theirs, own []client.Device
	err         error
}

func (m *Model) loadDevices(d *devicesDialog) tea.Cmd {
	self := m.self.Address
	return m.query(func(q queryContext) tea.Msg {
		msg := devicesMsg{d: d}
		msg.theirs, msg.err = q.Devices(q.ctx, d.peer)
		if msg.err == nil && d.peer != self {
			msg.own, msg.err = q.Devices(q.ctx, self)
		}
		return msg
	})
}

// fill takes what was read. The first time, the first device that waits for a
// decision is chosen.
func (d *devicesDialog) fill(msg devicesMsg) {
	if msg.err != nil {
		d.failed = text.Line(msg.err.Error())
		return
	}
	active := func(all []client.Device) (list []client.Device) { // and then what is in use no more, if it ever was
		for _, dev := range all {
			if dev.Active {
				list = append(list, dev)
			}
		}
		for _, dev := range all {
			if !dev.Active && dev.Known && dev.Trust != store.Undecided && len(list) < maxListed {
				list = append(list, dev)
			}
		}
		return list
	}
	theirs := active(msg.theirs)
	d.list = append(theirs, active(msg.own)...)
	d.theirs = len(theirs)
	if !d.loaded {
		for i := len(d.list) - 1; i >= 0; i-- {
			if d.list[i].Active && d.list[i].Trust == store.Undecided && !d.list[i].Own {
				d.chosen = i
			}
		}
	}
	d.loaded = true
	d.chosen = min(d.chosen, max(len(d.list)-1, 0))
}

func (d *devicesDialog) key(m *Model, key, typed string) (bool, tea.Cmd) {
	switch key {
	case "esc", "f3", "ctrl+c":
		if d.sure || d.remove {
			d.sure, d.remove = false, false
			return false, nil
		}
		return true, nil
	case "up", "ctrl+p", "shift+tab":
		d.chosen, d.sure = max(d.chosen-1, 0), false
		d.remove = false
	case "down", "ctrl+n", "tab":
		d.chosen, d.sure = min(d.chosen+1, max(len(d.list)-1, 0)), false
		d.remove = false
	}
	if typed == "c" || typed == "C" {
		return false, m.showCode()
	}
	if d.chosen >= len(d.list) {
		return false, nil
	}
	dev := d.list[d.chosen]
	if dev.Own || !dev.Known {
		return false, nil
	}
	switch typed {
	case "s", "S":
		d.sure = false
		return false, m.trust(d.owner(m), dev, store.Verified)
	case "d", "D":
		d.sure, d.remove = true, false
	case "r", "R":
		d.remove, d.sure = d.owns(m), false
	case "y", "Y":
		if d.remove {
			d.remove = false
			return false, m.query(func(q queryContext) tea.Msg {
				return roomMsg{"", "Removed. Nothing is encrypted to it any more.", q.RemoveDevice(q.ctx, dev.ID)}
			})
		}
		if d.sure {
			d.sure = false
			return false, m.trust(d.owner(m), dev, store.Distrusted)
		}
	}
	return false, nil
}

// wheel goes a device up or down.
func (d *devicesDialog) wheel(_ *Model, n int) {
	d.chosen, d.sure = min(max(d.chosen+sign(n), 0), max(len(d.list)-1, 0)), false
}

func (d *devicesDialog) click(*Model, int, int) (bool, tea.Cmd) { return false, nil }

func (d *devicesDialog) covers() bool { return true }

// maxListed bounds the devices of one person in the list, with those not in use.
const maxListed = 40

// owns reports whether the chosen device is another own one, which is in use.
func (d *devicesDialog) owns(m *Model) bool {
	return d.chosen < len(d.list) && d.owner(m) == m.self.Address && !d.list[d.chosen].Own && d.list[d.chosen].Active
}

// owner is whose the chosen device is.
func (d *devicesDialog) owner(m *Model) string {
	if d.chosen < d.theirs {
		return d.peer
	}
	return m.self.Address
}

// trust stores a decision and reads the devices again.
func (m *Model) trust(peer string, dev client.Device, t store.Trust) tea.Cmd {
	return m.must(func(q queryContext) tea.Msg {
		return doneMsg{"keep the decision", q.Trust(q.ctx, peer, dev.Fingerprint, t)}
	})
}

// standing says what is known of a device.
func (k *look) standing(dev client.Device) (string, themes.Style) {
	if dev.Own {
		return "this device", k.Good
	}
	if !dev.Known {
		return "its keys have not been seen yet", k.Faint
	}
	since := ""
	if !dev.FirstSeen.IsZero() {
		since = " since " + dev.FirstSeen.In(k.zone).Format("2 Jan 2006")
	}
	switch {
	case dev.Active:
	case dev.Trust == store.Distrusted:
		return "refused, and not in use", k.Faint
	default:
		return "not in use any more, known" + since, k.Faint
	}
	switch dev.Trust {
	case store.Verified:
		return "compared, known" + since, k.Good
	case store.Signed:
		return "signed by the organisation", k.Good
	case store.Withdrawn:
		return "not signed by the organisation any more: nothing is sent to it", k.Warning
	case store.FirstUse:
		return "known" + since + ", not compared", k.Good
	case store.Distrusted:
		return "refused: nothing is sent to it", k.Warning
	}
	return "NEW" + since + ": nothing is sent to it", k.Warning
}

func (d *devicesDialog) render(m *Model, w, h int) ([]string, rect, *point) {
	k := &m.look
	bw := min(w-2, 79)
	inner := bw - 4
	name := m.conversation(d.peer).Name.String()
	var lines []string
	say := func(st themes.Style, s string) {
		for _, part := range wrap(k.m, s, inner) {
			lines = append(lines, paint(st, part))
		}
	}
	from, to := 0, 0 // the lines of the chosen device
	switch {
	case !d.failed.Empty():
		say(k.Failed, d.failed.String())
	case !d.loaded:
		say(k.Faint, "Reading the devices")
	case len(d.list) == 0:
		say(k.Text, "No device of "+shortName(name, d.peer)+" has been seen yet. What you write waits until there is one.")
	}
	if p, ok := m.known[d.peer]; ok {
		say(k.Faint, k.dots(append([]string{p.Address}, p.About()...)...))
	}
	for i, dev := range d.list {
		if i == d.theirs {
			lines = append(lines, "", paint(k.Title, "Your own devices, which read along"))
		}
		words, st := k.standing(dev)
		l := &line{m: k.m}
		sign := "  "
		if i == d.chosen {
			sign, from = "> ", len(lines)
		}
		l.add(k.Accent, sign)
		if i == d.chosen {
			l.add(k.Title, "device "+itoa(int(dev.ID)))
		} else {
			l.add(k.Text, "device "+itoa(int(dev.ID)))
		}
		if l.width+2+width(k.m, words) > inner {
			lines = append(lines, l.String())
			l = (&line{m: k.m}).space(2)
		} else {
			l.space(2)
		}
		lines = append(lines, l.add(st, clip(k.m, words, inner-l.width, k.more)).String())
		if dev.Known {
			for _, part := range wrap(k.m, dev.Fingerprint.String(), min(inner-4, 35)) { // four groups
				fst := k.Faint
				if i == d.chosen {
					fst = k.Fingerprint
				}
				lines = append(lines, "    "+paint(fst, part))
			}
		}
		if i == d.chosen {
			to = len(lines)
		}
	}
	keys := k.dots("Up, Down", "c your code", "Esc back")
	if d.chosen < len(d.list) && !d.list[d.chosen].Own && d.list[d.chosen].Known {
		keys = k.dots("s the same", "d different", "c your code", "Esc back")
		if d.owns(m) {
			keys = k.dots("s the same", "d different", "r remove", "c your code", "Esc back")
		}
		lines = append(lines, "")
		if d.remove {
			say(k.Warning, "Remove this device from your account? It reads nothing that is written from then on. Sign in there again to undo it. y removes it, Esc does not.")
		} else if d.sure {
			say(k.Warning, "Refuse this device, so that nothing is sent to it? y refuses it, Esc does not.")
		} else {
			say(k.Notice, "Compare with what they see under F3, by phone or in person, never in a message. Is it the same?")
		}
	}
	room := max(h-2, 1)
	if len(lines) > room { // keep the chosen device and the question in view
		foot := min(len(lines)-to, room/2)
		end := lines[len(lines)-foot:]
		top := max(min(from, to-(room-foot)), 0)
		lines = append(lines[top:min(top+room-foot, len(lines)-foot):len(lines)], end...)
	}
	box := k.box("who can read: "+name, keys, lines, bw)
	return box, center(box, bw, w, h), nil
}
