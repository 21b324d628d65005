package profile

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

func owned(fs.FileInfo) bool { return true }

func rootOwned(fs.FileInfo) bool { return false }

func isReadOnly(err error) bool { return errors.Is(err, windows.ERROR_WRITE_PROTECT) }

// lock takes an exclusive lock that ends with the process, or reports false.
// It lies far beyond the file's end, so that others can read who has it.
func lock(f *os.File) (bool, error) {
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY,
		0, 1, 0, &windows.Overlapped{OffsetHigh: 1})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return false, nil
	}
	return err == nil, err
}
