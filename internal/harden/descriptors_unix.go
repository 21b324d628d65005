//go:build unix

package harden

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// mostDescriptors bounds the search where the system has no list of those in use.
const mostDescriptors = 4096

// keepDescriptors marks every descriptor beyond standard error to be closed in
// programs that this process starts. Whoever started sotto may have left some
// open, and the role that is to reach nothing would have them all.
func keepDescriptors() {
	open, err := os.ReadDir("/dev/fd")
	if err != nil || len(open) <= 3 { // a system that lists only the first three there
		for fd := 3; fd < mostDescriptors; fd++ {
			unix.CloseOnExec(fd)
		}
		return
	}
	for _, f := range open {
		if fd, err := strconv.Atoi(f.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}
