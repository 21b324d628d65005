package client

import (
	"fmt"
	"testing"

	"sotto/client/audit"
	"sotto/client/org"
)

// TestRefusalsAreToldWhateverElseIsSaid: notices may have words of the relay in them. One
// that says something new again and again leaves no less in the log of what it forges.
func TestRefusalsAreToldWhateverElseIsSaid(t *testing.T) {
	s := staff(t)
	s.start()
	l := keeps(t, s.c)
	inRun(t, s.c, func() {
		for i := range 2000 {
			s.c.sayOnce("", "The room cannot be entered: %d", i)
		}
		if len(s.c.said) != 1000 {
			t.Errorf("%d notices are remembered", len(s.c.said))
		}
		for range 3 {
			s.c.refused("the policy", fmt.Errorf("policy 2: %w", org.ErrFork))
		}
	})
	l.leaves(audit.PolicyRefused, "reason=%s", audit.Forked)

	// What is told of refusals has its bound, too.
	inRun(t, s.c, func() {
		for i := 0; len(s.c.refusals) < refusalsTold; i++ {
			s.c.refusals[fmt.Sprint(i)] = true
		}
		s.c.refused("the head", org.ErrFork)
		if len(s.c.refusals) != refusalsTold {
			t.Errorf("%d refusals are remembered", len(s.c.refusals))
		}
	})
}
