package watch

import (
	"time"

	"golang.org/x/sys/unix"
)

// clock is a time that goes on while the machine sleeps.
func clock() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return wall()
	}
	return time.Duration(ts.Nano())
}
