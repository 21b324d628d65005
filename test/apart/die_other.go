//go:build !linux

package apart

import "os/exec"

// dieWithParent does nothing where the system cannot tell a child that its
// parent died.
func dieWithParent(*exec.Cmd) {}
