package client

import (
	"bytes"
	"testing"
	"time"

	"sotto/client/audit"
	"sotto/client/org/order"
	"sotto/client/org/orgtest"
	"sotto/client/org/policy"
	"sotto/client/stanza"
)

// TestOrganisationIsLogged: what the organisation has said, and what was done of it.
func TestOrganisationIsLogged(t *testing.T) {
	s := command(t)
	s.start()
	l := keeps(t, s.c, "lease", "Okafor,", "Lind,", "Give 10 mg", "wrong patient")
	policyIs := func(serial uint64) {
		t.Helper()
		at := s.rules.At()
		l.leaves(audit.PolicyApplied, "ref=%s serial=%d", audit.IDOf(at.Hash.String()), serial)
	}
	policyIs(1)
	l.leaves(audit.DirectoryChanged, "by=%s count=2 serial=1", contact)

	s.policy(2, "lease = \"2d\"\n")
	s.sign(listed(lind, "Lind, Bo"))
	s.nudge()
	policyIs(2)
	l.leaves(audit.DirectoryChanged, "by=%s count=1 serial=2", contact)

	// A message is recalled by order.
	const id = "0b9f8f5c-91f2-4b0b-8a54-0f3d1e0d6c11"
	s.deliver(s.ada.write(s.c, id, "Give 10 mg"))
	l.leaves(audit.MessageReceived, "peer=%s device=%d message=%s", ada, s.ada.dev.ID(), id)
	l.leaves(audit.DeviceTrusted, "peer=%s device=%d reason=signed", ada, s.ada.dev.ID())
	x := s.order(order.Recall, func(x *order.Order) { x.Message.ID, x.Reason = id, "wrong patient" })
	s.nudge()
	s.acknowledged(x)
	ref := audit.IDOf(x.Hash().String())
	l.leaves(audit.OrderObeyed, "message=%s ref=%s reason=order-recall", id, ref)
	l.leaves(audit.MessageRecalled, "peer=%s message=%s ref=%s reason=by-order", ada, id, ref)

	// A device is taken out.
	s.sign(listed(ada, "Okafor, Ada"))
	s.nudge()
	l.leaves(audit.DirectoryChanged, "by=%s count=1 serial=3", contact)
	l.leaves(audit.DeviceDistrusted, "peer=%s device=%d reason=removed", ada, s.ada.dev.ID())
}

// TestRefusedStatementsAreLogged has a relay show what the organisation has not said, or
// not now: it says why in the log, once for each, however often it is shown.
func TestRefusedStatementsAreLogged(t *testing.T) {
	at := func(node, id string) string { return contact + " " + node + " " + id }
	head, rules, update := at(stanza.NodeHead, stanza.ItemCurrent), at(stanza.NodePolicy, stanza.ItemCurrent), at(stanza.NodeDirectory, "2")
	for what, x := range map[string]struct {
		place string
		edit  func(s *staffed, old map[string][]byte, note []byte) []byte
		kind  audit.Kind
		why   audit.Reason
	}{
		"a changed head": {head, func(s *staffed, _ map[string][]byte, note []byte) []byte {
			return bytes.Replace(note, []byte("orders: 1"), []byte("orders: 2"), 1)
		}, audit.DirectoryRefused, audit.BadSignature},
		"an old head":                   {head, func(_ *staffed, old map[string][]byte, _ []byte) []byte { return old["head"] }, audit.DirectoryRefused, audit.Older},
		"a policy in place of the head": {head, func(_ *staffed, old map[string][]byte, _ []byte) []byte { return old["policy"] }, audit.DirectoryRefused, audit.Malformed},
		"another head with the number": {head, func(s *staffed, _ map[string][]byte, _ []byte) []byte {
			h := s.head
			h.Number, h.Directory.Serial, h.Issued = 2, h.Directory.Serial+1, h.Issued.Add(time.Minute)
			note, _ := h.Sign(s.key)
			return note
		}, audit.DirectoryRefused, audit.Forked},
		"a head of changes of the key that there were not": {head, func(s *staffed, _ map[string][]byte, _ []byte) []byte {
			h := s.head
			h.Keys = 3
			note, _ := h.Sign(s.key)
			return note
		}, audit.DirectoryRefused, audit.Late},
		"a changed policy": {rules, func(_ *staffed, _ map[string][]byte, note []byte) []byte {
			return bytes.Replace(note, []byte(`"3d"`), []byte(`"9d"`), 1)
		}, audit.PolicyRefused, audit.BadSignature},
		"the first policy": {rules, func(_ *staffed, old map[string][]byte, _ []byte) []byte { return old["policy"] }, audit.PolicyRefused, audit.Older},
		"another policy with the serial": {rules, func(s *staffed, _ map[string][]byte, _ []byte) []byte {
			p, err := policy.New(mercyOrg, 2, time.Now(), "lease = \"90d\"\n")
			if err != nil {
				panic(err)
			}
			note, _ := p.Sign(s.key)
			return note
		}, audit.PolicyRefused, audit.Forked},
		"a changed update of the directory": {update, func(_ *staffed, _ map[string][]byte, note []byte) []byte {
			return bytes.Replace(note, []byte("state: active"), []byte("state: removed"), 1)
		}, audit.DirectoryRefused, audit.BadSignature},
	} {
		t.Run(what, func(t *testing.T) {
			s := staff(t)
			old := map[string][]byte{"head": s.note(stanza.NodeHead, stanza.ItemCurrent), "policy": s.note(stanza.NodePolicy, stanza.ItemCurrent)}
			s.policy(2, "lease = \"2d\"\n")
			s.beat()
			s.start()
			l := keeps(t, s.c, "lease", "orders: ", "Lind,")
			s.relay(func(place string, note []byte) []byte {
				if place == x.place {
					return x.edit(s, old, note)
				}
				return note
			})
			s.policy(3, "lease = \"3d\"\n")
			s.sign(listed(lind, "Lind, Bo"))
			s.beat()
			for range 3 {
				s.round()
			}
			l.leaves(x.kind, "reason=%s", x.why)
			for _, k := range []audit.Kind{audit.DirectoryRefused, audit.PolicyRefused, audit.OrderRefused} {
				if n := auditedAs(t, s.st, k, ""); k != x.kind && n != 0 {
					t.Errorf("the log has %d %s, too", n, k)
				}
			}
		})
	}
}

// TestRefusedOrdersAreLogged: one that somebody forged, and two with one number.
func TestRefusedOrdersAreLogged(t *testing.T) {
	s := command(t)
	s.start()
	l := keeps(t, s.c, "it was found", "another one")
	x := s.order(order.Recall, nil)
	forged, err := x.Sign(orgtest.New(mercyOrg, "thief"))
	if err != nil {
		t.Fatal(err)
	}
	genuine := s.note(stanza.NodeOrders, "1")
	s.put(stanza.NodeOrders, "1", forged)
	s.nudge()
	l.leaves(audit.OrderRefused, "reason=%s", audit.BadSignature)
	s.put(stanza.NodeOrders, "1", genuine)
	s.nudge()
	s.acknowledged(x)
	l.leaves(audit.OrderObeyed, "message=%s ref=%s reason=order-recall", audit.IDOf("m1"), audit.IDOf(x.Hash().String()))
	y := *x
	y.Reason = "another one"
	note, err := y.Sign(s.key)
	if err != nil {
		t.Fatal(err)
	}
	if err := ofRun(t, s.c, func() error { return s.c.takeOrder(1, note) }); err == nil {
		t.Error("two orders have one number")
	}
	l.leaves(audit.OrderRefused, "reason=%s", audit.Forked)
}
