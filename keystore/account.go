package keystore

import (
	"encoding/binary"

	"github.com/awnumar/memguard"
)

const (
	flagLegacy   = 1
	flagAccesses = 2
	flagInvited  = 4
)

// appendPublic writes what of an account need not be in locked memory.
func (a *Account) appendPublic(b []byte) []byte {
	for _, f := range [][]byte{[]byte(a.Address), []byte(a.Relay), a.CA} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(f)))
		b = append(b, f...)
	}
	var flags byte
	if a.Legacy {
		flags |= flagLegacy
	}
	if a.Invited {
		flags |= flagInvited
	}
	if len(a.Accesses) == 0 {
		return append(b, flags)
	}
	return appendAccesses(append(b, flags|flagAccesses), a.Accesses)
}

// readPublic is the reverse of appendPublic.
func (a *Account) readPublic(b []byte) bool {
	r := reader{b: b}
	a.Address = string(r.field(MaxAddress))
	a.Relay = string(r.field(MaxRelay))
	a.CA = append([]byte(nil), r.field(MaxCA)...)
	flags := r.byte()
	a.Legacy, a.Invited = flags&flagLegacy != 0, flags&flagInvited != 0
	if flags&flagAccesses != 0 {
		a.Accesses = r.accesses()
	}
	return !r.bad && len(r.b) == 0 && flags&^(flagLegacy|flagAccesses|flagInvited) == 0 && a.Address != ""
}

// packPasswords lays both passwords out in one locked buffer of a fixed size.
// The caller destroys it.
func (a *Account) packPasswords() *memguard.LockedBuffer {
	out := memguard.NewBuffer(secretsSize)
	for i, p := range []*memguard.LockedBuffer{a.Password, a.Next} {
		if size(p) == 0 {
			continue
		}
		slot := out.Bytes()[i*(2+MaxPassword):]
		binary.BigEndian.PutUint16(slot, uint16(p.Size()))
		copy(slot[2:], p.Bytes())
	}
	return out
}

// unpackPasswords is the reverse of packPasswords.
func (a *Account) unpackPasswords(in *memguard.LockedBuffer) bool {
	for i, p := range []**memguard.LockedBuffer{&a.Password, &a.Next} {
		slot := in.Bytes()[i*(2+MaxPassword):]
		n := int(binary.BigEndian.Uint16(slot))
		if n > MaxPassword {
			return false
		}
		if n > 0 {
			*p = memguard.NewBuffer(n)
			copy((*p).Bytes(), slot[2:2+n])
		}
	}
	return true
}
