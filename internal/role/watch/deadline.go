package watch

import "time"

// due is what the watch has to do because of the time.
type due int

const (
	nothing  due = iota
	toLock       // the desk should have locked by itself, and has not
	toLogOff     // locked for so long that the password goes, too
)

// standing is what the deadlines depend on. Its times are of clocks.boot.
type standing struct {
	open   bool          // a desk runs that has not locked
	active time.Duration // when the person's last key was heard of
	online bool          // locked, and a link runs that is to go
	locked time.Duration // since when
}

// next says what comes next and how long that is from now: 0 when it is due,
// and never longer than a deadline is, though the clock should go back.
func (c Config) next(s standing, now time.Duration) (due, time.Duration) {
	var what due
	var since, after time.Duration
	switch {
	case s.open && c.Display.LockAfter > 0:
		what, since, after = toLock, s.active, c.Display.LockAfter+lockGrace
	case !s.open && s.online && c.LogoffAfter > 0:
		what, since, after = toLogOff, s.locked, c.LogoffAfter
	default:
		return nothing, 0
	}
	return what, min(max(since+after-now, 0), after)
}
