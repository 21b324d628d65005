//go:build unix && !linux

package doctor

import "strings"

// natureOf goes by the name that the system gives a file system.
func natureOf(name string) nature {
	switch {
	case name == "nfs", name == "smbfs", name == "webdav", name == "afpfs", name == "macfuse", name == "osxfuse", strings.HasPrefix(name, "fuse"):
		return overNetwork
	case name == "tmpfs", name == "mfs":
		return fleeting
	}
	return onDisk
}

// lies is not told here.
func (machine) lies(string) string { return "" }

// upToZero reads a name that ends with a zero byte.
func upToZero[T ~byte | ~int8](b []T) string {
	var s strings.Builder
	for _, c := range b {
		if c == 0 {
			break
		}
		s.WriteByte(byte(c))
	}
	return s.String()
}
