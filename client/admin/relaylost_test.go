package admin

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"sotto/client/org/order"
)

// TestRelayLost: a relay that has lost what it was given gets everything again.
func TestRelayLost(t *testing.T) {
	o, c := found(t, database(t)), newCarrier()
	settle(t, o, c)
	all := len(c.items)
	c.items = make(map[string][]byte)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- o.Serve(ctx, c, Serving{Every: time.Hour, Round: func(l Left) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			if l.None() && len(c.items) == all {
				cancel()
			}
			return nil
		}})
	}()
	select {
	case err := <-served:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(45 * time.Second):
		cancel()
		t.Errorf("%d of %d items", len(c.items), all)
	}
}

// TestRelayLostAnItem: what is missing at a relay that still shows the head is published
// again.
func TestRelayLostAnItem(t *testing.T) {
	o, c := found(t, database(t)), newCarrier()
	admit(t, o, "alice", 7, "nurse")
	if _, err := o.Order(t.Context(), order.Order{Do: order.Lock, For: order.Target{Person: "alice@hospital.example"}, Reason: "drill"}, 0); err != nil {
		t.Fatal(err)
	}
	settle(t, o, c)
	for _, c.unlisted = range []bool{false, true} {
		all := maps.Clone(c.items)
		for what := range all {
			if what == "head/current" {
				continue
			}
			delete(c.items, what)
			c.order = nil
			ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second)
			err := o.Serve(ctx, c, Serving{Every: time.Hour, Round: func(Left) error {
				if c.items[what] != nil {
					cancel()
				}
				return nil
			}})
			cancel()
			if err != nil || string(c.items[what]) != string(all[what]) {
				t.Errorf("%s is not there again: %v", what, err)
			}
			if !c.unlisted && slices.ContainsFunc(c.order, func(s string) bool { return s != what && s != "head/current" }) {
				t.Errorf("%s was lost, and published was %q", what, c.order)
			}
		}
	}
}
