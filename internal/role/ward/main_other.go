//go:build !unix

package ward

import "sotto/internal/role"

// Main fails: the roles exist on Unix systems only. See package watch.
func Main() int { return role.ExitFailed }
