package tui

import (
	"os"

	"golang.org/x/sys/unix"
)

// unread is how much of what was written to the other side of a terminal was not
// read yet.
func unread(f *os.File) (n int) {
	c, err := f.SyscallConn()
	if err != nil {
		return 0
	}
	_ = c.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.TIOCINQ) })
	return n
}
