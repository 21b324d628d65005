// Package role starts the processes that sotto is made of and lets them talk.
//
// One binary, six kinds of process. The one a person starts is the watch: it
// owns the terminal and starts the others by executing itself again under
// another name. Each knows only what it must:
//
//	watch  the terminal and the life of the others; no key, no network, no data
//	link   the network; no terminal, no key, no message
//	gate   the PIN, until it has become a key
//	desk   keys, messages and the screen; no network
//	ward   in the demo only: a relay and four colleagues
//	probe  for sotto doctor only: tries what the others must not be able to do
//
// The subpackages are the roles. This package holds what they share: starting
// a role (Spawn), being one (Enter), and the control protocol between the watch
// and each of them (Control, Message).
package role

import (
	"errors"
	"strings"
)

// Name is the name of a role that the watch starts.
type Name string

// The roles. The watch itself has no name: it is what is left.
const (
	Link Name = "link"
	Gate Name = "gate"
	Desk Name = "desk"
	Ward Name = "ward"
	// Probe is started by sotto doctor: it confines itself as another role does
	// and tries what that must not be able to do.
	Probe Name = "probe"
)

// prefix stands before a role's name in argv[0], as ps shows it.
const prefix = "sotto-"

// Named returns the role that a process was started as, by its argv[0].
func Named(argv0 string) (Name, bool) {
	rest, ok := strings.CutPrefix(argv0, prefix)
	switch n := Name(rest); {
	case ok && (n == Link || n == Gate || n == Desk || n == Ward || n == Probe):
		return n, true
	}
	return "", false
}

// AnnouncementFile, in a profile's data folder, has what the desk announces to the
// next gate of the recovery key: see keystore.Announce.
const AnnouncementFile = "recovery"

// ErrNoTerminal is returned where there is no terminal to draw on.
var ErrNoTerminal = errors.New("this needs a terminal: input and output can't be a file or a pipe")

// How a role ends. Whatever else it exits with, or if a signal ended it, the
// watch takes it for a crash.
const (
	ExitDone     = 0  // gate: unlocked; desk: locked; link, ward: told to end
	ExitFailed   = 1  // it said why in a Note
	ExitWrongPIN = 10 // gate: that was not the PIN
	ExitQuit     = 11 // gate, desk: the person is done
	ExitNoKey    = 12 // desk: the gate handed over nothing
	ExitOrphan   = 13 // the watch is gone
	ExitLost     = 14 // gate: the vault is destroyed; it said so in a Note
)

// Lost is the error of a run whose vault was destroyed: nothing is left that could
// be opened.
type Lost struct{ Words string }

func (l *Lost) Error() string { return l.Words }
