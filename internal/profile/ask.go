package profile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// Answer is what became of a request to lock.
type Answer string

// The answers, in words for people.
const (
	NotRunning      Answer = "not running"
	NowLocked       Answer = "locked"
	LockedAlready   Answer = "was locked already"
	NowLoggedOff    Answer = "locked and logged off"
	LoggedOffBefore Answer = "was logged off already"
)

const (
	askPause = 5 * time.Millisecond
	// askWake is how long an answer may take before the process is taken for a
	// stopped one and continued: a shell has stopped it, or somebody else.
	askWake = 300 * time.Millisecond
)

// Ask has the sotto that has the profile lock, and log off if wanted, and waits
// until it has: until no process with messages or keys is left, and for a
// log-off none with the password. It returns an error when ctx ends before.
//
// The request is a signal. It is sent only to a process that holds the lock at
// that moment, says in the lock file that it takes requests, and belongs to the
// same user.
func (p Profile) Ask(ctx context.Context, logOff bool) (Answer, error) {
	doing := "locking profile " + p.Name
	before, process, err := p.addressee(ctx)
	if err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	if process == nil {
		return NotRunning, nil
	}
	defer process.Release()
	if err := signalLock(process, logOff); errors.Is(err, os.ErrProcessDone) {
		return NotRunning, nil
	} else if err != nil {
		return "", fmt.Errorf("%s: tell process %d: %w", doing, before.PID, err)
	}
	wake := time.After(askWake)
	for {
		h, err := p.Holder()
		switch {
		case err != nil:
			return "", fmt.Errorf("%s: %w", doing, err)
		case h == nil: // it has ended, and with it all that it had
			return NowLoggedOff, nil
		case h.PID != before.PID:
			return "", fmt.Errorf("%s: process %d has ended, and process %d has opened it meanwhile", doing, before.PID, h.PID)
		case h.Asked <= before.Asked || h.State == Open || h.State == Unknown:
		case logOff && h.State == LoggedOff && before.State == LoggedOff:
			return LoggedOffBefore, nil
		case logOff && h.State == LoggedOff:
			return NowLoggedOff, nil
		case !logOff && before.State != Open:
			return LockedAlready, nil
		case !logOff:
			return NowLocked, nil
		}
		select {
		case <-wake:
			continueProcess(process) // that it has ended shows above
		case <-time.After(askPause):
		case <-ctx.Done():
			return "", fmt.Errorf("%s: process %d has not done it in time. Look at it, or end it with: kill %d", doing, h.PID, h.PID)
		}
	}
}

// addressee waits until the process that has the profile says how it stands,
// and makes sure that it is that process and no other. It returns nil without one.
func (p Profile) addressee(ctx context.Context) (Holder, *os.Process, error) {
	for {
		h, f, err := p.holder()
		if h == nil || err != nil {
			return Holder{}, nil, err
		}
		if h.State == Unknown { // it has just begun, or is another command of sotto
			f.Close()
			select {
			case <-time.After(askPause):
				continue
			case <-ctx.Done():
				return Holder{}, nil, fmt.Errorf("a command of sotto has it that cannot be asked, process %d", h.PID)
			}
		}
		// From here on the process id can't come to mean another process; then
		// everything is looked at again.
		process, err := os.FindProcess(h.PID)
		if err != nil {
			f.Close()
			return Holder{}, nil, fmt.Errorf("find process %d: %w", h.PID, err)
		}
		err = holds(f, h.PID)
		again, readErr := readHolder(f)
		free, lockErr := lock(f)
		f.Close()
		err = errors.Join(err, readErr, lockErr)
		if err == nil && !free && again.PID == h.PID {
			return again, process, nil
		}
		process.Release()
		if err != nil {
			return Holder{}, nil, err
		}
	}
}
