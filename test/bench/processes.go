package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ticks is how many clock ticks Linux counts in a second of processor time.
const ticks = 100

// tree returns a process and all its descendants.
func tree(pid int) []int {
	children := map[int][]int{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range files {
		if fields := stat(f); len(fields) > 1 {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			parent, _ := strconv.Atoi(fields[1])
			children[parent] = append(children[parent], child)
		}
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// stat returns the fields of a /proc/PID/stat that follow the name: proc(5)'s
// field n is at n-3.
func stat(file string) []string {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	return strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
}

// memory adds up what processes have in memory, in bytes: resident, and
// resident with what they share counted once.
func memory(pids []int) (rss, pss int) {
	for _, pid := range pids {
		rss += kilobytes(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Rss:")
		pss += kilobytes(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss:")
	}
	return rss, pss
}

func kilobytes(file, label string) int {
	data, _ := os.ReadFile(file)
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == label {
			n, _ := strconv.Atoi(f[1])
			return n << 10
		}
	}
	return 0
}

// processor adds up the processor time that processes have used.
func processor(pids []int) time.Duration {
	var sum int
	for _, pid := range pids {
		if f := stat(fmt.Sprintf("/proc/%d/stat", pid)); len(f) > 12 {
			user, _ := strconv.Atoi(f[11])
			system, _ := strconv.Atoi(f[12])
			sum += user + system
		}
	}
	return time.Duration(sum) * time.Second / ticks
}

// name returns what a process calls itself: each role has a name of its own.
func name(pid int) string {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	first, _, _ := strings.Cut(string(data), "\x00")
	return filepath.Base(first)
}
