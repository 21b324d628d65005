//go:build unix

package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestReadOnlyFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	mkdir(t, dir)
	path := filepath.Join(dir, "sotto.db")
	s := openTest(t, path)
	fill(t, s, 3, "x")
	s.Close()
	if err := os.Chmod(path, 0o444); err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	for _, d := range []string{dir, empty} {
		if err := os.Chmod(d, 0o555); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(d, 0o700) })
	}
	for _, path := range []string{path, filepath.Join(empty, "sotto.db")} {
		var err error
		asOrdinaryUser(t, func() { _, err = Open(context.Background(), path, testKey(1)) })
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("got %v", err)
		}
	}
	os.Chmod(dir, 0o700)
	os.Chmod(path, 0o600)
	s = openTest(t, path)
	if n := len(messages(t, s, ben, 0, 10)); n != 3 {
		t.Errorf("%d messages", n)
	}
}

func TestMissingFolder(t *testing.T) {
	if _, err := Open(context.Background(), filepath.Join(t.TempDir(), "none", "sotto.db"), testKey(1)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
