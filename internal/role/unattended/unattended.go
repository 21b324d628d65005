// Package unattended opens a profile where nobody sits at a terminal: what the watch
// is to a person, it is to a service.
//
// It starts the same roles in the same sandboxes. The gate reads the PIN from a file
// that it is given as its standard input; the desk has this process's standard input
// and output, for the one job that it is started for. Like the watch, this process
// has no key, no network and no data: what is sent and what comes does not pass
// through it. When a role ends, all end. There is no lock screen, so whatever locks a
// person's sotto ends this one.
package unattended

import (
	"errors"
	"os"
	"time"

	"sotto/internal/role"
)

// Config says what to open, and what for.
type Config struct {
	Profile role.Profile
	PIN     *os.File // the gate's standard input; Run closes it
	Task    role.Task
	File    *os.File   // what the task sends with its message; nil is nothing. Run closes it
	Files   []*os.File // that a backup goes to, or comes from; they stay the caller's
	Rescue  role.Rescue
	Done    func(role.Archived) // is told what became of a backup
	Door    string              // path of the door that a task which listens opens; "" is none

	// Through, unless nil, leads to a process that listens with the profile and
	// sends what the task has to send. Run closes it.
	Through *role.Socket

	// Invited is an invitation to join with, OneTimePIN the file with its one-time PIN,
	// which Run closes. Relay and CAFile are as the watch's.
	Invited       role.Invited
	OneTimePIN    *os.File
	Relay, CAFile string

	// In and Out are the desk's standard input and output; nil are this process's. Run
	// closes them once the desk has them.
	In, Out *os.File

	// Typed says that PIN is a terminal, at which it is typed.
	Typed bool

	// Address, unless empty, is an account that has no vault yet: one is made, with the
	// PIN, and with the password that the file Password has, or that is typed.
	Address  string
	Password *os.File // Run closes it

	ComparedOnly bool
	DestroyAfter int
	NoTPM        bool
	NeedTPM      bool
	Relays       role.Relays
	Wishes       []byte // the settings in the profile, for the desk

	// Told, unless nil, is called with the outcome of the task as soon as it is known,
	// by Run's goroutine: the desk may have something left to do.
	Told func(role.Outcome)

	// Tell is the watch's: see package watch.
	Tell func(open, online bool, asked int)
}

// endAnswer is how long a role may take to end in good order.
const endAnswer = 3 * time.Second

// The errors of roles that end without a word.
var (
	errGate = errors.New("the process that reads the PIN ended unexpectedly. Nothing was lost; run it again")
	errDesk = errors.New("the process that holds the messages ended unexpectedly. Nothing that was kept is lost; run it again")
	errLink = errors.New("the connection process ended unexpectedly. Nothing that was kept is lost; run it again")
)
