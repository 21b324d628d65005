//go:build darwin || freebsd || dragonfly || openbsd

package mounts

import "golang.org/x/sys/unix"

func foreign(path string) string {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return ""
	}
	if !local(&s) {
		return "is on another computer"
	}
	return ""
}
