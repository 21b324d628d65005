package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"sotto/internal/relaycheck"
)

// ticks is how many a second proc_pid_stat(5) counts time in, on every system that
// Go runs on.
const ticks = 100

// usageOf looks at what a process has used.
func usageOf(pid int) (u relaycheck.Usage, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, false
	}
	// After the name, from the state on: field 14 is the time in user mode, 15 in
	// the kernel, 24 the resident pages.
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 22 {
		return u, false
	}
	for _, i := range []int{11, 12} {
		n, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil {
			return u, false
		}
		u.CPU += time.Duration(n) * time.Second / ticks
	}
	pages, err := strconv.ParseInt(f[21], 10, 64)
	u.Resident = pages * int64(os.Getpagesize())
	return u, err == nil
}
