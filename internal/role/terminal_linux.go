package role

import "golang.org/x/sys/unix"

const (
	ioctlGet      = unix.TCGETS
	ioctlSet      = unix.TCSETS
	ioctlSetFlush = unix.TCSETSF
)

func flush(fd int) { unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH) }
