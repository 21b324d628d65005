//go:build !linux

package tui

import "os"

// unread is not known here.
func unread(*os.File) int { return 0 }
