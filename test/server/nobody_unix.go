//go:build unix

package server

import (
	"os/exec"
	"syscall"
)

// asNobody has a server run as somebody without rights, which root may ask for.
func asNobody(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}
