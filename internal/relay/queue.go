package relay

import "sync"

// queue holds what waits to be written to one connection, in order and bounded.
// The core pushes and never waits; one writer takes. Safe for concurrent use.
type queue struct {
	maxItems, maxBytes int
	wake               chan struct{} // holds a token when there is something to look at

	mu     sync.Mutex
	items  []frame
	taken  int // items and bytes the writer has taken and not written yet
	bytes  int // of items and of what is taken
	closed bool
}

func newQueue(maxItems, maxBytes int) *queue {
	return &queue{maxItems: maxItems, maxBytes: maxBytes, wake: make(chan struct{}, 1)}
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// push appends items, or appends nothing, closes the queue and returns false if
// they would exceed a bound. After a gap nothing may follow: counting clients
// (XEP-0198) would acknowledge what they never got.
func (q *queue) push(items ...frame) bool {
	n := 0
	for _, f := range items {
		n += f.size()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.items)+q.taken+len(items) > q.maxItems || q.bytes+n > q.maxBytes {
		q.closed = true
		q.signal()
		return false
	}
	q.items = append(q.items, items...)
	q.bytes += n
	q.signal()
	return true
}

// take returns everything that waits. closed says that nothing more will come.
func (q *queue) take() (items []frame, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	items, q.items = q.items, nil
	q.taken += len(items)
	return items, q.closed
}

// wrote gives back the room of one taken item.
func (q *queue) wrote(f frame) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.taken--
	q.bytes -= f.size()
}

// idle reports whether nothing waits.
func (q *queue) idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items) == 0 && q.taken == 0
}

// close lets the writer finish what waits and then end.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}
