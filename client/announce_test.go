package client

import (
	"fmt"
	"sync"
	"testing"

	"sotto/client/store"
)

// TestQueuedIsToldBeforeSent: however soon Run finds a message, it is not told of as
// sent before it is told of as queued.
func TestQueuedIsToldBeforeSent(t *testing.T) {
	c, _, _ := talking(t)
	const people, each = 4, 25
	over := make(chan struct{})
	var busy, all sync.WaitGroup
	busy.Go(func() { // Run has always something else to look at the outbox for
		for {
			select {
			case <-over:
				return
			default:
				c.kick()
			}
		}
	})
	for range people {
		all.Go(func() {
			for i := range each {
				if _, err := c.Send(ctx, ada, fmt.Sprint(i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	told := make(map[int64]bool)
	sent := 0
	for sent < people*each {
		wait(t, c, func(e Event) bool {
			switch e := e.(type) {
			case MessageAdded:
				told[e.Message.ID] = true
			case MessageChanged:
				if e.Message.State == store.Sent {
					sent++
					if !told[e.Message.ID] {
						t.Errorf("message %d was sent before it was there", e.Message.ID)
					}
					return true
				}
			}
			return false
		})
	}
	close(over)
	busy.Wait()
	all.Wait()
}
