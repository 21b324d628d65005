// Package link is the process of the link role: package client/link, which
// does the work, joined to the watch.
//
// It has no terminal and no controlling terminal, no key and no message. The
// watch sends it the sockets of desks, and hears how the connection stands.
package link
