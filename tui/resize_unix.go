//go:build !windows

package tui

import (
	"os"
	"os/signal"
	"syscall"
)

// resizes returns a channel that tells when the window may have another size,
// and a function that ends it.
func resizes() (<-chan os.Signal, func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGWINCH)
	return c, func() { signal.Stop(c) }
}
