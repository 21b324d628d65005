//go:build unix && !linux

package role

import (
	"os"
	"syscall"
)

func executable() (string, error) { return os.Executable() }

// No signal when the watch dies: the end of the control connection tells it.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

func mindWatch() error { return nil }
