// Package atomicfile replaces a small file so that a crash or a power cut at
// any moment leaves the old content or the new one.
package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Write replaces the file at path, or makes it, with mode 0600. When it returns
// nil, the new content is on the disk; when it returns an error, the old one
// is, except that an error of the very last step (the folder's sync) may follow
// a replacement that is complete but might not survive a power cut.
//
// The new content is written to .NAME.new first; one that a crash left behind
// is removed by the next Write. Two must not write the same file at a time.
func Write(path string, data []byte) error { return write(disk{}, path, data) }

// system is what write needs of a file system.
type system interface {
	// Create makes a new file, readable by its owner only.
	Create(path string) (file, error)
	Rename(from, to string) error
	Remove(path string) error
	SyncDir(dir string) error
}

type file interface {
	io.Writer
	Name() string
	Sync() error
	Close() error
}

func write(sys system, path string, data []byte) error {
	dir, base := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	f, err := sys.Create(filepath.Join(dir, "."+base+".new"))
	if err != nil {
		return fmt.Errorf("writing %s: %w", base, err)
	}
	_, err = f.Write(data)
	if err == nil {
		// Before the rename: some file systems put a name on the disk before
		// the content that it names.
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = sys.Rename(f.Name(), path)
	}
	if err != nil {
		sys.Remove(f.Name())
		return fmt.Errorf("writing %s: %w", base, err)
	}
	if err := sys.SyncDir(dir); err != nil {
		return fmt.Errorf("writing %s: %w", base, err)
	}
	return nil
}

// disk is the real file system.
type disk struct{}

func (disk) Create(path string) (file, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func (disk) Rename(from, to string) error { return os.Rename(from, to) }
func (disk) Remove(path string) error     { return os.Remove(path) }

func (disk) SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // a folder cannot be opened for syncing there
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
