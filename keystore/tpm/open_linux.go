package tpm

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"golang.org/x/sys/unix"
)

// path is the TPM behind the kernel's resource manager, which keeps programs
// apart. The device without it, /dev/tpm0, is for one program at a time.
const path = "/dev/tpmrm0"

func open() (io.ReadWriteCloser, error) { return openAt(path) }

func openAt(path string) (io.ReadWriteCloser, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == unix.ENXIO, err == unix.ENODEV:
		return nil, ErrNone
	case errors.Is(err, fs.ErrPermission):
		return nil, ErrPermission
	case err != nil:
		return nil, fmt.Errorf("open the TPM, %s: %w", path, err)
	}
	return descriptor(fd), nil
}

// descriptor reads and writes with the system calls of those names alone, and
// waits in them. An os.File would wait with others, depending on the kernel.
type descriptor int

func (d descriptor) Read(b []byte) (int, error) {
	n, err := retry(func() (int, error) { return unix.Read(int(d), b) })
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

func (d descriptor) Write(b []byte) (int, error) {
	n, err := retry(func() (int, error) { return unix.Write(int(d), b) })
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return n, err
}

func (d descriptor) Close() error { return unix.Close(int(d)) }

func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return max(0, n), err
		}
	}
}
