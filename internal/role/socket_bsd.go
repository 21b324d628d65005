//go:build unix && !linux

package role

import (
	"syscall"

	"golang.org/x/sys/unix"
)

const recvFlags = 0

// Without SOCK_CLOEXEC a fork between the two steps would let the pair through.
func socketpair() ([2]int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return fds, err
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	return fds, nil
}
