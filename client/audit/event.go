package audit

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Event is what happened, without when and where. Which fields an event has
// depends on its kind: docs/audit.md has the table, and [Event.Check] holds it.
// None of the fields can hold text that somebody wrote.
type Event struct {
	Kind    Kind
	By      Person // who did it, where that is not the device's owner
	Peer    Person // with whom, about whom, or in which room
	Room    Person // where it is about somebody in a room
	Device  uint32 // of By, or else of Peer; 0 for none
	Message ID     // by its origin id (XEP-0359)
	Ref     ID     // an order, a policy, a file, a backup
	Reason  Reason
	Count   uint32 // how many; 0 is not written
	Serial  uint64 // of a policy or a directory
}

// ErrEvent is an event that its kind does not allow: a mistake of who made it.
var ErrEvent = errors.New("no such event")

// Check returns an error that matches ErrEvent if the event lacks what its kind
// must have, or has what it may not.
func (e Event) Check() error {
	if !e.Kind.Known() {
		return fmt.Errorf("%w: kind %d", ErrEvent, e.Kind)
	}
	has := e.fields()
	s := &shapes[e.Kind]
	switch {
	case has&s.must != s.must:
		return fmt.Errorf("%w: %s lacks %s", ErrEvent, s.name, (s.must &^ has).names())
	case has&^(s.must|s.may) != 0:
		return fmt.Errorf("%w: %s has no %s", ErrEvent, s.name, (has &^ (s.must | s.may)).names())
	case e.Reason != 0 && !slices.Contains(s.reasons, e.Reason):
		return fmt.Errorf("%w: %s for the reason %s", ErrEvent, s.name, e.Reason)
	case e.Device != 0 && !validDeviceID(e.Device):
		return fmt.Errorf("%w: %s of a device %d", ErrEvent, s.name, e.Device)
	}
	return nil
}

func (e *Event) fields() (has field) {
	for _, f := range [...]struct {
		bit field
		set bool
	}{
		{fBy, e.By != Person{}}, {fPeer, e.Peer != Person{}}, {fRoom, e.Room != Person{}}, {fDevice, e.Device != 0}, {fMessage, e.Message != ID{}},
		{fRef, e.Ref != ID{}}, {fReason, e.Reason != 0}, {fCount, e.Count != 0}, {fSerial, e.Serial != 0},
	} {
		if f.set {
			has |= f.bit
		}
	}
	return has
}

// fieldNames are in the order in which a line has them.
var fieldNames = [...]string{"by", "peer", "room", "device", "message", "ref", "reason", "count", "serial"}

func (f field) names() (list []string) {
	for i, name := range fieldNames {
		if f&(1<<i) != 0 {
			list = append(list, name)
		}
	}
	return list
}

// Entry is an event in a log.
type Entry struct {
	Seq    int64     // how many came before it in this log
	Time   time.Time // what the device's clock said: UTC, milliseconds. It may be wrong, or go back
	Device Device    // whose log it is
	Event
}

var (
	firstTime = time.UnixMilli(0).UTC()
	lastTime  = time.Date(9999, 12, 31, 23, 59, 59, 999_000_000, time.UTC)
)

// stamp is t as a line can have it. A clock can say anything, and an event is not
// lost for that.
func stamp(t time.Time) time.Time {
	t = t.UTC().Truncate(time.Millisecond)
	if t.Before(firstTime) {
		return firstTime
	}
	if t.After(lastTime) {
		return lastTime
	}
	return t
}

func (e *Entry) check() error {
	switch {
	case e.Seq < 0 || e.Seq >= maxSize:
		return fmt.Errorf("%w: number %d", ErrEvent, e.Seq)
	case !e.Device.Valid():
		return fmt.Errorf("%w: it is of no device", ErrEvent)
	}
	return e.Event.Check()
}
