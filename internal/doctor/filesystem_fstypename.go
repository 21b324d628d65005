//go:build darwin || freebsd || dragonfly

package doctor

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func volumeOf(path string) (volume, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return volume{}, fmt.Errorf("look at the disk: %w", err)
	}
	name := upToZero(s.Fstypename[:])
	return volume{name, natureOf(name), room(int64(s.Bavail), int64(s.Bsize)), s.Flags&unix.MNT_RDONLY != 0}, nil
}
