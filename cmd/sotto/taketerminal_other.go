//go:build !unix

package main

import "sotto/internal/role"

// takeTerminal does nothing here: there are no roles yet.
func takeTerminal() error { return role.ErrNoTerminal }
