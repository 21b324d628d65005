package tui

import "time"

const (
	countdown = 20 * time.Second // from here the time to the lock is counted in seconds
	maxJump   = 30 * time.Second // a wall clock this far ahead of the other: the machine slept

	// defaultLock is the idle time when none is configured.
	defaultLock = 2 * time.Minute
)

// clock knows how long nobody has pressed a key, and for how long the terminal
// has been without the focus. It counts with the clock that never jumps, and
// watches the wall clock beside it: where the machine slept, only the wall
// clock went on.
type clock struct {
	now       func() time.Time     // of the wall
	elapsed   func() time.Duration // since some fixed moment, never set back
	after     time.Duration        // idle time until the lock
	unfocused time.Duration        // time without the focus until the lock; 0 is never

	active   time.Duration // when a key was pressed last, by elapsed
	away     bool          // the terminal has lost the focus
	left     time.Duration // when it did
	wall     time.Time     // both clocks at the last look
	steady   time.Duration
	reported time.Duration // when activity was last reported
}

func newClock(now func() time.Time, elapsed func() time.Duration, after, unfocused time.Duration) *clock {
	if now == nil {
		now = time.Now
	}
	if elapsed == nil {
		start := time.Now()
		elapsed = func() time.Duration { return time.Since(start) }
	}
	if after <= 0 {
		after = defaultLock
	}
	c := &clock{now: now, elapsed: elapsed, after: after, unfocused: max(unfocused, 0)}
	c.wall, c.steady = c.read()
	c.active = c.steady
	c.reported = c.steady - time.Second
	return c
}

// limit takes other times until the lock.
func (c *clock) limit(after, unfocused time.Duration) {
	if after <= 0 {
		after = defaultLock
	}
	c.after, c.unfocused = after, max(unfocused, 0)
}

func (c *clock) read() (time.Time, time.Duration) { return c.now().Round(0), c.elapsed() }

// look reads both clocks, and reports why the screen should lock, if it
// should: because nobody was there, the window was left, or the machine slept.
func (c *clock) look() (left time.Duration, why Reason) {
	wall, steady := c.read()
	if wall.Sub(c.wall)-(steady-c.steady) > maxJump {
		return 0, Suspended
	}
	c.wall, c.steady = wall, steady
	left, ends := c.after-(steady-c.active), Idle
	if c.away && c.unfocused > 0 {
		if l := c.unfocused - (steady - c.left); l < left {
			left, ends = l, Unfocused
		}
	}
	if left <= 0 {
		return 0, ends
	}
	return left, ""
}

// leave notes that the terminal has lost the focus, and enter that it has it.
func (c *clock) leave() {
	if !c.away {
		c.away, c.left = true, c.steady
	}
}

func (c *clock) enter() { c.away = false }

// touch notes that a key was pressed, and reports whether it is time to tell
// others: once a second is enough.
func (c *clock) touch() (report bool) {
	c.active = c.steady
	if c.steady-c.reported < time.Second {
		return false
	}
	c.reported = c.steady
	return true
}
