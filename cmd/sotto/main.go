// Sotto is a secure messenger for the terminal.
//
// The program is several processes: see package role. This one file is where
// they part: by the name it was started under, a process is one of the roles,
// or else the command line that a person has typed.
package main

import (
	"os"
	"runtime"

	"sotto/internal/role"
	"sotto/internal/role/desk"
	"sotto/internal/role/gate"
	"sotto/internal/role/link"
	"sotto/internal/role/probe"
	"sotto/internal/role/ward"
)

// The main goroutine keeps the first thread, which lives as long as the process:
// on Linux a role is told when the thread that started it ends.
func init() { runtime.LockOSThread() }

func main() {
	name, ok := role.Named(os.Args[0])
	if !ok {
		os.Exit(execute())
	}
	runtime.UnlockOSThread() // the roles start nobody
	switch name {
	case role.Gate:
		os.Exit(gate.Main())
	case role.Desk:
		os.Exit(desk.Main())
	case role.Link:
		os.Exit(link.Main())
	case role.Ward:
		os.Exit(ward.Main())
	case role.Probe:
		os.Exit(probe.Main())
	}
}
