//go:build unix

package server

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// reserved keeps the locks until the program ends, by port.
var reserved struct {
	sync.Mutex
	files map[int]*os.File
}

// reserve takes a port for this program, among all of this user's test programs. One
// that it has already it gets again, when all others had their turn.
func reserve(port int) bool {
	reserved.Lock()
	defer reserved.Unlock()
	if reserved.files[port] != nil {
		return true
	}
	dir := filepath.Join(os.TempDir(), fmt.Sprintf("sotto-test-ports-%d", os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return true // without a place for it, what listens has to tell
	}
	f, err := os.OpenFile(filepath.Join(dir, fmt.Sprint(port)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return true
	}
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		f.Close()
		return false
	}
	if reserved.files == nil {
		reserved.files = map[int]*os.File{}
	}
	reserved.files[port] = f
	return true
}
