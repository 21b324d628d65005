package admin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"sotto/client/org/head"
	"sotto/client/org/order"
	"sotto/client/stanza"
)

// surveyed serves until everything was looked at, and returns how many heads were
// published meanwhile, the last after everything else, and whether alice was told of it.
func surveyed(t *testing.T, o *Organisation, c *carrier) (heads int, told bool) {
	t.Helper()
	c.order, c.posts = nil, nil
	ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
	defer cancel()
	over, rounds := errors.New("over"), 0
	err := o.Serve(ctx, c, Serving{Every: time.Hour, Round: func(left Left) error {
		if rounds++; rounds > 20 && left.None() { // one for each node, and more
			return over
		}
		o.signal()
		return nil
	}})
	if !errors.Is(err, over) {
		t.Fatalf("after %d rounds: %v", rounds, err)
	}
	for _, what := range c.order {
		if what == "head/current" {
			heads++
		}
	}
	if last := len(c.order) - 1; last < 0 || c.order[last] != "head/current" {
		t.Errorf("published was %q", c.order)
	}
	if h, err := head.Open(c.items["head/current"], o.Anchor().Key); err != nil || h.Number != o.Head().Number {
		t.Errorf("%+v, %v", h, err)
	}
	return heads, slices.ContainsFunc(c.posts, func(m *stanza.Element) bool {
		return strings.HasPrefix(m.Get("to"), "alice@") && string(stanza.ReadNudge(m)) == string(c.items["head/current"])
	})
}

// TestHeadAfterWhatWasLost: devices that could not have what a head names ask ever more
// seldom, and are told once a relay that has lost it has it again.
func TestHeadAfterWhatWasLost(t *testing.T) {
	o, c := found(t, database(t)), newCarrier()
	admit(t, o, "alice", 7, "nurse")
	if _, err := o.Order(t.Context(), order.Order{Do: order.Lock, For: order.Target{Person: "alice@hospital.example"}, Reason: "drill"}, 0); err != nil {
		t.Fatal(err)
	}
	settle(t, o, c)
	for _, lost := range [][]string{nil, {"policy/current"}, {"orders/1", "policy/current", "directory/1"}, {"head/current"}} {
		for _, what := range lost {
			if c.items[what] == nil {
				t.Fatalf("%s was not published", what)
			}
			delete(c.items, what)
		}
		heads, told := surveyed(t, o, c)
		if lost == nil && heads != 1 || heads > 3 || !told { // that of the start, one that follows, the lost one
			t.Errorf("%q was lost: %d heads, alice was told of the last: %v", lost, heads, told)
		}
		for _, what := range lost {
			if c.items[what] == nil {
				t.Errorf("%s is not there again", what)
			}
		}
	}
}
