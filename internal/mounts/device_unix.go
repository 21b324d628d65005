//go:build unix

package mounts

import (
	"os"
	"syscall"
)

func device(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int64(st.Dev)
	}
	return 0
}
