package memory

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// OpenFiles looks in the files that a process has open and no folder shows:
// those without a name, and those that were removed.
func (s *Search) OpenFiles(pid int) (hits []Hit, files int, err error) {
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return nil, 0, err
	}
	for _, link := range links {
		name, err := os.Readlink(link)
		if err != nil {
			continue // closed meanwhile
		}
		info, err := os.Stat(link)
		if err != nil || !info.Mode().IsRegular() || !strings.HasSuffix(name, " (deleted)") {
			continue
		}
		b, err := readFile(link)
		if err != nil {
			return nil, 0, err
		}
		files++
		hits = append(hits, s.Bytes(name, b)...)
	}
	return hits, files, nil
}
