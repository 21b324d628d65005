package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/ncruces/go-sqlite3"
)

// The errors with a remedy, in words for people.
var (
	ErrKey      = errors.New("the message database does not open with this key: it belongs to another profile, or its beginning is damaged. Restore data/sotto.db from a backup, or move it away to start an empty one")
	ErrDamaged  = errors.New("the message database is damaged. Restore data/sotto.db from a backup, or move it away to start an empty one")
	ErrBusy     = errors.New("another sotto has this message database open. Close it first")
	ErrFull     = errors.New("the disk is full. Free some space and try again; everything stored before is safe")
	ErrReadOnly = errors.New("the folder of the message database cannot be written to. Check who owns it, its permissions, and whether the disk is mounted read-only")
	ErrNewer    = errors.New("the message database was written by a newer sotto. Install that version, or a later one")
)

// Errors of the caller.
var (
	ErrClosed     = errors.New("the message database is closed")
	ErrViewWrites = errors.New("a View transaction cannot write")
	ErrEnded      = errors.New("the transaction has ended")
	ErrUnknown    = errors.New("no such message")
	ErrNoRoom     = errors.New("no such room")
)

// fault is an error with a remedy and what lay beneath it.
type fault struct {
	doing         string
	remedy, cause error
}

func (f *fault) Error() string   { return f.doing + ": " + f.remedy.Error() }
func (f *fault) Unwrap() []error { return []error{f.remedy, f.cause} }

// explain adds what was being done to err, and the remedy where there is one.
// SQLite's own messages name tables and columns, never values.
func explain(doing string, err error) error {
	if err == nil {
		return nil
	}
	var f *fault
	if errors.As(err, &f) || errors.Is(err, ErrNewer) {
		return err
	}
	if r := remedy(err); r != nil {
		return &fault{doing, r, err}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func remedy(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG), errors.Is(err, sqlite3.FULL):
		return ErrFull
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), errors.Is(err, sqlite3.READONLY), errors.Is(err, sqlite3.PERM):
		return ErrReadOnly
	case errors.Is(err, sqlite3.NOTADB), errors.Is(err, sqlite3.IOERR_BADKEY):
		return ErrKey
	case errors.Is(err, sqlite3.CORRUPT), errors.Is(err, sqlite3.IOERR_DATA), errors.Is(err, sqlite3.IOERR_CORRUPTFS), errors.Is(err, sqlite3.IOERR_SHORT_READ):
		return ErrDamaged
	case errors.Is(err, sqlite3.BUSY):
		return ErrBusy
	case errors.Is(err, sqlite3.CONSTRAINT_TRIGGER) && strings.Contains(err.Error(), readingOnly):
		return ErrReading
	}
	return nil
}

// interrupted turns SQLite's word for a cancelled context into the context's.
func interrupted(ctx context.Context, err error) error {
	if errors.Is(err, sqlite3.INTERRUPT) && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
