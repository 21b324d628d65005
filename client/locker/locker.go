// Package locker keeps the ciphertexts of files in a folder.
//
// What is in there cannot be read without the keys, which are in the message
// database: where a key is removed, its file is as good as gone, and Tidy removes
// it if nothing did before. A file's name is random and says nothing. Whether a
// file is whole is not told by the folder but by the database, which is told
// after the file was synced; and in the end by the tag at its end. So a crash at
// any moment leaves a file that is whole, one that can be continued, or one that
// Tidy removes.
//
// After Open the package needs no right but to make, write, read and remove
// files in this folder, so that it works within the desk's sandbox.
package locker

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// Dir is what the folder is called, within that of the database.
const Dir = "files"

// MaxFile bounds one file, in bytes of ciphertext.
const MaxFile = 64 << 20

// NameSize is the length of a name, in bytes.
const NameSize = 16

// Name is what a file is called.
type Name [NameSize]byte

// NewName makes a name that no file has.
func NewName() (n Name) {
	rand.Read(n[:])
	return n
}

func (n Name) String() string { return hex.EncodeToString(n[:]) }

// ErrTooLarge is returned for a file beyond MaxFile.
var ErrTooLarge = errors.New("the file is too large to be kept here")

// Locker is a folder of ciphertexts, or the same in memory. Its methods are safe
// for concurrent use, but for two that write to one file.
type Locker struct {
	dir   string // "": in memory
	found []Name // when it was opened

	mu     sync.Mutex
	memory map[Name][]byte
}

// Memory returns a locker that is gone with the process.
func Memory() *Locker { return &Locker{memory: make(map[Name][]byte)} }

// Open opens the folder, and makes it if there is none, readable by its owner
// only. The folder around it has to be there.
func Open(dir string) (*Locker, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make the folder for files: %w", err)
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open the folder for files: %w", err)
	}
	l := &Locker{dir: dir}
	for _, e := range list {
		b, err := hex.DecodeString(e.Name())
		if err == nil && len(b) == NameSize && e.Type().IsRegular() {
			l.found = append(l.found, Name(b))
		}
	}
	return l, nil
}

// Tidy removes what was there when the locker was opened and keep does not know.
func (l *Locker) Tidy(keep func(Name) bool) {
	for _, n := range l.found {
		if !keep(n) {
			l.Remove(n)
		}
	}
	l.found = nil
}

func (l *Locker) path(n Name) string { return filepath.Join(l.dir, n.String()) }

// Write keeps a whole file. When it returns nil, it is on the disk.
func (l *Locker) Write(n Name, b []byte) error {
	w, err := l.Append(n, 0)
	if err != nil {
		return err
	}
	if err = w.Write(b); err == nil {
		err = w.Sync()
	}
	if err = errors.Join(err, w.Close()); err != nil {
		l.Remove(n)
	}
	return err
}

// Size returns how much of a file is there, in bytes; 0 if nothing is.
func (l *Locker) Size(n Name) int64 {
	if l.dir == "" {
		l.mu.Lock()
		defer l.mu.Unlock()
		return int64(len(l.memory[n]))
	}
	info, err := os.Stat(l.path(n))
	if err != nil {
		return 0
	}
	return info.Size()
}

// Changed returns when a file was written last; the zero time if there is none, and
// in memory.
func (l *Locker) Changed(n Name) time.Time {
	if l.dir == "" {
		return time.Time{}
	}
	info, err := os.Stat(l.path(n))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// Read returns a whole file, in a slice that belongs to the caller.
func (l *Locker) Read(n Name) ([]byte, error) {
	if l.dir == "" {
		l.mu.Lock()
		defer l.mu.Unlock()
		b, ok := l.memory[n]
		if !ok {
			return nil, fmt.Errorf("read a file: %w", fs.ErrNotExist)
		}
		return bytes.Clone(b), nil
	}
	f, err := os.Open(l.path(n))
	if err != nil {
		return nil, unnamed("read a file", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, unnamed("read a file", err)
	}
	if info.Size() > MaxFile {
		return nil, ErrTooLarge
	}
	b := make([]byte, info.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, unnamed("read a file", err)
	}
	return b, nil
}

// ReadAt reads a part of a file, as io.ReaderAt does.
func (l *Locker) ReadAt(n Name, b []byte, at int64) (int, error) {
	if l.dir == "" {
		l.mu.Lock()
		defer l.mu.Unlock()
		return bytes.NewReader(l.memory[n]).ReadAt(b, at)
	}
	f, err := os.Open(l.path(n))
	if err != nil {
		return 0, unnamed("read a file", err)
	}
	defer f.Close()
	m, err := f.ReadAt(b, at)
	if err != nil && err != io.EOF {
		err = unnamed("read a file", err)
	}
	return m, err
}

// Remove removes a file, whole or not. It may be gone already.
func (l *Locker) Remove(n Name) {
	if l.dir != "" {
		os.Remove(l.path(n))
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.memory, n)
}

// Part is a file that is being written.
type Part struct {
	l    *Locker
	n    Name
	f    *os.File // nil in memory
	size int64
}

// Append opens a file to go on at the byte from, and makes it if there is none.
// What was behind from is dropped.
func (l *Locker) Append(n Name, from int64) (*Part, error) {
	if from < 0 || from > l.Size(n) {
		return nil, errors.New("keep a file: there is less of it than was thought")
	}
	p := &Part{l: l, n: n, size: from}
	if l.dir == "" {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.memory[n] = l.memory[n][:from:from]
		return p, nil
	}
	f, err := os.OpenFile(l.path(n), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, unnamed("keep a file", err)
	}
	if err := f.Truncate(from); err != nil {
		f.Close()
		return nil, unnamed("keep a file", err)
	}
	p.f = f
	return p, nil
}

// Size returns how much of the file there is.
func (p *Part) Size() int64 { return p.size }

// Write adds to the end of the file.
func (p *Part) Write(b []byte) error {
	if p.size+int64(len(b)) > MaxFile {
		return ErrTooLarge
	}
	if p.f == nil {
		p.l.mu.Lock()
		p.l.memory[p.n] = append(p.l.memory[p.n], b...)
		p.l.mu.Unlock()
	} else if _, err := p.f.WriteAt(b, p.size); err != nil {
		return unnamed("keep a file", err)
	}
	p.size += int64(len(b))
	return nil
}

// Sync returns when what was written, and the name, would survive a power cut.
func (p *Part) Sync() error {
	if p.f == nil {
		return nil
	}
	if err := p.f.Sync(); err != nil {
		return unnamed("keep a file", err)
	}
	if runtime.GOOS == "windows" {
		return nil // NTFS journals names; a folder cannot be opened for syncing
	}
	d, err := os.Open(p.l.dir)
	if err != nil {
		return unnamed("keep a file", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return unnamed("keep a file", err)
	}
	return nil
}

// Close closes the file.
func (p *Part) Close() error {
	if p.f == nil {
		return nil
	}
	return p.f.Close()
}

// unnamed says what failed, without a path that tells a person nothing.
func unnamed(doing string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// Each calls f with the name and size of every file in a locker in memory.
func (l *Locker) Each(f func(name [NameSize]byte, size int64)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for n, b := range l.memory {
		f(n, int64(len(b)))
	}
}
