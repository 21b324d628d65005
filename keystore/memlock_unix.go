//go:build unix

package keystore

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// CheckMemlock tries whether this process may lock as much memory as the
// busiest role needs, and says what to do if not.
func CheckMemlock() error { return checkMemlock(lockedPages * os.Getpagesize()) }

func checkMemlock(need int) error {
	b, err := unix.Mmap(-1, 0, need, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMemlock, err)
	}
	defer unix.Munmap(b)
	if err := unix.Mlock(b); err != nil {
		var limit unix.Rlimit
		if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit) != nil {
			return fmt.Errorf("%w: %w", ErrMemlock, err)
		}
		return fmt.Errorf("%w. sotto needs %d KiB and the limit is %d KiB: raise it with \"ulimit -l %d\", "+
			"with memlock in /etc/security/limits.conf, or with LimitMEMLOCK= in the systemd unit",
			ErrMemlock, need>>10, uint64(limit.Cur)>>10, max(256, need>>10))
	}
	return unix.Munlock(b)
}
