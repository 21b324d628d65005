package tui

import (
	"time"

	tea "charm.land/bubbletea/v2"

	"sotto/client"
	"sotto/client/org/policy"
)

// standing is how this device stands to its organisation, and until when.
type standing struct {
	client.Organisation
	until time.Time // Standing stays so
}

// organisationMsg says how this device stands.
type organisationMsg struct{ standing }

// loadOrganisation finds out how this device stands. While the directory is being read
// just after unlocking, that waits for it.
func (m *Model) loadOrganisation() tea.Cmd {
	now := m.clock.now
	return m.query(func(q queryContext) tea.Msg {
		o := q.Organisation()
		return organisationMsg{standing{o, now().Add(o.Left)}}
	})
}

// organisationRead takes it, and says what is new and somebody should know.
func (m *Model) organisationRead(msg organisationMsg) {
	was := m.org
	m.org = msg.standing
	switch o := &m.org; {
	case !o.Out.Empty() && was.Out != o.Out:
		m.warn("Nothing is sent, and nothing comes: " + o.Out.String() + ". Ask your administrator.")
	case !o.Withheld.Empty() && was.Withheld != o.Withheld:
		m.warn("The relay holds something back that " + o.Name.String() + " has signed: " + o.Withheld.String() + ". Tell your administrator.")
	}
}

// organisation is what the status line says of the organisation; "" while all is well.
func (m *Model) organisation() string {
	o := &m.org
	switch {
	case o.Name.Empty():
	case !o.Out.Empty():
		return "not in " + o.Name.String() + " now"
	case o.Standing == policy.Losing:
		return o.Name.String() + " not heard, locks " + m.when(o.until)
	}
	return ""
}

// when is a moment within the next days.
func (m *Model) when(t time.Time) string {
	t, now := t.In(m.look.zone), m.clock.wall.In(m.look.zone)
	if sameDay(t, now) {
		return t.Format("15:04")
	}
	return t.Format("Mon 15:04")
}

// inTouch says in a line how this device stands, for the dialog of the policy.
func (m *Model) inTouch() string {
	o := &m.org
	if o.Name.Empty() {
		return ""
	}
	heard := "not heard yet"
	if !o.Heard.IsZero() {
		heard = "heard " + m.at(o.Heard, m.clock.wall)
	}
	stands := map[policy.Standing]string{policy.InTouch: "in touch", policy.Losing: "losing touch, locks " + m.when(o.until), policy.Lost: "lost", policy.Behind: "this clock is behind"}[o.Standing]
	return m.look.dots(o.Name.String(), heard, stands)
}
