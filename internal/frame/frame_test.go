package frame

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

func TestRoundTrip(t *testing.T) {
	a, b := net.Pipe()
	x, y := NewConn(a), NewConn(b)
	go func() {
		x.Write('s', []byte("one"), nil, Uint64(7))
		x.Close()
	}()
	typ, f, err := y.Read()
	if err != nil || typ != 's' || len(f) != 3 || string(f[0]) != "one" || len(f[1]) != 0 {
		t.Fatalf("read %c %q %v", typ, f, err)
	}
	if n, err := ReadUint64(f[2]); n != 7 || err != nil {
		t.Errorf("number %d, %v", n, err)
	}
	if _, _, err := y.Read(); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
}

type buffer struct{ bytes.Buffer }

func (*buffer) Close() error { return nil }

func TestConcurrentWritesStayWhole(t *testing.T) {
	var b buffer
	c := NewConn(&b)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 100 {
				c.Write(byte(i), bytes.Repeat([]byte{byte(i)}, 100))
			}
		})
	}
	wg.Wait()
	for range 800 {
		typ, f, err := c.Read()
		if err != nil || len(f) != 1 || !bytes.Equal(f[0], bytes.Repeat([]byte{typ}, 100)) {
			t.Fatalf("mixed frame %d %v %v", typ, f, err)
		}
	}
}

func TestRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"length 0":        "\x00\x00\x00\x00",
		"too long":        "\xff\xff\xff\xff",
		"short field":     "\x00\x00\x00\x03aXY",
		"field past end":  "\x00\x00\x00\x06a\x00\x00\x00\x09X",
		"too many fields": "\x00\x00\x10\x05a" + string(make([]byte, 4*(MaxFields+1))),
	} {
		c := NewConn(&buffer{*bytes.NewBufferString(in)})
		if _, _, err := c.Read(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := NewConn(&buffer{*bytes.NewBufferString("\x00\x00\x00\x09a\x00")})
	if _, _, err := c.Read(); err != io.ErrUnexpectedEOF {
		t.Errorf("cut frame: %v", err)
	}
	if err := c.Write('a', make([]byte, MaxFrame)); err == nil {
		t.Error("a frame over the limit was written")
	}
}

func FuzzFields(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x01x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fields, err := Fields(b)
		if err != nil {
			return
		}
		n := 0
		for _, x := range fields {
			n += 4 + len(x)
		}
		if n != len(b) {
			t.Fatalf("%d bytes of fields from %d", n, len(b))
		}
	})
}
