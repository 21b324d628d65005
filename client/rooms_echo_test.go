package client

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"sotto/client/stanza"
	"sotto/client/store"
)

// TestLostEcho has a room show nothing of a message that the relay has taken: it goes
// out again, the same to the byte, and is there once although the room shows both.
func TestLostEcho(t *testing.T) {
	l := newLair(t)
	r := l.ada
	r.start(l.double, l.c)
	l.deliver(l.said("okafor", "hello", r.write(l.c, "hello", "hello").Child(stanza.NSOmemo, "encrypted")))
	l.settledWith()
	_, err := l.c.Send(ctx, icu, "Bed 4 now")
	if n, ok := errors.AsType[*NewReaders](err); ok {
		if err := l.c.AcceptReaders(ctx, n); err != nil {
			t.Fatal(err)
		}
		_, err = l.c.Send(ctx, icu, "Bed 4 now")
	}
	if err != nil {
		t.Fatal(err)
	}
	said := func(e *stanza.Element) bool { return e.Get("type") == "groupchat" && hasPayload(e) }
	first := l.sent(said)
	state := func() (s store.State) {
		for _, m := range messages(t, l.c, icu) {
			if m.Body.String() == "Bed 4 now" {
				s = m.State
			}
		}
		return s
	}
	lose := func() (waits bool) {
		return ofRun(t, l.c, func() bool {
			found := false
			for _, o := range l.c.outs {
				found = found || !o.settled.IsZero()
			}
			l.c.tendRooms(time.Now().Add(echoPatience + time.Second))
			return found
		})
	}
	eventually(t, "the relay has it, and the room is waited for", lose)
	if s := state(); s != store.Queued {
		t.Errorf("not shown by the room, it is %v", s)
	}
	again := l.sent(said)
	if !bytes.Equal(first.Bytes(), again.Bytes()) {
		t.Errorf("it went out as\n%s\nand then as\n%s", first.Bytes(), again.Bytes())
	}
	for range 2 {
		e, err := stanza.Parse(first.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		l.deliver(e.With("from", icu+"/ng").With("to", me+"/test"))
	}
	l.settledWith()
	eventually(t, "it is sent", func() bool { return state() == store.Sent })
	n := 0
	for _, m := range messages(t, l.c, icu) {
		if m.Body.String() == "Bed 4 now" {
			n++
		}
	}
	if n != 1 || lose() {
		t.Errorf("it is there %d times, or is still waited for", n)
	}
}
