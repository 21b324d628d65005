package mounts

import (
	"path/filepath"

	"golang.org/x/sys/windows"
)

func foreign(path string) string {
	root, err := windows.UTF16PtrFromString(filepath.VolumeName(path) + `\`)
	if err != nil {
		return ""
	}
	switch windows.GetDriveType(root) {
	case windows.DRIVE_REMOTE:
		return "is on another computer"
	case windows.DRIVE_REMOVABLE, windows.DRIVE_CDROM:
		return "is on a removable disk"
	}
	return ""
}

func device(string) int64 { return 0 }
