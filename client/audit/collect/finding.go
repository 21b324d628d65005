package collect

import (
	"fmt"
	"time"

	"sotto/client/audit"
)

// Kind is what is wrong, or worth knowing.
type Kind uint8

// The kinds of findings.
const (
	Unreadable   Kind = iota + 1 // what came is no batch
	Unknown                      // the organisation knows no such device
	Redirected                   // a batch of another device than the one that sent it
	Unsigned                     // the checkpoint's signature is not the device's
	Inconsistent                 // lines, checkpoint and proof do not belong together
	Reordered                    // lines stand in another order than their numbers
	Gap                          // events are missing before this batch
	Replay                       // an older batch once more: nothing new, nothing wrong
	Truncated                    // the log became shorter
	Fork                         // two histories of one log
	ClockBack                    // the device's clock went back
	ClockAhead                   // the device's clock is ahead of the collector's
	Silent                       // nothing was heard for too long
	Interrupted                  // the last write did not end; it was undone
	Spoilt                       // the collector's own file is not what it was
)

var kindNames = [...]string{"", "unreadable", "unknown-device", "redirected", "bad-signature", "inconsistent", "reordered",
	"gap", "replay", "truncated", "fork", "clock-back", "clock-ahead", "silent", "interrupted", "spoilt"}

// String is the kind's name.
func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		return "unknown"
	}
	return kindNames[k]
}

// Harmless reports whether the kind comes about without anybody's doing: relays
// repeat and hold back, and machines are switched off.
func (k Kind) Harmless() bool { return k == Replay || k == Gap || k == Interrupted }

// Finding is one thing that the collector noticed.
type Finding struct {
	Kind   Kind
	Device audit.Device // that it is about
	At     time.Time    // when, by the collector's clock
	What   string       // in words: what was seen, and what it can mean
}

// String is the finding in words for people.
func (f Finding) String() string {
	return fmt.Sprintf("%s %s: %s", f.At.UTC().Format(time.DateTime), f.Device, f.What)
}
