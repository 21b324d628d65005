//go:build unix

package profile

import (
	"os"
	"syscall"
)

// What watch understands: see package watch.
const (
	signalToLock   = syscall.SIGUSR1
	signalToLogOff = syscall.SIGUSR2
)

// signalLock asks a process to lock. The system lets nobody signal a process of
// another user.
func signalLock(p *os.Process, logOff bool) error {
	if logOff {
		return p.Signal(signalToLogOff)
	}
	return p.Signal(signalToLock)
}

// continueProcess lets a stopped process hear what it was sent. Watch stops
// itself again if a shell had stopped it.
func continueProcess(p *os.Process) { _ = p.Signal(syscall.SIGCONT) }
