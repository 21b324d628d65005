package link

import (
	"context"
	"errors"
	"time"

	"github.com/coder/websocket"

	"sotto/client/stanza"
)

// Bounds in time of a stream.
const (
	writeTimeout = time.Minute     // of one element
	closeTimeout = 2 * time.Second // of ending in good order
)

// inbound is one element from the relay, or the error that ends the stream.
type inbound struct {
	e   *stanza.Element
	raw []byte // what was read; kept for the desk
	err error
}

// outbound is one element for the relay.
type outbound struct {
	b    []byte
	wipe bool // b holds a secret: clear it once written
}

// stream is a WebSocket that is logged in, with a goroutine that reads and one
// that writes. Both channels are unbuffered: the owner neither waits for a slow
// relay nor runs ahead of it.
type stream struct {
	ws     *websocket.Conn
	heard  *heard
	ctx    context.Context
	cancel context.CancelCauseFunc // cuts the connection
	in     chan inbound            // ends with one that has an error
	out    chan outbound
	gone   chan struct{} // closed when the owner has let go
}

func newStream(ws *websocket.Conn, h *heard) *stream {
	s := &stream{ws: ws, heard: h, in: make(chan inbound), out: make(chan outbound), gone: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	go s.reader()
	go s.writer()
	return s
}

func (s *stream) reader() {
	for {
		in := read(s.ctx, s.ws)
		if cause := context.Cause(s.ctx); in.err != nil && cause != nil && !errors.As(in.err, new(*failure)) {
			in.err = cause // the writer knows better, but not what the relay sent
		}
		select {
		case s.in <- in:
		case <-s.gone:
			return
		}
		if in.err != nil {
			return
		}
	}
}

func (s *stream) writer() {
	for {
		select {
		case o := <-s.out:
			ctx, cancel := context.WithTimeout(s.ctx, writeTimeout)
			err := s.ws.Write(ctx, websocket.MessageText, o.b)
			cancel()
			if o.wipe {
				clear(o.b)
			}
			if err != nil {
				s.cancel(err)
				s.ws.CloseNow()
				return
			}
		case <-s.ctx.Done():
			s.ws.CloseNow()
			return
		}
	}
}

// cut breaks the connection. The owner must not use the stream any more.
func (s *stream) cut() {
	s.cancel(context.Canceled)
	close(s.gone)
}

// end sends last words and the end of the stream (RFC 7395 section 3.6), then
// lets go of the connection. The owner must not use the stream any more. The
// channel is closed when it is over, at most closeTimeout later.
func (s *stream) end(last ...*stanza.Element) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		ctx, cancel := context.WithTimeout(s.ctx, closeTimeout)
		defer cancel()
		defer s.cut()
		for _, e := range append(last, stanza.Close()) {
			if s.ws.Write(ctx, websocket.MessageText, e.Bytes()) != nil {
				return
			}
		}
		for { // until the relay has closed too, so that it has read all of it
			select {
			case in := <-s.in:
				if in.err != nil || in.e.Is(stanza.NSFraming, "close") {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return done
}

// read reads one element. RFC 7395 section 3.2 allows only text messages.
func read(ctx context.Context, ws *websocket.Conn) inbound {
	typ, b, err := ws.Read(ctx)
	if errors.Is(err, websocket.ErrMessageTooBig) {
		return inbound{err: violation(stanza.ErrTooLarge)}
	}
	if err != nil {
		return inbound{err: err}
	}
	if typ != websocket.MessageText {
		return inbound{err: violation(errors.New("a binary WebSocket message"))}
	}
	e, err := stanza.Parse(b)
	if err != nil {
		return inbound{err: violation(err)}
	}
	return inbound{e: e, raw: b}
}

// ending returns why the relay ends the stream, or nil if e does not end it.
func ending(domain string, e *stanza.Element) error {
	if condition, ok := stanza.StreamErrorCondition(e); ok {
		return streamFailure(domain, condition)
	}
	if e.Is(stanza.NSFraming, "close") {
		if _, ok := e.Lookup("see-other-uri"); ok {
			return streamFailure(domain, "see-other-host")
		}
		return &failure{words: "The relay ended the connection.", fresh: true}
	}
	return nil
}
