package client

import (
	"strings"
	"testing"
	"time"

	"sotto/client/stanza"
	"sotto/client/wire"
)

// withhold has the relay not show what a node has.
func (s *staffed) withhold(node string) {
	s.relay(func(place string, note []byte) []byte {
		if strings.HasPrefix(place, contact+" "+node+" ") {
			return nil
		}
		return note
	})
}

// tell delivers the head that the relay shows, as anybody can.
func (s *staffed) tell() {
	s.deliver(stanza.Nudge(me, s.note(stanza.NodeHead, stanza.ItemCurrent)).With("from", contact+"/1"))
}

// TestToldOfTheKnownHead: a device that has waited longer and longer for what its relay
// had lost looks again soon when it is sent the head that it knows.
func TestToldOfTheKnownHead(t *testing.T) {
	s := staff(t).start()
	s.withhold(stanza.NodePolicy)
	s.policy(2, "lease = \"1d\"\n")
	s.nudge()
	eventually(t, "a round has failed", func() bool {
		return ofRun(t, s.c, func() bool {
			f := &s.c.following
			if f.busy || f.failures == 0 {
				return false
			}
			f.failures, f.at = 20, time.Now().Add(followEvery)
			return true
		})
	})
	s.relay(nil)
	s.tell()
	s.upToDate()
}

// TestToldOfTheKnownHeadTooOften: whoever sends the known head all the time has a
// device ask no more often than every few seconds, and not at all where it has everything.
func TestToldOfTheKnownHeadTooOften(t *testing.T) {
	s := staff(t).start()
	idle := func() {
		t.Helper()
		eventually(t, "no round is under way", func() bool { return !ofRun(t, s.c, func() bool { return s.c.following.busy }) })
	}
	idle()
	note := s.note(stanza.NodeHead, stanza.ItemCurrent)
	// due says how long after the last round the next one is due, if somebody sends the
	// head again and again and everything else stands still.
	due := func(failures int) (after time.Duration) {
		return ofRun(t, s.c, func() time.Duration {
			f := &s.c.following
			f.failures, f.began = failures, time.Now()
			f.at = f.began.Add(followEvery)
			for range 1000 {
				s.c.nudged(note, contact)
			}
			if f.busy {
				t.Error("a round has begun at once")
			}
			return f.at.Sub(f.began)
		})
	}
	if got := due(0); got != followEvery {
		t.Errorf("where everything is here, the next round is due after %v", got)
	}
	if got := due(5); got != followSoon {
		t.Errorf("where something is missing, the next round is due after %v", got)
	}
	// The same while a round is under way.
	for _, failed := range []error{nil, errWithheld} {
		want := followEvery
		if failed != nil {
			want = followSoon
		}
		got := ofRun(t, s.c, func() time.Duration {
			f := &s.c.following
			f.begin()
			f.failures, f.at = 10, time.Time{} // it would be long
			s.c.nudged(note, contact)
			s.c.nudged(note, contact)
			s.c.roundEnded(failed)
			return f.at.Sub(f.began)
		})
		if got < want || got > want+patience {
			t.Errorf("told while a round was under way that ended with %v: the next is due after %v", failed, got)
		}
	}
	// And over the link.
	s.withhold(stanza.NodePolicy)
	s.policy(2, "lease = \"1d\"\n")
	s.nudge()
	start, before := time.Now(), s.times(stanza.NodeHead, stanza.ItemCurrent)
	for range 300 {
		s.tell()
	}
	s.settledWith()
	idle()
	if n, most := s.times(stanza.NodeHead, stanza.ItemCurrent)-before, int(time.Since(start)/followSoon)+2; n > most {
		t.Errorf("in %v the head was asked for %d times", time.Since(start), n)
	}
}

// TestCurrentOnlyWithEverything: a round that the loss of the relay has cut off, that of
// a session before, and one whose head is not the newest any more have not brought
// everything.
func TestCurrentOnlyWithEverything(t *testing.T) {
	s := staff(t)
	s.withhold(stanza.NodeHead)
	s.begin(1)
	eventually(t, "a round has failed", func() bool {
		return ofRun(t, s.c, func() bool { return !s.c.following.busy && s.c.following.failures > 0 })
	})
	current := func() bool { return s.c.Organisation().Current }
	if current() {
		t.Fatal("without a head everything is said to be here")
	}
	if ofRun(t, s.c, func() bool {
		c := s.c
		c.following.begin()
		c.online = false
		c.fetchNamed()
		c.online = true
		return c.following.busy || current()
	}) {
		t.Error("cut off, everything is said to be here")
	}
	if ofRun(t, s.c, func() bool {
		c := s.c
		c.following.begin()
		c.following.again = true // a newer head has come
		c.online = false         // so that nothing more follows
		c.roundEnded(nil)
		c.online = true
		return c.following.busy || current()
	}) {
		t.Error("with what the head before named, everything is said to be here")
	}
	// A snapshot that is loaded when the session ends, and there in the next.
	if ofRun(t, s.c, func() bool {
		c := s.c
		c.following.begin()
		var goOn func()
		c.fetchBy([]func(func(error)){func(done func(error)) { goOn = func() { done(nil) } }})
		c.beginFollowing()
		ended := c.following.busy
		goOn()
		return !ended || !c.following.busy || current()
	}) {
		t.Error("a round of the session before has ended that of this one")
	}
	s.relay(nil)
	s.out.send(wire.State{Phase: wire.Connecting})
	s.out.send(wire.State{Phase: wire.Online, Address: me + "/test", Session: 1})
	eventually(t, "everything is here", current)
	s.upToDate()
}
