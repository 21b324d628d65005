package tui

import (
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
	"sotto/client/org/policy"
	"sotto/themes"
	"sotto/tui/attach"
)

// Settings are those of a Config that a change of the organisation's policy changes
// while the screens run. What else it changes holds from the next unlocking on.
type Settings struct {
	LockAfter     time.Duration
	LockUnfocused time.Duration
	Curtain       bool
	Reveal        bool
	NoPaste       bool
	AttachFrom    attach.Folders
}

// apply puts settings in force.
func (m *Model) apply(s Settings) {
	c := &m.cfg
	if c.Reveal != s.Reveal {
		m.keys = keysFor(bindings(s.Reveal))
		if m.tl != nil {
			m.tl.reveal = s.Reveal
			m.tl.touch()
		}
	}
	c.LockAfter, c.LockUnfocused, c.Curtain, c.Reveal, c.NoPaste, c.AttachFrom = s.LockAfter, s.LockUnfocused, s.Curtain, s.Reveal, s.NoPaste, s.AttachFrom
	m.clock.limit(s.LockAfter, s.LockUnfocused)
	m.offer = offer{}
}

// maxToldChanges is how many changes of a policy are said one by one.
const maxToldChanges = 2

// policyChanged says what the organisation has changed, and has it hold.
func (m *Model) policyChanged(e client.PolicyChanged) tea.Cmd {
	if m.cfg.Settings != nil {
		m.apply(m.cfg.Settings())
	}
	words := "Your organisation has a new policy. "
	switch n := len(e.Changes); {
	case n == 0:
		words += "Nothing changes for you."
	case n <= maxToldChanges:
		words += "From now on " + strings.Join(e.Changes, ", and ") + ". /policy shows all."
	default:
		words += itoa(n) + " settings change for you: /policy."
	}
	if !e.First { // who has just joined knows of no other
		m.say(words)
	}
	if m.open == "" {
		return nil
	}
	return tea.Batch(m.reload(), m.loadSecurity()) // who is trusted may be others now
}

// policyDialog shows every setting, its value, and who says so.
type policyDialog struct {
	chosen, page int
}

func (m *Model) commandPolicy(string) (bool, tea.Cmd) {
	m.push(&policyDialog{})
	return true, nil
}

func (d *policyDialog) key(m *Model, key, _ string) (bool, tea.Cmd) {
	n := len(m.cfg.Messenger.InForce())
	move := func(by int) { d.chosen = min(max(d.chosen+by, 0), max(n-1, 0)) }
	switch key {
	case "up", "ctrl+p", "shift+tab":
		move(-1)
	case "down", "ctrl+n", "tab":
		move(1)
	case "pgup":
		move(-max(d.page-6, 1))
	case "pgdown", "space":
		move(max(d.page-6, 1))
	case "home":
		move(-n)
	case "end":
		move(n)
	default:
		return true, nil
	}
	return false, nil
}

func (d *policyDialog) wheel(m *Model, n int) {
	d.chosen = min(max(d.chosen+sign(n), 0), max(len(m.cfg.Messenger.InForce())-1, 0))
}
func (d *policyDialog) click(*Model, int, int) (done bool, _ tea.Cmd) { return false, nil }
func (d *policyDialog) covers() bool                                  { return false }

func (d *policyDialog) render(m *Model, w, h int) ([]string, rect, *point) {
	k := &m.look
	all := m.cfg.Messenger.InForce()
	bw := min(w-2, 79)
	inner := bw - 4
	var lines []string
	from, to := 0, 0
	if s := m.inTouch(); s != "" {
		lines = append(lines, paint(k.Faint, clip(k.m, s, inner, k.more)))
	}
	nameW, valueW := 18, max(min(inner-18-2-16, 28), 8)
	for i := range all {
		x := &all[i]
		l := &line{m: k.m}
		st := k.Text
		if i == d.chosen {
			from, st = len(lines), k.Title
			l.add(k.Accent, "> ")
		} else {
			l.space(2)
		}
		l.add(st, x.Setting.Name).to(nameW + 2)
		l.add(st, clip(k.m, shownValue(x), valueW, k.more)).to(nameW + 2 + valueW + 1)
		source, sourceStyle := k.source(x)
		lines = append(lines, l.add(sourceStyle, clip(k.m, source, max(inner-l.width, 0), k.more)).String())
		if i == d.chosen {
			for _, s := range explained(x) {
				for _, part := range wrap(k.m, s, inner-4) {
					lines = append(lines, "    "+paint(k.Faint, part))
				}
			}
			to = len(lines)
		}
	}
	d.page = max(h-2, 1)
	if len(lines) > d.page {
		top := max(min(from, to-d.page), 0)
		if to <= d.page {
			top = 0
		}
		top = min(max(top, from-d.page/2), len(lines)-d.page)
		if to-top > d.page {
			top = to - d.page
		}
		lines = lines[top : top+d.page]
	}
	title := "what holds here: no organisation"
	if p := m.cfg.Messenger.Policy(); p != nil {
		title = k.dots("what holds here", "policy "+itoa(int(p.Serial))+" of "+p.Issued.In(k.zone).Format("2 Jan 2006 15:04"))
	}
	box := k.box(title, k.dots("Up, Down", "Esc back"), lines, bw)
	return box, center(box, bw, w, h), nil
}

// shownValue writes a value as a policy has it.
func shownValue(d *policy.Decided) string {
	if !d.Value.Set() {
		return "not decided"
	}
	return d.Setting.Format(d.Value)
}

// source says who has decided a setting.
func (k *look) source(d *policy.Decided) (string, themes.Style) {
	switch {
	case d.From == policy.FromDefault:
		return "default", k.Faint
	case d.From == policy.FromPerson && d.Limit.Set():
		return "you, stricter", k.Good
	case d.From == policy.FromPerson:
		return "you", k.Text
	}
	return "organisation", k.Warning
}

// about says what a setting is for, and what a person can do about it.
func explained(d *policy.Decided) []string {
	s := d.Setting
	out := []string{s.Help}
	if d.Limit.Set() && d.From == policy.FromPerson {
		out = append(out, "The organisation asks for "+s.Format(d.Limit)+".")
	}
	if d.Wish.Set() && d.From == policy.FromPolicy && s.Format(d.Wish) != s.Format(d.Value) {
		out = append(out, "You have set "+s.Format(d.Wish)+", which the organisation does not allow.")
	}
	switch {
	case !s.Personal:
		return append(out, "Only the organisation decides it.")
	case !d.Limit.Set():
		return append(out, "Yours to decide: "+s.Name+" in your settings (config.toml).")
	}
	if can := stricter(d); can != "" {
		return append(out, "You can make it stricter in your settings (config.toml): "+can+".")
	}
	return append(out, "It cannot be made stricter.")
}

// stricter says what a person could make of a value; "" if it is the strictest.
func stricter(d *policy.Decided) string {
	s, v := d.Setting, d.Value
	switch s.Kind {
	case policy.Duration:
		switch {
		case !v.Set() || s.Never && v.Duration() == 0:
			return "a time, as " + s.Name + " = \"1m\""
		case s.More:
			return "longer"
		case int64(v.Duration()/time.Second) <= s.Min:
			return ""
		}
		return "shorter than " + s.Format(v)
	case policy.Count:
		switch {
		case s.Never && v.Int() == 0:
			return "a number, as " + s.Name + " = 10"
		case s.More:
			return "more than " + s.Format(v)
		case int64(v.Int()) <= s.Min:
			return ""
		}
		return "less than " + s.Format(v)
	case policy.Choice:
		if v.Set() && v.Bool() == s.Strict {
			return ""
		}
		return s.Format(policy.Bool(s.Strict))
	case policy.Word:
		if i := slices.Index(s.Words, v.Text()); i+1 < len(s.Words) {
			return `"` + strings.Join(s.Words[i+1:], `" or "`) + `"`
		}
		return ""
	case policy.Folders:
		return "folders within these: " + s.Format(d.Limit)
	}
	return ""
}
