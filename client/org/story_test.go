package org_test

import (
	"errors"
	"testing"
	"time"

	"sotto/client/omemo/ratchet"
	"sotto/client/org"
	"sotto/client/org/directory"
	"sotto/client/org/head"
	"sotto/client/org/invitation"
	"sotto/client/org/order"
	"sotto/client/org/orgtest"
	"sotto/client/org/policy"
	"sotto/client/org/signer"
)

// TestHospital plays a small hospital through all packages, with real keys: it is
// founded, invites somebody, who joins from nothing but code and PIN, changes its
// policy and its key, and wipes the device, which proves that it was the one.
func TestHospital(t *testing.T) {
	now := orgtest.Noon
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	// Founding.
	key, err := signer.Generate(name)
	must(err)
	staff := directory.New(name, directory.Staff)
	rules, err := policy.New(name, 1, now, "lock-after = \"1m\"\nlease = \"1d\"\n")
	must(err)
	rulesNote, err := rules.Sign(key)
	must(err)
	book := invitation.NewBook(org.NewAnchor(key.Public(), 0))
	code, pin, issued, err := book.Issue(invitation.Person{Address: "alice@hospital.example", Name: "Alice Meier", Roles: []string{"physician"}},
		"sotto@hospital.example", "", invitation.Terms{}, now, now.Add(24*time.Hour))
	must(err)
	issued.Destroy()
	given := code.Append(nil)

	// Joining, on another machine: the code and the PIN are all there is.
	got, err := invitation.ParseCode(given)
	must(err)
	keys, err := got.Keys(pin.Bytes())
	must(err)
	pin.Destroy()
	laptop, err := signer.GenerateDevice(31415)
	must(err)
	var omemo ratchet.KeyPair
	ratchet.GenerateKey(&omemo)
	fingerprint := [32]byte(omemo.Public)
	request, sent, err := keys.Request(got, name, directory.Device{ID: 31415, Fingerprint: fingerprint, Signing: laptop.Public(), Added: now}, laptop,
		func(message []byte) ([ratchet.SignatureSize]byte, error) {
			return ratchet.Sign(&omemo.Private, message), nil
		})
	must(err)
	keys.Destroy()

	// The administrator's side.
	admission, err := book.Receive(request, now)
	must(err)
	updates, err := staff.Sign(key, key.Public(), now, admission.Entry(staff, now))
	must(err)
	answer, err := admission.Answer.Sign(key)
	must(err)
	pulse := head.Head{Number: 1, Issued: now, Directory: staff.At(), Policy: rules.At(), Orders: head.Orders{First: 1}}
	pulseNote, err := pulse.Sign(key)
	must(err)

	// The device takes it from there.
	welcome, err := invitation.OpenAnswer(answer, got, sent)
	must(err)
	if welcome.Verdict != invitation.Welcome {
		t.Fatal(welcome.Verdict.Words())
	}
	trust := welcome.Anchor
	var heard head.Head
	heard, err = heard.Follow(pulseNote, trust.Key)
	must(err)
	mine := directory.New(name, directory.Staff)
	_, err = mine.Apply(updates[0], trust.Key)
	must(err)
	must(heard.Directory.Against("directory", mine.At()))
	var inForce *policy.Policy
	inForce, err = inForce.Follow(rulesNote, trust.Key)
	must(err)
	must(heard.Policy.Against("policy", inForce.At()))
	if !mine.Vouched("alice@hospital.example", 31415, fingerprint) {
		t.Fatal("the device is not in the directory")
	}
	me, _ := mine.Entry("alice@hospital.example")
	ledger := order.NewLedger(me.Device(31415).Added)

	// A stricter policy, which the relay holds back; the head tells.
	stricter, err := policy.New(name, 2, now.Add(time.Hour), "lock-after = \"30s\"\nlease = \"1d\"\n")
	must(err)
	strictNote, err := stricter.Sign(key)
	must(err)
	pulse.Number, pulse.Issued, pulse.Policy = 2, now.Add(time.Hour), stricter.At()
	pulseNote, err = pulse.Sign(key)
	must(err)
	heard, err = heard.Follow(pulseNote, trust.Key)
	must(err)
	if err := heard.Policy.Against("policy", inForce.At()); !errors.Is(err, org.ErrGap) {
		t.Errorf("a policy was held back: %v", err)
	}
	inForce, err = inForce.Follow(strictNote, trust.Key)
	must(err)
	if got := policy.Find(policy.Merge(inForce, map[string]policy.Value{"lock-after": policy.Time(time.Hour)}), "lock-after").Duration(); got != 30*time.Second {
		t.Errorf("lock-after is %v", got)
	}
	if standing, _ := inForce.Stands(policy.Times{Complete: heard.Issued, Heard: heard.Issued, Now: now.Add(26 * time.Hour), Latest: now}); standing != policy.Lost {
		t.Errorf("a day without a word: %v", standing)
	}

	// Another key. What the old one signs counts no more.
	next, err := signer.Generate(name)
	must(err)
	rotation, err := org.Rotation{Number: 1, Issued: now.Add(2 * time.Hour), From: key.Public(), To: next.Public()}.Sign(key, next)
	must(err)
	trust, err = trust.Follow(rotation)
	must(err)
	parts, err := staff.Snapshot(next, now.Add(2*time.Hour))
	must(err)
	_, err = mine.Load(parts, trust.Key)
	must(err)
	wipe := &order.Order{Number: 1, Issued: now.Add(3 * time.Hour), Expires: now.Add(1000 * time.Hour), Do: order.Wipe,
		For: order.Target{Person: "alice@hospital.example", Device: 31415}}
	old, err := wipe.Sign(key)
	must(err)
	self := order.Self{Address: "alice@hospital.example", Device: 31415}
	if _, err := ledger.Receive(old, trust.Key, self, heard.Issued, now); !errors.Is(err, org.ErrSignature) {
		t.Errorf("by the old key: %v", err)
	}
	wipeNote, err := wipe.Sign(next)
	must(err)

	// The wipe, acknowledged by the locked device's link.
	link, err := signer.GenerateDevice(31415)
	must(err)
	target := order.Target{Person: "alice@hospital.example", Device: 31415}
	delegation := &order.Delegation{Device: target, To: link.Public(), Issued: now, Expires: now.Add(24 * time.Hour)}
	delegationNote, err := delegation.Sign(name, laptop)
	must(err)
	obeyed, err := ledger.Receive(wipeNote, trust.Key, self, heard.Issued, now.Add(4*time.Hour))
	must(err)
	acknowledgement := obeyed.Acknowledge(self, order.Obeyed, now.Add(4*time.Hour), "")
	acknowledged, err := acknowledgement.Sign(name, link)
	must(err)
	entry, _ := staff.Entry("alice@hospital.example")
	a, err := order.OpenAcknowledgement(acknowledged, wipe, name, target, entry.Device(31415).Signing, delegationNote)
	must(err)
	if a.Result != order.Obeyed {
		t.Errorf("%+v", a)
	}
}
