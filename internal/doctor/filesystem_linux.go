package doctor

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// fileSystems are the file systems that people keep profiles on, by their magic
// number: linux/magic.h and the headers of the file systems.
var fileSystems = map[uint32]struct {
	name string
	nature
}{
	unix.EXT4_SUPER_MAGIC:      {"ext", onDisk},
	unix.XFS_SUPER_MAGIC:       {"xfs", onDisk},
	unix.BTRFS_SUPER_MAGIC:     {"btrfs", onDisk},
	unix.F2FS_SUPER_MAGIC:      {"f2fs", onDisk},
	0x2fc12fc1:                 {"zfs", onDisk},
	0xca451a4e:                 {"bcachefs", onDisk},
	unix.ECRYPTFS_SUPER_MAGIC:  {"ecryptfs", onDisk},
	unix.OVERLAYFS_SUPER_MAGIC: {"overlay, of a container", onDisk},
	unix.MSDOS_SUPER_MAGIC:     {"fat", onDisk},
	unix.TMPFS_MAGIC:           {"tmpfs", fleeting},
	unix.RAMFS_MAGIC:           {"ramfs", fleeting},
	unix.NFS_SUPER_MAGIC:       {"NFS", overNetwork},
	unix.SMB_SUPER_MAGIC:       {"SMB", overNetwork},
	unix.CIFS_SUPER_MAGIC:      {"SMB (cifs)", overNetwork},
	unix.SMB2_SUPER_MAGIC:      {"SMB 2", overNetwork},
	unix.V9FS_MAGIC:            {"9p", overNetwork},
	unix.AFS_SUPER_MAGIC:       {"AFS", overNetwork},
	unix.AFS_FS_MAGIC:          {"AFS", overNetwork},
	unix.CODA_SUPER_MAGIC:      {"Coda", overNetwork},
	unix.NCP_SUPER_MAGIC:       {"NCP", overNetwork},
	unix.CEPH_SUPER_MAGIC:      {"Ceph", overNetwork},
	unix.FUSE_SUPER_MAGIC:      {"FUSE, perhaps over a network", overNetwork},
	0x0bd00bd0:                 {"Lustre", overNetwork},
	0x01161970:                 {"GFS2", overNetwork},
	0x7461636f:                 {"OCFS2", overNetwork},
}

func volumeOf(path string) (volume, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return volume{}, fmt.Errorf("look at the disk: %w", err)
	}
	v := volume{free: room(int64(s.Bavail), int64(s.Bsize)), readOnly: s.Flags&unix.ST_RDONLY != 0}
	f, ok := fileSystems[uint32(s.Type)]
	if v.name, v.nature = f.name, f.nature; !ok {
		v.name = fmt.Sprintf("kind %#x", uint32(s.Type))
	}
	return v, nil
}

// lies says whether a folder is on an encrypted disk, where that can be told.
func (m machine) lies(dir string) string {
	info, err := os.Stat(dir)
	if err != nil {
		return ""
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	enc, device := m.backed(st.Dev)
	switch {
	case enc:
		return "encrypted disk"
	case device != "":
		return "disk not encrypted"
	}
	return ""
}
