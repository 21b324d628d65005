package relaycheck

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sotto/client/stanza"
)

// cuts is how many sessions are cut when the first one that was cut is lost. A
// relay that is busy may lose one: the others tell whether it loses more.
const cuts = 3

// resumption cuts the connection, has a message sent meanwhile, and goes on
// (XEP-0198 section 5). One lost session among several is said, but held against
// no relay: what was sent is in the archive.
func (s *scene) resumption(ctx context.Context) {
	var took time.Duration
	var lost error // why the first one was
	resumed, tried := 0, 0
	for tried < cuts && ctx.Err() == nil {
		t, err := s.cut(ctx)
		if errors.Is(err, errUntried) {
			break
		}
		tried++
		if err == nil {
			took, resumed = t, resumed+1
		} else if lost == nil {
			lost = err
		}
		if tried == 1 && err == nil {
			break
		}
	}
	said := func() string { return fmt.Sprintf("%d of %d sessions were resumed", resumed, tried) }
	switch {
	case tried == 0: // why has been said, or no time was left for it
	case lost == nil:
		s.set("session.cut", good("resumed in %d ms, with what was sent meanwhile", took.Milliseconds()))
	case resumed == cuts-1:
		s.set("session.cut", good("%s; with the first, %v", said(), lost))
	case resumed > 0:
		s.set("session.cut", weak(said(), "After the connection was cut, "+lost.Error()+". That break of the network was a new login.",
			"See the relay's log. A proxy in front must lead a person to the machine that has the session."))
	default:
		s.set("session.cut", bad("not resumed", "After the connection was cut, "+lost.Error()+".",
			"See the relay's log. A proxy in front must not hide that a connection broke."))
	}
}

// errUntried says that no session could be cut: it is not about resuming them.
var errUntried = errors.New("no session was cut")

// cut opens a session, cuts and resumes it, and returns how long that took from
// the cut until all was there. The error is half a sentence that says what the
// relay did instead.
func (s *scene) cut(ctx context.Context) (time.Duration, error) {
	third, err := s.login(ctx, s.As)
	if err != nil {
		if ctx.Err() == nil {
			s.set("session.kept", bad("failed", "A third session does not get in: "+why(err)+".", "Allow several devices a person."))
		}
		return 0, errUntried
	}
	defer func() { third.close() }()
	if !s.kept(ctx, third) {
		return 0, errUntried
	}
	full := third.full.String()
	third.p.Cut()
	third.stop()
	id := fmt.Sprintf("%s-cut-%d", s.run, s.sessions)
	if err := s.two.send(ctx, stanza.NewChat(full, id, stanza.NoStoreHint(), stanza.Body("sotto relay check"))); err != nil {
		return 0, errUntried
	}
	start := time.Now()
	p, err := s.authenticated(ctx, s.As)
	if err != nil {
		return 0, fmt.Errorf("the login failed: %s", why(err))
	}
	third.listen(p)
	if err := third.send(ctx, stanza.SMResume(third.sm.ID, third.handled.Load())); err != nil {
		return 0, errors.New(why(err))
	}
	e, err := third.within(ctx, 5*time.Second, func(e *stanza.Element) bool { return e.Space == stanza.NSSM })
	switch {
	case err != nil:
		return 0, errors.New(why(err))
	case !e.Is(stanza.NSSM, "resumed"):
		return 0, fmt.Errorf("the relay did not know the session any more (%s)", condition(e))
	case e.Get("previd") != third.sm.ID:
		return 0, errors.New("the relay resumed another session than it was asked for")
	}
	if _, err := third.within(ctx, 5*time.Second, withID(id)); err != nil {
		return 0, errors.New("the session was resumed, but a message that was sent meanwhile did not come")
	}
	return time.Since(start), nil
}

// condition is what a <failed/> says (XEP-0198 section 5), for those who run the
// relay: the first word of it, and the text where there is one.
func condition(e *stanza.Element) string {
	said := e.Local
	for c := range e.Elements() {
		if c.Local == "text" {
			said += ": " + c.Text()
		} else {
			said += " " + c.Local
		}
	}
	return said
}

// kept turns stream management on, and says for how long a broken session stays.
func (s *scene) kept(ctx context.Context, third *session) bool {
	ok, err := third.enable(ctx)
	if ctx.Err() != nil {
		return false
	}
	if err != nil || !ok || !third.sm.Resume {
		s.set("session.kept", weak("no resumption", "Each break of the network is a new login.", "Let streams be resumed (XEP-0198)."))
		s.set("session.cut", skip("not offered"))
		return false
	}
	kept := time.Duration(third.sm.Max) * time.Second
	switch {
	case kept == 0:
		s.set("session.kept", good("the relay does not say for how long"))
	case kept < shortest:
		s.set("session.kept", weak(fmt.Sprintf("%d seconds", third.sm.Max), "Whoever is out of reach for longer has to log in and catch up anew.", fmt.Sprintf("Keep broken sessions for %d seconds or longer.", int(shortest/time.Second))))
	default:
		s.set("session.kept", good("%d seconds", third.sm.Max))
	}
	return true
}
