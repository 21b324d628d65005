package gate

import (
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestReadableInterrupted: a signal that comes while it waits for a key is not a key.
func TestReadableInterrupted(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	thread, result := make(chan int, 1), make(chan bool, 1)
	go func() {
		runtime.LockOSThread()
		thread <- unix.Gettid()
		result <- readableAt(int(r.Fd()), time.Second)
	}()
	tid := <-thread
	for {
		select {
		case got := <-result:
			if got {
				t.Error("a signal was taken for a key")
			}
			return
		case <-time.After(10 * time.Millisecond):
			if err := unix.Tgkill(os.Getpid(), tid, unix.SIGWINCH); err != nil && err != unix.ESRCH {
				t.Fatal(err)
			}
		}
	}
}
