package membership

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/head"
	"sotto/client/org/orgtest"
	"sotto/client/org/partner"
	"sotto/client/org/policy"
	"sotto/client/store"
)

// agrees is an agreement of two organisations that opens alice and whoever refers.
func agrees(t *testing.T, h, c *orgtest.Key, serial uint64) []byte {
	t.Helper()
	a := partner.Agreement{Proposer: h.Key, Partner: c.Key, Serial: serial, Issued: noon, Expires: noon.AddDate(1, 0, 0),
		Opens: []partner.Opening{{Organisation: hospital, Person: alice}, {Organisation: clinic, Role: "referral"}}}
	proposal, err := a.Propose(h)
	if err != nil {
		t.Fatal(err)
	}
	agreed, err := partner.Agree(proposal, h.Key, c.Key, c)
	if err != nil {
		t.Fatal(err)
	}
	return agreed
}

// shows is what a partner shows with a key: its first update, and the head of it.
func shows(t *testing.T, by *orgtest.Key, number uint64, at time.Time, entries ...directory.Entry) (updates [][]byte, pulse []byte) {
	t.Helper()
	d := directory.New(clinic, directory.ForPartner(hospital))
	updates, err := d.Sign(by, by.Key, noon, entries...)
	if err == nil {
		pulse, err = head.Head{For: hospital, Number: number, Issued: at, Directory: d.At(), Orders: head.Orders{First: 1}}.Sign(by)
	}
	if err != nil {
		t.Fatal(err)
	}
	return updates, pulse
}

// TestPartnerChangesItsKey: what it has shown with the one before counts no more, and
// it begins anew with the other.
func TestPartnerChangesItsKey(t *testing.T) {
	h, c := newSide(t, hospital), newSide(t, clinic)
	path := filepath.Join(t.TempDir(), "db")
	s, m := joined(t, path, h)
	takes := func(agreed []byte, updates [][]byte, pulse []byte) {
		t.Helper()
		update(t, s, func(tx *store.Tx) error {
			err := m.ApplyPartner(tx, agreed, "sotto@clinic.example")
			if err == nil {
				err = m.FollowPartner(tx, clinic, pulse)
			}
			if err == nil {
				_, err = m.ApplyPartnerDirectory(tx, clinic, updates...)
			}
			return err
		})
	}
	update(t, s, func(tx *store.Tx) error { _, err := m.ApplyDirectory(tx, h.sign(person(alice))...); return err })
	updates, pulse := shows(t, c.key, 7, noon, person(carol, "referral"), person("dan@clinic.example", "referral"))
	takes(agrees(t, h.key, c.key, 1), updates, pulse)
	if err := m.MayTalk(carol, noon); err != nil {
		t.Fatal(err)
	}

	next := orgtest.New(clinic, "2")
	update(t, s, func(tx *store.Tx) error { return m.ApplyPartner(tx, agrees(t, h.key, next, 2), "") })
	for range 2 {
		if err := m.MayTalk(carol, noon); !errors.Is(err, directory.ErrStranger) {
			t.Errorf("by what the old key has signed: %v", err)
		}
		if err := s.Update(t.Context(), func(tx *store.Tx) error { return m.FollowPartner(tx, clinic, pulse) }); !errors.Is(err, org.ErrSignature) {
			t.Errorf("a head that the old key has signed: %v", err)
		}
		s, m = again(t, s, path)
	}
	updates, pulse = shows(t, next, 1, noon, person(carol, "referral"))
	takes(agrees(t, h.key, next, 2), updates, pulse)
	for range 2 {
		if err := m.MayTalk(carol, noon); err != nil {
			t.Error(err)
		}
		if p := m.Partners(); len(p) != 1 || p[0].Directory.Len() != 1 || p[0].Contact != "sotto@clinic.example" {
			t.Errorf("%+v", p)
		}
		s, m = again(t, s, path)
	}
}

// TestPartnerIsNotHeard: its relay can hold back that somebody was removed, until the
// lease is over.
func TestPartnerIsNotHeard(t *testing.T) {
	h, c := newSide(t, hospital), newSide(t, clinic)
	s, m := joined(t, filepath.Join(t.TempDir(), "db"), h)
	updates, pulse := shows(t, c.key, 1, noon, person(carol, "referral"))
	update(t, s, func(tx *store.Tx) error {
		_, err := m.ApplyDirectory(tx, h.sign(person(alice))...)
		if err == nil {
			err = m.ApplyPartner(tx, agrees(t, h.key, c.key, 1), "")
		}
		if err == nil {
			_, err = m.ApplyPartnerDirectory(tx, clinic, updates...)
		}
		return err
	})
	if err := m.MayTalk(carol, noon); !errors.Is(err, ErrUnheard) {
		t.Errorf("before it was heard: %v", err)
	}
	update(t, s, func(tx *store.Tx) error { return m.FollowPartner(tx, clinic, pulse) })
	for after, want := range map[time.Duration]error{0: nil, policy.DefaultLease - time.Second: nil, policy.DefaultLease: ErrUnheard} {
		if err := m.MayTalk(carol, noon.Add(after)); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("after %v: %v, want %v", after, err, want)
		}
	}
}

// TestPartnersCurrent: the head tells what a relay leaves out of agreements, or shows
// although it was replaced.
func TestPartnersCurrent(t *testing.T) {
	h, c := newSide(t, hospital), newSide(t, clinic)
	s, m := joined(t, filepath.Join(t.TempDir(), "db"), h)
	first, second := agrees(t, h.key, c.key, 1), agrees(t, h.key, c.key, 2)
	end, err := partner.End(h.key, clinic, 1, noon, "")
	if err != nil {
		t.Fatal(err)
	}
	says := func(notes ...[]byte) {
		t.Helper()
		p := partner.New(h.key.Key)
		for i, n := range notes {
			err := error(nil)
			if i == 0 {
				_, err = p.Apply(n)
			} else {
				_, err = p.ApplyEnd(n)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		h.head.Partners = p.State()
		h.head.Number++
		note, err := h.head.Sign(h.key)
		if err != nil {
			t.Fatal(err)
		}
		update(t, s, func(tx *store.Tx) error { return m.Follow(tx, note) })
	}
	is := func(what string, want error) {
		t.Helper()
		if err := m.PartnersCurrent(); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	apply := func(note []byte) {
		t.Helper()
		update(t, s, func(tx *store.Tx) error { return m.ApplyPartner(tx, note, "") })
	}
	is("no partners", nil)
	says(first)
	is("the agreement is not shown", org.ErrGap)
	apply(first)
	is("it is shown", nil)
	says(first, end)
	is("its end is not shown", org.ErrGap)
	apply(end)
	is("its end is shown", nil)
	says(second)
	is("the next is not shown", org.ErrGap)
	apply(second)
	is("the next is shown", nil)
}
