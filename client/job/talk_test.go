package job

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"sotto/internal/frame"
)

// served runs takeTalk on one end of a pipe; what it is told it writes back.
func served(t *testing.T, key string, with func(far net.Conn)) (got *bytes.Buffer) {
	t.Helper()
	near, far := net.Pipe()
	got = new(bytes.Buffer)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer near.Close()
		takeTalk(t.Context(), handinKey(t, key), near, func(_ context.Context, rw io.ReadWriter) {
			io.Copy(io.MultiWriter(got, writerOnly{rw}), readerOnly{rw})
		})
	}()
	with(far)
	far.Close()
	<-done
	return got
}

// TestTalk: as much as there is goes both ways, in order.
func TestTalk(t *testing.T) {
	said := strings.Repeat("status of everything\n", 20000)
	var answer bytes.Buffer
	got := served(t, "k", func(far net.Conn) {
		if err := TalkThrough(t.Context(), handinKey(t, "k"), far, strings.NewReader(said), &answer); err != nil {
			t.Error(err)
		}
	})
	if got.String() != said || answer.String() != said {
		t.Errorf("%d bytes there and %d back of %d", got.Len(), answer.Len(), len(said))
	}
}

// TestTalkNeedsTheKey: who does not have the key is told nothing, and nothing is done.
func TestTalkNeedsTheKey(t *testing.T) {
	got := served(t, "k", func(far net.Conn) {
		var answer bytes.Buffer
		if err := TalkThrough(t.Context(), handinKey(t, "x"), far, strings.NewReader("rotate\n"), &answer); err == nil || answer.Len() > 0 {
			t.Errorf("with another key: %v, %q", err, answer.String())
		}
	})
	if got.Len() > 0 {
		t.Errorf("done: %q", got)
	}
	for name, say := range map[string]func(*frame.Conn) error{
		"a message to be sent": func(c *frame.Conn) error { return c.Write(frameHandin, make([]byte, handinNonce), make([]byte, 99)) },
		"a short nonce":        func(c *frame.Conn) error { return c.Write(frameTalk, make([]byte, 3)) },
		"plain words": func(c *frame.Conn) error {
			c.Write(frameTalk, make([]byte, handinNonce))
			return c.Write(frameSaid, []byte("rotate\n"))
		},
		"the other direction": func(c *frame.Conn) error {
			c.Write(frameTalk, make([]byte, handinNonce))
			return c.Write(frameHeard, make([]byte, 99))
		},
	} {
		got := served(t, "k", func(far net.Conn) {
			c := frame.NewConn(far)
			if _, _, err := c.Read(); err != nil {
				t.Fatal(err)
			}
			say(c)
		})
		if got.Len() > 0 {
			t.Errorf("%s: done %q", name, got)
		}
	}
}

// TestTalkIsNotReplayed: what was recorded of one conversation is nothing in another,
// and no piece of one counts twice or elsewhere.
func TestTalkIsNotReplayed(t *testing.T) {
	key := handinKey(t, "k")
	nonce := make([]byte, handinNonce)
	channel, err := newChannel(nil, key, nonce, nonce)
	if err != nil {
		t.Fatal(err)
	}
	says := &talk{channel: channel, says: frameSaid}
	first := channel.aead.Seal(nil, says.talkNonce(frameSaid, 0), []byte("rotate\n"), nil)
	got := served(t, "k", func(far net.Conn) {
		c := frame.NewConn(far)
		if _, _, err := c.Read(); err != nil { // its nonce is another than the recorded one
			t.Fatal(err)
		}
		c.Write(frameTalk, nonce)
		c.Write(frameSaid, first)
	})
	if got.Len() > 0 {
		t.Errorf("replayed: %q", got)
	}
	for name, nonces := range map[string][2][]byte{
		"another place":     {says.talkNonce(frameSaid, 0), says.talkNonce(frameSaid, 1)},
		"another direction": {says.talkNonce(frameSaid, 0), says.talkNonce(frameHeard, 0)},
	} {
		if bytes.Equal(nonces[0], nonces[1]) {
			t.Errorf("%s has the same nonce", name)
		}
	}
}
