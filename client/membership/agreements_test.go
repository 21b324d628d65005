package membership

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/head"
	"sotto/client/org/partner"
	"sotto/client/store"
)

// TestPartners opens one person of each side to the other, and ends it.
func TestPartners(t *testing.T) {
	h, c := newSide(t, hospital), newSide(t, clinic)
	path := filepath.Join(t.TempDir(), "db")
	s, m := joined(t, path, h)
	a := partner.Agreement{Proposer: h.key.Key, Partner: c.key.Key, Serial: 1, Issued: noon, Expires: noon.AddDate(1, 0, 0),
		Opens: []partner.Opening{{Organisation: hospital, Person: alice}, {Organisation: clinic, Role: "referral"}}}
	proposal, err := a.Propose(h.key)
	if err != nil {
		t.Fatal(err)
	}
	agreed, err := partner.Agree(proposal, h.key.Key, c.key.Key, c.key)
	if err != nil {
		t.Fatal(err)
	}
	shown := directory.New(clinic, directory.ForPartner(hospital))
	var updates [][]byte
	show := func(entries ...directory.Entry) [][]byte {
		t.Helper()
		notes, err := shown.Sign(c.key, c.key.Key, noon, entries...)
		if err != nil {
			t.Fatal(err)
		}
		updates = append(updates, notes...)
		return notes
	}
	show(person(carol, "referral"), person("cook@clinic.example", "kitchen"))
	pulse, err := head.Head{For: hospital, Number: 1, Issued: noon, Directory: shown.At(), Orders: head.Orders{First: 1}}.Sign(c.key)
	if err != nil {
		t.Fatal(err)
	}
	update(t, s, func(tx *store.Tx) error {
		if _, err := m.ApplyDirectory(tx, h.sign(person(alice), person(bob))...); err != nil {
			return err
		}
		if err := m.FollowPartner(tx, clinic, pulse); !errors.Is(err, ErrNoPartner) {
			t.Errorf("before there is an agreement: %v", err)
		}
		if err := m.ApplyPartner(tx, agreed, "sotto@clinic.example"); err != nil {
			return err
		}
		if err := m.FollowPartner(tx, clinic, pulse); err != nil {
			return err
		}
		if err := m.Follow(tx, pulse); !errors.Is(err, org.ErrSignature) {
			t.Errorf("a partner's head for the own one: %v", err)
		}
		_, err := m.ApplyPartnerDirectory(tx, clinic, updates...)
		return err
	})
	check := func(what string, address string, want error) {
		t.Helper()
		if err := m.MayTalk(address, noon); !errors.Is(err, want) || (want == nil) != (err == nil) {
			t.Errorf("%s: %s: %v, want %v", what, address, err, want)
		}
	}
	for range 2 {
		check("open", carol, nil)
		check("not opened", "cook@clinic.example", partner.ErrClosed)
		check("unknown", "dan@clinic.example", directory.ErrStranger)
		if !m.Vouched(carol, uint32(len(carol)), org.HashOf(carol)) {
			t.Error("the partner's device is not vouched for")
		}
		if p := m.Partners(); len(p) != 1 || p[0].Name != clinic || p[0].Contact != "sotto@clinic.example" || p[0].Head.Directory != shown.At() || p[0].Directory.Len() != 2 {
			t.Errorf("partners: %+v", p)
		}
		if p, err := m.Find(carol); err != nil || p.Partner != clinic {
			t.Errorf("%+v, %v", p, err)
		}
		s, m = again(t, s, path)
	}
	if err := m.MayTalk(carol, a.Expires.Add(time.Second)); !errors.Is(err, partner.ErrExpired) {
		t.Errorf("after its end: %v", err)
	}

	// Who has left the partner, or is suspended there, is said so: not that the
	// agreement does not open them.
	gone, idle := person("eva@clinic.example", "referral"), person("fay@clinic.example", "referral")
	update(t, s, func(tx *store.Tx) error {
		_, err := m.ApplyPartnerDirectory(tx, clinic, show(gone, idle)...)
		return err
	})
	check("open", gone.Address, nil)
	check("open", idle.Address, nil)
	gone.State, gone.Devices, idle.State = directory.Removed, nil, directory.Suspended
	update(t, s, func(tx *store.Tx) error {
		_, err := m.ApplyPartnerDirectory(tx, clinic, show(gone, idle)...)
		return err
	})
	for range 2 {
		check("removed", gone.Address, directory.ErrRemoved)
		check("suspended", idle.Address, directory.ErrSuspended)
		s, m = again(t, s, path)
	}
	if err := m.MayTalk(gone.Address, noon); err == nil || err.Error() != gone.Name+" of "+clinic+" has left" {
		t.Errorf("%v", err)
	}

	// A second partner that lists the same person makes it nobody's.
	l := newSide(t, "lab.example")
	b := partner.Agreement{Proposer: l.key.Key, Partner: h.key.Key, Serial: 1, Issued: noon, Expires: noon.AddDate(1, 0, 0),
		Opens: []partner.Opening{{Organisation: hospital, Person: alice}, {Organisation: "lab.example", Role: "referral"}}}
	if proposal, err = b.Propose(l.key); err != nil {
		t.Fatal(err)
	}
	other, err := partner.Agree(proposal, l.key.Key, h.key.Key, h.key)
	if err != nil {
		t.Fatal(err)
	}
	fake := person(carol, "referral")
	fake.Devices[0].Fingerprint = org.HashOf("lab")
	lab := directory.New("lab.example", directory.ForPartner(hospital))
	notes, err := lab.Sign(l.key, l.key.Key, noon, fake)
	if err != nil {
		t.Fatal(err)
	}
	update(t, s, func(tx *store.Tx) error {
		if err := m.ApplyPartner(tx, other, ""); err != nil {
			return err
		}
		_, err := m.ApplyPartnerDirectory(tx, "lab.example", notes...)
		return err
	})
	check("listed twice", carol, ErrTwice)
	if m.Vouched(carol, uint32(len(carol)), org.HashOf("lab")) {
		t.Error("one partner vouches for another's person")
	}
	end, err := partner.End(h.key, "lab.example", 1, noon, "")
	if err != nil {
		t.Fatal(err)
	}
	update(t, s, func(tx *store.Tx) error { return m.ApplyPartner(tx, end, "") })
	check("listed once", carol, nil)

	if end, err = partner.End(c.key, hospital, 1, noon, "over"); err != nil {
		t.Fatal(err)
	}
	update(t, s, func(tx *store.Tx) error { return m.ApplyPartner(tx, end, "") })
	for range 2 {
		check("ended", carol, directory.ErrStranger)
		if err := s.Update(context.Background(), func(tx *store.Tx) error { return m.ApplyPartner(tx, agreed, "") }); !errors.Is(err, org.ErrRollback) {
			t.Errorf("the agreement is played back: %v", err)
		}
		s, m = again(t, s, path)
	}
}
