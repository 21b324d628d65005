//go:build unix

package main

import (
	"errors"
	"os"

	"sotto/internal/role"
)

// controllingTerminal opens the terminal, whatever standard input and output are.
func controllingTerminal() (*os.File, error) {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, errors.New("nobody is there to type the PIN: name the file that it is in with --pin-file")
	}
	return f, nil
}

// terminalModes remembers the modes of the terminal that a PIN is typed at, if typed.
func terminalModes(typed bool) (restore func()) {
	if !typed {
		return func() {}
	}
	f, err := controllingTerminal()
	if err != nil {
		return func() {}
	}
	before := role.Modes(int(f.Fd()))
	return func() { before(); f.Close() }
}

// dropTyped drops what was typed before a question was asked.
func dropTyped(tty *os.File) { role.FlushInput(int(tty.Fd())) }
