package role

import "syscall"

// The same file that runs now, even if another version has replaced it on disk.
func executable() (string, error) { return "/proc/self/exe", nil }

// SIGTERM and not SIGKILL, so that a desk whose watch was killed still blanks the screen.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}
