package client

import (
	"context"
	"sync"

	"sotto/client/stanza"
	"sotto/client/wire"
	"sotto/internal/frame"
)

// Bounds of what waits between Run and the link.
const (
	inboundQueue = 128      // messages read ahead
	maxOutCount  = 4096     // messages to be written, beyond which Run takes in no more
	maxOutBytes  = 16 << 20 // and their bytes
)

// inbound is one message from the link, its stanza already parsed.
type inbound struct {
	msg    wire.Message
	stanza *stanza.Element // of a wire.Inbound; nil if it does not parse
	err    error           // why it does not; or, without msg, why reading ended
}

// read hands what the link says to Run. Parsing happens here, beside Run.
func read(ctx context.Context, conn *frame.Conn, in chan<- inbound) {
	defer close(in)
	for {
		m, err := wire.Read(conn)
		next := inbound{msg: m, err: err}
		if x, ok := m.(wire.Inbound); ok && err == nil {
			next.stanza, next.err = stanza.Parse(x.Stanza)
			next.msg = wire.Inbound{Seq: x.Seq} // the bytes are not needed any more
		}
		select {
		case in <- next:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// writer writes to the link from a goroutine of its own, so that Run never
// waits for a link that waits for Run.
type writer struct {
	conn    *frame.Conn
	drained chan struct{} // tells Run that full may have become false

	mu     sync.Mutex
	some   *sync.Cond
	queue  []wire.Message
	bytes  int
	closed bool
}

func newWriter(conn *frame.Conn) *writer {
	w := &writer{conn: conn, drained: make(chan struct{}, 1)}
	w.some = sync.NewCond(&w.mu)
	return w
}

// send queues a message. Stored replaces a Stored that still waits at the end.
func (w *writer) send(m wire.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	if _, ok := m.(wire.Stored); ok && len(w.queue) > 0 {
		if _, ok := w.queue[len(w.queue)-1].(wire.Stored); ok {
			w.queue[len(w.queue)-1] = m
			return
		}
	}
	w.queue = append(w.queue, m)
	w.bytes += size(m)
	w.some.Signal()
}

// full reports whether so much waits that Run should take in nothing more.
func (w *writer) full() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue) > maxOutCount || w.bytes > maxOutBytes
}

// close lets run end once what is queued is written or cannot be.
func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.some.Broadcast()
}

func (w *writer) run() {
	for {
		w.mu.Lock()
		for len(w.queue) == 0 && !w.closed {
			w.some.Wait()
		}
		list := w.queue
		w.queue, w.bytes = nil, 0
		w.mu.Unlock()
		if len(list) == 0 {
			return
		}
		select {
		case w.drained <- struct{}{}:
		default:
		}
		for _, m := range list {
			err := wire.Write(w.conn, m)
			switch m := m.(type) {
			case wire.Call:
				clear(m.Auth)
				clear(m.Body)
			case wire.Send:
				if m.Clear {
					clear(m.Stanza)
				}
			}
			if err != nil {
				w.close() // read tells Run that the link has gone
				w.mu.Lock()
				w.queue, w.bytes = nil, 0
				w.mu.Unlock()
				return
			}
		}
	}
}

func size(m wire.Message) int {
	if s, ok := m.(wire.Send); ok {
		return len(s.Stanza)
	}
	return 0
}
