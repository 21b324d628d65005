package profile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

const maxLocks = 16 << 20 // bytes of /proc/locks

// holds makes sure that a process is the one that holds the lock of a file:
// what the file says may be old, or written by somebody else.
func holds(f *os.File, pid int) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return errors.New("the lock file has no number")
	}
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return nil // the system does not tell: the lock and its owner have to do
	}
	defer locks.Close()
	ok, err = listed(io.LimitReader(locks, maxLocks), st.Ino, pid)
	if err != nil {
		return fmt.Errorf("read which process holds it: %w", err)
	}
	if !ok {
		return fmt.Errorf("its lock file names process %d, but another one has it, here, in a container or on another machine. Nothing was sent to either", pid)
	}
	return nil
}

// listed says whether what has the form of /proc/locks, see proc_locks(5), says
// that a process holds the lock of the file with a number. Some file systems
// give another number there: then it must hold the lock of some file, and the
// number must be that of none.
func listed(r io.Reader, inode uint64, pid int) (bool, error) {
	others, some := false, false
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		// 1: FLOCK  ADVISORY  WRITE 4711 fe:01:131 0 EOF
		f := strings.Fields(lines.Text())
		if len(f) < 6 || f[1] != "FLOCK" || f[3] != "WRITE" { // also "->", who waits
			continue
		}
		place := strings.Split(f[5], ":")
		this, mine := place[len(place)-1] == strconv.FormatUint(inode, 10), f[4] == strconv.Itoa(pid)
		switch {
		case this && mine:
			return true, nil
		case this:
			others = true
		case mine:
			some = true
		}
	}
	return some && !others, lines.Err()
}
