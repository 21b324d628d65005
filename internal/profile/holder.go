package profile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// State is how the process stands that has a profile.
type State string

// The states.
const (
	Unknown   State = ""       // it has not said yet, or can't be asked
	Open      State = "open"   // conversations are open, or a key for them is in memory
	Locked    State = "locked" // nothing is open; it stays online, with the password
	LoggedOff State = "off"    // nothing is open, and it has no password
)

// Holder is the process that has a profile, as it says in the lock file.
type Holder struct {
	PID   int
	State State
	Asked int // requests to lock that it has heard
}

const (
	holderSize = 32 // bytes, so that one line replaces another
	maxPID     = 1 << 30
	maxAsked   = 1 << 30
)

// line is what stands in the lock file.
func (h Holder) line() string {
	s := strconv.Itoa(h.PID)
	if h.State != Unknown {
		s += fmt.Sprintf(" %s %d", h.State, h.Asked)
	}
	return fmt.Sprintf("%-*s\n", holderSize-1, s)
}

// parseHolder reads a lock file. An empty one is that of nobody.
func parseHolder(b []byte) (Holder, error) {
	f := strings.Fields(string(b))
	if len(f) == 0 {
		return Holder{}, nil
	}
	var h Holder
	var err error
	if h.PID, err = parseNumber(f[0], maxPID); err != nil || h.PID == 0 {
		return Holder{}, errHolder
	}
	switch len(f) {
	case 1:
		return h, nil
	case 3:
		h.State = State(f[1])
		h.Asked, err = parseNumber(f[2], maxAsked)
		if err == nil && slices.Contains([]State{Open, Locked, LoggedOff}, h.State) {
			return h, nil
		}
	}
	return Holder{}, errHolder
}

var errHolder = errors.New("the lock file does not say which process has the profile")

func parseNumber(s string, most int) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil || int(n) > most || strconv.FormatUint(n, 10) != s {
		return 0, errHolder
	}
	return int(n), nil
}

// readHolder reads a lock file until two readings agree: it may be written to
// meanwhile.
func readHolder(f *os.File) (Holder, error) {
	var last Holder
	for try := 0; ; try++ {
		b, err := io.ReadAll(io.NewSectionReader(f, 0, 2*holderSize))
		if err != nil {
			return Holder{}, err
		}
		h, err := parseHolder(b)
		if try > 0 && err == nil && h == last {
			return h, nil
		}
		if try == 10 {
			if err == nil {
				err = errHolder
			}
			return Holder{}, err
		}
		last = h
	}
}

// Holder returns the process that has the profile. Without one, and without
// such a profile, it returns no holder and no error.
func (p Profile) Holder() (*Holder, error) {
	h, f, err := p.holder()
	if f != nil {
		f.Close()
	}
	return h, err
}

// holder is Holder, and the lock file if there is one.
func (p Profile) holder() (*Holder, *os.File, error) {
	doing := "looking who has profile " + p.Name
	// Not through a link, and nothing that makes opening wait.
	if info, err := os.Lstat(p.LockFile); err == nil && !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s: %s is not a file", doing, p.LockFile)
	}
	f, err := os.Open(p.LockFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, unread(doing, err)
	}
	info, err := f.Stat()
	if err == nil && !owned(info) {
		err = ErrForeign
	}
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("%s: %w", doing, err)
	}
	free, err := lock(f)
	if err != nil || free {
		f.Close()
		return nil, nil, explain(doing, err)
	}
	h, err := readHolder(f)
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("%s: %w", doing, err)
	}
	return &h, f, nil
}

// All returns the profiles that a sotto has been opened with on this machine,
// by name.
func All() ([]Profile, error) {
	b, err := bases()
	if err != nil {
		return nil, err
	}
	found, err := os.ReadDir(filepath.Join(b.state, "sotto"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, unread("looking for profiles", err)
	}
	var all []Profile
	for _, e := range found {
		if !validName(e.Name()) {
			continue
		}
		p, err := Paths(e.Name())
		if err != nil {
			return nil, err
		}
		if _, err := os.Lstat(p.LockFile); err == nil {
			all = append(all, p)
		}
	}
	return all, nil
}
