//go:build unix

package main

import (
	"os"
	"syscall"
)

// askToLock does as sotto lock does.
func askToLock(p *os.Process) error { return p.Signal(syscall.SIGUSR1) }
