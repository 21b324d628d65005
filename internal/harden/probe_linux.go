package harden

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attempt is a thing to try. It undoes what it did, and returns the error of the
// step that should have been refused.
type attempt struct {
	name string
	try  func() error
}

func probe(dir string, l Layers) []Attempt {
	var table []Attempt
	for _, list := range []struct {
		kind     string
		attempts []attempt
	}{
		{"network", probeSockets()}, {"processes", probeProcesses()}, {"terminal", probeTerminal()},
		{"files", probeFiles(dir)}, {"memory", probeMemory()}, {"kernel", probeKernel()},
	} {
		for _, a := range list.attempts {
			result := judge(a, l)
			result.Kind = list.kind
			table = append(table, result)
		}
	}
	return table
}

// judge tries, and tells by the error which layer refused: a filter says EPERM,
// Landlock EACCES except for signals.
func judge(a attempt, l Layers) Attempt {
	err := a.try()
	result := Attempt{Name: a.name}
	if err != nil {
		result.Error = err.Error()
	}
	switch {
	case errors.Is(err, unix.EPERM) && l.Seccomp:
		result.By = "seccomp"
	case errors.Is(err, unix.EACCES) && l.Landlock > 0:
		result.By = "Landlock"
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		result.By = "the system"
	default:
		result.Allowed = true
	}
	return result
}

// raw makes a system call that has no place in a library, or with arguments that
// a library would not pass.
func raw(nr uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	_, _, e := unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	if e != 0 {
		return e
	}
	return nil
}

// closing is for calls that would give a descriptor.
func closing(fd int, err error) error {
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func rawClosing(nr uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	fd, _, e := unix.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	if e != 0 {
		return e
	}
	return closing(int(fd), nil)
}

const none = ^uintptr(0) // no descriptor, no process

func probeSockets() []attempt {
	socket := func(family, typ, protocol int) func() error {
		return func() error { return closing(unix.Socket(family, typ|unix.SOCK_CLOEXEC, protocol)) }
	}
	return []attempt{
		{"make a TCP socket", socket(unix.AF_INET, unix.SOCK_STREAM, 0)},
		{"make a TCP socket (IPv6)", socket(unix.AF_INET6, unix.SOCK_STREAM, 0)},
		{"make a UDP socket", socket(unix.AF_INET, unix.SOCK_DGRAM, 0)},
		{"make a UDP socket (IPv6)", socket(unix.AF_INET6, unix.SOCK_DGRAM, 0)},
		{"make a Multipath TCP socket", socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP)},
		{"make an SCTP socket", socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP)},
		{"make a raw socket", socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)},
		{"make a packet socket", socket(unix.AF_PACKET, unix.SOCK_DGRAM, 0)},
		{"make a Unix socket", socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)},
		{"make a Unix datagram socket", socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)},
		{"make a pair of sockets", func() error {
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
			if err == nil {
				unix.Close(pair[1])
			}
			return closing(pair[0], err)
		}},
		{"make a netlink socket", socket(unix.AF_NETLINK, unix.SOCK_RAW, 0)},
		{"make a vsock socket", socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0)},
		{"make a kernel crypto socket", socket(unix.AF_ALG, unix.SOCK_SEQPACKET, 0)},
		{"make a Bluetooth socket", socket(unix.AF_BLUETOOTH, unix.SOCK_RAW, 0)},
		{"connect a socket", func() error { return raw(unix.SYS_CONNECT, none, 0, 0) }},
		{"bind a socket", func() error { return raw(unix.SYS_BIND, none, 0, 0) }},
		{"listen on a socket", func() error { return raw(unix.SYS_LISTEN, none, 0) }},
		{"accept a connection", func() error { return raw(unix.SYS_ACCEPT4, none, 0, 0, 0) }},
		{"send a datagram", func() error { return raw(unix.SYS_SENDTO, none, 0, 0, 0, 0, 0) }},
		{"pass a file to another process", func() error { return raw(unix.SYS_SENDMSG, none, 0, 0) }},
	}
}

func probeProcesses() []attempt {
	parent := uintptr(os.Getppid())
	word := make([]byte, 8)
	return []attempt{
		{"run a program", func() error { return spawn("/bin/true") }},
		{"run this program again", func() error { return spawn("/proc/self/exe") }},
		{"become another program", func() error { return unix.Exec("/nonexistent", nil, nil) }},
		{"become another program (by descriptor)", func() error { return raw(unix.SYS_EXECVEAT, none, 0, 0, 0, unix.AT_EMPTY_PATH) }},
		// Flags that contradict each other: without a filter EINVAL, and never a process.
		{"make a process", func() error { return raw(unix.SYS_CLONE, unix.CLONE_SIGHAND, 0, 0, 0, 0) }},
		{"make a process in a namespace", func() error { return raw(unix.SYS_CLONE, unix.CLONE_SIGHAND|unix.CLONE_NEWUSER, 0, 0, 0, 0) }},
		{"trace a process", func() error { return raw(unix.SYS_PTRACE, unix.PTRACE_ATTACH, 1<<30, 0, 0) }},
		{"read the parent's memory", func() error {
			_, err := unix.ProcessVMReadv(int(parent), []unix.Iovec{{Base: &word[0], Len: 8}}, []unix.RemoteIovec{{Base: 1, Len: 8}}, 0)
			return err
		}},
		{"write the parent's memory", func() error {
			_, err := unix.ProcessVMWritev(int(parent), []unix.Iovec{{Base: &word[0], Len: 8}}, []unix.RemoteIovec{{Base: 1, Len: 8}}, 0)
			return err
		}},
		{"signal the parent", func() error { return raw(unix.SYS_KILL, parent, 0) }},
		{"signal a thread", func() error { return raw(unix.SYS_TKILL, parent, 0) }},
		{"signal the parent's thread", func() error { return raw(unix.SYS_TGKILL, parent, parent, 0) }},
		{"signal the parent with a value", func() error { return raw(unix.SYS_RT_SIGQUEUEINFO, parent, 0, 0) }},
		{"have input signal the parent", func() error { return raw(unix.SYS_FCNTL, none, unix.F_SETOWN, parent) }},
		{"hold on to the parent", func() error { return rawClosing(unix.SYS_PIDFD_OPEN, parent, 0) }},
		{"take a descriptor from a process", func() error { return raw(unix.SYS_PIDFD_GETFD, none, 0, 0) }},
		{"signal through a pidfd", func() error { return raw(unix.SYS_PIDFD_SEND_SIGNAL, none, 0, 0, 0) }},
		{"change the parent's limits", func() error { return raw(unix.SYS_PRLIMIT64, parent, unix.RLIMIT_CORE, 0, 0) }},
		{"choose another process's CPUs", func() error { return raw(unix.SYS_SCHED_SETAFFINITY, 1<<30, 0, 0) }},
	}
}

// spawn starts a program and waits for its end. Not with os/exec: it opens
// /dev/null first, and it is not that which should be refused.
func spawn(path string) error {
	pid, err := syscall.ForkExec(path, []string{path, "-test.run=^$"}, nil)
	if err != nil {
		return err
	}
	var status syscall.WaitStatus
	_, err = syscall.Wait4(pid, &status, 0, nil)
	return err
}

func probeTerminal() []attempt {
	space := byte(' ')
	padding := uint64(1) << 32
	ioctl := func(request, arg uintptr) func() error {
		return func() error { return raw(unix.SYS_IOCTL, 0, request, arg) }
	}
	return []attempt{
		{"type into the terminal (TIOCSTI)", func() error {
			err := raw(unix.SYS_IOCTL, 0, unix.TIOCSTI, uintptr(unsafe.Pointer(&space)))
			if err == nil {
				unix.IoctlSetInt(0, unix.TCFLSH, unix.TCIFLUSH)
			}
			return err
		}},
		// The kernel looks at the lower half of a request, and so must a filter.
		{"type into the terminal (a padded TIOCSTI)", ioctl(uintptr(padding|unix.TIOCSTI), 0)},
		{"paste the console's selection (TIOCLINUX)", ioctl(unix.TIOCLINUX, 0)},
		{"take over a terminal (TIOCSCTTY)", ioctl(unix.TIOCSCTTY, 0)},
		{"give the terminal to others (TIOCSPGRP)", ioctl(unix.TIOCSPGRP, 0)},
		{"change the terminal's discipline (TIOCSETD)", ioctl(unix.TIOCSETD, 0)},
		{"change the terminal's size (TIOCSWINSZ)", ioctl(unix.TIOCSWINSZ, 0)},
		{"ask for the machine's network addresses", ioctl(unix.SIOCGIFCONF, 0)},
		{"open the terminal anew", func() error { return closing(unix.Open("/dev/tty", unix.O_RDWR|unix.O_CLOEXEC, 0)) }},
		{"open the terminal through /proc", func() error { return closing(unix.Open("/proc/self/fd/0", unix.O_RDWR|unix.O_CLOEXEC, 0)) }},
	}
}

func probeFiles(dir string) []attempt {
	outside := filepath.Join(filepath.Dir(filepath.Clean(dir)), fmt.Sprintf("probe-%d", os.Getpid()))
	inside := filepath.Join(dir, fmt.Sprintf("probe-%d", os.Getpid()))
	open := func(path string, flags int) func() error {
		return func() error { return closing(unix.Open(path, flags|unix.O_CLOEXEC, 0)) }
	}
	// fleeting is for what should not come into being, and is removed if it does.
	fleeting := func(path string, f func() error) func() error {
		return func() error {
			err := f()
			if err == nil {
				os.Remove(path)
			}
			return err
		}
	}
	return []attempt{
		{"read a file of the system", open("/etc/passwd", unix.O_RDONLY)},
		{"list the root folder", func() error { _, err := os.ReadDir("/"); return err }},
		{"list the folder above its own", func() error { _, err := os.ReadDir(filepath.Dir(outside)); return err }},
		{"read its own memory as a file", open("/proc/self/mem", unix.O_RDWR)},
		{"read the parent's memory as a file", open(fmt.Sprintf("/proc/%d/mem", os.Getppid()), unix.O_RDWR)},
		{"read the parent's environment", open(fmt.Sprintf("/proc/%d/environ", os.Getppid()), unix.O_RDONLY)},
		{"open a device", open("/dev/null", unix.O_RDWR)},
		{"write outside its folder", fleeting(outside, func() error {
			return closing(unix.Open(outside, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o600))
		})},
		{"write to the folder for temporary files", fleeting(filepath.Join(os.TempDir(), filepath.Base(outside)), func() error {
			return closing(unix.Open(filepath.Join(os.TempDir(), filepath.Base(outside)), unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o600))
		})},
		{"make a file without a name elsewhere", open(filepath.Dir(outside), unix.O_TMPFILE|unix.O_WRONLY)},
		{"move a file out of its folder", func() error {
			f, err := os.OpenFile(inside, os.O_CREATE|os.O_WRONLY, 0o600)
			if err != nil {
				return fmt.Errorf("make the file to be moved: %w", err)
			}
			f.Close()
			defer os.Remove(inside)
			return fleeting(outside, func() error { return os.Rename(inside, outside) })()
		}},
		{"make a folder", fleeting(inside, func() error { return unix.Mkdir(inside, 0o700) })},
		{"make a symbolic link", fleeting(inside, func() error { return unix.Symlink("/etc/passwd", inside) })},
		{"make a hard link", fleeting(outside, func() error { return unix.Link(inside, outside) })},
		{"make a named pipe", fleeting(inside, func() error { return unix.Mkfifo(inside, 0o600) })},
		{"make a device", fleeting(inside, func() error { return unix.Mknod(inside, unix.S_IFCHR|0o600, 1<<8|3) })},
		{"change who may read its folder", func() error { return unix.Chmod(dir, 0o700) }},
		{"change who may read a file", func() error { return raw(unix.SYS_FCHMOD, none, 0o600) }},
		{"change whose a file is", func() error { return raw(unix.SYS_FCHOWN, none, none, none) }},
		{"change whose its folder is", func() error { return raw(unix.SYS_FCHOWNAT, none, 0, none, none, 0) }},
		{"change a file's times", func() error { return raw(unix.SYS_UTIMENSAT, none, 0, 0, 0) }},
		{"give its folder an attribute", func() error { return unix.Setxattr(dir, "user.probe", nil, unix.XATTR_REPLACE) }},
		{"empty a file by its name", func() error { return unix.Truncate("/nonexistent", 0) }},
		{"change its working folder", func() error { return unix.Chdir("/nonexistent") }},
		{"watch files", func() error { return rawClosing(unix.SYS_INOTIFY_INIT1, 0) }},
		{"watch all files", func() error { return rawClosing(unix.SYS_FANOTIFY_INIT, none, 0) }},
		{"open a file by its handle", func() error { return raw(unix.SYS_OPEN_BY_HANDLE_AT, none, 0, 0) }},
	}
}

func probeMemory() []attempt {
	protection := func(prot int) func() error {
		return func() error {
			b, err := unix.Mmap(-1, 0, os.Getpagesize(), prot, unix.MAP_ANON|unix.MAP_PRIVATE)
			if err == nil {
				unix.Munmap(b)
			}
			return err
		}
	}
	return []attempt{
		{"map executable memory", protection(unix.PROT_READ | unix.PROT_EXEC)},
		{"map memory to write and execute", protection(unix.PROT_READ | unix.PROT_WRITE | unix.PROT_EXEC)},
		{"make memory executable", func() error {
			b, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
			if err != nil {
				return fmt.Errorf("map the memory: %v", err)
			}
			defer unix.Munmap(b)
			return unix.Mprotect(b, unix.PROT_READ|unix.PROT_EXEC)
		}},
		{"make memory executable (by key)", func() error { return raw(unix.SYS_PKEY_MPROTECT, 1, 0, unix.PROT_EXEC, none) }},
		{"have readable memory executed", func() error { return raw(unix.SYS_PERSONALITY, 0xffffffff) }},
		{"make a file in memory", func() error { return closing(unix.MemfdCreate("probe", unix.MFD_CLOEXEC)) }},
		{"make a secret file in memory", func() error { return rawClosing(unix.SYS_MEMFD_SECRET, 0) }},
		{"share memory", func() error {
			id, err := unix.SysvShmGet(unix.IPC_PRIVATE, os.Getpagesize(), unix.IPC_CREAT|0o600)
			if err == nil {
				unix.SysvShmCtl(id, unix.IPC_RMID, nil)
			}
			return err
		}},
		{"let others read its memory again", func() error {
			return raw(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 7) // not a value: without a filter EINVAL
		}},
		{"choose who may trace it", func() error { return raw(unix.SYS_PRCTL, unix.PR_SET_PTRACER, 0) }},
	}
}

func probeKernel() []attempt {
	simple := func(nr uintptr, args ...uintptr) func() error { return func() error { return raw(nr, args...) } }
	return []attempt{
		{"use io_uring", func() error {
			var params [120]byte // struct io_uring_params
			return rawClosing(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)))
		}},
		{"use asynchronous I/O", simple(unix.SYS_IO_SETUP, 0, 0)},
		{"load a BPF program", simple(unix.SYS_BPF, none, 0, 0)},
		{"count performance events", simple(unix.SYS_PERF_EVENT_OPEN, 0, 0, none, none, 0)},
		{"handle page faults", simple(unix.SYS_USERFAULTFD, none)},
		{"use the kernel's key rings", func() error { _, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false); return err }},
		{"add a key to the kernel", simple(unix.SYS_ADD_KEY, 0, 0, 0, 0, 0)},
		{"ask the kernel for a key", simple(unix.SYS_REQUEST_KEY, 0, 0, 0, 0)},
		{"open a message queue", simple(unix.SYS_MQ_OPEN, 0, 0, 0, 0)},
		{"use a System V message queue", simple(unix.SYS_MSGRCV, none, 0, 0, 0, 0)},
		{"use a System V semaphore", simple(unix.SYS_SEMCTL, none, 0, 0, 0)},
		{"leave its namespaces", simple(unix.SYS_UNSHARE, unix.CLONE_NEWUSER)},
		{"enter a namespace", simple(unix.SYS_SETNS, none, 0)},
		{"mount a file system", func() error { return unix.Mount("", "/nonexistent", "tmpfs", 0, "") }},
		{"open a mount", simple(unix.SYS_OPEN_TREE, none, 0, 0)},
		{"change the root folder", func() error { return unix.Chroot("/nonexistent") }},
		{"change its user", simple(unix.SYS_SETRESUID, none, none, none)},
		{"change its group", simple(unix.SYS_SETRESGID, none, none, none)},
		{"change its capabilities", simple(unix.SYS_CAPSET, 0, 0)},
		{"add a filter", simple(unix.SYS_SECCOMP, none, 0, 0)},
		{"add Landlock rules", simple(unix.SYS_LANDLOCK_ADD_RULE, none, 0, 0, 0)},
		{"join pipes", simple(unix.SYS_SPLICE, none, 0, none, 0, 0, 0)},
		{"find out about another process", simple(unix.SYS_KCMP, 1<<30, 1<<30, none, 0, 0)},
	}
}
