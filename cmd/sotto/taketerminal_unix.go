//go:build unix

package main

import (
	"syscall"

	"golang.org/x/term"

	"sotto/internal/role"
)

// takeTerminal makes the terminal standard input, after something else was read from
// there. The lowest number is free then, and so it is the one that is given out.
func takeTerminal() error {
	if err := syscall.Close(0); err != nil {
		return role.ErrNoTerminal
	}
	fd, err := syscall.Open("/dev/tty", syscall.O_RDWR, 0)
	if err != nil || fd != 0 || !term.IsTerminal(0) {
		return role.ErrNoTerminal
	}
	return nil
}
