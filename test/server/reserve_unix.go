//go:build unix

package server

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// reserved keeps the locks until the program ends.
var reserved struct {
	sync.Mutex
	files []*os.File
}

// reserve takes a port for this program, among all of this user's test programs.
func reserve(port int) bool {
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
	reserved.Lock()
	defer reserved.Unlock()
	reserved.files = append(reserved.files, f)
	return true
}
