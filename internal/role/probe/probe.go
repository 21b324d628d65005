// Package probe shows that sotto's roles are confined: a process that confines
// itself as a role does tries everything that this role must not be able to do.
//
// Main is the life of that process, Run starts it and takes down what it says.
package probe

import (
	"sotto/internal/harden"
	"sotto/internal/role"
)

// Roles are the roles that can be probed, in the order of the table.
var Roles = []role.Name{role.Desk, role.Gate, role.Link, role.Watch}

// Result is what one probe found out.
type Result struct {
	As     role.Name
	Layers harden.Layers
	Tried  []Attempt
}

// Attempt is one thing that was tried.
type Attempt struct {
	harden.Attempt
	Needed bool // the role could not do its work without it
}

// Allowed returns what the role does not need and was allowed all the same.
func (r Result) Allowed() []Attempt {
	var open []Attempt
	for _, a := range r.Tried {
		if a.Allowed && !a.Needed {
			open = append(open, a)
		}
	}
	return open
}

// network is what the link needs.
var network = []string{
	"make a TCP socket", "make a TCP socket (IPv6)", "make a UDP socket", "make a UDP socket (IPv6)",
	"connect a socket", "bind a socket", "send a datagram",
}

// needed are the attempts that a role must get through. The watch's are those
// of the roles that it starts, which can't have what it gave up, and those of
// starting and ending them.
var needed = map[role.Name]map[string]bool{
	role.Link: set(network),
}

func set(lists ...[]string) map[string]bool {
	m := make(map[string]bool)
	for _, l := range lists {
		for _, name := range l {
			m[name] = true
		}
	}
	return m
}
