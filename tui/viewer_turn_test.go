package tui

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"sotto/client/store"
)

// Who goes from image to image has one of them read at a time, and none that is not
// looked at any more: each can take hundreds of megabytes.
func TestOneImageAtATime(t *testing.T) {
	const last = 4
	var now, most, ended atomic.Int32
	term := start(t, terminalSetup{fake: func(f *fake) {
		for i := range last {
			f.file(ada, ada, "ecg-"+itoa(i)+".png", "image/png", 1000, store.Done, strip(60, 24), time.Duration(last-i)*time.Minute, read)
		}
		f.files.reading = func(ctx context.Context, id int64) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			if id != 1 { // where the keys below end
				<-ctx.Done()
				ended.Add(1)
			}
			now.Add(-1)
		}
	}})
	term.press(keyEnter).sees("Opening it.")
	term.until("the first is being read", func() bool { return now.Load() == 1 })
	term.press("p").sees("ecg-2.png").press("p").sees("ecg-1.png").press("p").sees("ecg-0.png").sees("▀▀▀")
	if most.Load() != 1 || ended.Load() == 0 || now.Load() != 0 {
		t.Errorf("%d read at a time, %d ended, %d still read", most.Load(), ended.Load(), now.Load())
	}
}
