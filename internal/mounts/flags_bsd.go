//go:build darwin || freebsd || dragonfly

package mounts

import "golang.org/x/sys/unix"

func local(s *unix.Statfs_t) bool { return s.Flags&unix.MNT_LOCAL != 0 }
