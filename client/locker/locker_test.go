package locker

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// lockers are one in a folder and one in memory.
func lockers(t *testing.T) map[string]*Locker {
	t.Helper()
	l, err := Open(filepath.Join(t.TempDir(), "files"))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]*Locker{"folder": l, "memory": Memory()}
}

func TestKeep(t *testing.T) {
	for where, l := range lockers(t) {
		n := NewName()
		if _, err := l.Read(n); !errors.Is(err, fs.ErrNotExist) || l.Size(n) != 0 {
			t.Errorf("%s: read what is not there: %v", where, err)
		}
		want := bytes.Repeat([]byte("ciphertext"), 10_000)
		if err := l.Write(n, want); err != nil {
			t.Fatal(err)
		}
		got, err := l.Read(n)
		if err != nil || !bytes.Equal(got, want) || l.Size(n) != int64(len(want)) {
			t.Errorf("%s: %d bytes, %v", where, len(got), err)
		}
		clear(got) // it is the caller's
		part := make([]byte, 10)
		if k, err := l.ReadAt(n, part, 99_990); k != 10 || err != nil || string(part) != "ciphertext" {
			t.Errorf("%s: %q, %v", where, part[:k], err)
		}
		if k, _ := l.ReadAt(n, part, 99_999); k != 1 {
			t.Errorf("%s: %d bytes behind the end", where, k)
		}
		l.Remove(n)
		l.Remove(n)
		if l.Size(n) != 0 {
			t.Errorf("%s: it is still there", where)
		}
	}
}

// TestAppend goes on where a file was broken off.
func TestAppend(t *testing.T) {
	for where, l := range lockers(t) {
		n := NewName()
		write := func(from int64, s string) {
			t.Helper()
			p, err := l.Append(n, from)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(p.Write([]byte(s)), p.Sync(), p.Close()); err != nil {
				t.Fatal(err)
			}
			if p.Size() != from+int64(len(s)) {
				t.Errorf("%s: has %d bytes", where, p.Size())
			}
		}
		write(0, "one two")
		write(7, " three")
		write(4, "four")
		if got, err := l.Read(n); string(got) != "one four" || err != nil {
			t.Errorf("%s: %q, %v", where, got, err)
		}
		for _, from := range []int64{-1, 9} {
			if _, err := l.Append(n, from); err == nil {
				t.Errorf("%s: went on at %d", where, from)
			}
		}
		p, err := l.Append(n, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Write(make([]byte, MaxFile)); err != nil {
			t.Error(err)
		}
		if err := p.Write([]byte("x")); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: grew beyond the bound: %v", where, err)
		}
		p.Close()
	}
}

// TestFolder holds that nobody else can read in it, and that what belongs to
// nothing goes.
func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "files")
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	kept, lost := NewName(), NewName()
	for _, n := range []Name{kept, lost} {
		if err := l.Write(n, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	strange := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(strange, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" {
		for path, want := range map[string]fs.FileMode{dir: 0o700 | fs.ModeDir, filepath.Join(dir, kept.String()): 0o600} {
			if info, err := os.Stat(path); err != nil || info.Mode() != want {
				t.Errorf("%s: %v, %v", path, info.Mode(), err)
			}
		}
	}
	if l, err = Open(dir); err != nil {
		t.Fatal(err)
	}
	later := NewName()
	if err := l.Write(later, []byte("x")); err != nil {
		t.Fatal(err)
	}
	l.Tidy(func(n Name) bool { return n == kept })
	l.Tidy(func(Name) bool { return false })
	if l.Size(kept) != 1 || l.Size(lost) != 0 || l.Size(later) != 1 {
		t.Errorf("sizes %d, %d, %d", l.Size(kept), l.Size(lost), l.Size(later))
	}
	if _, err := os.Stat(strange); err != nil {
		t.Errorf("what is not ours: %v", err)
	}
	if _, err := Open(strange); err == nil {
		t.Error("a file was opened as a folder")
	}
	if _, err := Open(filepath.Join(dir, "a", "b")); err == nil {
		t.Error("folders were made around it")
	}
}
