//go:build amd64 || arm64

// Package hardentest has a system seem to lack what confines a role, for tests.
package hardentest

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Lack makes the kernel seem not to know some calls: to this process and whatever it
// starts or becomes, with flags 0 to the thread that asks only. It can't be undone.
func Lack(flags uintptr, calls ...uint32) error {
	// struct seccomp_data begins with the number of the call.
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}}
	for _, nr := range calls {
		filter = append(filter,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: nr},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)})
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	r, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(filter)
	switch {
	case e != 0:
		return e
	case r != 0: // the thread that could not follow
		return unix.EBUSY
	}
	return nil
}
