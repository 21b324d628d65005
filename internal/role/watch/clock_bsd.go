//go:build unix && !linux

package watch

import "time"

// systemClocks are what Go offers: the day goes on in sleep, and what spans are
// measured with stands still, or goes on, too, where the system has it so.
func systemClocks() clocks {
	start := time.Now()
	steady := func() time.Duration { return time.Since(start) }
	return clocks{boot: wall, steady: steady, wall: wall}
}

// wakes calls ahead of nothing here: the clocks are looked at every few seconds.
func wakes() (<-chan struct{}, error) { return nil, errNoWakes }
