package membership

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"sotto/client/org"
	"sotto/client/org/head"
	"sotto/client/org/order"
	"sotto/client/org/orgtest"
	"sotto/client/org/partner"
	"sotto/client/org/policy"
	"sotto/client/store"
)

func TestLease(t *testing.T) {
	h := newSide(t, hospital)
	path := filepath.Join(t.TempDir(), "db")
	s, m := joined(t, path, h)
	if stands, left := m.Stands(noon); stands != policy.InTouch || left <= 0 {
		t.Errorf("just joined: %v, %v", stands, left)
	}
	update(t, s, func(tx *store.Tx) error { return m.Follow(tx, h.beat()) })
	if stands, _ := m.Stands(noon.Add(8 * 24 * time.Hour)); stands != policy.Lost {
		t.Errorf("eight days later: %v", stands)
	}
	update(t, s, func(tx *store.Tx) error { return m.StoreClock(tx, noon.Add(8*24*time.Hour)) })
	s, m = again(t, s, path)
	if stands, _ := m.Stands(noon.Add(time.Hour)); stands != policy.Behind {
		t.Errorf("the clock was set back: %v", stands)
	}
	// A head that is heard then does not forgive it,
	m.now = func() time.Time { return noon.Add(10 * time.Minute) }
	update(t, s, func(tx *store.Tx) error { return m.Follow(tx, h.beat()) })
	if stands, _ := m.Stands(noon.Add(time.Hour)); stands != policy.Behind {
		t.Errorf("the clock was set back, and an old head held for it: %v", stands)
	}
	// but a clock that was years ahead is not held against the device for years.
	update(t, s, func(tx *store.Tx) error { return m.StoreClock(tx, noon.AddDate(9, 0, 0)) })
	m.now = func() time.Time { return noon.Add(15 * time.Minute) }
	update(t, s, func(tx *store.Tx) error { return m.Follow(tx, h.beat()) })
	if stands, _ := m.Stands(noon.Add(time.Hour)); stands != policy.InTouch {
		t.Errorf("after a clock that was wrong by years: %v", stands)
	}
}

// TestLeaseOfTheOrganisationItself: there is nobody that its own account could hear.
func TestLeaseOfTheOrganisationItself(t *testing.T) {
	h := newSide(t, hospital)
	path := filepath.Join(t.TempDir(), "db")
	s, _ := joined(t, path, h)
	var m *Membership
	update(t, s, func(tx *store.Tx) (err error) {
		m, err = Join(tx, org.NewAnchor(h.key.Key, 0), contact, contact, noon)
		return err
	})
	for _, after := range []time.Duration{0, 90 * 24 * time.Hour, time.Hour} {
		if stands, left := m.Stands(noon.Add(after)); stands != policy.InTouch || left <= 0 {
			t.Errorf("after %v: %v, %v", after, stands, left)
		}
	}
}

// complete has m look whether everything is here.
func complete(t testing.TB, s *store.Store, m *Membership) (here bool) {
	t.Helper()
	update(t, s, func(tx *store.Tx) (err error) { here, err = m.Complete(tx); return err })
	return here
}

// TestCompleteHeads has a relay that passes on each head, and holds back one thing that
// they name: the lease counts from the last of which everything was here, and what is
// held back ends it.
func TestCompleteHeads(t *testing.T) {
	const day = 24 * time.Hour
	for what, name := range map[string]func(h *side) (bring func(tx *store.Tx, m *Membership) error){
		"an order": func(h *side) func(*store.Tx, *Membership) error {
			h.head.Orders = head.Orders{First: 1, Last: 2}
			x := order.Order{Number: 2, Issued: noon.Add(time.Hour), Expires: noon.Add(9 * day), Do: order.Lock, For: order.Target{Person: bob}}
			note, err := x.Sign(h.key)
			if err != nil {
				t.Fatal(err)
			}
			return func(tx *store.Tx, m *Membership) error {
				l := m.Ledger()
				if _, err := l.Receive(note, h.key.Key, m.Self(), m.Head().Issued, noon); !errors.Is(err, order.ErrNotForUs) {
					return err
				}
				l.Settle(1, org.HashOf("1"))
				return m.StoreLedger(tx, l)
			}
		},
		"the policy": func(h *side) func(*store.Tx, *Membership) error {
			note := h.policy(2, "lease = \"3d\"\n")
			return func(tx *store.Tx, m *Membership) error { return m.SetPolicy(tx, note) }
		},
		"an agreement": func(h *side) func(*store.Tx, *Membership) error {
			note, with := agrees(t, h.key, orgtest.New(clinic, "1"), 1), partner.New(h.key.Key)
			if _, err := with.Apply(note); err != nil {
				t.Fatal(err)
			}
			h.head.Partners = with.State()
			return func(tx *store.Tx, m *Membership) error { return m.ApplyPartner(tx, note, "") }
		},
		"the directory": func(h *side) func(*store.Tx, *Membership) error {
			notes := h.sign(person(eve))
			return func(tx *store.Tx, m *Membership) error { _, err := m.ApplyDirectory(tx, notes...); return err }
		},
	} {
		h := newSide(t, hospital)
		path := filepath.Join(t.TempDir(), "db")
		s, m := joined(t, path, h)
		if complete(t, s, m) {
			t.Errorf("%s: everything is here before a head was", what)
		}
		rules, all := h.policy(1, "lease = \"3d\"\n"), h.sign(person(alice), person(bob))
		h.head.Issued = noon.Add(day)
		first := h.beat()
		update(t, s, func(tx *store.Tx) error {
			_, err := m.ApplyDirectory(tx, all...)
			return errors.Join(m.Follow(tx, first), m.SetPolicy(tx, rules), err)
		})
		begins := h.head.Issued
		if got := m.Heard(); !got.Equal(noon) {
			t.Errorf("%s: before anybody has looked the lease counts from %v", what, got)
		}
		if !complete(t, s, m) || !m.Heard().Equal(begins) {
			t.Errorf("%s: everything is here, and the lease counts from %v", what, m.Heard())
		}

		bring := name(h)
		for h.head.Issued.Before(begins.Add(3 * day)) {
			h.head.Issued = h.head.Issued.Add(8 * time.Hour)
			pulse := h.beat()
			update(t, s, func(tx *store.Tx) error { return m.Follow(tx, pulse) })
			if complete(t, s, m) || !m.Heard().Equal(begins) {
				t.Fatalf("%s is missing, and the lease counts from %v", what, m.Heard())
			}
		}
		late := h.head.Issued.Add(time.Minute)
		s, m = again(t, s, path)
		if stands, _ := m.Stands(begins.Add(3*day - time.Minute)); stands != policy.Behind { // the heads are later
			t.Errorf("%s is missing, and the clock is behind the heads: %v", what, stands)
		}
		if stands, _ := m.Stands(late); stands != policy.Lost {
			t.Errorf("%s is missing for longer than the lease: %v", what, stands)
		}
		update(t, s, func(tx *store.Tx) error { return bring(tx, m) })
		if !complete(t, s, m) {
			t.Errorf("%s is here, and something is missing", what)
		}
		if stands, _ := m.Stands(late); stands != policy.InTouch || !m.Heard().Equal(h.head.Issued) {
			t.Errorf("%s is here: %v, from %v", what, stands, m.Heard())
		}
		s, m = again(t, s, path)
		if !m.Heard().Equal(h.head.Issued) {
			t.Errorf("%s: after a restart the lease counts from %v", what, m.Heard())
		}
		// What is here before the head that names it changes nothing.
		more := h.sign(person("zoe@hospital.example"))
		update(t, s, func(tx *store.Tx) error { _, err := m.ApplyDirectory(tx, more...); return err })
		if !complete(t, s, m) {
			t.Errorf("%s: a newer directory than the head names", what)
		}
	}
}

// TestHeard is the newer of the head and the answer that let the device in.
func TestHeard(t *testing.T) {
	h := newSide(t, hospital)
	s, m := joined(t, filepath.Join(t.TempDir(), "db"), h)
	old := h.head.Issued.Add(-time.Hour)
	h.head.Issued = old
	update(t, s, func(tx *store.Tx) error { return m.Follow(tx, h.beat()) })
	complete(t, s, m)
	if got := m.Heard(); !got.Equal(noon) {
		t.Errorf("an older head: %v", got)
	}
	h.head.Issued = noon
	update(t, s, func(tx *store.Tx) error { return m.Follow(tx, h.beat()) })
	complete(t, s, m)
	if got := m.Heard(); !got.Equal(h.head.Issued) || !got.After(noon) {
		t.Errorf("a newer head: %v", got)
	}
	if got := m.Latest(); !got.Equal(noon.Add(time.Hour)) {
		t.Errorf("the latest time: %v", got)
	}
	var none *Membership
	if !none.Heard().IsZero() || !none.Latest().IsZero() {
		t.Error("without an organisation something was heard")
	}
}
