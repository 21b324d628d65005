package harden

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_X86_64
	x32Bit    = 0x40000000 // __X32_SYSCALL_BIT: the same architecture, other numbers
)

// ownCalls are the calls that arm64 does not have.
var ownCalls = []call{
	always(unix.SYS_POLL),       // the wait for a key
	always(unix.SYS_EPOLL_WAIT), // Bubble Tea's cancellable reader
}

var ownStartCalls = []call{
	always(unix.SYS_ARCH_PRCTL), // a thread's own memory
}
