package policy

import (
	"fmt"
	"time"
)

// Source is where a value comes from.
type Source string

// The sources of values.
const (
	FromPolicy  Source = "policy"
	FromPerson  Source = "person"
	FromDefault Source = "default"
)

// Decided is what holds of a setting.
type Decided struct {
	Setting Setting
	Value   Value // unset where nobody decides and nothing is the default
	From    Source
	Limit   Value // what the policy says, if it does
	Wish    Value // what the person has set, if they have
}

// Merge puts together what the policy says, which may be nil, and what the person
// has set; defaults hold where both are silent. It returns every setting in its
// order. Where the policy decides and the person does not, the policy holds, also
// where it is looser than the default; where both do, the stricter. A person's
// values that are no values are not looked at.
func Merge(p *Policy, person map[string]Value) []Decided {
	var all []Decided
	for _, s := range Settings() {
		d := Decided{Setting: s, Value: s.Default, From: FromDefault, Limit: p.Value(s.Name)}
		if w := person[s.Name]; s.Personal && w.Set() && s.check(w) == nil {
			d.Wish = w
		}
		switch {
		case d.Limit.Set() && d.Wish.Set():
			var mine bool
			if d.Value, mine = s.stricter(d.Wish, d.Limit); mine && !d.Wish.equal(d.Limit) {
				d.From = FromPerson
			} else {
				d.From = FromPolicy
			}
		case d.Limit.Set() && s.Kind == Folders:
			// The policy says what is allowed; what is used, only a person says.
			d.Value, d.From = Of(), FromPolicy
		case d.Limit.Set():
			d.Value, d.From = d.Limit, FromPolicy
		case d.Wish.Set():
			d.Value, d.From = d.Wish, FromPerson
		}
		all = append(all, d)
	}
	return all
}

// Find returns what holds of one setting, out of what Merge returned.
func Find(all []Decided, name string) Value {
	for _, d := range all {
		if d.Setting.Name == name {
			return d.Value
		}
	}
	return Value{}
}

// String says what holds and why, in a line.
func (d Decided) String() string {
	s := d.Setting
	switch {
	case !d.Value.Set():
		return s.Name + " is not decided"
	case d.From == FromDefault:
		return fmt.Sprintf("%s = %s (default)", s.Name, s.Format(d.Value))
	case d.From == FromPerson && d.Limit.Set():
		return fmt.Sprintf("%s = %s (yours; the organisation asks for %s)", s.Name, s.Format(d.Value), s.Format(d.Limit))
	case d.From == FromPerson:
		return fmt.Sprintf("%s = %s (yours)", s.Name, s.Format(d.Value))
	case d.Wish.Set() && !d.Wish.equal(d.Value):
		return fmt.Sprintf("%s = %s (the organisation's; you have set %s)", s.Name, s.Format(d.Value), s.Format(d.Wish))
	}
	return fmt.Sprintf("%s = %s (the organisation's)", s.Name, s.Format(d.Value))
}

// Diff says in a line each what changes from one policy to another, in the order of
// the settings. from may be nil.
func Diff(from, to *Policy) (lines []string) {
	for _, s := range Settings() {
		a, b := from.Value(s.Name), to.Value(s.Name)
		switch {
		case a.equal(b):
		case !b.Set():
			lines = append(lines, fmt.Sprintf("%s is left to people; it was %s", s.Name, s.Format(a)))
		case !a.Set():
			lines = append(lines, fmt.Sprintf("%s becomes %s; it was left to people", s.Name, s.Format(b)))
		default:
			how := ""
			if s.Kind != Text {
				_, toB := s.stricter(b, a)
				_, toA := s.stricter(a, b)
				switch {
				case toB && !toA:
					how = " (stricter)"
				case toA && !toB:
					how = " (looser)"
				}
			}
			lines = append(lines, fmt.Sprintf("%s becomes %s; it was %s%s", s.Name, s.Format(b), s.Format(a), how))
		}
	}
	return lines
}

// Standing is how a device stands to its organisation.
type Standing int

// The ways a device can stand.
const (
	InTouch Standing = iota
	Losing           // the last quarter of the lease: people are told
	Lost             // the lease is over: locked until the organisation is heard
	Behind           // the device's clock is behind what it has heard: locked until it is put right
)

// clockSlack is how far a device's clock may be behind.
const clockSlack = 10 * time.Minute

// Times are what a lease is counted by. The caller keeps all of them but Now.
type Times struct {
	Complete time.Time // in the newest head of which everything that it names was here: the lease counts from it
	Heard    time.Time // in the newest head
	Now      time.Time // by the device's clock
	Latest   time.Time // that the clock has ever said, so that setting it back wins nothing
}

// Stands says how a device stands, with a policy, which may be nil. The second result
// is how long that stays so, 0 for Lost and Behind.
func (p *Policy) Stands(t Times) (Standing, time.Duration) {
	now := t.Now
	if now.Before(t.Heard.Add(-clockSlack)) || now.Before(t.Latest.Add(-clockSlack)) {
		return Behind, 0
	}
	if t.Latest.After(now) {
		now = t.Latest
	}
	lease := p.Lease()
	warn := t.Complete.Add(lease - lease/4)
	switch end := t.Complete.Add(lease); {
	case !now.Before(end):
		return Lost, 0
	case !now.Before(warn):
		return Losing, end.Sub(now)
	default:
		return InTouch, warn.Sub(now)
	}
}
