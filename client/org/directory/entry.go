// Package directory is who belongs to an organisation: signed, kept in step, and
// searched without a network.
//
// What changes is signed as updates. Each names the one before it by its digest, so
// that none can be changed, left out, repeated or moved without being noticed; the
// newest is named by the organisation's head (package head), so that holding it
// back is noticed, too. A device that begins, or was away for long, loads a
// snapshot: the whole directory in parts, each of them signed, and together tied to
// the update that they stand after. Updates before it need not be kept.
//
//	sotto directory-update v1
//	organisation: hospital.example
//	directory: staff
//	serial: 42
//	previous: 9f86d081…
//	issued: 2026-11-22T12:00:00Z
//	entries: 10000
//
//	person: alice@hospital.example
//	changed: 42
//	name: Alice Meier
//	role: physician
//	role: on-call
//	department: Cardiology
//	state: active
//	device: 31415 1f0b… yQ7x… 2026-11-01T08:00:00Z
//
// An entry is whole: it takes the place of the one before. None ever goes: who
// leaves is removed, without devices, and the entry says so from then on. So an entry
// that is missing from a snapshot is a sign of somebody who plays back what was.
package directory

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sotto/client/org"
)

// Bounds of an entry.
const (
	MaxRoles   = 16
	MaxDevices = 16
	maxName    = 200 // bytes
	maxDevice  = 256
)

// State is how somebody stands to the organisation.
type State string

// The states. Only who is active can be written to.
const (
	Active    State = "active"
	Suspended State = "suspended" // for a while: the devices stay, and get nothing
	Removed   State = "removed"   // without devices, for good or until invited again
)

// Device is a device that the organisation vouches for.
type Device struct {
	ID          uint32    // OMEMO device
	Fingerprint [32]byte  // its OMEMO identity key
	Signing     org.Key   // with which it signs reports (package signer)
	Added       time.Time // seconds
}

// Entry is somebody in the directory.
type Entry struct {
	Address    string // bare JID
	Changed    uint64 // serial of the update that it came with
	Name       string
	Roles      []string // as in @role/cardiology; sorted
	Department string   // may be ""
	State      State
	Devices    []Device // by ID, in order
}

// Has reports whether the entry has a role.
func (e *Entry) Has(role string) bool { return slices.Contains(e.Roles, role) }

// Device returns a device of the entry, or nil.
func (e *Entry) Device(id uint32) *Device {
	for i := range e.Devices {
		if e.Devices[i].ID == id {
			return &e.Devices[i]
		}
	}
	return nil
}

// clone returns a copy that shares nothing.
func (e *Entry) clone() Entry {
	c := *e
	c.Roles, c.Devices = slices.Clone(e.Roles), slices.Clone(e.Devices)
	return c
}

// normal puts roles and devices in order.
func (e *Entry) normal() {
	slices.Sort(e.Roles)
	slices.SortFunc(e.Devices, func(a, b Device) int { return int(int64(a.ID) - int64(b.ID)) })
}

// Check says what is wrong with an entry.
func (e *Entry) Check() error {
	wrong := func(format string, a ...any) error {
		return fmt.Errorf("%w: entry of %q: %s", org.ErrMalformed, e.Address, fmt.Sprintf(format, a...))
	}
	switch {
	case !org.ValidAddress(e.Address):
		return wrong("that is no address")
	case e.Name == "" || !org.IsLine(e.Name, maxName):
		return wrong("the name is empty, longer than %d bytes, or holds what cannot be shown", maxName)
	case !org.IsLine(e.Department, maxName):
		return wrong("the department is longer than %d bytes, or holds what cannot be shown", maxName)
	case e.State != Active && e.State != Suspended && e.State != Removed:
		return wrong("there is no state %q", e.State)
	case len(e.Roles) > MaxRoles || len(e.Devices) > MaxDevices:
		return wrong("more than %d roles or %d devices", MaxRoles, MaxDevices)
	case e.State == Removed && len(e.Devices) > 0:
		return wrong("it is removed and has devices")
	}
	for i, r := range e.Roles {
		if !org.ValidRole(r) || i > 0 && e.Roles[i-1] >= r {
			return wrong("%q is no role, or out of order: a role is of lower-case letters, digits and hyphens", r)
		}
	}
	for i, d := range e.Devices {
		switch {
		case d.ID == 0 || i > 0 && e.Devices[i-1].ID >= d.ID:
			return wrong("device %d is no device, or out of order", d.ID)
		case d.Fingerprint == [32]byte{}:
			return wrong("device %d has no fingerprint", d.ID)
		case d.Signing.IsZero() || d.Signing.Name() != org.DeviceName(d.ID):
			return wrong("device %d has no signing key of its own", d.ID)
		}
	}
	return nil
}

// write appends the entry's lines.
func (e *Entry) write(w *org.Writer) {
	w.Line("person", e.Address)
	w.Number("changed", e.Changed)
	w.Line("name", e.Name)
	for _, r := range e.Roles {
		w.Line("role", r)
	}
	w.Optional("department", e.Department)
	w.Line("state", string(e.State))
	for _, d := range e.Devices {
		w.Line("device", d.String())
	}
}

func (e *Entry) text() string {
	var w org.Writer
	e.write(&w)
	return w.String()
}

// String writes the device as a line of an entry has it.
func (d *Device) String() string {
	return strconv.FormatUint(uint64(d.ID), 10) + " " + hex.EncodeToString(d.Fingerprint[:]) + " " +
		base64.StdEncoding.EncodeToString(d.Signing.Public()) + " " + org.FormatTime(d.Added)
}

// read reads an entry.
func read(r *org.Reader) (e Entry) {
	e.Address = r.Line("person", org.MaxAddress)
	e.Changed = r.Number("changed")
	e.Name = r.Line("name", maxName)
	for r.Has("role") {
		e.Roles = append(e.Roles, r.Line("role", org.MaxRole))
	}
	e.Department = r.Optional("department", maxName)
	e.State = State(r.Line("state", 20))
	for r.Has("device") {
		d, ok := ParseDevice(r.Line("device", maxDevice))
		if !ok {
			r.Fail("this is no device")
			break
		}
		e.Devices = append(e.Devices, d)
	}
	if r.Err() == nil {
		if err := e.Check(); err != nil {
			r.Fail("%v", err)
		}
	}
	return e
}

// ParseDevice reads a device as String writes it.
func ParseDevice(s string) (d Device, ok bool) {
	parts := strings.Split(s, " ")
	if len(parts) != 4 {
		return d, false
	}
	id, err := strconv.ParseUint(parts[0], 10, 32)
	if err != nil {
		return d, false
	}
	d.ID = uint32(id)
	print, ok := org.ParseHash(parts[1])
	if !ok {
		return d, false
	}
	d.Fingerprint = print
	key, err := base64.StdEncoding.Strict().DecodeString(parts[2])
	if err != nil {
		return d, false
	}
	if d.Signing, err = org.NewKey(org.DeviceName(d.ID), key); err != nil {
		return d, false
	}
	d.Added, ok = org.ParseTime(parts[3])
	return d, ok
}
