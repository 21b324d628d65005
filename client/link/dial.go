package link

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// maxKnown bounds the addresses that are remembered: the relay's, and those of
// discovery.
const maxKnown = 8

// dialer makes TCP connections, and remembers where they led. A host whose name
// can't be looked up is dialled there again: a resolver that is down, or gone
// with the last network, need not keep anybody offline. TLS says whether it is
// still the same host. It is safe for concurrent use.
type dialer struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu    sync.Mutex
	known map[string]string // address asked for: address reached
}

// connect is like net.Dialer's DialContext. Where an address is remembered, the
// name gets a third of the time that is left.
func (d *dialer) connect(ctx context.Context, network, address string) (net.Conn, error) {
	d.mu.Lock()
	known := d.known[address]
	d.mu.Unlock()
	first, cancel := ctx, func() {}
	if end, limited := ctx.Deadline(); limited && known != "" {
		first, cancel = context.WithTimeout(ctx, time.Until(end)/3)
	}
	c, err := d.dial(first, network, address)
	cancel()
	if err != nil && known != "" && ctx.Err() == nil && unresolved(err) {
		if c, again := d.dial(ctx, network, known); again == nil {
			return c, nil
		}
	}
	if err != nil {
		return nil, err
	}
	if to, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		d.mu.Lock()
		if d.known == nil || len(d.known) >= maxKnown {
			d.known = make(map[string]string)
		}
		d.known[address] = to.String()
		d.mu.Unlock()
	}
	return c, nil
}

// unresolved reports whether dialling failed, or may have, over the name.
func unresolved(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) || errors.Is(err, context.DeadlineExceeded) || isTimeout(err)
}

// heard is when the relay last sent anything, be it a part of an element. It is
// safe for concurrent use.
type heard struct {
	start time.Time
	at    atomic.Int64 // nanoseconds after start
}

func newHeard() *heard { return &heard{start: time.Now()} }

func (h *heard) last() time.Time { return h.start.Add(time.Duration(h.at.Load())) }

// hearing is a connection that notes when it was read from.
type hearing struct {
	net.Conn
	heard *heard
}

func (c hearing) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.heard.at.Store(int64(time.Since(c.heard.start)))
	}
	return n, err
}
