package memory

import (
	"bytes"
	"io"
	"net"
	"testing"
)

// TestWire shows that the tap finds what goes over the wire: in the clear, and
// in the masked frames of a client.
func TestWire(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // a server that says one message, cut in two frames with a ping between
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n\x01\x05Heron\x89\x01x\x80\x044471")
		io.Copy(io.Discard, c)
	}()
	tap := NewTap(t, l.Addr().String())
	c, err := net.Dial("tcp", tap.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	long := bytes.Repeat([]byte("-"), 200)
	frame := []byte{0x81, 0x80 | 126, 0, 200 + 11, 1, 2, 3, 4}
	for i, b := range append(long, "Kestrel7719"...) {
		frame = append(frame, b^byte(i%4+1))
	}
	if _, err := c.Write(append([]byte("GET /InTheClear HTTP/1.1\r\n\r\n"), frame...)); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, len("HTTP/1.1 101 Switching Protocols\r\n\r\n")+16)
	if _, err := io.ReadFull(c, head); err != nil {
		t.Fatal(err)
	}
	c.(*net.TCPConn).CloseWrite()
	io.Copy(io.Discard, c) // until the other end has had it all

	s := NewSearch(TextCanary("clear", "/InTheClear"), TextCanary("masked", "Kestrel7719"), TextCanary("cut", "Heron4471"))
	hits, size, messages, err := s.Wire(tap)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"clear", "masked", "cut"} {
		if n := Count(hits, name); n != 1 {
			t.Errorf("%s: found %d of 1 in %d bytes and %d messages", name, n, size, messages)
		}
	}
	if _, err := webSocket([]byte("\r\n\r\n\xc1\x01x")); err == nil {
		t.Error("a compressed frame is searched as if it were not")
	}
}
