package tui

import (
	"os"
	"time"
)

// resizes returns a channel that tells when the window may have another size,
// and a function that ends it. Windows does not tell, so somebody looks.
func resizes() (<-chan os.Signal, func()) {
	c, done := make(chan os.Signal, 1), make(chan struct{})
	go func() {
		t := time.NewTicker(time.Second)
		defer t.Stop()
		for {
			select {
			case <-done:
				return
			case <-t.C:
				select {
				case c <- os.Interrupt:
				default:
				}
			}
		}
	}()
	return c, func() { close(done) }
}
