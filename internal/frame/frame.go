// Package frame carries bounded messages between two processes of sotto over a
// socketpair or a pipe.
//
// A frame is a length, a type and some fields:
//
//	uint32 big endian   length of the rest
//	uint8               type
//	repeated: uint32 big endian length, bytes
//
// Both ends treat what they read as hostile: lengths are checked before memory
// is spent, and a frame that does not parse ends the connection.
package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Bounds of one frame.
const (
	MaxFrame  = 1<<20 + 64<<10 // bytes: one stanza of 1 MiB and what goes with it
	MaxFields = 1024
)

// ErrMalformed is returned when the other end sends what is not a frame.
var ErrMalformed = errors.New("malformed frame from another process of sotto")

// Conn reads and writes frames. Write may be called from several goroutines;
// Read from one at a time.
type Conn struct {
	rw io.ReadWriteCloser
	mu sync.Mutex // holds one frame together
}

// NewConn returns a Conn over rw, which it closes in Close.
func NewConn(rw io.ReadWriteCloser) *Conn { return &Conn{rw: rw} }

// Close closes the connection beneath; a Read or Write under way returns.
func (c *Conn) Close() error { return c.rw.Close() }

// Write sends one frame in one write. The copy it makes of the fields is
// cleared afterwards, so that a secret field leaves nothing behind here.
func (c *Conn) Write(typ byte, fields ...[]byte) error {
	n := 1
	for _, f := range fields {
		n += 4 + len(f)
	}
	if n > MaxFrame || len(fields) > MaxFields {
		return fmt.Errorf("frame of %d bytes in %d fields is over the limit", n, len(fields))
	}
	b := make([]byte, 0, 4+n)
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	b = append(b, typ)
	for _, f := range fields {
		b = binary.BigEndian.AppendUint32(b, uint32(len(f)))
		b = append(b, f...)
	}
	c.mu.Lock()
	_, err := c.rw.Write(b)
	c.mu.Unlock()
	clear(b)
	return err
}

// Read returns the next frame. The fields are slices of one buffer that belongs
// to the caller, who can clear it. At the end of the connection it returns
// io.EOF; in the middle of a frame io.ErrUnexpectedEOF.
func (c *Conn) Read() (typ byte, fields [][]byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(c.rw, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > MaxFrame {
		return 0, nil, ErrMalformed
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(c.rw, b); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	fields, err = Fields(b[1:])
	return b[0], fields, err
}

// Fields takes the fields of a frame apart.
func Fields(b []byte) ([][]byte, error) {
	var fields [][]byte
	for len(b) > 0 {
		if len(b) < 4 || len(fields) == MaxFields {
			return nil, ErrMalformed
		}
		n := binary.BigEndian.Uint32(b)
		b = b[4:]
		if uint64(n) > uint64(len(b)) {
			return nil, ErrMalformed
		}
		fields = append(fields, b[:n:n])
		b = b[n:]
	}
	return fields, nil
}

// Uint64 is a number as a field.
func Uint64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// ReadUint64 reads a number field.
func ReadUint64(b []byte) (uint64, error) {
	if len(b) != 8 {
		return 0, ErrMalformed
	}
	return binary.BigEndian.Uint64(b), nil
}
