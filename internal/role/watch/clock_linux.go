package watch

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

func systemClocks() clocks {
	return clocks{boot: reading(unix.CLOCK_BOOTTIME), steady: reading(unix.CLOCK_MONOTONIC), wall: wall}
}

func reading(clock int32) func() time.Duration {
	return func() time.Duration {
		var ts unix.Timespec
		if unix.ClockGettime(clock, &ts) != nil {
			return wall()
		}
		return time.Duration(ts.Nano())
	}
}

// wakes returns a channel that something comes from as soon as the machine
// wakes up, and whenever the time of day is set: a timer of that clock that is
// far away is cancelled then, see timerfd_create(2). It costs nothing meanwhile.
func wakes() (<-chan struct{}, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("make a timer: %w", err)
	}
	far := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(1<<62 - 1))}
	if err := unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &far, nil); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("set a timer: %w", err)
	}
	woke := make(chan struct{}, 1)
	go func() {
		f := os.NewFile(uintptr(fd), "timer")
		defer f.Close()
		b := make([]byte, 8)
		for {
			if _, err := f.Read(b); err != nil && !errors.Is(err, unix.ECANCELED) {
				return
			}
			select {
			case woke <- struct{}{}:
			default:
			}
		}
	}()
	return woke, nil
}
