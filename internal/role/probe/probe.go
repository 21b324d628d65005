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

// kept is what the watch keeps beside the network, since the roles that it
// starts can't have what it gave up: to start and end them and join them to each
// other, files, and to confine themselves further.
var kept = []string{
	"make a pair of sockets", "pass a file to another process",
	"run this program again", "become another program", "signal the parent", "signal the parent's thread",
	"hold on to the parent", "signal through a pidfd",
	"open the terminal anew", "open the terminal through /proc",
	"read a file of the system", "list the root folder", "list the folder above its own",
	"read its own memory as a file", "read the parent's environment", "open a device",
	"write outside its folder", "write to the folder for temporary files", "make a file without a name elsewhere",
	"move a file out of its folder", "make a folder",
	"change who may read its folder", "change who may read a file", "change whose a file is", "change its working folder",
	"let others read its memory again", "add a filter", "add Landlock rules",
}

// loading is what the watch keeps where sotto was linked to libraries: each role
// is loaded anew with them.
var loading = []string{"map executable memory", "map memory to write and execute", "make memory executable", "signal a thread"}

// needs are the attempts that a role must get through.
func needs(as role.Name, dynamic bool) map[string]bool {
	switch {
	case as == role.Link:
		return set(network)
	case as == role.Watch && dynamic:
		return set(network, kept, loading)
	case as == role.Watch:
		return set(network, kept)
	}
	return nil
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
