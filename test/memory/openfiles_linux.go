package memory

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// OpenFiles looks in the files that a process has open, wherever they are: also
// those without a name, and those that were removed. It says how many there are
// beside the program itself.
func (s *Search) OpenFiles(pid int) (hits []Hit, files int, err error) {
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return nil, 0, err
	}
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return nil, 0, ErrGone
	}
	for _, link := range links {
		name, err := os.Readlink(link)
		if err != nil {
			continue // closed meanwhile
		}
		info, err := os.Stat(link)
		if err != nil || !info.Mode().IsRegular() || name == program || strings.HasPrefix(name, "/sys/") || !strings.HasPrefix(name, "/") {
			continue
		}
		b, err := readFile(link)
		if err != nil {
			return nil, 0, err
		}
		files++
		hits = append(hits, s.Bytes(name, b)...)
		hits = append(hits, s.Unpacked(name, b)...)
	}
	return hits, files, nil
}
