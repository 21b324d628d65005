package relay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// shelf holds uploaded files: in a folder, or, for a relay without one, in
// memory. A file that is on its way is a part, and becomes whole at once. Names
// have passed isUploadID. Safe for concurrent use, but for two writers of one
// part, which files.go keeps apart.
type shelf struct {
	dir string // empty: in memory

	mu    sync.Mutex
	parts map[string][]byte
	whole map[string][]byte
}

const partSuffix = ".part"

func openShelf(dir string) (*shelf, error) {
	if dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make the folder for files: %w", err)
		}
	}
	return &shelf{dir: dir, parts: map[string][]byte{}, whole: map[string][]byte{}}, nil
}

func (f *shelf) path(id string) string { return filepath.Join(f.dir, id) }

// read opens a whole file.
func (f *shelf) read(id string) (io.ReadSeekCloser, error) {
	if f.dir != "" {
		return os.Open(f.path(id))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	b, ok := f.whole[id]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return nopCloser{bytes.NewReader(b)}, nil
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

// offset returns how many bytes of a part are there.
func (f *shelf) offset(id string) int64 {
	if f.dir != "" {
		info, err := os.Stat(f.path(id) + partSuffix)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return int64(len(f.parts[id]))
}

// write opens a part to go on at the byte from, which is at most its offset.
// What is behind it is dropped.
func (f *shelf) write(id string, from int64) (io.WriteCloser, error) {
	if f.dir == "" {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.parts[id] = f.parts[id][:from:from]
		return &partWriter{f, id}, nil
	}
	w, err := os.OpenFile(f.path(id)+partSuffix, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err = w.Truncate(from); err == nil {
		_, err = w.Seek(from, io.SeekStart)
	}
	if err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

type partWriter struct {
	shelf *shelf
	id    string
}

func (p *partWriter) Write(b []byte) (int, error) {
	p.shelf.mu.Lock()
	defer p.shelf.mu.Unlock()
	p.shelf.parts[p.id] = append(p.shelf.parts[p.id], b...)
	return len(b), nil
}

func (p *partWriter) Close() error { return nil }

// finish makes a part whole, durably.
func (f *shelf) finish(id string) error {
	if f.dir == "" {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.whole[id] = f.parts[id]
		delete(f.parts, id)
		return nil
	}
	part, err := os.OpenFile(f.path(id)+partSuffix, os.O_RDWR, 0)
	if err == nil {
		err = errors.Join(part.Sync(), part.Close())
	}
	if err == nil {
		err = os.Rename(f.path(id)+partSuffix, f.path(id))
	}
	if err != nil {
		return err
	}
	if d, err := os.Open(f.dir); err == nil { // the name, too; not every system can
		d.Sync()
		d.Close()
	}
	return nil
}

// remove removes a file, whole or not.
func (f *shelf) remove(id string) {
	if f.dir != "" {
		os.Remove(f.path(id))
		os.Remove(f.path(id) + partSuffix)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.whole, id)
	delete(f.parts, id)
}

// tidy removes files that keep does not know. Only files that are named as
// uploads are, are touched.
func (f *shelf) tidy(keep map[string]bool) error {
	if f.dir == "" {
		return nil
	}
	entries, err := os.ReadDir(f.dir)
	for _, e := range entries {
		if id := strings.TrimSuffix(e.Name(), partSuffix); isUploadID(id) && !keep[id] {
			f.remove(id)
		}
	}
	return err
}
