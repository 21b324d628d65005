package client

import (
	"context"
	"sync"
)

// maxEvents bounds the events that wait for a reader.
const maxEvents = 4096

// events is a queue between Run, which must never wait for a screen, and the
// channel a screen reads. Of an event that only says "look again", one is
// enough; when too many wait all the same, they give way to one Resync.
type events struct {
	out  chan Event
	more chan struct{}

	mu     sync.Mutex
	queue  []Event
	popped int           // how many were ever taken from the front
	joined map[Event]int // where in the whole sequence an event of its kind waits
}

func newEvents() *events {
	return &events{out: make(chan Event, 16), more: make(chan struct{}, 1), joined: make(map[Event]int)}
}

// put adds events. It never blocks.
func (q *events) put(list ...Event) {
	if len(list) == 0 {
		return
	}
	q.mu.Lock()
	for _, e := range list {
		if len(q.queue) >= maxEvents {
			q.popped += len(q.queue)
			q.queue = append(q.queue[:0:0], Resync{})
			clear(q.joined)
		}
		if key := kind(e); key != nil {
			if at, ok := q.joined[key]; ok {
				q.queue[at-q.popped] = e
				continue
			}
			q.joined[key] = q.popped + len(q.queue)
		}
		q.queue = append(q.queue, e)
	}
	q.mu.Unlock()
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// kind returns what events that make each other superfluous have in common, or nil.
func kind(e Event) Event {
	switch e := e.(type) {
	case StateChanged:
		return StateChanged{}
	case JoiningChanged, ConversationsChanged, CaughtUp, GapsChanged, DevicesChanged, PresenceChanged, OrganisationChanged, Resync:
		return e
	}
	return nil
}

func (q *events) pop() (Event, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) == 0 {
		return nil, false
	}
	e := q.queue[0]
	q.queue[0] = nil
	q.queue = q.queue[1:]
	q.popped++
	if key := kind(e); key != nil {
		delete(q.joined, key)
	}
	return e, true
}

// run moves events to the channel until ctx ends.
func (q *events) run(ctx context.Context) {
	for {
		e, ok := q.pop()
		if !ok {
			select {
			case <-q.more:
				continue
			case <-ctx.Done():
				return
			}
		}
		select {
		case q.out <- e:
		case <-ctx.Done():
			return
		}
	}
}
