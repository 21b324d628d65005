package roletest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const ioctlGet = unix.TCGETS

// Role returns the process id of the program's role of that name, such as
// "desk", or 0 when none runs.
func (c *Console) Role(name string) int { return Child(c.PID, name) }

// Child returns the process id of a role that a process has started, or 0.
func Child(parent int, name string) int { return childOf(parent, "sotto-"+name) }

// Process returns the process id of a child by its argv[0], or 0.
func Process(parent int, argv0 string) int { return childOf(parent, argv0) }

// Under says that the program was started by the one that the console runs,
// such as a shell, and waits for it.
func (c *Console) Under(argv0 string) {
	c.t.Helper()
	c.Wait("started", func() bool {
		c.PID = childOf(c.Cmd.Process.Pid, argv0)
		return c.PID != 0
	})
}

// childOf finds a process by its parent and its argv[0].
func childOf(parent int, argv0 string) int {
	for _, child := range children(parent) {
		stat, err := os.ReadFile("/proc/" + child + "/stat")
		if err != nil {
			continue
		}
		// pid (comm) state ppid
		_, rest, ok := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest)
		if !ok || len(fields) < 2 || fields[0] == "Z" || fields[1] != strconv.Itoa(parent) {
			continue
		}
		line, err := os.ReadFile("/proc/" + child + "/cmdline")
		if name, _, _ := strings.Cut(string(line), "\x00"); err == nil && name == argv0 {
			pid, _ := strconv.Atoi(child)
			return pid
		}
	}
	return 0
}

// children are the process ids of all that a process has started and, where the
// kernel does not list these, of all there are.
func children(parent int) (pids []string) {
	tasks, _ := filepath.Glob("/proc/" + strconv.Itoa(parent) + "/task/*/children")
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err != nil {
			continue
		}
		pids = append(pids, strings.Fields(string(b))...)
	}
	if len(tasks) > 0 {
		return pids
	}
	all, _ := os.ReadDir("/proc")
	for _, p := range all {
		if _, err := strconv.Atoi(p.Name()); err == nil {
			pids = append(pids, p.Name())
		}
	}
	return pids
}

// Kill kills a role with SIGKILL and returns its process id.
func (c *Console) Kill(name string) int {
	c.t.Helper()
	pid := c.Role(name)
	if pid == 0 {
		c.t.Fatalf("no %s runs", name)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		c.t.Fatal(err)
	}
	return pid
}

// Gone says whether a process has ended.
func Gone(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.HasPrefix(rest, "Z")
}
