package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// area is one line of /proc/swaps.
type area struct {
	path  string
	file  bool // in a file system, not a device
	bytes int64
}

// maxAreas is far more than the kernel knows (MAX_SWAPFILES is 32).
const maxAreas = 64

// parseSwaps reads /proc/swaps: a line with headings, then one for each area:
// path, type, size in KiB, used, priority. Blanks in a path are written \040.
func parseSwaps(s string) []area {
	var areas []area
	first := true
	for text := range strings.Lines(s) {
		if first {
			first = false
			continue
		}
		f := strings.Fields(text)
		if len(f) < 3 || len(areas) == maxAreas {
			continue
		}
		a := area{path: unescape(f[0]), file: f[1] == "file"}
		if kib := number(f[2]); kib > 0 && kib < 1<<50 {
			a.bytes = kib << 10
		}
		areas = append(areas, a)
	}
	return areas
}

// unescape undoes what the kernel does to paths in its lists: \ooo.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// kinds of swap
const (
	inMemory  = "in memory"
	encrypted = "encrypted"
	inClear   = "in clear"
)

// kind says where an area's pages end.
func (m machine) kind(a area) string {
	path := filepath.Join(m.root, a.path)
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if name := filepath.Base(path); strings.HasPrefix(name, "zram") && !a.file {
		// zram can be told to write what is seldom used to a disk.
		if disk := m.word("/sys/block/" + name + "/backing_dev"); disk == "" || disk == "none" {
			return inMemory
		}
		return inClear
	}
	info, err := os.Stat(path)
	if err != nil {
		return inClear // what isn't known counts as such
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return inClear
	}
	dev := uint64(st.Rdev)
	if a.file {
		dev = uint64(st.Dev)
	}
	if enc, _ := m.backed(dev); enc {
		return encrypted
	}
	return inClear
}

// swaps returns the areas and whether all of them are safe.
func (m machine) swaps() (found []string, safe bool, err error) {
	s, err := m.read("/proc/swaps")
	if err != nil {
		return nil, false, err
	}
	safe = true
	for _, a := range parseSwaps(s) {
		k := m.kind(a)
		found = append(found, fmt.Sprintf("%s, %s, %s", a.path, size(a.bytes), k))
		safe = safe && k != inClear
	}
	return found, safe, nil
}

func (m machine) swap(context.Context) finding {
	found, safe, err := m.swaps()
	switch {
	case err != nil:
		return unreadable(err)
	case len(found) == 0:
		return good("none")
	case safe:
		return good(strings.Join(found, "; "))
	}
	return finding{Weak, strings.Join(found, "; "),
		"Keys are locked in memory and never swapped. Text that sotto shows can be, and then stays on the disk.",
		"Encrypt the swap, or turn it off with: swapoff -a"}
}

// hibernation writes all memory to the swap, locked or not.
func (m machine) hibernation(context.Context) finding {
	states := strings.Fields(m.word("/sys/power/state"))
	can := false
	for _, s := range states {
		can = can || s == "disk"
	}
	disk := m.word("/sys/power/disk")
	if !can || disk == "" || strings.Contains(disk, "[disabled]") {
		return good("not possible here")
	}
	found, safe, err := m.swaps()
	switch {
	case err != nil:
		return unreadable(err)
	case len(found) == 0:
		return good("possible, but there is no swap to write to")
	case safe:
		return good("to encrypted swap")
	}
	return finding{Weak, "to swap in clear",
		"Hibernating writes all memory to the disk, locked memory too: keys and text of an unlocked sotto.",
		"Lock sotto first (Ctrl+L), encrypt the swap, or forbid it: systemctl mask hibernate.target"}
}
