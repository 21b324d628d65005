//go:build unix

package attach

import (
	"io/fs"
	"syscall"
)

// deviceOf is the number of the file system that a file is on; 0 if that is not told.
func deviceOf(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int64(st.Dev)
	}
	return 0
}
