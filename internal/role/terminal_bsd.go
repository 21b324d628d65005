//go:build unix && !linux

package role

import "golang.org/x/sys/unix"

const (
	ioctlGet      = unix.TIOCGETA
	ioctlSet      = unix.TIOCSETA
	ioctlSetFlush = unix.TIOCSETAF

	// FREAD and FWRITE of sys/fcntl.h
	flushInput  = 1
	flushOutput = 2
)

func flush(fd, queue int) { unix.IoctlSetPointerInt(fd, unix.TIOCFLUSH, queue) }

// Foreground says whether the terminal is this process's group's to use, and
// not a shell's that has put it in the background.
func (t *Terminal) Foreground() bool {
	has, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
	return err != nil || has == unix.Getpgrp()
}
