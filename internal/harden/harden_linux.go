package harden

import (
	"fmt"

	ll "github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"
)

func early() error {
	keepDescriptors()
	// Not dumpable: no core, no ptrace and no /proc/PID/mem for the same user.
	// One call covers the whole process; exec takes it back.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid reading this process's memory: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	// This one is a thread's own, and the runtime has already started some.
	if err := ll.AllThreadsPrctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up gaining privileges: %w", err)
	}
	return nil
}

func state() []Applied {
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	closed := err == nil && dumpable == 0
	var core unix.Rlimit
	noCore := unix.Getrlimit(unix.RLIMIT_CORE, &core) == nil && core.Cur == 0
	privs, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	return []Applied{
		{"other programs of this user cannot read sotto's memory", closed},
		{"no core dumps", noCore},
		{"no privileges to be gained", err == nil && privs == 1},
	}
}
