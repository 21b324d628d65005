package client

import (
	"strings"
	"testing"
	"time"

	"sotto/client/org"
	"sotto/client/org/order"
	"sotto/client/org/orgtest"
	"sotto/client/org/partner"
	"sotto/client/org/policy"
	"sotto/client/stanza"
)

// standsAt has the client look how it stands when its clock says something.
func (s *staffed) standsAt(now time.Time) policy.Standing {
	return ofRun(s.double.t, s.c, func() policy.Standing { s.c.followTick(now); return s.c.following.standing })
}

// hasAll waits until the client has found that everything that the newest head names is
// here.
func (s *staffed) hasAll() {
	s.double.t.Helper()
	s.upToDate()
	eventually(s.double.t, "everything is here", func() bool {
		m := s.c.Membership()
		return !m.Heard().Before(m.Head().Issued)
	})
}

// TestLeaseOfAClient goes through a lease of seven days by the client's own clock.
func TestLeaseOfAClient(t *testing.T) {
	const day = 24 * time.Hour
	s := staff(t).start()
	s.hasAll()
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
	s.hasAll()
	at(7*day+time.Minute, policy.InTouch)
	at(14*day, policy.Losing)
	at(14*day+time.Minute, policy.Lost)

	// The policy may shorten it.
	s.head.Issued = heard.Add(14 * day)
	s.policy(2, "lease = \"1d\"\n")
	s.nudge()
	s.hasAll()
	at(14*day+time.Hour, policy.InTouch)
	at(15*day+time.Minute, policy.Lost)
}

// TestLeaseAndWhatIsHeldBack has a relay show each head at once, and never what one of
// them names: the device is told, and locks when the lease is over, whatever the relay
// shows besides and whatever a link has followed meanwhile.
func TestLeaseAndWhatIsHeldBack(t *testing.T) {
	const day = 24 * time.Hour
	for what, c := range map[string]struct {
		node   string
		change func(s *commanded)
	}{
		"an order": {stanza.NodeOrders, func(s *commanded) {
			s.order(order.Lock, func(x *order.Order) { x.Expires = x.Issued.Add(30 * day) })
		}},
		"an order for others": {stanza.NodeOrders, func(s *commanded) {
			s.order(order.Lock, func(x *order.Order) { x.For.Person = ada })
		}},
		"an agreement":  {stanza.NodePartners, func(s *commanded) { s.agree("clinic.example") }},
		"the policy":    {stanza.NodePolicy, func(s *commanded) { s.policy(2, "lease = \"7d\"\npaste = false\n") }},
		"the directory": {stanza.NodeDirectory, func(s *commanded) { s.sign(listed(lind, "Lind, Bo")) }},
	} {
		t.Run(what, func(t *testing.T) {
			s := command(t)
			s.linkKey = orgtest.New("link", "1").Key.Public()
			s.start()
			s.hasAll()
			heard := s.c.Membership().Heard()
			at := func(after time.Duration, want policy.Standing) {
				t.Helper()
				if got := s.standsAt(heard.Add(after)); got != want {
					t.Errorf("%v after all was here: %v, not %v", after, got, want)
				}
			}
			followed := func() {
				t.Helper()
				s.round()
				if got := s.c.Membership().Head().Number; got != s.head.Number {
					t.Errorf("head %d is not followed, but %d", s.head.Number, got)
				}
			}
			c.change(s)
			s.relay(func(place string, note []byte) []byte {
				if strings.HasPrefix(place, contact+" "+c.node+" ") {
					return nil
				}
				return note
			})
			for after := time.Hour; after < 7*day; after += 20 * time.Hour {
				s.head.Issued = heard.Add(after)
				s.beat()
				followed()
				want := policy.InTouch
				if after >= 7*day-42*time.Hour {
					want = policy.Losing
				}
				at(after, want)
			}
			s.says("does not come from the relay")
			s.head.Issued = heard.Add(7 * day)
			s.beat()
			followed()
			at(7*day+time.Minute, policy.Lost)

			// The same with what a link has heard while this device was locked.
			s.head.Issued = heard.Add(8 * day)
			s.linkHead = s.beat()
			s.again(2)
			followed()
			at(8*day+time.Minute, policy.Lost)

			s.relay(nil)
			s.round()
			s.hasAll()
			at(8*day+time.Minute, policy.InTouch)
			if list := s.missing(); len(list) > 0 {
				t.Errorf("not dealt with: %v", list)
			}
		})
	}
}

// agree puts an agreement with another organisation in force, which the next head names.
func (h *authority) agree(name string) {
	h.t.Helper()
	theirs, with := orgtest.New(name, "1"), partner.New(h.key.Key)
	a := partner.Agreement{Proposer: h.key.Key, Partner: theirs.Key, Serial: 1, Issued: time.Now(), Expires: time.Now().AddDate(1, 0, 0),
		Opens: []partner.Opening{{Organisation: name, Role: "referral"}}}
	note, err := a.Propose(h.key)
	if err == nil {
		note, err = partner.Agree(note, h.key.Key, theirs.Key, theirs)
	}
	if err == nil {
		_, err = with.Apply(note)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.head.Partners = with.State()
	h.put(stanza.NodePartners, stanza.PartnerItem(name), note)
}

// TestLeaseAfterALinkHasFollowed: what a link has followed counts, where everything is
// here.
func TestLeaseAfterALinkHasFollowed(t *testing.T) {
	s := command(t)
	s.linkKey = orgtest.New("link", "1").Key.Public()
	s.start()
	s.hasAll()
	s.head.Issued = s.head.Issued.Add(time.Minute)
	s.linkHead = s.beat()
	s.relay(func(string, []byte) []byte { return nil }) // nothing else comes
	s.again(2)
	eventually(t, "the lease counts from it", func() bool {
		return org.FormatTime(s.c.Membership().Heard()) == org.FormatTime(s.head.Issued)
	})
}
