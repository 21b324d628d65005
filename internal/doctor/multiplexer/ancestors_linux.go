package multiplexer

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// maxAncestors bounds how far up processes are followed.
const maxAncestors = 64

// ancestors returns the names of the processes above this one, nearest first.
// The terminal of a pane belongs to a child of its multiplexer, whatever the
// environment says.
func ancestors() []string {
	var names []string
	for pid := os.Getppid(); pid > 0 && len(names) < maxAncestors; {
		f, err := os.Open(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			break
		}
		b, _ := io.ReadAll(io.LimitReader(f, 4096))
		f.Close()
		comm, parent, ok := parseStat(string(b))
		if !ok {
			break
		}
		names = append(names, comm)
		pid = parent
	}
	return names
}

// parseStat reads the beginning of /proc/PID/stat: pid, name in parentheses,
// state, parent. The name may itself hold parentheses and blanks.
func parseStat(s string) (comm string, parent int, ok bool) {
	open, shut := strings.IndexByte(s, '('), strings.LastIndexByte(s, ')')
	if open < 0 || shut < open {
		return "", 0, false
	}
	f := strings.Fields(s[shut+1:])
	if len(f) < 2 {
		return "", 0, false
	}
	parent, err := strconv.Atoi(f[1])
	if err != nil || parent < 0 {
		return "", 0, false
	}
	return s[open+1 : shut], parent, true
}
