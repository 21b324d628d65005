package role

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// The same file that runs now, even if another version has replaced it on disk.
func executable() (string, error) { return "/proc/self/exe", nil }

// SIGTERM and not SIGKILL, so that a link leaves the relay.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
}

// mindWatch asks for the same, for this process. A watch that is dead already
// shows in the control connection.
func mindWatch() error { return unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0, 0, 0) }
