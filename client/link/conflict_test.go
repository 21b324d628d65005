package link

import (
	"testing"
	"time"

	"sotto/client/stanza"
	"sotto/client/wire"
)

// A relay can finish the login of a connection that was cut, and then ends the
// one that took its place. That is answered by logging in again, once after each
// cut; another sotto with the same name is not pushed out.
func TestConflictWithAGhost(t *testing.T) {
	s := newServer(t, script{}, nil)
	d := attach(t, start(t, Config{Backoff: func(int) time.Duration { return time.Millisecond }}), true)
	d.login(s.url)
	first := d.phase(wire.Online)
	conflict := func() {
		s.raw(`<stream:error xmlns:stream="%s"><conflict xmlns="%s"/></stream:error>`, stanza.NSStream, stanza.NSStreams)
	}
	for n := range 2 {
		s.cut()
		d.next("resumed stream", func(m wire.Message) bool { // told more than once, as round trips are
			st, online := m.(wire.State)
			_, _, resumes := s.counts()
			return online && st.Phase == wire.Online && resumes == n+1
		})
		conflict()
		d.phase(wire.Offline)
		if again := d.phase(wire.Online); again.Session == first.Session {
			t.Error("the session was resumed that the relay had ended")
		}
	}
	conflict()
	d.phase(wire.Refused)
	if _, logins, resumes := s.counts(); logins-resumes != 3 {
		t.Errorf("%d logins that did not resume; want 3", logins-resumes)
	}
}
