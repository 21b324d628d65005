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
		rss += number(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Rss:") << 10
		pss += number(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss:") << 10
	}
	return rss, pss
}

// number returns the number behind a label in a file of lines.
func number(file, label string) int {
	data, _ := os.ReadFile(file)
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == label {
			n, _ := strconv.Atoi(f[1])
			return n
		}
	}
	return 0
}

// effort is what a process or a thread has done.
type effort struct {
	processor time.Duration
	wakes     int // how often it had waited and went on
}

// efforts are by process and by thread: a process has no sum as fine as the
// nanoseconds of its threads, only ticks of 10 ms.
type efforts map[int]map[int]effort

// work returns what the threads of processes have done.
func work(pids []int) efforts {
	all := efforts{}
	for _, pid := range pids {
		all[pid] = map[int]effort{}
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*", pid))
		for _, t := range threads {
			data, _ := os.ReadFile(t + "/schedstat")
			f := strings.Fields(string(data))
			if len(f) == 0 {
				continue
			}
			tid, _ := strconv.Atoi(filepath.Base(t))
			ns, _ := strconv.ParseInt(f[0], 10, 64)
			all[pid][tid] = effort{time.Duration(ns), number(t+"/status", "voluntary_ctxt_switches:")}
		}
	}
	return all
}

// since returns what each process has done since an earlier time.
func (now efforts) since(before efforts) map[int]effort {
	all := map[int]effort{}
	for pid, threads := range now {
		var sum effort
		for tid, e := range threads {
			old := before[pid][tid] // zero for a new thread
			sum.processor += e.processor - old.processor
			sum.wakes += e.wakes - old.wakes
		}
		all[pid] = sum
	}
	return all
}

// name returns what a process calls itself: each role has a name of its own.
func name(pid int) string {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	first, _, _ := strings.Cut(string(data), "\x00")
	return filepath.Base(first)
}
