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
	name := upToZero(s.F_fstypename[:])
	return volume{name, natureOf(name), room(int64(s.F_bavail), int64(s.F_bsize)), s.F_flags&unix.MNT_RDONLY != 0}, nil
}
