package client

import "sync"

// calls is what others have Run do, in their order. None is dropped, however far
// behind Run is: who waits for one would wait for ever. They come from this program
// alone, a few for each key that is pressed. Safe for concurrent use.
type calls struct {
	some chan struct{} // holds a token when there are some

	mu   sync.Mutex
	list []func()
}

func newCalls() *calls { return &calls{some: make(chan struct{}, 1)} }

func (q *calls) put(f func()) {
	q.mu.Lock()
	q.list = append(q.list, f)
	q.mu.Unlock()
	select {
	case q.some <- struct{}{}:
	default:
	}
}

// take returns all that there are.
func (q *calls) take() []func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.list
	q.list = nil
	return list
}
