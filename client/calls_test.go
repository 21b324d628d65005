package client

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestCallsWhileBusy: however much Run is asked for while it is busy, for example with
// a disk that does not come to an end, it does all of it once it can, in that order.
func TestCallsWhileBusy(t *testing.T) {
	c, _ := online(t)
	busy, goOn := make(chan bool), make(chan bool)
	c.call(func() { close(busy); <-goOn })
	from(t, busy, "call that Run does")
	const n = 500
	var did []int
	for i := range n {
		c.call(func() { did = append(did, i) })
	}
	met := make(chan error, 1)
	go func() {
		_, err := c.Meet(soon(t), ada)
		met <- err
	}()
	close(goOn)
	select {
	case err := <-met:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("who waited for the last of it waits still")
	}
	want := make([]int, n)
	for i := range want {
		want[i] = i
	}
	if got := ofRun(t, c, func() []int { return slices.Clone(did) }); !slices.Equal(got, want) {
		t.Error(fmt.Sprint("did ", got))
	}
}
