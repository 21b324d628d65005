//go:build unix

package role

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// A door is a datagram socket with a name in a folder of the user's own. Who knocks
// sends one end of a socket pair through it, and whoever has the door takes that end.
// So a desk, which can neither make nor accept a connection, can be handed one. What
// comes is from some process of this user, or root, and from nobody in particular.

// OpenDoor makes a door. It replaces one that was left there.
func OpenDoor(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("make a door for other processes: %w", err)
	}
	fd, err := datagrams()
	if err != nil {
		return nil, fmt.Errorf("make a door for other processes: %w", err)
	}
	if err = unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make a door for other processes at %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), "door"), nil
}

// Knock hands whoever has the door at path one end of a new pair and returns the
// other. False means that nobody is there.
func Knock(path string) (*Socket, bool, error) {
	fd, err := datagrams()
	if err != nil {
		return nil, false, fmt.Errorf("ask the process that has the profile: %w", err)
	}
	defer unix.Close(fd)
	ours, theirs, err := Pair()
	if err != nil {
		return nil, false, err
	}
	defer theirs.Close()
	raw, err := theirs.File().SyscallConn()
	if err == nil {
		var sent error
		err = raw.Control(func(end uintptr) {
			_, sent = unix.SendmsgN(fd, []byte{0}, unix.UnixRights(int(end)), &unix.SockaddrUnix{Name: path}, 0)
		})
		err = errors.Join(err, sent)
	}
	switch {
	case err == nil:
		return ours, true, nil
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.EAGAIN):
		ours.Close() // nobody, or somebody who has died, or who is behind
		return nil, false, nil
	}
	ours.Close()
	return nil, false, fmt.Errorf("ask the process that has the profile: %w", err)
}

func datagrams() (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err == nil {
		unix.CloseOnExec(fd)
		err = unix.SetNonblock(fd, true)
	}
	return fd, err
}

// Answer takes what the next one who knocks has handed over. Anything else that comes
// through the door is dropped. An error means that the door is closed.
func Answer(door *os.File) (*os.File, error) {
	s := &Socket{file: door, stage: -1}
	raw, err := door.SyscallConn()
	if err != nil {
		return nil, err
	}
	s.raw = raw
	for {
		// A datagram can be empty, and is not the end of anything.
		if _, err := s.Read(make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		s.in.Lock()
		held := s.held
		s.held = nil
		s.in.Unlock()
		if len(held) == 1 {
			return held[0], nil
		}
		for _, f := range held {
			f.Close()
		}
	}
}
