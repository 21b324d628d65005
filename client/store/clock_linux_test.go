package store

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// processor returns the time that this thread has had a processor, which tells
// more than a clock where others work, too.
func processor() time.Duration {
	runtime.LockOSThread() // never unlocked: the benchmark's goroutine ends with it
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
