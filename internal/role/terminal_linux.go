package role

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	ioctlGet      = unix.TCGETS
	ioctlSet      = unix.TCSETS
	ioctlSetFlush = unix.TCSETSF

	flushInput  = unix.TCIFLUSH
	flushOutput = unix.TCOFLUSH
)

func flush(fd, queue int) { unix.IoctlSetInt(fd, unix.TCFLSH, queue) }

// Foreground says whether the terminal is this process's group's to use, and
// not a shell's that has put it in the background. It is read from a file: the
// watch has given up asking the terminal for more than it needs all the time.
func (t *Terminal) Foreground() bool {
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return true
	}
	return foreground(string(b))
}

// foreground reads it from what has the form of proc_pid_stat(5).
func foreground(stat string) bool {
	// After the name: state, parent, group, session, terminal, the group that has it.
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(f) < 6 || f[5] == "-1" {
		return true // no terminal that could be another's
	}
	return f[2] == f[5]
}
