package role

import "golang.org/x/sys/unix"

// Files that arrive are closed on exec from the first moment.
const recvFlags = unix.MSG_CMSG_CLOEXEC

func socketpair() ([2]int, error) {
	return unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
}
