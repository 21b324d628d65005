//go:build amd64 || arm64

package harden

import (
	"encoding/binary"
	"os"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// verdict runs a filter on one system call, without the kernel.
func verdict(t *testing.T, allowed []call, arch, nr uint32, args ...uint64) uint32 {
	t.Helper()
	vm, err := bpf.NewVM(program(allowed))
	if err != nil {
		t.Fatal(err)
	}
	// The machine that is simulated reads big endian words.
	data := make([]byte, 64)
	binary.BigEndian.PutUint32(data[offNr:], nr)
	binary.BigEndian.PutUint32(data[offArch:], arch)
	for i, a := range args {
		binary.BigEndian.PutUint32(data[offArgs+8*i:], uint32(a))
		binary.BigEndian.PutUint32(data[offArgs+8*i+4:], uint32(a>>32))
	}
	v, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(v)
}

func TestFilter(t *testing.T) {
	const allow, kill = unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_KILL_PROCESS
	pid := uint64(os.Getpid())
	cases := []struct {
		name    string
		allowed []call
		want    uint32
		nr      uint32
		args    []uint64
	}{
		{"the desk reads", deskCalls(), allow, unix.SYS_READ, nil},
		{"clone3 looks unknown", deskCalls(), unknown, unix.SYS_CLONE3, nil},
		{"x32", deskCalls(), kill, x32Bit | unix.SYS_READ, nil},
		{"a number of the future", deskCalls(), refuse, 0x3fffffff, nil},
		{"a thread", deskCalls(), allow, unix.SYS_CLONE, []uint64{threadFlags}},
		{"a thread of a C library", deskCalls(), allow, unix.SYS_CLONE, []uint64{threadFlags | threadDetails}},
		{"a thread with its own mounts", deskCalls(), refuse, unix.SYS_CLONE, []uint64{threadFlags | unix.CLONE_NEWNS}},
		{"a process", deskCalls(), refuse, unix.SYS_CLONE, []uint64{uint64(childFlags)}},
		{"its own thread is interrupted", deskCalls(), allow, unix.SYS_TGKILL, []uint64{pid}},
		{"another's thread", deskCalls(), refuse, unix.SYS_TGKILL, []uint64{pid + 1}},
		{"memory", deskCalls(), allow, unix.SYS_MMAP, []uint64{0, 1, unix.PROT_READ | unix.PROT_WRITE}},
		{"code", deskCalls(), refuse, unix.SYS_MMAP, []uint64{0, 1, unix.PROT_READ | unix.PROT_EXEC}},
		{"the last ioctl of the list", deskCalls(), allow, unix.SYS_IOCTL, []uint64{0, unix.TCFLSH}},
		{"the first ioctl of the list", deskCalls(), allow, unix.SYS_IOCTL, []uint64{0, unix.TCGETS}},
		{"TIOCSTI", deskCalls(), refuse, unix.SYS_IOCTL, []uint64{0, unix.TIOCSTI}},
		{"TIOCSTI, padded", deskCalls(), refuse, unix.SYS_IOCTL, []uint64{0, 1<<32 | unix.TIOCSTI}},
		{"an owner for signals", deskCalls(), refuse, unix.SYS_FCNTL, []uint64{0, unix.F_SETOWN}},
		{"a socket for the desk", deskCalls(), refuse, unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_STREAM}},
		{"a socket for the gate", gateCalls(), refuse, unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_STREAM}},
		{"TCP for the link", linkCalls(), allow, unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_STREAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK, 0}},
		{"UDP for the link", linkCalls(), allow, unix.SYS_SOCKET, []uint64{unix.AF_INET6, unix.SOCK_DGRAM, unix.IPPROTO_UDP}},
		{"MPTCP for the link", linkCalls(), refuse, unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP}},
		{"raw for the link", linkCalls(), refuse, unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_RAW, 0}},
		{"netlink for the link", linkCalls(), refuse, unix.SYS_SOCKET, []uint64{unix.AF_NETLINK, unix.SOCK_DGRAM, 0}},
		{"the link has no terminal", linkCalls(), refuse, unix.SYS_IOCTL, []uint64{0, unix.TCGETS}},
		{"the link runs nothing", linkCalls(), refuse, unix.SYS_EXECVE, nil},
		{"the watch starts a child", watchCalls(false), allow, unix.SYS_CLONE, []uint64{uint64(childFlags) | unix.CLONE_PIDFD}},
		{"no child of the watch gets a namespace", watchCalls(false), refuse, unix.SYS_CLONE, []uint64{uint64(childFlags) | unix.CLONE_NEWUSER}},
		{"no child of the watch types into the terminal", watchCalls(true), refuse, unix.SYS_IOCTL, []uint64{0, unix.TIOCSTI}},
		{"the watch maps code only if it is linked so", watchCalls(false), refuse, unix.SYS_MMAP, []uint64{0, 1, unix.PROT_EXEC}},
		{"the watch maps libraries", watchCalls(true), allow, unix.SYS_MMAP, []uint64{0, 1, unix.PROT_EXEC}},
		{"nobody traces", watchCalls(true), refuse, unix.SYS_PTRACE, nil},
	}
	for _, c := range cases {
		if got := verdict(t, c.allowed, auditArch, c.nr, c.args...); got != c.want {
			t.Errorf("%s: %#x, want %#x", c.name, got, c.want)
		}
	}
	if got := verdict(t, deskCalls(), unix.AUDIT_ARCH_I386, unix.SYS_READ); got != kill {
		t.Errorf("a call by another architecture's numbers: %#x", got)
	}
}

// What a role may do must be possible in a role that the watch starts.
func TestWatchLeavesWhatRolesNeed(t *testing.T) {
	watch := make(map[uint32]bool)
	for _, c := range watchCalls(false) {
		watch[c.nr] = true
	}
	for name, calls := range map[string][]call{"desk": deskCalls(), "gate": gateCalls(), "link": linkCalls()} {
		for _, c := range calls {
			if !watch[c.nr] {
				t.Errorf("the %s needs call %d, and the watch takes it away", name, c.nr)
			}
		}
	}
}
