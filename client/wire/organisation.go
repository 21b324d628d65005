package wire

import (
	"encoding/binary"

	"sotto/internal/frame"
)

// What a link does for an organisation while sotto is locked: it follows the
// organisation's heads, fetches orders, and obeys those that can be obeyed without
// keys and texts. For that the desk tells it, on each attach and whenever it has
// changed, what it needs to check them. Nothing of it is secret: all is signed, and
// the link verifies each statement by itself.
//
// The desk asks with Enlist for a key that the link has made for itself; the link
// answers with Enlisted; the desk signs that this key may acknowledge orders, and
// says so in a Duty. Until the first Duty a link does nothing of the sort, and in
// open mode there is none.

// Bounds of what is said of an organisation.
const (
	MaxNote   = 62 << 10 // bytes of a signed note: more than org.MaxNote
	MaxLedger = 512 << 10
	MaxAnchor = 4096
	MaxRoles  = 16
	KeySize   = 32 // bytes of a public key
)

// Enlist (desk to link) asks what Enlisted says.
type Enlist struct{}

// Enlisted (link to desk) answers Enlist.
type Enlisted struct {
	Key  []byte // the link's public key (Ed25519)
	Head []byte // the newest head that it has followed, as it is signed; empty without any
}

// Duty (desk to link) is what the link is to obey while no desk is there, in place of
// what it was told before.
type Duty struct {
	Contact    string   // the organisation's account, a bare JID
	Anchor     []byte   // whom to believe: the text of an org.Anchor
	Head       []byte   // the newest head that the desk has followed; empty without any
	Address    string   // of this device, with the two below: whom orders are for
	Device     uint32   // its number
	Roles      []string // of the person
	Ledger     []byte   // the text of an order.Ledger: which orders are dealt with
	Delegation []byte   // a note: the key of Enlisted may acknowledge for the device
}

const (
	tEnlist byte = iota + 48
	tEnlisted
	tDuty
)

func (m Enlist) encode() (byte, [][]byte)   { return tEnlist, nil }
func (m Enlisted) encode() (byte, [][]byte) { return tEnlisted, [][]byte{m.Key, m.Head} }
func (m Duty) encode() (byte, [][]byte) {
	f := [][]byte{[]byte(m.Contact), m.Anchor, m.Head, []byte(m.Address), binary.BigEndian.AppendUint32(nil, m.Device), m.Ledger, m.Delegation}
	for _, r := range m.Roles {
		f = append(f, []byte(r))
	}
	return tDuty, f
}

// organisation is decode for the messages of this file; nil if typ is none of them.
func (d *decoder) organisation(typ byte) Message {
	switch typ {
	case tEnlist:
		return Enlist{}
	case tEnlisted:
		m := Enlisted{d.bytes(KeySize), d.bytes(MaxNote)}
		d.bad = d.bad || len(m.Key) != KeySize
		return m
	case tDuty:
		m := Duty{Contact: d.text(MaxAddress), Anchor: d.bytes(MaxAnchor), Head: d.bytes(MaxNote), Address: d.text(MaxAddress)}
		if b := d.bytes(4); len(b) == 4 {
			m.Device = binary.BigEndian.Uint32(b)
		} else {
			d.bad = true
		}
		m.Ledger, m.Delegation = d.bytes(MaxLedger), d.bytes(MaxNote)
		d.bad = d.bad || len(d.fields) > MaxRoles
		for !d.bad && len(d.fields) > 0 {
			m.Roles = append(m.Roles, d.text(MaxAddress))
		}
		return m
	}
	return nil
}

// A Duty fits into a frame.
const _ = uint(frame.MaxFrame - MaxLedger - 3*MaxNote - MaxAnchor - (MaxRoles+2)*MaxAddress)
