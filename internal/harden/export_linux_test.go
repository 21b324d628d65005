//go:build amd64 || arm64

package harden

import (
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Lack makes the kernel seem not to know some calls. With flags 0 only to the
// thread that asks.
func Lack(flags uintptr, calls ...uint32) error {
	p := []bpf.Instruction{bpf.LoadAbsolute{Off: offNr, Size: 4}}
	for _, nr := range calls {
		p = append(p, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: nr, SkipTrue: 1}, bpf.RetConstant{Val: unknown})
	}
	return install(append(p, bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}), flags)
}
