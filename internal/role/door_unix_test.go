//go:build unix

package role

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDoor(t *testing.T) {
	dir, err := os.MkdirTemp("", "door") // short enough for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "door")
	if _, there, err := Knock(path); there || err != nil {
		t.Errorf("without a door: %t %v", there, err)
	}
	door, err := OpenDoor(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	knockEmptily(t, path)
	ours, there, err := Knock(path)
	if !there || err != nil {
		t.Fatal(there, err)
	}
	theirs, err := Answer(door)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ours.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 5)
	if n, err := theirs.Read(b); err != nil || string(b[:n]) != "hello" {
		t.Errorf("%q %v", b, err)
	}
	ours.Close()
	theirs.Close()
	door.Close()
	if _, there, err := Knock(path); there || err != nil {
		t.Errorf("behind a door that somebody left: %t %v", there, err)
	}
	if door, err = OpenDoor(path); err != nil {
		t.Fatal(err)
	}
	if _, there, _ := Knock(path); !there {
		t.Error("a door in the place of another is not found")
	}
	door.Close()
	if _, err := Answer(door); err == nil {
		t.Error("a closed door answers")
	}
}

// knockEmptily sends what hands over nothing, and is nothing.
func knockEmptily(t *testing.T, path string) {
	t.Helper()
	fd, err := datagrams()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, b := range [][]byte{nil, {0}, make([]byte, 100)} {
		if err := unix.Sendto(fd, b, 0, &unix.SockaddrUnix{Name: path}); err != nil {
			t.Fatal(err)
		}
	}
}
