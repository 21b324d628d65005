//go:build unix

package doctor

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const closed = "yours, and closed to others"

// private judges one of the profile's own files and folders.
func private(path string, info fs.FileInfo) (finding, bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if ok && int(st.Uid) != os.Geteuid() {
		return finding{Bad, fmt.Sprintf("%s belongs to user %d", path, st.Uid), "Messages and keys are kept only in folders of your own; sotto does not open.",
			"Run sotto as that user, or: chown -R " + userID() + " " + path}, true
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return finding{Weak, fmt.Sprintf("%s is open to others (%04o)", path, mode), "Others on this computer can read it. sotto closes it when it opens next.",
			"Close it now: chmod go-rwx " + path}, true
	}
	return finding{}, false
}

func userID() string { return fmt.Sprint(os.Geteuid()) }

// maxDepth bounds how far up folders are looked at.
const maxDepth = 64

// changeable returns the first folder above dir in which somebody else could
// replace what is beneath: sticky ones, like /tmp, are not.
func changeable(dir string) (path, by string) {
	for range maxDepth {
		up := filepath.Dir(dir)
		if up == dir {
			break
		}
		dir = up
		info, err := os.Stat(dir)
		if err != nil {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
			return dir, fmt.Sprintf("user %d, whose it is", st.Uid)
		}
		if info.Mode()&fs.ModeSticky != 0 {
			continue
		}
		switch mode := info.Mode().Perm(); {
		case mode&0o002 != 0:
			return dir, "everybody"
		case mode&0o020 != 0:
			return dir, "its group"
		}
	}
	return "", ""
}

// The least that a disk needs to have left, in bytes.
const (
	littleRoom = 100 << 20
	noRoom     = 8 << 20
)

// fileSystem says what the messages lie on. Locks and syncing, which the
// database rests on, are not to be relied on over a network.
func (p place) fileSystem(m machine) finding {
	v, err := volumeOf(p.Data)
	if err != nil {
		return finding{verdict: Weak, found: err.Error(), meaning: "Nothing is known about the disk."}
	}
	return v.judge(m.lies(p.Data))
}

// judge takes what is known about the disk's encryption; "" is nothing.
func (v volume) judge(lies string) finding {
	found := fmt.Sprintf("%s, %s free", v.name, size(v.free))
	if lies != "" {
		found += ", " + lies
	}
	switch {
	case v.readOnly:
		return finding{Bad, found + ", read-only", "Nothing can be kept: sotto does not open.", "Mount it for writing."}
	case v.nature == overNetwork:
		return finding{Weak, found, "Locks and syncing over a network cannot be relied on: two computers could open the profile at once and ruin it.",
			"Keep the profile on a disk of this computer: set XDG_DATA_HOME and XDG_STATE_HOME."}
	case v.nature == fleeting:
		return finding{Weak, found, "It is in memory: the profile is gone when this computer restarts.", "Keep the profile on a disk: set XDG_DATA_HOME and XDG_STATE_HOME."}
	case v.free < noRoom:
		return finding{Bad, found, "The disk is full: messages that arrive cannot be kept, and stay on the relay.", "Make room."}
	case v.free < littleRoom:
		return finding{Weak, found, "The disk is almost full.", "Make room."}
	}
	return good(found)
}

// What a file system rests on.
type nature int

const (
	onDisk nature = iota
	overNetwork
	fleeting
)

// volume is a mounted file system.
type volume struct {
	name     string
	nature   nature
	free     int64 // bytes, for this user
	readOnly bool
}

// room is blocks times their size, bounded: network file systems say anything.
func room(blocks, size int64) int64 {
	const most = 1 << 60
	if blocks <= 0 || size <= 0 {
		return 0
	}
	if blocks > most/size {
		return most
	}
	return blocks * size
}
