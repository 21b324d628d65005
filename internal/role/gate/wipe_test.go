//go:build unix

package gate

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sotto/client/org"
	"sotto/client/org/order"
	"sotto/client/org/orgtest"
	"sotto/internal/role"
)

// TestOrderToWipe has a gate look at what a link that was taken over could hand it.
func TestOrderToWipe(t *testing.T) {
	key, forger := orgtest.New("hospital.example", "1"), orgtest.New("hospital.example", "2")
	other := orgtest.New("clinic.example", "1")
	anchor, err := org.NewAnchor(key.Key, 0).MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	w := role.Warrant{Anchor: anchor, Address: "alice@hospital.example", Device: 7, Roles: []string{"on-call"}, Since: orgtest.Noon}
	target := order.Target{Person: w.Address, Device: 7}
	good := order.Order{Number: 3, Issued: orgtest.Noon.Add(time.Hour), Expires: orgtest.Noon.Add(24 * time.Hour), Do: order.Wipe, For: target, Reason: "it was left on a train"}
	sign := func(k *orgtest.Key, change func(*order.Order)) role.Proof {
		t.Helper()
		o := good
		change(&o)
		b, err := o.Sign(k)
		if err != nil {
			t.Fatal(err)
		}
		return role.Proof{Note: b}
	}
	now := orgtest.Noon.Add(2 * time.Hour)
	for _, change := range []func(*order.Order){
		func(*order.Order) {},
		func(o *order.Order) { o.For = order.Target{Person: w.Address} },
		func(o *order.Order) { o.For = order.Target{Role: "on-call"} },
		func(o *order.Order) { o.For = order.Target{} },
	} {
		o, who, err := ordered(sign(key, change), w, now)
		if err != nil {
			t.Fatal(err)
		}
		if words := wiped(who, o); !strings.Contains(words, "hospital.example has had this device wiped (it was left on a train). ") {
			t.Errorf("it says %q", words)
		}
	}
	if _, _, err := ordered(sign(key, func(*order.Order) {}), w, now.AddDate(3, 0, 0)); err != nil {
		t.Errorf("a wipe does not wait for a clock that was set forward: %v", err)
	}
	for name, c := range map[string]struct {
		proof role.Proof
		want  error
	}{
		"nothing":             {role.Proof{}, org.ErrMalformed},
		"forged":              {sign(forger, func(*order.Order) {}), org.ErrSignature},
		"of another":          {sign(other, func(*order.Order) {}), org.ErrSignature},
		"for another device":  {sign(key, func(o *order.Order) { o.For.Device = 8 }), order.ErrNotForUs},
		"for another person":  {sign(key, func(o *order.Order) { o.For.Person = "bob@hospital.example" }), order.ErrNotForUs},
		"for another role":    {sign(key, func(o *order.Order) { o.For = order.Target{Role: "porter"} }), order.ErrNotForUs},
		"for the last device": {sign(key, func(o *order.Order) { o.Issued = orgtest.Noon.Add(-time.Hour) }), order.ErrBefore},
		"a lock":              {sign(key, func(o *order.Order) { o.Do = order.Lock }), nil},
	} {
		if o, _, err := ordered(c.proof, w, now); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %+v %v", name, o, err)
		}
	}
	// The organisation's own device is wiped by an order that names it, or its account.
	own := w
	own.Contact = true
	for _, c := range []struct {
		target order.Target
		wiped  bool
	}{{order.Target{}, false}, {order.Target{Role: "on-call"}, false}, {order.Target{Person: w.Address}, true}, {target, true}} {
		if _, _, err := ordered(sign(key, func(o *order.Order) { o.For = c.target }), own, now); (err == nil) != c.wiped {
			t.Errorf("the organisation's own device, for %s: %v", c.target, err)
		}
	}
	if _, _, err := ordered(sign(key, func(*order.Order) {}), role.Warrant{Anchor: []byte("no key")}, now); err == nil {
		t.Error("a warrant without a key")
	}
	orgtest.Tamper(t, sign(key, func(*order.Order) {}).Note, func(b []byte) error {
		_, _, err := ordered(role.Proof{Note: b}, w, now)
		return err
	})

	next := orgtest.New("hospital.example", "3")
	change, err := org.Rotation{Number: 1, Issued: orgtest.Noon, From: key.Key, To: next.Key}.Sign(key, next)
	if err != nil {
		t.Fatal(err)
	}
	p := sign(next, func(*order.Order) {})
	if _, _, err := ordered(p, w, now); !errors.Is(err, org.ErrSignature) {
		t.Errorf("another key: %v", err)
	}
	p.Keys = [][]byte{change}
	if _, _, err := ordered(p, w, now); err != nil {
		t.Errorf("after a change of the key: %v", err)
	}
	p.Note = sign(key, func(*order.Order) {}).Note
	if _, _, err := ordered(p, w, now); !errors.Is(err, org.ErrSignature) {
		t.Errorf("by the key that was replaced: %v", err)
	}
}
