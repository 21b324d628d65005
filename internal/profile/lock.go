package profile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Lock is the exclusive use of a profile. It ends with Unlock, or with the
// process, however that ends.
type Lock struct{ f *os.File }

const wayOut = "Close that one first, or use another profile with --profile NAME"

// Somebody who only looks whether the profile is in use, with [Profile.Holder],
// has it for a moment.
const (
	lockTries = 5
	lockPause = 20 * time.Millisecond
)

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
	for try := 1; err == nil && !ok && try < lockTries; try++ {
		time.Sleep(lockPause)
		ok, err = lock(f)
	}
	if err != nil {
		f.Close()
		return nil, explain("locking profile "+p.Name, err)
	}
	if !ok {
		defer f.Close()
		if h, err := readHolder(f); err == nil && h.PID > 0 {
			return nil, fmt.Errorf("%w, process %d. %s", ErrInUse, h.PID, wayOut)
		}
		return nil, fmt.Errorf("%w. %s", ErrInUse, wayOut)
	}
	// Who has it is for the message above and for [Profile.Ask]: it may fail. It is
	// written over what is there, for which a full disk has room.
	f.WriteAt([]byte(Holder{PID: os.Getpid()}.line()), 0)
	if info, err := f.Stat(); err == nil && info.Size() > holderSize {
		f.Truncate(holderSize)
	}
	return &Lock{f}, nil
}

// Tell says in the lock file how this process stands: whether its conversations
// are open, whether it has a password and stays online, and how many requests
// to lock it has heard so far. Whoever calls it must take such requests, which
// come as signals: see [Profile.Ask]. An error is left to who reads: a disk
// that is full must not keep anybody from locking.
func (l *Lock) Tell(open, online bool, asked int) {
	h := Holder{PID: os.Getpid(), State: LoggedOff, Asked: asked}
	switch {
	case open:
		h.State = Open
	case online:
		h.State = Locked
	}
	l.f.WriteAt([]byte(h.line()), 0)
}

// Unlock gives the profile back. The file stays: removing it would let two
// processes lock two files of the same name. It stays as long as it is, too.
func (l *Lock) Unlock() error {
	l.f.WriteAt(bytes.Repeat([]byte(" "), holderSize), 0)
	return l.f.Close()
}
