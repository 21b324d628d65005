package client

import (
	"errors"
	"os"
	"syscall"
)

// What keeps a backup from being written where it goes to, in words for people. What
// has a name in the folder was whole before, and nothing changes it.
var (
	errNoRoom = errors.New("there is no room for it where it goes to. Free some space, or take another place, and run it again. Backups from before are as they were")
	errLong   = errors.New("where it goes to, a file cannot be as long as it gets: memory sticks with FAT end at 4 GiB, and ulimit -f sets such a limit, too. " +
		"Take another place, or leave files out with --no-files. Backups from before are as they were")
)

// backupFile is the file that a backup goes to: what it lacks is said in words.
type backupFile struct {
	f     *os.File
	lacks error // what writing has failed for; age does not always pass it on
}

func (f *backupFile) Write(b []byte) (int, error) {
	n, err := f.f.Write(b)
	return n, f.said(err)
}

func (f *backupFile) Sync() error { return f.said(f.f.Sync()) }

func (f *backupFile) said(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		f.lacks = errNoRoom
	case errors.Is(err, syscall.EFBIG):
		f.lacks = errLong
	default:
		return err
	}
	return f.lacks
}
