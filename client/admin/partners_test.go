package admin

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/head"
	"sotto/client/org/partner"
)

// TestPartners: two organisations agree, each shows the other whom the agreement opens
// and nobody else, and either ends it.
func TestPartners(t *testing.T) {
	hospital, clinic := found(t, database(t)), func() *Organisation {
		d, _ := device(t, 9)
		o, err := Found(t.Context(), database(t), Founding{Name: "clinic.example", Contact: "sotto@clinic.example", Device: d})
		if err != nil {
			t.Fatal(err)
		}
		return o
	}()
	admit(t, hospital, "alice", 5, "cardiology")
	admit(t, hospital, "bob", 6)
	opens := []partner.Opening{{Organisation: "hospital.example", Role: "cardiology"}, {Organisation: "clinic.example", Person: "sotto@clinic.example"}}
	proposal, err := hospital.Propose(t.Context(), Proposal{With: clinic.Anchor().Key, Opens: opens})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hospital.Accept(t.Context(), proposal, ""); err == nil {
		t.Error("a proposal of one's own is accepted")
	}
	tampered := []byte(strings.Replace(string(proposal), "role cardiology", "role nurse", 1))
	if _, err := clinic.Accept(t.Context(), tampered, ""); err == nil {
		t.Error("a proposal that was changed is accepted")
	}
	note, err := clinic.Accept(t.Context(), proposal, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hospital.Accept(t.Context(), note, ""); err != nil {
		t.Fatal(err)
	}
	c := newCarrier()
	settle(t, hospital, c)
	shown := directory.New("hospital.example", directory.ForPartner("clinic.example"))
	follow := func() {
		t.Helper()
		h, err := (head.Head{For: "clinic.example"}).Follow(c.items["for:clinic.example:head/current"], hospital.Anchor().Key)
		if err != nil {
			t.Fatal(err)
		}
		for shown.At().Serial < h.Directory.Serial {
			if _, err := shown.Apply(c.items[fmt.Sprintf("for:clinic.example:directory/%d", shown.At().Serial+1)], hospital.Anchor().Key); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.Directory.Against("directory", shown.At()); err != nil {
			t.Fatal(err)
		}
	}
	follow()
	if len(shown.All()) != 1 || shown.Member("alice@hospital.example") != nil {
		t.Errorf("shown: %+v", shown.All())
	}
	if _, err := hospital.Change(t.Context(), "bob@hospital.example", func(e *directory.Entry) { e.Roles = []string{"cardiology"} }); err != nil {
		t.Fatal(err)
	}
	if _, err := hospital.Change(t.Context(), "alice@hospital.example", func(e *directory.Entry) { e.Roles = nil }); err != nil {
		t.Fatal(err)
	}
	settle(t, hospital, c)
	follow()
	if shown.Member("bob@hospital.example") != nil || !errors.Is(shown.Member("alice@hospital.example"), directory.ErrRemoved) {
		t.Errorf("shown: %+v", shown.All())
	}
	again, err := Open(t.Context(), hospital.st)
	if err != nil {
		t.Fatal(err)
	}
	end, err := again.EndPartner(t.Context(), "clinic.example", "it is over")
	if err != nil {
		t.Fatal(err)
	}
	settle(t, again, c)
	follow()
	if !errors.Is(shown.Member("bob@hospital.example"), directory.ErrRemoved) {
		t.Errorf("shown: %+v", shown.All())
	}
	if err := clinic.AcceptEnd(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	if list, err := clinic.Partners(t.Context()); err != nil || len(list) != 1 || !list[0].Ended {
		t.Errorf("%+v, %v", list, err)
	}
	// Serials go on, whatever became of what was proposed, and with another key.
	proposes := func(serial string) []byte {
		t.Helper()
		next, err := hospital.Propose(t.Context(), Proposal{With: clinic.Anchor().Key, Opens: opens})
		if err != nil || !strings.Contains(string(next), "serial: "+serial+"\n") {
			t.Errorf("%s, %v, and not serial %s", next, err, serial)
		}
		return next
	}
	proposes("2")
	if _, err := hospital.Rotate(t.Context(), "once a year"); err != nil {
		t.Fatal(err)
	}
	if note, err = clinic.Accept(t.Context(), proposes("3"), ""); err != nil {
		t.Fatal(err)
	}
	// The clinic's book is read with it, though what has ended the agreement before
	// was signed with a key that does not count any more.
	if clinic, err = Open(t.Context(), clinic.st); err != nil {
		t.Fatal(err)
	}
	if list, err := clinic.Partners(t.Context()); err != nil || len(list) != 1 || list[0].Ended || list[0].Serial != 3 {
		t.Errorf("%+v, %v", list, err)
	}
	if err := clinic.AcceptEnd(t.Context(), end); err == nil {
		t.Error("an end that the old key has signed is taken")
	}
	if _, _, err := clinic.ReadEnd(t.Context(), end); !errors.Is(err, org.ErrRollback) {
		t.Errorf("an end of an earlier agreement: %v", err)
	}
	if _, err := hospital.Accept(t.Context(), note, ""); err != nil {
		t.Fatal(err)
	}
	proposes("4")
}
