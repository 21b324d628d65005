package memory

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// room is what a role may have open and mapped, and how many filters of system
// calls lie on it.
type room struct {
	terminal bool // has one
	network  bool // has sockets of the internet
	sockets  int  // pairs with other roles
	filters  int  // its own, and those of who started it
}

// rooms are the roles' rooms. The demo's ward is none of a person's own.
var rooms = map[string]room{
	"watch": {terminal: true, sockets: 5, filters: 1}, // a pair for each role, and a desk's while it goes to the link
	"gate":  {terminal: true, sockets: 2, filters: 2}, // watch, link
	"desk":  {terminal: true, sockets: 2, filters: 2}, // watch, link
	"link":  {network: true, sockets: 2, filters: 2},  // watch, desk or gate
}

// Loose goes through the processes of a running sotto and names all that is not
// as it must be in each: what protects a process, and what it has open and
// mapped. Folder is where the profile's files are. Uid is who sotto runs as; it
// must not be root, who may read everything, so that nothing could be said.
func Loose(pid, uid int, folder string) (found []string, roles []string, err error) {
	family, err := Family(pid)
	if err != nil {
		return nil, nil, err
	}
	for _, p := range family {
		room, known := rooms[p.Role]
		if !known {
			found = append(found, "a process that is no known role: "+p.Role)
			continue
		}
		roles = append(roles, p.Role)
		l := look{pid: p.PID, room: room, folder: folder}
		for _, step := range []func() error{l.protected, l.limits, l.descriptors, l.mapped, func() error { return l.readable(uid) }} {
			if err := step(); err != nil {
				return nil, nil, fmt.Errorf("look at the %s: %w", p.Role, err)
			}
		}
		for _, what := range l.found {
			found = append(found, p.Role+": "+what)
		}
	}
	slices.Sort(found)
	return slices.Compact(found), roles, nil
}

// look is at one process.
type look struct {
	pid    int
	room   room
	folder string
	found  []string
}

func (l *look) says(format string, values ...any) {
	l.found = append(l.found, fmt.Sprintf(format, values...))
}

func (l *look) path(name string) string { return fmt.Sprintf("/proc/%d/%s", l.pid, name) }

// protected looks at every thread: neither promise is the process's as a whole.
func (l *look) protected() error {
	tasks, err := filepath.Glob(l.path("task/*/status"))
	if err != nil || len(tasks) == 0 {
		return errors.Join(ErrGone, err)
	}
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil {
			continue // a thread that has ended meanwhile
		}
		status := map[string]string{}
		for line := range strings.Lines(string(b)) {
			key, value, _ := strings.Cut(line, ":")
			status[key] = strings.TrimSpace(value)
		}
		if status["NoNewPrivs"] != "1" {
			l.says("a thread can gain privileges")
		}
		if status["Seccomp"] != "2" {
			l.says("a thread has no filter of system calls")
		} else if n, err := strconv.Atoi(status["Seccomp_filters"]); err != nil || n < l.room.filters {
			l.says("a thread has not the filter of its role")
		}
		if caps := strings.Trim(status["CapEff"]+status["CapPrm"], "0"); caps != "" {
			l.says("a thread has capabilities")
		}
	}
	return nil
}

func (l *look) limits() error {
	b, err := os.ReadFile(l.path("limits"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		if rest, is := strings.CutPrefix(line, "Max core file size"); is {
			if f := strings.Fields(rest); len(f) < 2 || f[0] != "0" || f[1] != "0" {
				l.says("it may leave a core dump")
			}
			return nil
		}
	}
	return errors.New("the kernel does not tell how large a core dump may be")
}

// descriptors looks at all that is open.
func (l *look) descriptors() error {
	sockets, err := l.sockets()
	if err != nil {
		return err
	}
	links, err := os.ReadDir(l.path("fd"))
	if err != nil {
		return err
	}
	pairs := 0
	for _, link := range links {
		name, err := os.Readlink(l.path("fd/" + link.Name()))
		if err != nil {
			continue // closed meanwhile
		}
		name = strings.TrimSuffix(name, " (deleted)")
		switch {
		case strings.HasPrefix(name, "socket:"):
			switch kind := sockets[name]; {
			case kind == "unix": // without a name: one of a pair
				pairs++
			case l.room.network && (kind == "tcp" || kind == "tcp6" || kind == "udp" || kind == "udp6"):
			case kind == "": // closed meanwhile, or of a family that has no table
				if again, err := os.Readlink(l.path("fd/" + link.Name())); err == nil && again == name {
					l.says("a socket of another family")
				}
			default:
				l.says("a socket: %s", kind)
			}
		case strings.HasPrefix(name, "/dev/pts/"), strings.HasPrefix(name, "/dev/tty"), name == "/dev/ptmx", name == "/dev/console":
			if !l.room.terminal {
				l.says("a terminal is open")
			}
		case name == "/dev/null", strings.HasPrefix(name, "pipe:"), name == "anon_inode:[eventpoll]", name == "anon_inode:[eventfd]",
			name == "anon_inode:[timerfd]", name == "anon_inode:[pidfd]", strings.HasPrefix(name, "pidfd:"):
		case strings.HasPrefix(name, "/sys/fs/cgroup/"): // how many processors Go may use
		case l.folder != "" && strings.HasPrefix(name, l.folder+"/") && !l.room.network: // Landlock says which of them
		default:
			l.says("a file is open: %s", name)
		}
	}
	if pairs > l.room.sockets {
		l.says("%d sockets to other processes, and not %d", pairs, l.room.sockets)
	}
	stat, err := os.ReadFile(l.path("stat"))
	if err != nil {
		return err
	}
	// State, parent, group, session, terminal: proc(5).
	_, rest, _ := strings.Cut(string(stat), ") ")
	if f := strings.Fields(rest); !l.room.terminal && (len(f) < 5 || f[4] != "0") {
		l.says("it has a controlling terminal")
	}
	return nil
}

// sockets returns what kind each socket of the process's network is: "unix" for
// one without a name.
func (l *look) sockets() (map[string]string, error) {
	kinds := map[string]string{}
	for _, table := range []struct {
		name  string
		inode int // column
	}{{"tcp", 9}, {"tcp6", 9}, {"udp", 9}, {"udp6", 9}, {"udplite", 9}, {"raw", 9}, {"raw6", 9}, {"unix", 6}, {"netlink", 9}, {"packet", 8}} {
		b, err := os.ReadFile(l.path("net/" + table.name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) <= table.inode {
				continue
			}
			kind := table.name
			if kind == "unix" && len(f) > table.inode+1 {
				kind = "unix at " + f[table.inode+1]
			}
			kinds["socket:["+f[table.inode]+"]"] = kind
		}
	}
	return kinds, nil
}

// mapped holds that the program is one piece: nothing was loaded into it.
func (l *look) mapped() error {
	program, err := os.Readlink(l.path("exe"))
	if err != nil {
		return err
	}
	b, err := os.ReadFile(l.path("maps"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 6 {
			continue
		}
		name := strings.TrimSuffix(strings.Join(f[5:], " "), " (deleted)")
		if strings.HasPrefix(name, "[") || name == strings.TrimSuffix(program, " (deleted)") {
			continue
		}
		l.says("a file is mapped: %s", name)
	}
	return nil
}

// readable tries what another program of the same person could: to read the
// memory, and how the process was started.
func (l *look) readable(uid int) error {
	if uid == 0 {
		return errors.New("it runs as root, who can read everything")
	}
	var open []string
	err := As(uid, func() {
		for _, name := range []string{"mem", "environ", "fd", "auxv"} {
			if f, err := os.Open(l.path(name)); err == nil {
				f.Close()
				open = append(open, name)
			}
		}
	})
	for _, name := range open {
		l.says("other programs of the same person can read its %s", name)
	}
	return err
}

// As runs f as another user and group, without privileges. F must not leave its
// goroutine.
func As(id int, f func()) error {
	runtime.LockOSThread()
	// Only this thread becomes somebody else, and only in what it may do: it has
	// to live on, since what it started may end with it.
	become := func(id int) error {
		for _, call := range []uintptr{unix.SYS_SETRESGID, unix.SYS_SETRESUID} {
			const keep = ^uintptr(0)
			if _, _, e := unix.RawSyscall(call, keep, uintptr(id), keep); e != 0 {
				return fmt.Errorf("become user %d: %w", id, e)
			}
		}
		return nil
	}
	if id == os.Getuid() {
		f()
	} else {
		if err := become(id); err != nil {
			return err
		}
		f()
		// The group needs the user's right.
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), 0, ^uintptr(0)); e != 0 {
			return fmt.Errorf("become root again: %w", e)
		}
		if err := become(0); err != nil {
			return err
		}
	}
	runtime.UnlockOSThread()
	return nil
}
