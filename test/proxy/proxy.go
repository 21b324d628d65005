// Package proxy stands between a client and a server on loopback and does to
// their connections what networks do: resets them in the middle of anything.
package proxy

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy passes TCP connections on to a server. Its methods may be called from
// any goroutine.
type Proxy struct {
	listener net.Listener
	targets  []string
	next     atomic.Uint32
	up, down atomic.Int64
	rate     atomic.Int64

	mu    sync.Mutex
	pairs map[*pair]struct{}
	away  bool
}

type pair struct{ client, server *net.TCPConn }

// Start starts a proxy to a server, or to several in turn, as a load balancer does:
// to the next where one does not answer. It ends with the test.
func Start(t testing.TB, targets ...string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: l, targets: targets, pairs: map[*pair]struct{}{}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { p.pass(c.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.SetAway(true)
		running.Wait()
	})
	return p
}

// Port returns the port to connect to instead of the server's.
func (p *Proxy) Port() int { return p.listener.Addr().(*net.TCPAddr).Port }

// Cut resets every connection there is: both ends get an RST, and what was
// under way is lost. It returns how many there were.
func (p *Proxy) Cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.pairs)
	for c := range p.pairs {
		c.reset()
	}
	clear(p.pairs)
	return n
}

// SetAway says whether the server is out of reach: connections are reset, and
// new ones as soon as they are made.
func (p *Proxy) SetAway(away bool) {
	p.mu.Lock()
	p.away = away
	p.mu.Unlock()
	if away {
		p.Cut()
	}
}

// SetRate makes the network slow: so many bytes a second and direction of each
// connection; 0 for as many as there are.
func (p *Proxy) SetRate(rate int64) { p.rate.Store(rate) }

// Bytes returns how many bytes went to the server and how many came from it.
func (p *Proxy) Bytes() (up, down int64) { return p.up.Load(), p.down.Load() }

// reset makes closing send an RST instead of an orderly end.
func (c *pair) reset() {
	for _, end := range []*net.TCPConn{c.client, c.server} {
		_ = end.SetLinger(0)
		end.Close()
	}
}

func (p *Proxy) dial() (c net.Conn, err error) {
	first := p.next.Add(1)
	for i := range p.targets {
		if c, err = net.Dial("tcp", p.targets[(int(first)+i)%len(p.targets)]); err == nil {
			break
		}
	}
	return c, err
}

func (p *Proxy) pass(client *net.TCPConn) {
	s, err := p.dial()
	if err != nil {
		_ = client.SetLinger(0)
		client.Close()
		return
	}
	c := &pair{client, s.(*net.TCPConn)}
	p.mu.Lock()
	if p.away {
		p.mu.Unlock()
		c.reset()
		return
	}
	p.pairs[c] = struct{}{}
	p.mu.Unlock()

	var both sync.WaitGroup
	both.Go(func() { c.forward(c.server, c.client, counter{&p.up, &p.rate}) })
	both.Go(func() { c.forward(c.client, c.server, counter{&p.down, &p.rate}) })
	both.Wait()
	c.client.Close()
	c.server.Close()
	p.mu.Lock()
	delete(p.pairs, c)
	p.mu.Unlock()
}

// forward passes on an orderly end as one, and anything else as a reset.
func (c *pair) forward(to, from *net.TCPConn, count counter) {
	if _, err := io.Copy(to, io.TeeReader(from, count)); err != nil {
		c.reset()
		return
	}
	_ = to.CloseWrite()
}

// counter counts what passes, and makes it wait for its turn.
type counter struct{ n, rate *atomic.Int64 }

func (c counter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	if rate := c.rate.Load(); rate > 0 {
		time.Sleep(time.Duration(len(b)) * time.Second / time.Duration(rate))
	}
	return len(b), nil
}
