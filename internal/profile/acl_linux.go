package profile

import (
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// What stands in a file's access list, as in <linux/posix_acl_xattr.h>.
const (
	aclVersion  = 2
	aclHeader   = 4
	aclEntry    = 8
	aclUserObj  = 0x01
	aclUser     = 0x02
	aclGroupObj = 0x04
	aclMask     = 0x10
	aclOther    = 0x20
	maxACL      = 64 * aclEntry
)

// onlyForUs says whether a file's group permissions are no more than the mask of an
// access list that lets in nobody but its owner, this user and root.
func onlyForUs(f *os.File) bool {
	list := make([]byte, aclHeader+maxACL)
	n, err := unix.Fgetxattr(int(f.Fd()), "system.posix_acl_access", list)
	return err == nil && aclOnlyFor(list[:n], uint32(os.Geteuid()))
}

func aclOnlyFor(list []byte, user uint32) bool {
	if len(list) < aclHeader || binary.LittleEndian.Uint32(list) != aclVersion || (len(list)-aclHeader)%aclEntry != 0 {
		return false
	}
	for list = list[aclHeader:]; len(list) > 0; list = list[aclEntry:] {
		tag, perm, id := binary.LittleEndian.Uint16(list), binary.LittleEndian.Uint16(list[2:]), binary.LittleEndian.Uint32(list[4:])
		switch tag {
		case aclUserObj, aclMask:
		case aclUser:
			if perm != 0 && id != user && id != 0 {
				return false
			}
		case aclGroupObj, aclOther:
			if perm != 0 {
				return false
			}
		default: // a named group, or what is not known
			if perm != 0 {
				return false
			}
		}
	}
	return true
}
