//go:build unix

package role

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxHeld is how many files that came with messages wait to be taken. More are
// closed at once: the other end can't make this process run out of descriptors.
const maxHeld = 4

// Socket is one end of a pair that joins two processes. Files can travel over
// it beside the bytes.
type Socket struct {
	file *os.File
	raw  syscall.RawConn

	out   sync.Mutex // one write at a time, with the file that goes with it
	stage int        // descriptor to send with the next write, or -1

	in   sync.Mutex
	held []*os.File
}

// Pair makes two sockets that are joined. Neither survives an exec, except
// where Spawn hands one on.
func Pair() (*Socket, *Socket, error) {
	fds, err := socketpair()
	if err != nil {
		return nil, nil, fmt.Errorf("join two processes: %w", err)
	}
	a, errA := newSocket(fds[0])
	b, errB := newSocket(fds[1])
	if err := errors.Join(errA, errB); err != nil {
		return nil, nil, fmt.Errorf("join two processes: %w", err)
	}
	return a, b, nil
}

func newSocket(fd int) (*Socket, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	s := &Socket{file: os.NewFile(uintptr(fd), "socket"), stage: -1}
	raw, err := s.file.SyscallConn()
	s.raw = raw
	return s, err
}

// socketAt takes over a descriptor that the parent left open.
func socketAt(fd int) (*Socket, error) {
	typ, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || typ != unix.SOCK_STREAM {
		return nil, errors.New("this role is started by sotto itself, not by hand")
	}
	return newSocket(fd)
}

// File returns the end itself, to be handed to a child or used for bytes alone.
func (s *Socket) File() *os.File { return s.file }

// Close closes the end and every file that was not taken.
func (s *Socket) Close() error {
	s.in.Lock()
	for _, f := range s.held {
		f.Close()
	}
	s.held = nil
	s.in.Unlock()
	return s.file.Close()
}

// Write writes all of p, and with its first byte the file that sendWith staged.
func (s *Socket) Write(p []byte) (int, error) {
	s.out.Lock()
	defer s.out.Unlock()
	return s.write(p)
}

func (s *Socket) write(p []byte) (int, error) {
	if s.stage < 0 || len(p) == 0 {
		return s.file.Write(p)
	}
	rights := unix.UnixRights(s.stage)
	s.stage = -1
	var n int
	var failed error
	err := s.raw.Write(func(fd uintptr) bool {
		n, failed = unix.SendmsgN(int(fd), p, rights, nil, 0)
		return failed != unix.EAGAIN && failed != unix.EINTR
	})
	if err == nil {
		err = failed
	}
	if err != nil || n == len(p) {
		return n, err
	}
	rest, err := s.file.Write(p[n:])
	return n + rest, err
}

// SendFile sends m, which must be one frame, and f with it. f stays open here.
func (c *Control) SendFile(m Message, f *os.File) error {
	typ, fields, err := encode(m)
	if err != nil {
		return err
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("pass on a file: %w", err)
	}
	// Control keeps f's descriptor in use until the frame is written.
	var sent error
	err = raw.Control(func(fd uintptr) {
		c.socket.out.Lock()
		c.socket.stage = int(fd)
		c.socket.out.Unlock()
		sent = c.conn.Write(typ, fields...)
	})
	return errors.Join(err, sent)
}

// Read reads bytes, and puts aside files that come with them.
func (s *Socket) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	var n, oobn int
	var failed error
	oob := make([]byte, unix.CmsgSpace(4*maxHeld))
	err := s.raw.Read(func(fd uintptr) bool {
		n, oobn, _, _, failed = unix.Recvmsg(int(fd), p, oob, recvFlags)
		return failed != unix.EAGAIN && failed != unix.EINTR
	})
	if err == nil {
		err = failed
	}
	if oobn > 0 {
		s.hold(oob[:oobn])
	}
	switch {
	case errors.Is(err, unix.ECONNRESET):
		return 0, io.EOF // the other end was killed with bytes unread
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

func (s *Socket) hold(oob []byte) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return
	}
	for _, m := range msgs {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue
		}
		s.in.Lock()
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			if len(s.held) == maxHeld || unix.SetNonblock(fd, true) != nil {
				unix.Close(fd)
				continue
			}
			s.held = append(s.held, os.NewFile(uintptr(fd), "passed"))
		}
		s.in.Unlock()
	}
}

// TakeFile returns the file that came first and was not taken yet, or nil. The
// file of a message has arrived when Receive returns the message.
func (c *Control) TakeFile() *os.File {
	s := c.socket
	s.in.Lock()
	defer s.in.Unlock()
	if len(s.held) == 0 {
		return nil
	}
	f := s.held[0]
	s.held = s.held[1:]
	return f
}
