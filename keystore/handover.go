package keystore

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/awnumar/memguard"
)

// DatabaseKeySize is the length of the database key in bytes.
const DatabaseKeySize = keySize

// The handover: magic 8 · version 2 · public part (length 4) · mark of the PIN 8 ·
// database key 32 · password (length 2) · next password (length 2) · recovery key
// (length 2) · invitation (length 2).
const (
	handoverMagic   = "SOTTOhnd"
	handoverVersion = 3
)

// MaxInvitation bounds what goes along of an invitation, in bytes.
const MaxInvitation = 8 << 10

// Errors of ReadHandover.
var (
	ErrNoHandover  = errors.New("the gate ended without handing over")
	ErrBadHandover = errors.New("what the gate handed over is malformed")
)

// Handover is what the desk gets: all it needs, and no way to the PIN or the vault.
type Handover struct {
	DatabaseKey *memguard.LockedBuffer // DatabaseKeySize bytes, for store.Open
	Account     Account
	Recovery    *memguard.LockedBuffer // a recovery key that was typed, as recovery.Key.Secret has it; else nil
	Invitation  *memguard.LockedBuffer // what the gate has set on the Opened; nil is none

	// PINMark is another value whenever the PIN was changed, and tells nothing else.
	PINMark [PINMarkSize]byte
}

// PINMarkSize is the length of a Handover's PINMark in bytes.
const PINMarkSize = 8

// Destroy wipes what is secret.
func (h *Handover) Destroy() {
	destroy(h.DatabaseKey)
	destroy(h.Recovery)
	destroy(h.Invitation)
	h.Account.Destroy()
}

// Handover writes what the desk needs to w, a pipe that only the desk reads.
// Secrets go from locked memory into w without a copy. It blocks while the pipe
// is full.
func (o *Opened) Handover(w io.Writer) error { return o.HandoverWith(w, nil) }

// HandoverWith is Handover with a recovery key that was typed, for a desk that
// restores a backup. It stays the caller's.
func (o *Opened) HandoverWith(w io.Writer, recovery *memguard.LockedBuffer) error {
	key, err := o.DatabaseKey()
	if err != nil {
		return err
	}
	defer key.Destroy()
	public := o.account.appendPublic(nil)
	head := append([]byte(handoverMagic), 0, handoverVersion)
	head = binary.BigEndian.AppendUint32(head, uint32(len(public)))
	mark := o.pinMark()
	parts := [][]byte{append(head, public...), mark[:], key.Bytes()}
	if size(o.Invitation) > MaxInvitation {
		return errors.New("handing over to the desk: the invitation is too long")
	}
	for _, p := range []*memguard.LockedBuffer{o.account.Password, o.account.Next, recovery, o.Invitation} {
		parts = append(parts, binary.BigEndian.AppendUint16(nil, uint16(size(p))), bytesOf(p))
	}
	for _, part := range parts {
		if len(part) == 0 {
			continue
		}
		if _, err := w.Write(part); err != nil {
			return fmt.Errorf("handing over to the desk: %w", err)
		}
	}
	return nil
}

// pinMark is of the salt, which is new with every PIN.
func (o *Opened) pinMark() (mark [PINMarkSize]byte) {
	sum := sha256.Sum256(append([]byte("sotto pin mark v1\n"), o.vault.salt[:]...))
	copy(mark[:], sum[:])
	return mark
}

// DatabaseKey derives the key of the message database. The caller destroys it.
func (o *Opened) DatabaseKey() (*memguard.LockedBuffer, error) {
	master, err := o.key()
	if err != nil {
		return nil, err
	}
	defer master.Destroy()
	return derive(master, nil, "sotto database v1")
}

// ReadHandover reads what Handover wrote, and not a byte more. Secrets go
// straight into locked memory. The caller destroys the result.
func ReadHandover(r io.Reader) (*Handover, error) {
	var head [len(handoverMagic) + 2 + 4]byte
	if n, err := io.ReadFull(r, head[:]); n == 0 && err == io.EOF {
		return nil, ErrNoHandover
	} else if err != nil {
		return nil, badHandover(err)
	}
	size := binary.BigEndian.Uint32(head[len(head)-4:])
	if string(head[:len(handoverMagic)]) != handoverMagic || head[8] != 0 || head[9] != handoverVersion || size > maxAccount {
		return nil, ErrBadHandover
	}
	public := make([]byte, size)
	if _, err := io.ReadFull(r, public); err != nil {
		return nil, badHandover(err)
	}
	h := new(Handover)
	if !h.Account.readPublic(public) {
		return nil, ErrBadHandover
	}
	if _, err := io.ReadFull(r, h.PINMark[:]); err != nil {
		return nil, badHandover(err)
	}
	h.DatabaseKey = memguard.NewBuffer(DatabaseKeySize)
	if _, err := io.ReadFull(r, h.DatabaseKey.Bytes()); err != nil {
		h.Destroy()
		return nil, badHandover(err)
	}
	for _, p := range []struct {
		into **memguard.LockedBuffer
		max  int
	}{{&h.Account.Password, MaxPassword}, {&h.Account.Next, MaxPassword}, {&h.Recovery, MaxPassword}, {&h.Invitation, MaxInvitation}} {
		if err := readSecret(r, p.into, p.max); err != nil {
			h.Destroy()
			return nil, err
		}
	}
	return h, nil
}

func readSecret(r io.Reader, p **memguard.LockedBuffer, longest int) error {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return badHandover(err)
	}
	n := int(binary.BigEndian.Uint16(length[:]))
	if n > longest {
		return ErrBadHandover
	}
	if n == 0 {
		return nil
	}
	*p = memguard.NewBuffer(n)
	if _, err := io.ReadFull(r, (*p).Bytes()); err != nil {
		return badHandover(err)
	}
	return nil
}

func badHandover(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return ErrBadHandover
	}
	return fmt.Errorf("%w: %w", ErrBadHandover, err)
}
