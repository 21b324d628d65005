package memory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
)

// Tap stands between sottos and a relay that they reach without TLS, and keeps
// what went over the wire: what the relay's owner, or a network that broke TLS,
// sees. Its methods are safe for concurrent use.
type Tap struct {
	listener net.Listener

	mu    sync.Mutex
	ended bool
	conns []*tapped
}

type tapped struct {
	ends     [2]net.Conn
	up, down tape
}

// tape is one direction of a connection.
type tape struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *tape) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(b)
}

func (t *tape) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.b.Bytes())
}

// NewTap starts one in front of target, host and port. It ends with the test.
func NewTap(t testing.TB, target string) *Tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Tap{listener: l}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { p.pass(c, target) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.mu.Lock()
		p.ended = true
		for _, c := range p.conns {
			c.close()
		}
		p.mu.Unlock()
		running.Wait()
	})
	return p
}

// Addr is where to connect instead of to the target.
func (p *Tap) Addr() string { return p.listener.Addr().String() }

func (p *Tap) pass(client net.Conn, target string) {
	server, err := net.Dial("tcp", target)
	if err != nil {
		client.Close()
		return
	}
	c := &tapped{ends: [2]net.Conn{client, server}}
	defer c.close()
	p.mu.Lock()
	p.conns = append(p.conns, c)
	ended := p.ended
	p.mu.Unlock()
	if ended {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { c.copy(server, client, &c.up) })
	both.Go(func() { c.copy(client, server, &c.down) })
	both.Wait()
}

func (c *tapped) copy(to, from net.Conn, tape *tape) {
	io.Copy(to, io.TeeReader(from, tape))
	c.close()
}

func (c *tapped) close() {
	c.ends[0].Close()
	c.ends[1].Close()
}

// Wire looks in what went over the wire, as it was and as the WebSocket messages
// that it carried (RFC 6455): what clients send is masked. It says how many bytes
// and messages there were.
func (s *Search) Wire(p *Tap) (hits []Hit, size, messages int, err error) {
	p.mu.Lock()
	conns := p.conns
	p.mu.Unlock()
	for _, c := range conns {
		for _, side := range []struct {
			place string
			tape  *tape
		}{{"the wire to the relay", &c.up}, {"the wire from the relay", &c.down}} {
			b := side.tape.bytes()
			size += len(b)
			hits = append(hits, s.Bytes(side.place, b)...)
			list, err := webSocket(b)
			if err != nil {
				return nil, 0, 0, fmt.Errorf("%s: %w", side.place, err)
			}
			for _, m := range list {
				messages++
				hits = append(hits, s.Bytes("a message on "+side.place, m)...)
			}
		}
	}
	return hits, size, messages, nil
}

// webSocket returns the messages in one direction of a connection; one that is
// cut off at the end is left out.
func webSocket(b []byte) (messages [][]byte, err error) {
	_, b, upgraded := bytes.Cut(b, []byte("\r\n\r\n"))
	if !upgraded {
		return nil, nil
	}
	var message []byte
	for len(b) >= 2 {
		first, length, masked := b[0], uint64(b[1]&0x7f), b[1]&0x80 != 0
		if first&0x70 != 0 {
			return nil, errors.New("a WebSocket frame with an extension, which hides what it carries from this search")
		}
		header := 2
		switch {
		case length == 126 && len(b) >= 4:
			header, length = 4, uint64(binary.BigEndian.Uint16(b[2:]))
		case length == 127 && len(b) >= 10:
			header, length = 10, binary.BigEndian.Uint64(b[2:])
		case length >= 126:
			return messages, nil
		}
		var mask [4]byte
		if masked {
			if len(b) < header+4 {
				return messages, nil
			}
			header += copy(mask[:], b[header:])
		}
		if uint64(len(b)-header) < length {
			return messages, nil
		}
		payload := b[header : header+int(length)]
		b = b[header+int(length):]
		if first&0x0f >= 8 {
			continue // control frames may come in the middle of a message
		}
		for i, c := range payload {
			message = append(message, c^mask[i%4])
		}
		if first&0x80 != 0 {
			messages, message = append(messages, message), nil
		}
	}
	return messages, nil
}
