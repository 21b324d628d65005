//go:build amd64 || arm64

package harden

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// The lists below were made from what the roles were seen to do, and have the
// reason beside each call.

func deskCalls() []call {
	return slices.Concat(processCalls(), ownCalls, terminalCalls, fileCalls, []call{
		always(unix.SYS_FALLOCATE), // the database grows by whole pages
		always(unix.SYS_FDATASYNC), // a commit
		always(unix.SYS_LSEEK),     // the size of the database
		always(unix.SYS_RECVMSG),   // what the watch and the link say
		always(unix.SYS_RENAMEAT),  // what the organisation says, in the place of what it said before
	})
}

// listCalls are what a desk does besides where files can be attached: it finds out
// what there is. Landlock decides where.
func listCalls() []call { return []call{always(unix.SYS_GETDENTS64)} }

// collectorCalls are what a desk does besides that keeps audit logs.
func collectorCalls() []call {
	return []call{
		always(unix.SYS_MKDIRAT),    // a folder for each device
		always(unix.SYS_GETDENTS64), // which there are
		always(unix.SYS_FLOCK),      // one collector at a time
	}
}

func gateCalls() []call {
	return slices.Concat(processCalls(), ownCalls, terminalCalls, fileCalls, []call{
		always(unix.SYS_RENAMEAT), // a written vault replaces the one before
		always(unix.SYS_FLOCK),    // one gate at a time tries a PIN
		always(unix.SYS_RECVMSG),  // what the watch and the link say
	})
}

func linkCalls() []call {
	return slices.Concat(processCalls(), ownCalls, networkCalls, []call{
		always(unix.SYS_OPENAT),     // CA roots, resolver configuration; Landlock decides
		always(unix.SYS_NEWFSTATAT), // whether that configuration has changed
		always(unix.SYS_GETDENTS64), // a folder of certificates
		always(unix.SYS_READLINKAT), // links in it that name one certificate twice
		always(unix.SYS_UNAME),      // the host's own name, to a resolver
	})
}

// watchCalls must hold what any role does from its first instruction on: an
// exec does not end a filter. A program with a C library (dynamic) also maps
// libraries, reaches all its threads by signals to confine itself, and with the
// race detector fills up closed descriptors.
func watchCalls(dynamic bool) []call {
	calls := slices.Concat(startCalls, ownStartCalls, processCalls(), ownCalls, terminalCalls, fileCalls, networkCalls, []call{
		// what the desk and the gate add
		always(unix.SYS_FALLOCATE), always(unix.SYS_FDATASYNC), always(unix.SYS_LSEEK),
		always(unix.SYS_FCHMOD), always(unix.SYS_FCHOWN), always(unix.SYS_GETEUID),
		always(unix.SYS_RENAMEAT), always(unix.SYS_READLINKAT), always(unix.SYS_UNAME),
		// the folder of a demo, and whoever makes a profile's folders
		always(unix.SYS_MKDIRAT), always(unix.SYS_FCHMODAT), always(unix.SYS_FCHDIR),
	})
	if dynamic {
		calls = append([]call{always(unix.SYS_MMAP), always(unix.SYS_MPROTECT), always(unix.SYS_TKILL), always(unix.SYS_DUP)}, calls...)
	}
	return calls
}

// processCalls are what any Go program does, with nothing in it that reaches
// outside the process. The most frequent come first.
func processCalls() []call {
	return []call{
		always(unix.SYS_FUTEX),       // locks, and threads that wait
		always(unix.SYS_NANOSLEEP),   // the scheduler's watchdog
		always(unix.SYS_EPOLL_PWAIT), // waiting for descriptors
		always(unix.SYS_READ), always(unix.SYS_WRITE), always(unix.SYS_CLOSE),
		always(unix.SYS_CLOCK_GETTIME),                    // where the vDSO can't tell
		always(unix.SYS_SCHED_YIELD),                      // the garbage collector's locks
		always(unix.SYS_GETPID), always(unix.SYS_GETPPID), // before tgkill; who started it
		only(unix.SYS_TGKILL, 0, uint32(os.Getpid())),         // the scheduler interrupts its own threads
		always(unix.SYS_RT_SIGRETURN),                         // the end of a signal handler
		always(unix.SYS_RT_SIGACTION),                         // signal.Notify
		always(unix.SYS_RT_SIGPROCMASK),                       // while a thread starts
		always(unix.SYS_SIGALTSTACK), always(unix.SYS_GETTID), // a thread's start
		masked(unix.SYS_CLONE, 0, ^uint32(threadDetails), threadFlags), // a thread, never a process
		// Threads of a C library, as with the race detector.
		always(unix.SYS_SET_ROBUST_LIST), always(unix.SYS_RSEQ), always(unix.SYS_EXIT),
		masked(unix.SYS_MMAP, 2, unix.PROT_EXEC, 0),     // memory; never code
		masked(unix.SYS_MPROTECT, 2, unix.PROT_EXEC, 0), // memguard's pages, SQLite's heap; never code
		always(unix.SYS_MUNMAP), always(unix.SYS_MADVISE),
		always(unix.SYS_MLOCK), always(unix.SYS_MUNLOCK), // memguard
		only(unix.SYS_PRCTL, 0, prSetVMA),  // the runtime names its memory
		always(unix.SYS_GETRANDOM),         // crypto/rand
		always(unix.SYS_SCHED_GETAFFINITY), // the runtime follows the number of CPUs
		always(unix.SYS_PREAD64),           // and reads the limits of its control group
		always(unix.SYS_EPOLL_CREATE1), always(unix.SYS_EPOLL_CTL), always(unix.SYS_EVENTFD2),
		always(unix.SYS_PIPE2), // Bubble Tea's reader wakes itself
		always(unix.SYS_FSTAT),
		// Without F_SETOWN and F_SETSIG, which send signals to others.
		only(unix.SYS_FCNTL, 1, unix.F_GETFL, unix.F_SETFL, unix.F_GETFD, unix.F_SETFD, unix.F_DUPFD_CLOEXEC,
			unix.F_GETLK, unix.F_OFD_SETLK, unix.F_OFD_SETLKW), // SQLite's locks
		always(unix.SYS_RESTART_SYSCALL), // after a stop
		always(unix.SYS_EXIT_GROUP),
	}
}

const (
	prSetVMA = 0x53564d41

	threadFlags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_SYSVSEM | unix.CLONE_THREAD
	// Where a thread's own memory is, and who is told of its start and end.
	threadDetails = unix.CLONE_SETTLS | unix.CLONE_PARENT_SETTID | unix.CLONE_CHILD_CLEARTID
)

// terminalIoctls is all that may be asked of a terminal. Not among them:
// TIOCSTI and TIOCLINUX, which type into the shell that comes after sotto.
var terminalIoctls = []uint32{
	unix.TCGETS,     // the modes, also to find out whether it is one
	unix.TCSETS,     // raw mode
	unix.TCSETSF,    // the modes as they were, without what was typed meanwhile
	unix.TIOCGWINSZ, // the size
	unix.TCFLSH,     // drop what was typed too early
}

// terminalCalls are for a role that has the terminal.
var terminalCalls = []call{
	only(unix.SYS_IOCTL, 1, terminalIoctls...),
	always(unix.SYS_PPOLL), // the wait for a key
}

// fileCalls are for files that Landlock lets the role open.
var fileCalls = []call{
	always(unix.SYS_OPENAT), always(unix.SYS_PWRITE64), always(unix.SYS_FTRUNCATE), always(unix.SYS_FSYNC),
	always(unix.SYS_NEWFSTATAT), // whether a file is there
	always(unix.SYS_FACCESSAT), always(unix.SYS_FACCESSAT2),
	always(unix.SYS_UNLINKAT), // a journal that is done with
}

// networkCalls are for TCP and UDP as a client, and for the sockets that a role
// inherits or is sent. Not among them: any other family, listen, accept.
var networkCalls = []call{
	{unix.SYS_SOCKET, []condition{
		{0, whole, []uint32{unix.AF_INET, unix.AF_INET6}},
		{1, 0xf, []uint32{unix.SOCK_STREAM, unix.SOCK_DGRAM}},
		{2, whole, []uint32{0, unix.IPPROTO_TCP, unix.IPPROTO_UDP}}, // so no MPTCP, which Landlock does not see
	}},
	always(unix.SYS_CONNECT),
	always(unix.SYS_BIND), // package net finds out by it whether there is IPv6
	always(unix.SYS_GETSOCKNAME), always(unix.SYS_GETPEERNAME),
	always(unix.SYS_SETSOCKOPT), always(unix.SYS_GETSOCKOPT), // no delay, keep alive; how a connect ended
	always(unix.SYS_RECVFROM), always(unix.SYS_SENDTO), // datagrams, to resolvers
	always(unix.SYS_RECVMSG),  // the watch passes the sockets of desks
	always(unix.SYS_WRITEV),   // package net, for several buffers
	always(unix.SYS_SHUTDOWN), // the end of a TLS connection
}

// startCalls are what a process does that starts others, and what these do until
// they confine themselves further.
var startCalls = []call{
	// A child that shares memory until its exec. The last is one that package os
	// makes to find out whether there are pidfds.
	masked(unix.SYS_CLONE, 0, ^uint32(threadDetails|unix.CLONE_PIDFD),
		threadFlags, childFlags, unix.CLONE_VM|unix.CLONE_VFORK),
	always(unix.SYS_EXECVE), // Landlock decides: only sotto
	always(unix.SYS_WAIT4), always(unix.SYS_WAITID),
	always(unix.SYS_PIDFD_OPEN), always(unix.SYS_PIDFD_SEND_SIGNAL), always(unix.SYS_KILL),
	always(unix.SYS_TGKILL), // each role has a process id of its own
	only(unix.SYS_SOCKETPAIR, 0, unix.AF_UNIX),
	always(unix.SYS_SENDMSG), // the socket of a desk, to the link
	// Between fork and exec.
	always(unix.SYS_DUP3), always(unix.SYS_SETSID), always(unix.SYS_CHDIR),
	only(unix.SYS_PRLIMIT64, 0, 0), // of the process itself
	always(unix.SYS_UMASK),
	// A program's first steps.
	always(unix.SYS_BRK), always(unix.SYS_SET_TID_ADDRESS), always(unix.SYS_MINCORE),
	always(unix.SYS_GETUID), always(unix.SYS_GETGID), always(unix.SYS_GETEGID),
	always(unix.SYS_GETCWD), always(unix.SYS_READLINKAT), always(unix.SYS_GETDENTS64), always(unix.SYS_FLOCK),
	// Early, and the functions of this package.
	only(unix.SYS_PRCTL, 0, prSetVMA, unix.PR_SET_DUMPABLE, unix.PR_GET_DUMPABLE, unix.PR_SET_PDEATHSIG,
		unix.PR_SET_NO_NEW_PRIVS, unix.PR_GET_NO_NEW_PRIVS),
	always(unix.SYS_SECCOMP),
	always(unix.SYS_LANDLOCK_CREATE_RULESET), always(unix.SYS_LANDLOCK_ADD_RULE), always(unix.SYS_LANDLOCK_RESTRICT_SELF),
}

const childFlags = unix.CLONE_VM | unix.CLONE_VFORK | uint32(unix.SIGCHLD)
