package link

import (
	"context"
	"sync"

	"sotto/client/wire"
)

// feed is what lies between the owner, which must not wait, and a transfer: bytes
// of an upload that the desk gave, or the permission for those of a download.
type feed struct {
	more chan struct{} // has a token when something has changed

	mu     sync.Mutex
	chunks [][]byte
	bytes  int
	upto   int64
}

func newFeed() *feed { return &feed{more: make(chan struct{}, 1)} }

func (f *feed) signal() {
	select {
	case f.more <- struct{}{}:
	default:
	}
}

// put adds a chunk; false if that is more than may be under way.
func (f *feed) put(b []byte) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bytes+len(b) > wire.Window {
		return false
	}
	f.chunks, f.bytes = append(f.chunks, b), f.bytes+len(b)
	f.signal()
	return true
}

// take waits for the next chunk. It still counts until taken is called.
func (f *feed) take(ctx context.Context) ([]byte, error) {
	for {
		f.mu.Lock()
		if len(f.chunks) > 0 {
			b := f.chunks[0]
			f.chunks[0] = nil
			f.chunks = f.chunks[1:]
			f.mu.Unlock()
			return b, nil
		}
		f.mu.Unlock()
		select {
		case <-f.more:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// taken makes room for what comes after n bytes that were written.
func (f *feed) taken(n int) {
	f.mu.Lock()
	f.bytes -= n
	f.mu.Unlock()
}

// allow permits bytes up to upto.
func (f *feed) allow(upto int64) {
	f.mu.Lock()
	f.upto = max(f.upto, upto)
	f.mu.Unlock()
	f.signal()
}

// allowed waits until bytes behind at are permitted, and returns up to which.
func (f *feed) allowed(ctx context.Context, at int64) (int64, error) {
	for {
		f.mu.Lock()
		upto := f.upto
		f.mu.Unlock()
		if upto > at {
			return upto, nil
		}
		select {
		case <-f.more:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}
