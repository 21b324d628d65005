// Package doctor looks whether a machine, a terminal, a profile and a relay are
// what sotto needs, and says what to do where they are not.
//
// It asks for no PIN, sends no credentials, changes nothing and prints nothing
// secret. Every check has a time limit, so none can hold up the others.
package doctor

import (
	"context"
	"os"
	"sync"
	"time"

	"sotto/client/text"
	"sotto/internal/profile"
)

// Verdict is what a check comes to.
type Verdict string

// The verdicts.
const (
	Good    Verdict = "good"
	Weak    Verdict = "weak" // sotto works, and protects less than it could
	Bad     Verdict = "bad"  // sotto does not work, or what it promises does not hold
	Skipped Verdict = "skip" // there was nothing to look at, or no way to
)

// Check is what came of one check. All of it is one line of printable text each.
type Check struct {
	ID      string  `json:"id"`    // stable: group and name, such as "memory.swap"
	Group   string  `json:"group"` // "memory", "system", "terminal", "profile" or "relay"
	Verdict Verdict `json:"verdict"`
	Found   string  `json:"found"`             // what is there
	Meaning string  `json:"meaning,omitempty"` // what that means; "" if all is well
	Remedy  string  `json:"remedy,omitempty"`  // what to do about it
}

// Config says what to look at.
type Config struct {
	Profile string // its name
	Relay   string // WebSocket URL; "" to discover it from the profile's address
	CA      []byte // PEM, to trust instead of the system's authorities; may be nil
	Offline bool   // leave the relay alone
	Screen  Screen
}

// Screen is the terminal that sotto would be on.
type Screen struct {
	In, Out *os.File // may be nil
	Getenv  func(string) string
}

// The time limits.
const (
	limit      = 2 * time.Second
	relayLimit = 10 * time.Second
)

// finding is a Check before it is known which one it is.
type finding struct {
	verdict                Verdict
	found, meaning, remedy string
}

func (f finding) as(group, id string) Check {
	return Check{
		ID: group + "." + id, Group: group, Verdict: f.verdict,
		Found: line(f.found), Meaning: line(f.meaning), Remedy: line(f.remedy),
	}
}

func good(found string) finding { return finding{verdict: Good, found: found} }

func skipped(why string) finding { return finding{verdict: Skipped, found: why} }

// examination fills one or more checks at a time.
type examination struct {
	ids   []string // without the group
	limit time.Duration
	run   func(context.Context) []finding // as many as ids
}

// one is an examination of one check.
func one(id string, run func(context.Context) finding) examination {
	return examination{[]string{id}, limit, func(ctx context.Context) []finding { return []finding{run(ctx)} }}
}

// group is what stands together on the page.
type group struct {
	name string
	of   []examination
}

// Run makes all checks at the same time and returns them in their fixed order.
// It takes no longer than the longest time limit: what does not answer in time
// is left behind, and said so. Call harden.Early before: the device secret is
// read.
func Run(ctx context.Context, c Config) Report {
	m := machine{root: "/", getenv: os.Getenv}
	p, c0 := look(c)
	return report(examine(ctx, []group{
		m.memory(), m.system(), c.Screen.group(m), p.group(m), relayGroup(c, p, c0),
	}))
}

// look finds the profile and its settings.
func look(c Config) (place, profile.Config) {
	p, err := profile.Paths(c.Profile)
	if err != nil {
		return place{err: err}, profile.Defaults()
	}
	there, err := p.Exists()
	settings, wrong := p.Load()
	return place{Profile: p, there: there, err: err, wrong: wrong}, settings
}

// examine runs all examinations of all groups.
func examine(ctx context.Context, groups []group) []Check {
	results := make([][][]finding, len(groups))
	var wait sync.WaitGroup
	for i, g := range groups {
		results[i] = make([][]finding, len(g.of))
		for j, e := range g.of {
			wait.Go(func() { results[i][j] = e.within(ctx) })
		}
	}
	wait.Wait()
	var checks []Check
	for i, g := range groups {
		for j, e := range g.of {
			for k, f := range results[i][j] {
				checks = append(checks, f.as(g.name, e.ids[k]))
			}
		}
	}
	return checks
}

// within runs e, but no longer than its limit.
func (e examination) within(ctx context.Context) []finding {
	ctx, cancel := context.WithTimeout(ctx, e.limit)
	defer cancel()
	done := make(chan []finding, 1)
	go func() { done <- e.run(ctx) }()
	var f []finding
	select {
	case f = <-done:
	case <-ctx.Done():
		select { // both may be true
		case f = <-done:
		default:
		}
	}
	for len(f) < len(e.ids) {
		f = append(f, finding{Weak, "no answer within " + e.limit.String(), "The system did not answer, so nothing is known about this.", "Try again; if it goes on, ask who looks after this computer."})
	}
	return f[:len(e.ids)]
}

// maxLine bounds what is said in one sentence: parts of it come from files and
// servers.
const maxLine = 400

// line makes one bounded line that is safe to show.
func line(s string) string {
	s = text.Line(s).String()
	if len(s) > maxLine {
		r := []rune(s)
		s = string(r[:min(len(r), maxLine-3)]) + "..."
	}
	return s
}
