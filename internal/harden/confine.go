package harden

import "runtime"

// Layers says what confines this process, or what a system offers to confine
// one with.
type Layers struct {
	// Landlock is the version (ABI) of the kernel's Landlock that is used,
	// 0 without it. It decides which files a process can open, and which
	// programs it can run.
	Landlock int
	// Seccomp says that a filter on every thread refuses each system call that
	// is not on the role's list.
	Seccomp bool
}

// Missing says in words, for people, what the layers leave open.
func (l Layers) Missing() []string {
	if runtime.GOOS != "linux" {
		return []string{"on this system sotto has no sandbox: each process can do whatever its user can"}
	}
	var m []string
	switch {
	case l.Landlock == 0:
		m = append(m, "Landlock is missing (it needs Linux 5.13, and to be turned on): each process can open every file that its user can")
	case l.Landlock < 3:
		m = append(m, "Landlock is older than Linux 6.2: files outside sotto's folders can be emptied, though not read")
	}
	switch {
	case l.Seccomp:
	case l.Landlock >= 6:
		m = append(m, "seccomp is missing: processes without a network can make connections other than TCP, and type into the terminal")
	default:
		m = append(m, "seccomp is missing: processes without a network can make connections, send signals, and type into the terminal")
	}
	return m
}

// Offered asks the system what it has; nothing is changed.
func Offered() Layers { return offered() }

// Desk confines this process to what the desk needs once its keys and database
// are open: the files in dataDir, the terminal, and the descriptors that it
// holds. What lies in the folders readable it can list and read, and no more. It
// can't make a socket of any kind, start a program, make memory executable, or
// reach another process.
//
// This and the other roles' functions come after Early and hold for every
// thread, for good, and for every child. Nothing widens what is confined; after
// this, Gate or Link, another of them is an error. Where the kernel lacks a
// layer the others still apply, and the result says what holds. An error means
// that a layer is there and did not take: the role must not go on.
func Desk(dataDir string, readable ...string) (Layers, error) { return confineDesk(dataDir, readable) }

// Collector confines this process as Desk does, and lets it make folders in dataDir
// and see what is in them: a folder for each device's audit log.
func Collector(dataDir string) (Layers, error) { return confineCollector(dataDir) }

// Gate confines this process to what the gate needs: the files in vaultDirs,
// where it also replaces files, the terminal, and the descriptors it holds.
func Gate(vaultDirs ...string) (Layers, error) { return confineGate(vaultDirs) }

// Link confines this process to what the link needs: TCP and UDP to anywhere,
// the descriptors it holds and receives, and for reading only: what name
// resolution and the check of certificates read, and caFiles (files or
// folders; those that are not there are left out).
//
// A file that is replaced by another later can't be read any more, unless its
// folder was given: so after a new /etc/resolv.conf.
func Link(caFiles ...string) (Layers, error) { return confineLink(caFiles) }

// Watch confines this process and all that it will start. Since a child can't
// have what its parent lost, it leaves what any role needs: the network for the
// link, files for all. What goes is the rest: running any program but sotto
// itself, tracing, typing into the terminal, namespaces, mounts, and the
// kernel's rarely used doors.
func Watch() (Layers, error) { return confineWatch() }

// Dynamic says whether this program is linked to libraries, which sotto usually
// is not. Its watch must then let the roles map executable memory.
func Dynamic() bool { return dynamic() }
