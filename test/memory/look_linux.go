package memory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Allowed says, for the name of a canary, which roles may have it at a moment; "+"
// before a role says that it must have it, which is the positive control.
type Allowed map[string][]string

// Sight is what was found in the processes of a sotto at a moment.
type Sight struct {
	Roles []string // that ran
	Size  int64    // of their memory, in bytes

	canaries []Canary
	found    map[string][]Hit // by role
}

// Look searches the memory of every process of a sotto. Its error is ErrGone if
// the process with that id has ended.
func Look(pid int, canaries ...Canary) (Sight, error) {
	s := Sight{canaries: canaries, found: map[string][]Hit{}}
	family, err := Family(pid)
	if err != nil {
		return s, err
	}
	search := NewSearch(canaries...)
	for _, process := range family {
		hits, n, err := search.Memory(process.PID)
		if errors.Is(err, ErrGone) {
			continue
		}
		if err != nil {
			return s, err
		}
		s.Roles = append(s.Roles, process.Role)
		s.Size += n
		s.found[process.Role] = append(s.found[process.Role], hits...)
	}
	if !slices.Contains(s.Roles, "watch") {
		return s, ErrGone
	}
	return s, nil
}

// Wrong says what is where it may not be, and what is not where it must be.
func (s Sight) Wrong(may Allowed) (list []string) {
	for canary, who := range may {
		for _, role := range who {
			if role, must := strings.CutPrefix(role, "+"); must && Count(s.found[role], canary) == 0 {
				list = append(list, fmt.Sprintf("the search finds no %s in the %s, where it is; so it proves nothing", canary, role))
			}
		}
	}
	for role, hits := range s.found {
		for _, c := range s.canaries {
			if Count(hits, c.Name) > 0 && !slices.Contains(may[c.Name], role) && !slices.Contains(may[c.Name], "+"+role) {
				list = append(list, fmt.Sprintf("the %s is in the memory of the %s: %s", c.Name, role, Describe(hits, c.Name)))
			}
		}
	}
	slices.Sort(list)
	return list
}

// String says how much was searched, and what was found.
func (s Sight) String() string {
	var parts []string
	for _, c := range s.canaries {
		for role, hits := range s.found {
			if n := Count(hits, c.Name); n > 0 {
				parts = append(parts, fmt.Sprintf("%s %d in %s", c.Name, n, role))
			}
		}
	}
	if parts == nil {
		parts = []string{"nothing"}
	}
	slices.Sort(parts)
	return fmt.Sprintf("%d MB of %s: %s", s.Size>>20, strings.Join(s.Roles, ", "), strings.Join(parts, ", "))
}
