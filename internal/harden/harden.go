// Package harden makes a process keep its memory to itself.
//
// Every role calls Early before it does anything else: an exec resets what the
// parent had set. What a system does not offer is left out without an error,
// and Applied says in words what holds, so that nothing is claimed that is not so.
package harden

// Applied names a protection and whether it holds in this process.
type Applied struct {
	Name  string // in words, for people
	Holds bool
}

// Early forbids core dumps, reading of this process's memory by others of the
// same user, gaining privileges through exec, and passing descriptors on that
// whoever started this process left open, as far as the system can.
// It must be called before other goroutines rely on it, and is not meant to be
// called twice. The error says which protection the system offers and refused:
// a role does not go on then.
func Early() error { return early() }

// State reads back from the system what holds now.
func State() []Applied { return state() }
