//go:build unix

package doctor

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func user(context.Context) finding {
	if os.Geteuid() == 0 {
		return finding{Weak, "root", "As root a mistake in sotto reaches the whole computer, and files of others.", "Run sotto as a user of its own."}
	}
	if os.Geteuid() != os.Getuid() {
		return finding{Bad, fmt.Sprintf("user %d with the rights of %d", os.Getuid(), os.Geteuid()), "sotto is not made to run with another user's rights.", "Take the set-user-ID bit off the program: chmod u-s"}
	}
	return good(fmt.Sprintf("%d, not root", os.Geteuid()))
}

// memlock says how much memory may be locked.
func memlock() string {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &l) != nil {
		return "not told"
	}
	if uint64(l.Cur) > 1<<50 {
		return "unlimited"
	}
	return fmt.Sprintf("%d KiB", uint64(l.Cur)>>10)
}
