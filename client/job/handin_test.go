package job

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/awnumar/memguard"

	"sotto/internal/frame"
)

func handinKey(t *testing.T, database string) *memguard.Enclave {
	t.Helper()
	key, err := HandinKey([]byte(strings.Repeat(database, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// taken runs take without a client: it ends before it would need one, or panics.
func taken(t *testing.T, key *memguard.Enclave, with func(far net.Conn)) {
	t.Helper()
	near, far := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		take(t.Context(), nil, key, near)
		near.Close()
	}()
	with(far)
	far.Close()
	<-done
}

// Who does not have the key can't hand anything in, whatever it says.
func TestHandinNeedsTheKey(t *testing.T) {
	key := handinKey(t, "k")
	taken(t, key, func(far net.Conn) {
		_, err := Through(t.Context(), handinKey(t, "x"), far, Sending{To: "a@b.example", Text: strings.NewReader("text"), Wait: time.Second})
		if err == nil || !strings.Contains(err.Error(), "Look whether it came") {
			t.Errorf("with another key: %v", err)
		}
	})
	nonce := make([]byte, handinNonce)
	for name, say := range map[string]func(c *frame.Conn) error{
		"nothing":             func(*frame.Conn) error { return nil },
		"no ciphertext":       func(c *frame.Conn) error { return c.Write(frameHandin, nonce) },
		"an empty ciphertext": func(c *frame.Conn) error { return c.Write(frameHandin, nonce, nil) },
		"a short nonce":       func(c *frame.Conn) error { return c.Write(frameHandin, nonce[1:], make([]byte, 99)) },
		"plain words": func(c *frame.Conn) error {
			return c.Write(frameHandin, nonce, []byte(`{"to":"a@b.example","text":"x"}`))
		},
		"another frame": func(c *frame.Conn) error { return c.Write(frameKept, nonce, make([]byte, 99)) },
	} {
		taken(t, key, func(far net.Conn) {
			c := frame.NewConn(far)
			if _, _, err := c.Read(); err != nil { // the hello
				t.Fatal(err)
			}
			if err := say(c); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// What was recorded once is of no use later: each side's nonce is in the key.
func TestHandinIsNotReplayed(t *testing.T) {
	key := handinKey(t, "k")
	near, far := net.Pipe()
	var nonce, sealed []byte
	go func() {
		c := frame.NewConn(near)
		c.Write(frameHello, make([]byte, handinNonce))
		if _, fields, err := c.Read(); err == nil && len(fields) == 2 {
			nonce, sealed = append(nonce, fields[0]...), append(sealed, fields[1]...)
		}
		near.Close()
	}()
	if _, err := Through(t.Context(), key, far, Sending{To: "a@b.example", Text: strings.NewReader("text")}); err == nil {
		t.Error("nobody answered, and that is no error")
	}
	if len(sealed) == 0 || strings.Contains(string(sealed), "text") {
		t.Fatalf("recorded: %q", sealed)
	}
	taken(t, key, func(far net.Conn) {
		c := frame.NewConn(far)
		c.Read()
		c.Write(frameHandin, nonce, sealed)
		if _, _, err := c.Read(); err == nil {
			t.Error("a replayed message was answered")
		}
	})
}

// Handing in ends with its context, whether or not the other side says anything.
func TestHandinEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	near, far := net.Pipe()
	defer far.Close()
	given := false
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Handins(ctx, nil, handinKey(t, "k"), func() (io.ReadWriteCloser, error) {
			if given {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			given = true
			return near, nil
		})
	}()
	if _, _, err := frame.NewConn(far).Read(); err != nil {
		t.Error(err)
	}
	cancel()
	<-ended
	if _, err := far.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is open still")
	}
}
