package partner_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/orgtest"
	"sotto/client/org/partner"
)

var (
	hospital = orgtest.New("hospital.example", "1")
	clinic   = orgtest.New("clinic.example", "1")
	third    = orgtest.New("third.example", "1")
	year     = 365 * 24 * time.Hour
)

func agreement(serial uint64) *partner.Agreement {
	return &partner.Agreement{Proposer: hospital.Key, Partner: clinic.Key, Serial: serial, Issued: orgtest.Noon, Expires: orgtest.Noon.Add(year),
		Opens: []partner.Opening{
			{Organisation: "hospital.example", Role: "cardiology"},
			{Organisation: "hospital.example", Person: "alice@hospital.example"},
			{Organisation: "clinic.example", Role: "referral"},
		}}
}

func propose(t testing.TB, a *partner.Agreement) []byte {
	t.Helper()
	b, err := a.Propose(hospital)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func agreed(t testing.TB, a *partner.Agreement) []byte {
	t.Helper()
	b, err := partner.Agree(propose(t, a), hospital.Key, clinic.Key, clinic)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func entry(address string, state directory.State, roles ...string) *directory.Entry {
	return &directory.Entry{Address: address, Name: address, State: state, Roles: roles}
}

func TestAgreement(t *testing.T) {
	b := agreed(t, agreement(3))
	alice := entry("alice@hospital.example", directory.Active)
	carol := entry("carol@hospital.example", directory.Active, "cardiology")
	bob := entry("bob@hospital.example", directory.Active, "nurse")
	left := entry("dave@hospital.example", directory.Suspended, "cardiology")
	ref := entry("ref@clinic.example", directory.Active, "referral")
	other := entry("other@clinic.example", directory.Active, "cardiology")
	posing := entry("alice@hospital.example", directory.Active)
	for _, own := range []*orgtest.Key{hospital, clinic} {
		p := partner.New(own.Key)
		if err := p.Allows(alice, "clinic.example", ref, orgtest.Noon); !errors.Is(err, partner.ErrNone) {
			t.Errorf("before: %v", err)
		}
		if a, err := p.Apply(b); err != nil || a.Serial != 3 || len(a.Opens) != 3 {
			t.Fatalf("%+v, %v", a, err)
		}
		for _, c := range []struct {
			what         string
			ours, theirs *directory.Entry
			at           time.Duration
			want         error
		}{
			{"a person and a role", alice, ref, 0, nil},
			{"two roles", carol, ref, 0, nil},
			{"who is not opened", bob, ref, 0, partner.ErrClosed},
			{"who is suspended", left, ref, 0, partner.ErrClosed},
			{"a role that only the other opens", alice, other, 0, partner.ErrClosed},
			{"somebody with our address in their directory", carol, posing, 0, partner.ErrClosed},
			{"afterwards", alice, ref, year + 1, partner.ErrExpired},
		} {
			ours, theirs, with := c.ours, c.theirs, "clinic.example"
			if own == clinic {
				ours, theirs, with = c.theirs, c.ours, "hospital.example"
			}
			if err := p.Allows(ours, with, theirs, orgtest.Noon.Add(c.at)); !errors.Is(err, c.want) {
				t.Errorf("%s, %s: %v, want %v", own.Name(), c.what, err, c.want)
			}
		}
	}
}

// TestHostile is what a relay can do with agreements, and a third organisation.
func TestHostile(t *testing.T) {
	proposal, b := propose(t, agreement(3)), agreed(t, agreement(3))
	orgtest.Tamper(t, b, func(b []byte) error { _, err := partner.New(hospital.Key).Apply(b); return err })
	orgtest.Tamper(t, proposal, func(b []byte) error { _, err := partner.OpenProposal(b, hospital.Key, clinic.Key); return err })
	if _, err := partner.New(clinic.Key).Apply(proposal); !errors.Is(err, org.ErrSignature) {
		t.Errorf("signed by one only: %v", err)
	}
	if _, err := partner.New(third.Key).Apply(b); !errors.Is(err, org.ErrSignature) {
		t.Errorf("between others: %v", err)
	}
	if _, err := partner.Agree(proposal, hospital.Key, third.Key, third); err == nil {
		t.Error("agreed to another's proposal")
	}
	if _, err := partner.Agree(proposal, third.Key, clinic.Key, clinic); err == nil {
		t.Error("agreed to a proposal of somebody else than thought")
	}
	// A proposal that names the thief's key as the partner's: the hospital has not
	// signed with it, so the clinic's people never see it.
	thief := orgtest.New("clinic.example", "thief")
	forged := agreement(4)
	forged.Partner = thief.Key
	if b, err := forged.Propose(hospital); err != nil {
		t.Fatal(err)
	} else if _, err := partner.Agree(b, hospital.Key, clinic.Key, clinic); err == nil {
		t.Error("agreed to what another key is to sign")
	}

	// What is proposed is between the keys that it was thought to be between.
	if b, err := forged.Propose(hospital); err != nil {
		t.Fatal(err)
	} else if _, err := partner.OpenProposal(b, hospital.Key, clinic.Key); !errors.Is(err, org.ErrSignature) {
		t.Errorf("to another key: %v", err)
	}

	p := partner.New(hospital.Key)
	if _, err := p.Apply(b); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Apply(b); err != nil {
		t.Errorf("again: %v", err)
	}
	same := agreement(3)
	same.Opens = same.Opens[:1]
	for _, c := range []struct {
		what string
		note []byte
		want error
	}{{"an older one", agreed(t, agreement(2)), org.ErrRollback}, {"two of one serial", agreed(t, same), org.ErrFork}} {
		if _, err := p.Apply(c.note); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
}

func TestEnd(t *testing.T) {
	alice, ref := entry("alice@hospital.example", directory.Active), entry("ref@clinic.example", directory.Active, "referral")
	end := func(by *orgtest.Key, with string, serial uint64) []byte {
		b, err := partner.End(by, with, serial, orgtest.Noon, "it is over")
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, by := range []*orgtest.Key{hospital, clinic} {
		with := "clinic.example"
		if by == clinic {
			with = "hospital.example"
		}
		p := partner.New(hospital.Key)
		if _, err := p.Apply(agreed(t, agreement(3))); err != nil {
			t.Fatal(err)
		}
		b := end(by, with, 3)
		orgtest.Tamper(t, b, func(b []byte) error { _, err := p.ApplyEnd(b); return err })
		for range 2 {
			if name, err := p.ApplyEnd(b); err != nil || name != "clinic.example" {
				t.Fatalf("by %s: %s, %v", by.Name(), name, err)
			}
		}
		if err := p.Allows(alice, "clinic.example", ref, orgtest.Noon); !errors.Is(err, partner.ErrEnded) {
			t.Errorf("by %s: %v", by.Name(), err)
		}
		if _, err := p.Apply(agreed(t, agreement(3))); !errors.Is(err, org.ErrRollback) {
			t.Errorf("played back after the end: %v", err)
		}
		again := partner.New(hospital.Key)
		for _, b := range p.Notes() {
			if s, err := org.Peek(b); err != nil {
				t.Fatal(err)
			} else if s.Kind == org.KindPartner {
				_, err = again.Apply(b)
				if err != nil {
					t.Fatal(err)
				}
			} else if _, err := again.ApplyEnd(b); err != nil {
				t.Fatal(err)
			}
		}
		if err := again.Allows(alice, "clinic.example", ref, orgtest.Noon); !errors.Is(err, partner.ErrEnded) {
			t.Errorf("after a start: %v", err)
		}
		if _, err := p.Apply(agreed(t, agreement(4))); err != nil {
			t.Errorf("a new one: %v", err)
		}
		if err := p.Allows(alice, "clinic.example", ref, orgtest.Noon); err != nil {
			t.Errorf("a new one: %v", err)
		}
	}
	p := partner.New(hospital.Key)
	if _, err := p.Apply(agreed(t, agreement(3))); err != nil {
		t.Fatal(err)
	}
	for what, b := range map[string][]byte{
		"by a third":                      end(third, "clinic.example", 3),
		"by the partner, with another":    end(clinic, "third.example", 3),
		"by another key with his name":    end(orgtest.New("clinic.example", "thief"), "hospital.example", 3),
		"by another key with our name":    end(orgtest.New("hospital.example", "thief"), "clinic.example", 3),
		"a proposal instead of an ending": propose(t, agreement(5)),
	} {
		if _, err := p.ApplyEnd(b); err == nil {
			t.Errorf("ended %s", what)
		}
	}
	if err := p.Allows(alice, "clinic.example", ref, orgtest.Noon); err != nil {
		t.Error(err)
	}
}

func TestProposeRefuses(t *testing.T) {
	for what, change := range map[string]func(a *partner.Agreement){
		"nobody of the two":   func(a *partner.Agreement) { a.Opens[0].Organisation = "third.example" },
		"no role":             func(a *partner.Agreement) { a.Opens[0].Role = "On Call" },
		"no address":          func(a *partner.Agreement) { a.Opens[1].Person = "alice" },
		"twice":               func(a *partner.Agreement) { a.Opens[1] = a.Opens[0] },
		"with itself":         func(a *partner.Agreement) { a.Partner = orgtest.New("hospital.example", "2").Key },
		"no serial":           func(a *partner.Agreement) { a.Serial = 0 },
		"for ever":            func(a *partner.Agreement) { a.Expires = a.Issued.Add(10 * year) },
		"over before it is":   func(a *partner.Agreement) { a.Expires = a.Issued },
		"with a device's key": func(a *partner.Agreement) { a.Partner = orgtest.New("device-1", "").Key },
	} {
		a := agreement(3)
		change(a)
		if b, err := a.Propose(hospital); err == nil {
			t.Errorf("%s: proposed: %s", what, b)
		}
	}
}

func FuzzPartner(f *testing.F) {
	for _, b := range [][]byte{agreed(f, agreement(3)), propose(f, agreement(3))} {
		s, _ := org.Peek(b)
		f.Add(s.Text)
	}
	b, _ := partner.End(clinic, "hospital.example", 3, orgtest.Noon, "over")
	s, _ := org.Peek(b)
	f.Add(s.Text)
	known := agreed(f, agreement(3))
	f.Fuzz(func(t *testing.T, text string) {
		both, err := note.Sign(&note.Note{Text: strings.TrimRight(text, "\n") + "\n"}, hospital, clinic)
		if err != nil {
			return
		}
		p := partner.New(hospital.Key)
		if a, err := p.Apply(both); err == nil {
			if err := p.Allows(entry("alice@hospital.example", directory.Active), a.Other(hospital.Key).Name(), entry("x@clinic.example", directory.Removed, "referral"), orgtest.Noon); err == nil {
				t.Error("somebody who has left is let in")
			}
		}
		p = partner.New(hospital.Key)
		if _, err := p.Apply(known); err != nil {
			t.Fatal(err)
		}
		if one, err := org.Seal(text, clinic); err == nil {
			_, _ = p.ApplyEnd(one)
			_, _ = partner.OpenProposal(one, clinic.Key, hospital.Key)
		}
	})
}

// TestEndBeforeTheAgreement: who shows them in another order gains nothing, and what is
// known in the end is the same.
func TestEndBeforeTheAgreement(t *testing.T) {
	first, second := agreed(t, agreement(1)), agreed(t, agreement(2))
	end, err := partner.End(hospital, "clinic.example", 2, orgtest.Noon, "")
	if err != nil {
		t.Fatal(err)
	}
	want := partner.New(hospital.Key)
	for _, n := range [][]byte{first, second} {
		if _, err := want.Apply(n); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := want.ApplyEnd(end); err != nil {
		t.Fatal(err)
	}
	for _, before := range [][][]byte{nil, {first}} {
		p := partner.New(hospital.Key)
		for _, n := range before {
			if _, err := p.Apply(n); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := p.ApplyEnd(end); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := p.Apply(second); !errors.Is(err, org.ErrRollback) {
				t.Errorf("an agreement that was ended: %v", err)
			}
		}
		if p.State() != want.State() {
			t.Error("the state is another")
		}
		if err := p.InForce("clinic.example", orgtest.Noon); !errors.Is(err, partner.ErrEnded) {
			t.Errorf("in force: %v", err)
		}
	}
}
