package client

import (
	"testing"

	"sotto/client/org/order"
)

// TestOrderForANewRole: somebody got a role while this device was away, and then who
// has it was ordered to be wiped.
func TestOrderForANewRole(t *testing.T) {
	s := command(t)
	s.start()
	e, _ := s.authority.staff.Entry(me)
	e.Roles = []string{"porter"}
	s.sign(e)
	x := s.order(order.Wipe, func(x *order.Order) { x.For = order.Target{Role: "porter"} })
	s.nudge()
	s.upToDate()
	s.acknowledged(x)
	if got := from(t, s.ordered, "order"); got.Number != x.Number {
		t.Errorf("%+v", got)
	}
}
