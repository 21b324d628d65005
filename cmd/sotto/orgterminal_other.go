//go:build !unix

package main

import (
	"errors"
	"os"
)

// controllingTerminal says that there are no roles here yet.
func controllingTerminal() (*os.File, error) {
	return nil, errors.New("nobody is there to type the PIN: name the file that it is in with --pin-file")
}

func terminalModes(bool) (restore func()) { return func() {} }

func dropTyped(*os.File) {}
