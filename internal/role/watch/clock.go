package watch

import "time"

// clocks are the three ways to tell the time that the watch needs. Each is a
// span since some fixed moment.
type clocks struct {
	boot   func() time.Duration // goes on while the machine sleeps, and can't be set
	steady func() time.Duration // stands still while the machine sleeps
	wall   func() time.Duration // of the day: goes on, and can be set
}

// wall is the time of day.
func wall() time.Duration { return time.Duration(time.Now().UnixNano()) }

const (
	// minSleep is how far the clock that goes on in sleep must be ahead of the
	// other since the last look: their readings are not of one moment.
	minSleep = time.Second
	// maxJump is how far the time of day may go ahead for another reason: it was
	// set. A machine that was put to sleep by the one it runs on knows no more.
	maxJump = 30 * time.Second
)

// sleep finds out that the machine has slept.
type sleep struct {
	clocks
	ahead, day time.Duration // how far boot and wall were ahead of steady
}

func newSleep(c clocks) *sleep {
	s := &sleep{clocks: c}
	s.ahead, s.day = s.look()
	return s
}

func (s *sleep) look() (ahead, day time.Duration) {
	steady := s.steady()
	return s.boot() - steady, s.wall() - steady
}

// slept says whether the machine has slept since the last time it was asked.
func (s *sleep) slept() bool {
	ahead, day := s.look()
	slept := ahead-s.ahead > minSleep || day-s.day > maxJump
	s.ahead, s.day = ahead, day
	return slept
}
