//go:build !unix

package main

import (
	"errors"
	"os"

	"sotto/internal/role/unattended"
)

// controllingTerminal says that there are no roles here yet.
func controllingTerminal() (*os.File, error) {
	return nil, errors.New("nobody is there to type the PIN: name the file that it is in with --pin-file")
}

func terminalModes(unattended.Config) (restore func()) { return func() {} }
