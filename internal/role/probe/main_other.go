//go:build !unix

package probe

import (
	"context"
	"errors"

	"sotto/internal/role"
)

// Main fails: the roles exist on Unix systems only. See package watch.
func Main() int { return role.ExitFailed }

// Run fails for the same reason.
func Run(context.Context, role.Name) (Result, error) {
	return Result{}, errors.New("on this system sotto has no roles to probe, and no sandbox")
}
