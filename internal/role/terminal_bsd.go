//go:build unix && !linux

package role

import "golang.org/x/sys/unix"

const (
	ioctlGet      = unix.TIOCGETA
	ioctlSet      = unix.TIOCSETA
	ioctlSetFlush = unix.TIOCSETAF

	fread = 1 // FREAD of sys/fcntl.h: the input queue
)

func flush(fd int) { unix.IoctlSetPointerInt(fd, unix.TIOCFLUSH, fread) }
