package client

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/head"
	"sotto/client/org/order"
	"sotto/client/org/orgtest"
	"sotto/client/org/partner"
	"sotto/client/stanza"
)

// TestEndlessPartner: a partner's directory has no end. What the own organisation says
// comes before it.
func TestEndlessPartner(t *testing.T) {
	const clinic = "clinic.example"
	s := command(t)
	theirs := orgtest.New(clinic, "1")
	shown := directory.New(clinic, directory.ForPartner(mercyOrg))
	agreement := partner.Agreement{Proposer: s.key.Key, Partner: theirs.Key, Serial: 1, Issued: time.Now(), Expires: time.Now().AddDate(1, 0, 0),
		Opens: []partner.Opening{{Organisation: mercyOrg, Person: me}, {Organisation: clinic, Person: "carol@" + clinic}}}
	proposal, err := agreement.Propose(s.key)
	if err != nil {
		t.Fatal(err)
	}
	agreed, err := partner.Agree(proposal, s.key.Key, theirs.Key, theirs)
	if err != nil {
		t.Fatal(err)
	}
	theirHead, err := head.Head{For: mercyOrg, Number: 1, Issued: time.Now(), Orders: head.Orders{First: 1},
		Directory: head.Mark{Serial: 1 << 40, Hash: org.Hash{1}}}.Sign(theirs)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	served := 0
	notes := make(map[string][]byte)
	s.double.hook = func(iq *stanza.Element) *stanza.Element {
		items := iq.Child(stanza.NSPubSub, "pubsub").Child(stanza.NSPubSub, "items")
		node, id := items.Get("node"), items.Child(stanza.NSPubSub, "item").Get("id")
		if iq.Get("to") != "sotto@"+clinic {
			return s.answer(iq)
		}
		mu.Lock()
		defer mu.Unlock()
		var note []byte
		switch node {
		case stanza.NodeFor(mercyOrg, stanza.NodeHead):
			note = theirHead
		case stanza.NodeFor(mercyOrg, stanza.NodeDirectory):
			for note = notes[id]; note == nil && served < 100_000; note = notes[id] {
				served++
				more, err := shown.Sign(theirs, theirs.Key, time.Now(), listed(fmt.Sprintf("p%d@%s", served, clinic), "Carol"))
				if err != nil {
					t.Error(err)
					return nil
				}
				notes[stanza.NumberItem(shown.At().Serial)] = more[0]
			}
		}
		if note == nil {
			return stanza.ErrorReply(iq, "cancel", "item-not-found").With("from", iq.Get("to")).With("to", me+"/test")
		}
		item := stanza.New(stanza.NSPubSub, "item", stanza.Note(note)).With("id", id)
		return stanza.NewIQ("result", "", iq.Get("id"), stanza.New(stanza.NSPubSub, "pubsub",
			stanza.New(stanza.NSPubSub, "items", item).With("node", node))).With("from", iq.Get("to")).With("to", me+"/test")
	}
	s.start()
	s.put(stanza.NodePartners, stanza.PartnerItem(clinic), agreed)
	s.nudge()
	eventually(t, "the partner's directory comes", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return served > 20
	})
	s.sign(listed("new@"+mercyOrg, "New"))
	s.nudge()
	s.upToDate()
	x := s.order(order.Wipe, nil)
	s.nudge()
	s.acknowledged(x)
	if got := from(t, s.ordered, "order"); got.Number != x.Number {
		t.Errorf("%+v", got)
	}
}

// TestWithheldEndOfAnAgreement: the own relay does not show that an agreement was
// ended, or shows the one before. The head tells, and the person is told.
func TestWithheldEndOfAnAgreement(t *testing.T) {
	const clinic = "clinic.example"
	s := command(t)
	theirs := orgtest.New(clinic, "1")
	agree := func(serial uint64) []byte {
		a := partner.Agreement{Proposer: s.key.Key, Partner: theirs.Key, Serial: serial, Issued: time.Now(), Expires: time.Now().AddDate(1, 0, 0),
			Opens: []partner.Opening{{Organisation: mercyOrg, Person: me}, {Organisation: clinic, Person: "carol@" + clinic}}}
		proposal, err := a.Propose(s.key)
		if err != nil {
			t.Fatal(err)
		}
		agreed, err := partner.Agree(proposal, s.key.Key, theirs.Key, theirs)
		if err != nil {
			t.Fatal(err)
		}
		return agreed
	}
	book := partner.New(s.key.Key)
	puts := func(note []byte) {
		t.Helper()
		if _, err := book.Apply(note); err != nil {
			t.Fatal(err)
		}
		s.head.Partners = book.State()
		s.put(stanza.NodePartners, stanza.PartnerItem(clinic), note)
	}
	s.start()
	puts(agree(1))
	s.nudge()
	s.upToDate()
	s.round()
	if o := s.c.Organisation(); len(o.Partners) != 1 || !o.Withheld.Empty() {
		t.Fatalf("%+v", o)
	}
	end, err := partner.End(s.key, clinic, 1, time.Now(), "over")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := book.ApplyEnd(end); err != nil {
		t.Fatal(err)
	}
	s.head.Partners = book.State()
	s.nudge()
	s.upToDate()
	for range withheldAfter {
		s.round()
	}
	s.says("what was agreed with partners")
	if o := s.c.Organisation(); o.Withheld.Empty() {
		t.Errorf("nothing is said: %+v", o)
	}
	s.put(stanza.NodePartners, stanza.PartnerEndItem(clinic), end)
	s.round()
	if o := s.c.Organisation(); len(o.Partners) != 0 || !o.Withheld.Empty() {
		t.Errorf("with an honest relay: %+v", o)
	}
	old := s.note(stanza.NodePartners, stanza.PartnerItem(clinic))
	puts(agree(2))
	s.put(stanza.NodePartners, stanza.PartnerItem(clinic), old) // and shows the one before
	s.nudge()
	s.upToDate()
	for range withheldAfter {
		s.round()
	}
	if o := s.c.Organisation(); len(o.Partners) != 0 || o.Withheld.Empty() {
		t.Errorf("an agreement that is over is played back: %+v", o)
	}
}
