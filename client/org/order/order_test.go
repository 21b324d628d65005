package order_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"sotto/client/org"
	"sotto/client/org/head"
	"sotto/client/org/order"
	"sotto/client/org/orgtest"
)

const hospital = "hospital.example"

var (
	key  = orgtest.New(hospital, "1")
	self = order.Self{Address: "alice@hospital.example", Device: 31415, Roles: []string{"physician", "on-call"}}
	day  = 24 * time.Hour
)

func wipe(n uint64) *order.Order {
	return &order.Order{Number: n, Issued: orgtest.Noon, Expires: orgtest.Noon.Add(365 * day), Do: order.Wipe,
		For: order.Target{Person: self.Address, Device: self.Device}, Reason: "the laptop was left on a train"}
}

func sign(t testing.TB, o *order.Order) []byte {
	t.Helper()
	b, err := o.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func ledger() *order.Ledger { return order.NewLedger(orgtest.Noon.Add(-30 * day)) }

func TestOrderComesBack(t *testing.T) {
	recall := &order.Order{Number: 3, Issued: orgtest.Noon, Expires: orgtest.Noon.Add(day), Do: order.Recall,
		Message: order.Message{Author: "bob@hospital.example", ID: "0a1b", Digest: org.HashOf("x")}}
	bare := *recall
	bare.Message.Digest = org.Hash{}
	bare.For = order.Target{Role: "physician"}
	for _, o := range []*order.Order{wipe(12), recall, &bare, {Number: 1, Issued: orgtest.Noon, Expires: orgtest.Noon.Add(day), Do: order.Lock}} {
		b := sign(t, o)
		got, err := order.Open(b, key.Key)
		if err != nil || *got != *o || got.Hash().IsZero() {
			t.Errorf("%+v: %+v, %v", o, got, err)
		}
		orgtest.Tamper(t, b, func(b []byte) error { _, err := order.Open(b, key.Key); return err })
	}
}

func TestSignRefuses(t *testing.T) {
	for what, change := range map[string]func(o *order.Order){
		"no number":        func(o *order.Order) { o.Number = 0 },
		"no action":        func(o *order.Order) { o.Do = "dance" },
		"no expiry":        func(o *order.Order) { o.Expires = o.Issued },
		"for ever":         func(o *order.Order) { o.Expires = o.Issued.Add(500 * day) },
		"two lines":        func(o *order.Order) { o.Reason = "x\nfor: all" },
		"a control":        func(o *order.Order) { o.Reason = "\x1b]52;c;eA==\a" },
		"no address":       func(o *order.Order) { o.For.Person = "alice" },
		"no role":          func(o *order.Order) { o.For = order.Target{Role: "On Call"} },
		"recall of nobody": func(o *order.Order) { o.Do = order.Recall },
	} {
		o := wipe(1)
		change(o)
		if b, err := o.Sign(key); err == nil {
			t.Errorf("%s: signed: %s", what, b)
		}
	}
}

func TestTargets(t *testing.T) {
	for _, c := range []struct {
		target order.Target
		want   bool
	}{
		{order.Target{}, true},
		{order.Target{Person: self.Address}, true},
		{order.Target{Person: self.Address, Device: self.Device}, true},
		{order.Target{Person: self.Address, Device: 1}, false},
		{order.Target{Person: "bob@hospital.example"}, false},
		{order.Target{Person: "bob@hospital.example", Device: self.Device}, false},
		{order.Target{Role: "on-call"}, true},
		{order.Target{Role: "nurse"}, false},
	} {
		if got := c.target.Includes(self); got != c.want {
			t.Errorf("%v: %v", c.target, got)
		}
	}
}

// TestReceive is what a relay can do with orders, and a thief with a clock.
func TestReceive(t *testing.T) {
	now := orgtest.Noon.Add(time.Hour)
	lock := func(n uint64, life time.Duration) *order.Order {
		return &order.Order{Number: n, Issued: orgtest.Noon, Expires: orgtest.Noon.Add(life), Do: order.Lock}
	}
	others := wipe(13)
	others.For.Device = 1
	early := wipe(2)
	early.Issued, early.Expires = orgtest.Noon.Add(-31*day), orgtest.Noon.Add(31*day)
	thief, err := wipe(12).Sign(orgtest.New(hospital, "thief"))
	if err != nil {
		t.Fatal(err)
	}
	clinic, err := wipe(12).Sign(orgtest.New("clinic.example", "1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what       string
		note       []byte
		heard, now time.Time
		want       error
		settled    bool // afterwards, the ledger misses it no more
	}{
		{"in order", sign(t, wipe(12)), now, now, nil, false},
		{"for another device", sign(t, others), now, now, order.ErrNotForUs, true},
		{"from before the device was taken in", sign(t, early), now, now, order.ErrBefore, true},
		{"by another key", thief, now, now, org.ErrSignature, false},
		{"by another organisation", clinic, now, now, org.ErrSignature, false},
		{"expired by the organisation's clock", sign(t, wipe(12)), orgtest.Noon.Add(366 * day), now, order.ErrExpired, true},
		{"a wipe, the device's clock set forward", sign(t, wipe(12)), now, now.Add(1000 * day), nil, false},
		{"a wipe, the device's clock set back", sign(t, wipe(12)), now, now.Add(-1000 * day), nil, false},
		{"a lock, played a year later without heads", sign(t, lock(14, time.Hour)), now, now.Add(365 * day), order.ErrExpired, true},
		{"a lock, the device's clock a little ahead", sign(t, lock(14, 2*time.Hour)), now, now.Add(10 * time.Hour), nil, false},
	} {
		l := ledger()
		o, err := l.Receive(c.note, key.Key, self, c.heard, c.now)
		if !errors.Is(err, c.want) || (o != nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
		read, err := order.Open(c.note, key.Key)
		if err != nil {
			continue
		}
		if missing := l.Missing(head.Orders{First: read.Number, Last: read.Number}); (len(missing) == 0) != c.settled {
			t.Errorf("%s: missing afterwards: %v", c.what, missing)
		}
	}
}

func TestReplay(t *testing.T) {
	now := orgtest.Noon.Add(time.Hour)
	l := ledger()
	b := sign(t, wipe(12))
	receive := func() error { _, err := l.Receive(b, key.Key, self, now, now); return err }
	if err := receive(); err != nil {
		t.Fatal(err)
	}
	// Killed before it was carried out: it comes again.
	if err := receive(); err != nil {
		t.Fatal(err)
	}
	o, _ := order.Open(b, key.Key)
	l.Done(o)
	if err := receive(); !errors.Is(err, order.ErrDone) {
		t.Errorf("played back: %v", err)
	}
	// Another one with its number.
	other := wipe(12)
	other.For = order.Target{}
	if _, err := l.Receive(sign(t, other), key.Key, self, now, now); !errors.Is(err, org.ErrFork) {
		t.Errorf("two of one number: %v", err)
	}
	text, err := l.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var again order.Ledger
	if err := again.UnmarshalText(text); err != nil {
		t.Fatal(err)
	}
	l = &again
	if err := receive(); !errors.Is(err, order.ErrDone) {
		t.Errorf("played back after a start: %v", err)
	}
	if second, _ := l.MarshalText(); string(second) != string(text) {
		t.Errorf("%s comes back as %s", text, second)
	}
	// When it is no longer in force, it is not remembered but still not taken.
	if missing := l.Missing(head.Orders{First: 13, Last: 12}); missing != nil {
		t.Errorf("missing: %v", missing)
	}
	if err := receive(); !errors.Is(err, org.ErrRollback) {
		t.Errorf("played back when it is over: %v", err)
	}
	if text, _ := l.MarshalText(); strings.Contains(string(text), "order: ") {
		t.Errorf("still remembered: %s", text)
	}
}

func TestWithheld(t *testing.T) {
	now := orgtest.Noon.Add(time.Hour)
	l := ledger()
	for _, n := range []uint64{10, 12, 14} {
		o := wipe(n)
		o.For = order.Target{Person: "bob@hospital.example"}
		if _, err := l.Receive(sign(t, o), key.Key, self, now, now); !errors.Is(err, order.ErrNotForUs) {
			t.Fatal(err)
		}
	}
	if got := l.Missing(head.Orders{First: 10, Last: 15}); !slices.Equal(got, []uint64{11, 13, 15}) {
		t.Errorf("missing: %v", got)
	}
	if got := l.Missing(head.Orders{First: 14, Last: 14}); got != nil {
		t.Errorf("missing: %v", got)
	}
	if got := new(order.Ledger).Missing(head.Orders{First: 1}); got != nil {
		t.Errorf("missing of none: %v", got)
	}
}

// TestLedgerIsBounded holds that orders without heads do not fill the memory, and
// that what is forgotten is not taken again.
func TestLedgerIsBounded(t *testing.T) {
	l := ledger()
	first := sign(t, wipe(1))
	for n := uint64(1); n <= 5000; n++ {
		l.Done(&order.Order{Number: n})
	}
	text, _ := l.MarshalText()
	if n := strings.Count(string(text), "order: "); n > 4*head.MaxOrders {
		t.Errorf("%d orders are remembered", n)
	}
	if _, err := l.Receive(first, key.Key, self, orgtest.Noon, orgtest.Noon); !errors.Is(err, org.ErrRollback) {
		t.Errorf("taken again: %v", err)
	}
}

func TestAcknowledgement(t *testing.T) {
	device, link, other := orgtest.New("device-31415", "desk"), orgtest.New("device-31415", "link"), orgtest.New("device-31415", "other")
	o, second, later := wipe(12), wipe(13), wipe(12)
	later.Issued = orgtest.Noon.Add(25 * time.Hour)
	sign(t, o)
	sign(t, second)
	sign(t, later)
	target := order.Target{Person: self.Address, Device: self.Device}
	at := orgtest.Noon.Add(time.Hour)
	by := func(signer *orgtest.Key, at time.Time) []byte {
		a := o.Acknowledge(self, order.Obeyed, at, "")
		b, err := a.Sign(hospital, signer)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	delegate := func(signer, to *orgtest.Key, by order.Target) []byte {
		d := order.Delegation{Device: by, To: to.Key, Issued: orgtest.Noon, Expires: orgtest.Noon.Add(day)}
		b, err := d.Sign(hospital, signer)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	elsewhere := order.Target{Person: "bob@hospital.example", Device: self.Device}
	for _, c := range []struct {
		what       string
		note       []byte
		order      *order.Order
		org        string
		device     order.Target
		key        org.Key
		delegation []byte
		want       error
	}{
		{"by the device", by(device, at), o, hospital, target, device.Key, nil, nil},
		{"by its link", by(link, at), o, hospital, target, device.Key, delegate(device, link, target), nil},
		{"by a link without a delegation", by(link, at), o, hospital, target, device.Key, nil, org.ErrSignature},
		{"by a link that delegates to itself", by(link, at), o, hospital, target, device.Key, delegate(link, link, target), org.ErrSignature},
		{"with another's delegation", by(link, at), o, hospital, target, device.Key, delegate(device, other, target), org.ErrSignature},
		{"with a delegation for another", by(link, at), o, hospital, target, device.Key, delegate(device, link, elsewhere), org.ErrSignature},
		{"after the delegation's end", by(link, at.Add(day)), o, hospital, target, device.Key, delegate(device, link, target), org.ErrSignature},
		{"before its beginning", by(link, at.Add(-day)), o, hospital, target, device.Key, delegate(device, link, target), org.ErrSignature},
		{"of an order that came after the delegation's end, dated back", backdated(t, later, link, at), later, hospital, target, device.Key, delegate(device, link, target), org.ErrSignature},
		{"the same by the device", backdated(t, later, device, at), later, hospital, target, device.Key, nil, nil},
		{"of another order", by(device, at), second, hospital, target, device.Key, nil, org.ErrSignature},
		{"as another's", by(device, at), o, hospital, elsewhere, device.Key, nil, org.ErrSignature},
		{"to another organisation", by(device, at), o, "clinic.example", target, device.Key, nil, org.ErrSignature},
		{"by another key", by(other, at), o, hospital, target, device.Key, nil, org.ErrSignature},
	} {
		a, err := order.OpenAcknowledgement(c.note, c.order, c.org, c.device, c.key, c.delegation)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
		if c.want == nil && (a == nil || a.Order != 12 || a.Result != order.Obeyed || !a.At.Equal(at)) {
			t.Errorf("%s: %+v", c.what, a)
		}
	}
	orgtest.Tamper(t, by(device, at), func(b []byte) error {
		_, err := order.OpenAcknowledgement(b, o, hospital, target, device.Key, nil)
		return err
	})
	orgtest.Tamper(t, delegate(device, link, target), func(b []byte) error {
		_, err := order.OpenDelegation(b, hospital, target, device.Key)
		return err
	})
	long := order.Delegation{Device: target, To: link.Key, Issued: orgtest.Noon, Expires: orgtest.Noon.Add(30 * day)}
	if _, err := long.Sign(hospital, device); err == nil {
		t.Error("a delegation for a month")
	}
}

// backdated acknowledges an order, dated as the signer likes.
func backdated(t *testing.T, o *order.Order, by *orgtest.Key, at time.Time) []byte {
	t.Helper()
	a := o.Acknowledge(self, order.Obeyed, at, "")
	b, err := a.Sign(hospital, by)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSignedNonsense(t *testing.T) {
	s, _ := org.Peek(sign(t, wipe(12)))
	for _, c := range [][2]string{
		{"number: 12", "number: 0"}, {"number: 12", "number: 012"}, {"do: wipe", "do: Wipe"}, {"do: wipe", "do: recall"}, {"for: device", "for: devices"},
		{"31415\n", "031415\n"}, {"31415\n", "99999999999\n"}, {"for: device alice@hospital.example 31415", "for: "}, {"for: device", "for:  device"},
		{"for: device alice@hospital.example 31415", "for: person Alice@hospital.example"}, {"\nreason: ", "\nreason:  "}, {"\nreason", "\nbecause"},
	} {
		text := strings.Replace(s.Text, c[0], c[1], 1)
		if text == s.Text {
			t.Fatalf("%q is not in it", c[0])
		}
		b, err := note.Sign(&note.Note{Text: text}, key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := order.Open(b, key.Key); !errors.Is(err, org.ErrMalformed) {
			t.Errorf("%q: %v", c[1], err)
		}
	}
}

func FuzzOrder(f *testing.F) {
	device := orgtest.New("device-31415", "desk")
	o := wipe(12)
	s, _ := org.Peek(sign(f, o))
	f.Add(s.Text)
	a := o.Acknowledge(self, order.Failed, orgtest.Noon, "no room")
	b, _ := a.Sign(hospital, device)
	s, _ = org.Peek(b)
	f.Add(s.Text)
	d := order.Delegation{Device: order.Target{Person: self.Address, Device: self.Device}, To: device.Key, Issued: orgtest.Noon, Expires: orgtest.Noon.Add(day)}
	b, _ = d.Sign(hospital, device)
	s, _ = org.Peek(b)
	f.Add(s.Text)
	l, _ := ledger().MarshalText()
	f.Add(string(l) + fmt.Sprintf("order: 3 %s\n", org.HashOf("x")))
	f.Fuzz(func(t *testing.T, text string) {
		var l order.Ledger
		if err := l.UnmarshalText([]byte(text)); err == nil {
			if again, err := l.MarshalText(); err != nil || string(again) != text && len(again) != len(text) {
				t.Errorf("%q comes back as %q, %v", text, again, err)
			}
		}
		if b, err := org.Seal(text, device); err == nil {
			_, _ = order.OpenAcknowledgement(b, o, hospital, d.Device, device.Key, nil)
			_, _ = order.OpenDelegation(b, hospital, d.Device, device.Key)
		}
		b, err := org.Seal(text, key)
		if err != nil {
			return
		}
		got, err := order.Open(b, key.Key)
		if err != nil {
			return
		}
		if again, err := got.Sign(key); err != nil || string(again) != string(b) {
			t.Errorf("%q is written %q, %v", b, again, err)
		}
	})
}
