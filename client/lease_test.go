package client

import (
	"testing"
	"time"

	"sotto/client/org/policy"
	"sotto/client/stanza"
)

// standsAt has the client look how it stands when its clock says something.
func (s *staffed) standsAt(now time.Time) policy.Standing {
	stands := make(chan policy.Standing, 1)
	s.c.call(func() { s.c.followTick(now); stands <- s.c.following.standing })
	return <-stands
}

// TestLeaseOfAClient goes through a lease of seven days by the client's own clock.
func TestLeaseOfAClient(t *testing.T) {
	const day = 24 * time.Hour
	s := staff(t).start()
	heard := s.c.Membership().Heard()
	at := func(after time.Duration, want policy.Standing) {
		t.Helper()
		if got := s.standsAt(heard.Add(after)); got != want {
			t.Errorf("%v after it was heard: %v, not %v", after, got, want)
		}
	}
	told := func(want policy.Standing) {
		t.Helper()
		eventually(t, "the screen is told", func() bool {
			wait(t, s.c, func(OrganisationChanged) bool { return true })
			return s.c.Organisation().Standing == want
		})
	}
	at(5*day, policy.InTouch)
	at(7*day-42*time.Hour, policy.Losing) // the last quarter
	at(7*day-time.Second, policy.Losing)
	at(7*day, policy.Lost)
	told(policy.Behind) // by the clock that the screen has, which is days behind this one

	// Setting it back wins nothing: not for a little,
	at(7*day-5*time.Minute, policy.Lost)
	at(5*day, policy.Behind)
	// and not over a restart.
	s.again(2)
	if latest := s.c.Membership().Latest(); latest.Before(heard.Add(7 * day)) {
		t.Errorf("the latest time that is known is %v, %v after it was heard", latest, latest.Sub(heard))
	}
	at(5*day, policy.Behind)
	at(7*day+time.Minute, policy.Lost)

	// Only what is signed later opens it: not the same head once more.
	s.d.deliver(stanza.Nudge(me, s.note(stanza.NodeHead, stanza.ItemCurrent)).With("from", contact+"/1"))
	s.settledWith()
	at(7*day+time.Minute, policy.Lost)
	s.head.Issued = heard.Add(7 * day)
	s.nudge()
	s.upToDate()
	at(7*day+time.Minute, policy.InTouch)
	at(14*day, policy.Losing)
	at(14*day+time.Minute, policy.Lost)

	// The policy may shorten it.
	s.head.Issued = heard.Add(14 * day)
	s.policy(2, "lease = \"1d\"\n")
	s.nudge()
	s.upToDate()
	at(14*day+time.Hour, policy.InTouch)
	at(15*day+time.Minute, policy.Lost)
}
