package profile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// Lock is the exclusive use of a profile. It ends with Unlock, or with the
// process, however that ends.
type Lock struct{ f *os.File }

const wayOut = "Close that one first, or use another profile with --profile NAME"

// Lock takes the profile for this process; its folders must exist. If another
// has it, the error matches [ErrInUse] and names that process.
func (p Profile) Lock() (*Lock, error) {
	f, err := os.OpenFile(p.LockFile, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("profile %s: its folder %s is missing", p.Name, filepath.Dir(p.LockFile))
	}
	if err != nil {
		return nil, explain("locking profile "+p.Name, err)
	}
	ok, err := lock(f)
	if err != nil {
		f.Close()
		return nil, explain("locking profile "+p.Name, err)
	}
	if !ok {
		defer f.Close()
		if pid := holder(f); pid > 0 {
			return nil, fmt.Errorf("%w, process %d. %s", ErrInUse, pid, wayOut)
		}
		return nil, fmt.Errorf("%w. %s", ErrInUse, wayOut)
	}
	// Who has it is only for the message above: it may fail.
	f.Truncate(0)
	f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return &Lock{f}, nil
}

// holder reads the process id from a lock file; 0 if there is none.
func holder(f *os.File) int {
	b, _ := io.ReadAll(io.LimitReader(f, 20))
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' || n > 1<<30 {
			break
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// Unlock gives the profile back. The file stays: removing it would let two
// processes lock two files of the same name.
func (l *Lock) Unlock() error {
	l.f.Truncate(0)
	return l.f.Close()
}
