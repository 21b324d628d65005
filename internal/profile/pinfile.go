package profile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
)

// Errors about the file that a service's PIN is in.
var (
	errPINOthers = errors.New("others can read or write it. Close it with: chmod 600")
	errPINOwner  = errors.New("it belongs to someone else. Secrets are taken only from a file of your own, or of root")
	errPINKind   = errors.New("it is neither a file nor a pipe")
)

// OpenPIN is OpenSecret for a service's PIN.
func OpenPIN(path string) (*os.File, error) { return OpenSecret("the PIN file", path) }

// OpenSecret opens a file or a pipe that secrets are in, without reading it. It has to belong to this user or to root, and be closed to everybody else. An access
// list that lets in this user is no fault: systemd hands credentials over like that.
// Opening a pipe waits for whoever writes to it.
func OpenSecret(what, path string) (*os.File, error) {
	doing := what + " " + path
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is not there", doing)
	}
	if err != nil {
		return nil, unread(doing, err)
	}
	info, err := f.Stat()
	if err == nil {
		err = closedPIN(f, info)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	return f, nil
}

func closedPIN(f *os.File, info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case !mode.IsRegular() && mode.Type() != fs.ModeNamedPipe:
		return errPINKind
	case runtime.GOOS == "windows":
		return nil
	case !owned(info) && !rootOwned(info):
		return errPINOwner
	case mode.Perm()&0o007 != 0, mode.Perm()&0o070 != 0 && !onlyForUs(f):
		return errPINOthers
	}
	return nil
}
