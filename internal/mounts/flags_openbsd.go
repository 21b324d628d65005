package mounts

import "golang.org/x/sys/unix"

func local(s *unix.Statfs_t) bool { return s.F_flags&unix.MNT_LOCAL != 0 }
