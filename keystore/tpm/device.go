package tpm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// Bounds of what goes over the bus, in bytes.
const (
	headerSize  = 10 // tag 2 · size 4 · code 4
	maxResponse = 4096
)

// Device is a TPM, or why there is none. It is used by one goroutine at a time.
type Device struct {
	bus io.ReadWriteCloser
	err error
}

// Open opens the machine's TPM. It always returns a Device: what is wrong, if
// something is, its methods say. The caller closes it.
//
// Once open it needs no more of the system than reading and writing its
// descriptor.
func Open() *Device {
	bus, err := open()
	return &Device{bus, err}
}

// Over is a TPM behind a connection that carries bare commands and responses,
// such as an emulator's.
func Over(bus io.ReadWriteCloser) *Device { return &Device{bus: bus} }

// Err says why the TPM cannot be used: ErrNone, ErrPermission or what the system
// says; nil if it can. A nil Device is none.
func (d *Device) Err() error {
	switch {
	case d == nil:
		return ErrNone
	case d.err != nil:
		return d.err
	case d.bus == nil:
		return ErrNone
	}
	return nil
}

// Close closes the device.
func (d *Device) Close() error {
	if d == nil || d.bus == nil {
		return nil
	}
	return d.bus.Close()
}

// Codes that mean: the same again, later (part 2, 6.6.3). TPM_RC_RETRY comes
// with the first use of a protected value after a start. The kernel's driver
// knows some of them.
const (
	rcYielded = 0x908
	rcTesting = 0x90a
	rcNVRate  = 0x920
	rcRetry   = 0x922

	tries = 10 // of a command; the pauses between them add up to 5 s
)

// Send is one command and its response. It is for package tpm2.
func (d *Device) Send(command []byte) ([]byte, error) {
	if err := d.Err(); err != nil {
		return nil, err
	}
	for n := 0; ; n++ {
		b, err := d.exchange(command)
		if err != nil {
			return nil, err
		}
		switch binary.BigEndian.Uint32(b[6:]) {
		case rcYielded, rcTesting, rcNVRate, rcRetry:
			if n < tries {
				time.Sleep(5 * time.Millisecond << n)
				continue
			}
		}
		return b, nil
	}
}

// exchange sends a command once.
func (d *Device) exchange(command []byte) ([]byte, error) {
	if _, err := d.bus.Write(command); err != nil {
		return nil, fmt.Errorf("write to the TPM: %w", err)
	}
	b := make([]byte, maxResponse)
	n := 0
	for {
		m, err := d.bus.Read(b[n:])
		n += m
		if n >= headerSize {
			size := binary.BigEndian.Uint32(b[2:])
			switch {
			case size < headerSize || size > maxResponse || uint32(n) > size:
				return nil, errors.New("read from the TPM: a malformed response")
			case uint32(n) == size:
				return b[:n], nil
			}
		}
		if err == nil && m == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, fmt.Errorf("read from the TPM: %w", err)
		}
	}
}
