package audit

import (
	"slices"
	"time"
)

// Filter chooses entries. What is zero does not choose.
type Filter struct {
	Since, Until time.Time // Since ≤ time < Until, by the device's clock
	Person       Person    // the owner of the device, By, Peer, or Room
	Device       Device    // whose log it is
	Message      ID
	Kinds        []Kind
	Failed       bool // only what was refused or failed
}

// Match reports whether the filter chooses e.
func (f *Filter) Match(e *Entry) bool {
	return (f.Since.IsZero() || !e.Time.Before(f.Since)) &&
		(f.Until.IsZero() || e.Time.Before(f.Until)) &&
		(f.Person == Person{} || f.Person == e.Device.Owner || f.Person == e.By || f.Person == e.Peer || f.Person == e.Room) &&
		(f.Device == Device{} || f.Device == e.Device) &&
		(f.Message == ID{} || f.Message == e.Message) &&
		(len(f.Kinds) == 0 || slices.Contains(f.Kinds, e.Kind)) &&
		(!f.Failed || e.Kind.Failed())
}
