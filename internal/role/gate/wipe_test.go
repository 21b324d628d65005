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
	w := role.Warrant{Key: key.String(), Address: "alice@hospital.example", Device: 7, Roles: []string{"on-call"}, Since: orgtest.Noon}
	target := order.Target{Person: w.Address, Device: 7}
	good := order.Order{Number: 3, Issued: orgtest.Noon.Add(time.Hour), Expires: orgtest.Noon.Add(24 * time.Hour), Do: order.Wipe, For: target, Reason: "it was left on a train"}
	sign := func(k *orgtest.Key, change func(*order.Order)) []byte {
		t.Helper()
		o := good
		change(&o)
		b, err := o.Sign(k)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	now := orgtest.Noon.Add(2 * time.Hour)
	for _, change := range []func(*order.Order){
		func(*order.Order) {},
		func(o *order.Order) { o.For = order.Target{Person: w.Address} },
		func(o *order.Order) { o.For = order.Target{Role: "on-call"} },
		func(o *order.Order) { o.For = order.Target{} },
	} {
		o, err := ordered(sign(key, change), w, now)
		if err != nil {
			t.Fatal(err)
		}
		if words := wiped(w, o); !strings.Contains(words, "hospital.example has had this device wiped (it was left on a train). ") {
			t.Errorf("it says %q", words)
		}
	}
	if _, err := ordered(sign(key, func(*order.Order) {}), w, now.AddDate(3, 0, 0)); err != nil {
		t.Errorf("a wipe does not wait for a clock that was set forward: %v", err)
	}
	for name, c := range map[string]struct {
		note []byte
		want error
	}{
		"nothing":             {nil, org.ErrMalformed},
		"forged":              {sign(forger, func(*order.Order) {}), org.ErrSignature},
		"of another":          {sign(other, func(*order.Order) {}), org.ErrSignature},
		"for another device":  {sign(key, func(o *order.Order) { o.For.Device = 8 }), order.ErrNotForUs},
		"for another person":  {sign(key, func(o *order.Order) { o.For.Person = "bob@hospital.example" }), order.ErrNotForUs},
		"for another role":    {sign(key, func(o *order.Order) { o.For = order.Target{Role: "porter"} }), order.ErrNotForUs},
		"for the last device": {sign(key, func(o *order.Order) { o.Issued = orgtest.Noon.Add(-time.Hour) }), order.ErrBefore},
		"a lock":              {sign(key, func(o *order.Order) { o.Do = order.Lock }), nil},
	} {
		if o, err := ordered(c.note, w, now); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %+v %v", name, o, err)
		}
	}
	if _, err := ordered(sign(key, func(*order.Order) {}), role.Warrant{Key: "no key"}, now); err == nil {
		t.Error("a warrant without a key")
	}
	orgtest.Tamper(t, sign(key, func(*order.Order) {}), func(b []byte) error {
		_, err := ordered(b, w, now)
		return err
	})
}
