package memory

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrGone is that a process has ended, so that it has no memory any more.
var ErrGone = errors.New("the process has ended")

// chunk is how much memory is read at once, in bytes.
const chunk = 1 << 20

// Process is a process of a sotto.
type Process struct {
	PID  int
	Role string // "desk", "gate", "link", "ward"; "watch" for the one that started them
}

// Family returns the process that a person has started and the roles that it
// has, in the order of their ids.
func Family(pid int) ([]Process, error) {
	if _, err := os.Stat(fmt.Sprintf("/proc/%d/mem", pid)); err != nil {
		return nil, ErrGone
	}
	found := []Process{{pid, "watch"}}
	tasks, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	for _, file := range tasks {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // ended meanwhile
		}
		_, rest, _ := strings.Cut(string(stat), ") ") // state, parent
		fields := strings.Fields(rest)
		if len(fields) < 2 || fields[0] == "Z" || fields[1] != strconv.Itoa(pid) {
			continue
		}
		line, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		if err != nil {
			continue
		}
		name, _, _ := strings.Cut(string(line), "\x00")
		role, is := strings.CutPrefix(name, "sotto-")
		if !is { // between fork and exec
			role = "unknown (" + name + ")"
		}
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		found = append(found, Process{child, role})
	}
	return found, nil
}

// region is a mapping of a process's memory.
type region struct {
	start, end uint64
	kind       string
}

// Memory looks in all memory of a process that is there, in RAM or swapped out,
// whatever its protection, and says how many bytes that was. It needs the right
// to trace any process; without it, it fails. What the process writes meanwhile
// may be missed: the processes of a locked sotto write next to nothing.
func (s *Search) Memory(pid int) (hits []Hit, size int64, err error) {
	mem, err := open(pid, "mem")
	if err != nil {
		return nil, 0, err
	}
	defer mem.Close()
	present, err := open(pid, "pagemap")
	if err != nil {
		return nil, 0, err
	}
	defer present.Close()
	regions, err := maps(pid)
	if err != nil {
		return nil, 0, err
	}
	w := walk{search: s, mem: mem, pagemap: present, page: uint64(os.Getpagesize())}
	for _, r := range regions {
		if err := w.region(r); err != nil {
			if _, gone := open(pid, "mem"); gone != nil {
				return nil, 0, gone
			}
			return nil, 0, fmt.Errorf("read the memory of process %d at %#x (%s): %w", pid, r.start, r.kind, err)
		}
	}
	if w.size == 0 { // the memory of a process that has ended reads as none
		return nil, 0, ErrGone
	}
	return w.hits, w.size, nil
}

func open(pid int, name string) (*os.File, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/%s", pid, name))
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ESRCH):
		return nil, ErrGone
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("process %d protects its memory and this user may not read it: "+
			"the proof needs root, or CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH: %w", pid, err)
	}
	return f, err
}

// maps reads /proc/PID/smaps: proc(5).
func maps(pid int) (regions []region, err error) {
	f, err := open(pid, "smaps")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 {
			continue
		}
		if flags, is := strings.CutPrefix(lines.Text(), "VmFlags:"); is {
			if r := &regions[len(regions)-1]; strings.Contains(flags+" ", " lo ") {
				r.kind = "locked memory"
			}
			continue
		}
		from, to, is := strings.Cut(fields[0], "-")
		if !is || strings.HasSuffix(fields[0], ":") || len(fields) < 5 {
			continue
		}
		var r region
		if r.start, err = strconv.ParseUint(from, 16, 64); err != nil {
			return nil, fmt.Errorf("read the mappings: %w", err)
		}
		if r.end, err = strconv.ParseUint(to, 16, 64); err != nil {
			return nil, fmt.Errorf("read the mappings: %w", err)
		}
		switch name := strings.Join(fields[5:], " "); {
		case strings.HasPrefix(name, "[vvar"), name == "[vsyscall]", name == "[vdso]":
			continue // the kernel's, the same in every process
		case strings.HasPrefix(name, "["):
			r.kind = strings.Trim(name, "[]")
		case name != "":
			r.kind = "the file " + name
		default:
			r.kind = "heap" // Go's with its stacks, SQLite's, or another mapping
		}
		regions = append(regions, r)
	}
	return regions, lines.Err()
}

// walk goes through a process's memory in order.
type walk struct {
	search       *Search
	mem, pagemap *os.File
	page         uint64
	hits         []Hit
	size         int64

	buffer []byte // ends at next
	seen   int    // bytes at its beginning that were searched before
	next   uint64
}

func (w *walk) region(r region) error {
	entries := make([]byte, 8*512)
	for at := r.start; at < r.end; {
		pages := min(uint64(len(entries))/8, (r.end-at)/w.page)
		n, err := w.pagemap.ReadAt(entries[:8*pages], int64(at/w.page*8))
		if n < 8 {
			return fmt.Errorf("which pages there are: %w", err)
		}
		for i := range uint64(n) / 8 {
			const there = 1<<63 | 1<<62 // in RAM, swapped out
			if binary.NativeEndian.Uint64(entries[8*i:])&there == 0 {
				continue
			}
			if err := w.read(r, at+i*w.page); err != nil {
				return err
			}
		}
		at += uint64(n) / 8 * w.page
	}
	w.flush(r)
	return nil
}

// read adds a page to the buffer.
func (w *walk) read(r region, at uint64) error {
	if at != w.next {
		w.flush(r)
		w.buffer, w.seen = w.buffer[:0], 0
	} else if len(w.buffer) >= chunk {
		w.flush(r)
	}
	n := len(w.buffer)
	w.buffer = append(w.buffer, make([]byte, w.page)...)
	if _, err := w.mem.ReadAt(w.buffer[n:], int64(at)); err != nil {
		w.buffer = w.buffer[:n]
		w.next = 0
		if now, _ := w.isThere(at); !now {
			return nil // given back meanwhile
		}
		return err
	}
	w.size += int64(w.page)
	w.next = at + w.page
	return nil
}

func (w *walk) isThere(at uint64) (bool, error) {
	var entry [8]byte
	_, err := w.pagemap.ReadAt(entry[:], int64(at/w.page*8))
	return binary.NativeEndian.Uint64(entry[:])>>62 != 0, err
}

// flush searches the buffer and keeps of it what may be the beginning of a copy.
func (w *walk) flush(r region) {
	if len(w.buffer) == w.seen {
		return
	}
	tail := w.search.in(w.buffer, w.seen, func(n *needle, _ int) {
		w.hits = append(w.hits, Hit{n.canary, n.form, r.kind})
	})
	w.buffer = append(w.buffer[:0], bytes.Clone(w.buffer[len(w.buffer)-tail:])...)
	w.seen = tail
}
