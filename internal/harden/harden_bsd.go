//go:build freebsd || openbsd || netbsd || dragonfly

package harden

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func early() error {
	keepDescriptors()
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	return nil
}

func state() []Applied {
	var core unix.Rlimit
	noCore := unix.Getrlimit(unix.RLIMIT_CORE, &core) == nil && core.Cur == 0
	return []Applied{{"no core dumps", noCore}}
}
