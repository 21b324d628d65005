// Package ward is the demo: a hospital in a box.
//
// It is one process with the embedded relay on a loopback port, everything in
// memory, and four colleagues who are real clients with links and keys of their
// own. The demo person's profile is made here too, with a little history that
// was really exchanged, so that watch, link, gate and desk are exactly what they
// are against any other relay.
package ward
