package link

import "time"

const (
	lookAtClock = 5 * time.Second // as often, at least, while there is something to keep up
	clockJump   = 5 * time.Second // and this much is more than an adjustment
)

// clock notices that the machine slept. The monotonic clock, by which timers
// run, stands still meanwhile and the time of day does not. That somebody set the
// time of day looks the same, and matters too: certificates are judged by it.
type clock struct {
	wall      func() time.Time // the time of day, without a monotonic reading
	mono, day time.Time        // when it was looked at last
}

func newClock(wall func() time.Time) clock {
	return clock{wall: wall, mono: time.Now(), day: wall()}
}

// jumped reports whether the clocks have come apart since it was last called.
func (c *clock) jumped() bool {
	mono, day := time.Now(), c.wall()
	gap := day.Sub(c.day) - mono.Sub(c.mono)
	c.mono, c.day = mono, day
	return gap.Abs() > clockJump
}

// woke checks at once what timers would check too late: a connection may be dead
// by now, and a network or a certificate may be good again.
func (o *owner) woke() {
	o.cfg.Logger.Info("the clock jumped: checking the connection")
	o.failures = 0
	switch {
	case o.stream != nil:
		o.ask, o.nudge, o.hurry = true, true, true
	case o.attempt != nil: // begun in another network, perhaps
		o.attempt.again = true
		o.attempt.cancel()
	case o.acct != nil && !o.retryAt.IsZero():
		o.connect()
	}
}
