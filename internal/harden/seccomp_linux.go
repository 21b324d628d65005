//go:build amd64 || arm64

package harden

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// call is a system call that a role may make, if all conditions hold.
type call struct {
	nr  uint32
	all []condition
}

// condition is that an argument, masked, is one of some values. It looks at the
// lower 32 bits: every argument that is examined here is an int to the kernel,
// or a set of flags that lie there. What the kernel ignores must not decide.
type condition struct {
	arg    int
	mask   uint32
	values []uint32
}

const whole = ^uint32(0) // the mask that looks at all of an argument

// always allows a call whatever its arguments are.
func always(nr uint32) call { return call{nr: nr} }

// only allows a call if an argument is one of the values.
func only(nr uint32, arg int, values ...uint32) call {
	return call{nr, []condition{{arg, whole, values}}}
}

// masked allows a call if an argument has, of the bits in mask, one of the values.
func masked(nr uint32, arg int, mask uint32, values ...uint32) call {
	return call{nr, []condition{{arg, mask, values}}}
}

// The kernel's struct seccomp_data.
const (
	offNr   = 0
	offArch = 4
	offArgs = 16 // the lower half of each, on the little endian machines this is built for
)

const (
	refuse  = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	unknown = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
)

// program writes the filter. The first entry for a call decides; what is not in
// allowed ends with EPERM.
func program(allowed []call) []bpf.Instruction {
	p := []bpf.Instruction{
		// A call in another architecture's numbers would be read as a wrong one.
		bpf.LoadAbsolute{Off: offArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: auditArch, SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_KILL_PROCESS},
		bpf.LoadAbsolute{Off: offNr, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: x32Bit, SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_KILL_PROCESS},
		// Its flags lie in memory, where a filter can't look. C libraries fall
		// back to clone when the kernel seems not to know it.
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.SYS_CLONE3, SkipTrue: 1},
		bpf.RetConstant{Val: unknown},
	}
	for _, c := range allowed {
		body := c.body()
		p = append(p, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: c.nr, SkipTrue: uint8(len(body))})
		p = append(p, body...)
	}
	return append(p, bpf.RetConstant{Val: refuse})
}

// body checks the conditions of a call. It always ends in a verdict.
func (c call) body() []bpf.Instruction {
	var b []bpf.Instruction
	for _, d := range c.all {
		b = append(b, bpf.LoadAbsolute{Off: offArgs + 8*uint32(d.arg), Size: 4})
		if d.mask != whole {
			b = append(b, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: d.mask})
		}
		for i, v := range d.values {
			// Over the values that are left, and the verdict.
			b = append(b, bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipTrue: uint8(len(d.values) - i)})
		}
		b = append(b, bpf.RetConstant{Val: refuse})
	}
	return append(b, bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW})
}

func seccompOffered() bool {
	action := uint32(unix.SECCOMP_RET_KILL_PROCESS)
	_, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action)))
	// Neither says that there is none: an outer filter may refuse the question.
	return e != unix.ENOSYS && e != unix.EINVAL
}

// applySeccomp puts the filter on every thread; those to come inherit it. It
// returns false where the kernel has no filters.
func applySeccomp(allowed []call) (bool, error) {
	if !seccompOffered() {
		return false, nil
	}
	if err := install(program(allowed), unix.SECCOMP_FILTER_FLAG_TSYNC); err != nil {
		return false, err
	}
	return true, nil
}

func install(program []bpf.Instruction, flags uintptr) error {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	// The kernel copies this thread's filters, and that it gains no privileges,
	// to all others: it has to be one thread that does both.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	refused, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(filter)
	if e != 0 {
		return e
	}
	if refused != 0 { // not an errno: the id of a thread that has another filter
		return fmt.Errorf("thread %d did not take the filter", refused)
	}
	return nil
}
