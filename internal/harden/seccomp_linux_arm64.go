package harden

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_AARCH64
	x32Bit    = 0x40000000 // no number is that high
)

var ownCalls, ownStartCalls []call
