//go:build unix

package watch

import "testing"

// Where the system says that it woke up, nothing is looked at every few seconds.
func TestSystemClocks(t *testing.T) {
	c := systemClocks()
	s := newSleep(c)
	if before := c.boot(); s.slept() || c.boot() < before {
		t.Error("the system's clocks say that the machine sleeps all the time")
	}
	if _, err := wakes(); err != nil && err != errNoWakes {
		t.Error(err)
	}
}
