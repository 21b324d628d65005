//go:build !linux

package server

import "os/exec"

// dieWithParent does nothing where the system cannot tell a child that its
// parent died.
func dieWithParent(*exec.Cmd) {}
