//go:build !unix

package unattended

import (
	"errors"

	"sotto/internal/role"
)

// Run says that there are no roles here yet.
func Run(cfg Config) (role.Outcome, error) {
	cfg.PIN.Close()
	if cfg.OneTimePIN != nil {
		cfg.OneTimePIN.Close()
	}
	return role.Outcome{}, errors.New("sotto does not send and listen on Windows yet. It does in WSL, and on Linux, macOS, FreeBSD and OpenBSD")
}
