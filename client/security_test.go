package client

import (
	"strings"
	"testing"

	"sotto/client/omemo"
	"sotto/client/stanza"
	"sotto/client/store"
)

// TestTrustSurvivesAnotherKey has a relay offer another key for a compared
// device, and the device come with its own again.
func TestTrustSurvivesAnotherKey(t *testing.T) {
	c, d, r := talking(t)
	a := omemo.Address{JID: ada, Device: r.dev.ID()}
	trust := func() store.Trust {
		var x store.Trust
		if err := c.store.View(ctx, func(tx *store.Tx) (err error) { x, err = trustIn(tx, a); return err }); err != nil {
			t.Fatal(err)
		}
		return x
	}
	if err := c.Trust(ctx, ada, r.dev.Fingerprint(), store.Verified); err != nil {
		t.Fatal(err)
	}
	var other omemo.Bundle
	evil := newRemote(t, nil, ada)
	evil.do(func(tx *store.Tx) (err error) { other, err = evil.dev.Bundle(tx); return err })
	c.call(func() { c.gotBundle(a, other, toSend) })
	wait(t, c, func(x NoticeEvent) bool { return strings.Contains(x.Text.String(), "changed its key") })
	if trust() != store.Undecided {
		t.Errorf("trust in the other key is %v", trust())
	}
	d.deliver(r.write(c, "m1", "it is me"))
	wait(t, c, func(x MessageAdded) bool { return x.Message.Body.String() == "it is me" && !x.Message.Untrusted })
	if trust() != store.Verified {
		t.Errorf("trust in the own key is %v", trust())
	}
}

// TestUntrustedIsMarked has a relay start a session as a device of ada's that
// nobody has compared.
func TestUntrustedIsMarked(t *testing.T) {
	c, d, _ := talking(t)
	evil := newRemote(t, nil, ada)
	evil.start(d, c)
	d.deliver(evil.write(c, "e1", "give 100 mg"))
	wait(t, c, func(x MessageAdded) bool { return x.Message.Body.String() == "give 100 mg" && x.Message.Untrusted })
	for _, m := range messages(t, c, ada) {
		if m.Kind == store.Text && m.Untrusted != (m.Body.String() == "give 100 mg") {
			t.Errorf("%q: untrusted %v", m.Body, m.Untrusted)
		}
	}
}

// TestFlappingDeviceLists has a relay name ever new devices.
func TestFlappingDeviceLists(t *testing.T) {
	c, d, r := talking(t)
	event := func(ids ...uint32) *stanza.Element {
		return stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSPubSubEvent, "event", stanza.New(stanza.NSPubSubEvent, "items",
			stanza.New(stanza.NSPubSubEvent, "item", stanza.DeviceList(ids)).With("id", "current")).With("node", stanza.NodeDevices))).With("from", ada)
	}
	for i := range 20 {
		ids := []uint32{r.dev.ID()}
		for j := range 200 {
			ids = append(ids, uint32(1000000+1000*i+j))
		}
		d.deliver(event(ids...))
		d.deliver(event(r.dev.ID()))
	}
	// One that is longer than any list may be: what is known stays.
	var giant []uint32
	for i := range stanza.MaxDevices + 1 {
		giant = append(giant, uint32(i+1))
	}
	d.deliver(event(giant...))
	d.deliver(r.write(c, "m1", "still here"))
	wait(t, c, func(x MessageAdded) bool { return x.Message.Body.String() == "still here" })
	devices, err := c.Devices(ctx, ada)
	if err != nil || len(devices) > store.MaxDevices {
		t.Errorf("%d devices, %v", len(devices), err)
	}
	for _, x := range devices {
		if own := x.ID == r.dev.ID(); x.Active != own || (x.Trust == store.FirstUse) != own {
			t.Fatalf("%+v", x)
		}
	}
	notices := 0
	for _, m := range messages(t, c, ada) {
		if m.Kind == store.Notice {
			notices++
		}
	}
	if notices > maxWarnings {
		t.Errorf("%d lines of warning", notices)
	}
}

func TestSecurityWords(t *testing.T) {
	device := func(id uint32, trust store.Trust) store.PeerDevice {
		return store.PeerDevice{ID: id, Trust: trust, Active: true}
	}
	many := make([]store.PeerDevice, 256)
	for i := range many {
		many[i] = device(uint32(i+1), store.FirstUse)
	}
	for _, x := range []struct {
		rows []store.PeerDevice
		want string
	}{
		{[]store.PeerDevice{device(1, store.FirstUse)}, "encrypted, 1 device, not compared"},
		{[]store.PeerDevice{device(1, store.FirstUse), device(2, store.FirstUse)}, "encrypted, 2 devices, not compared"},
		{[]store.PeerDevice{device(1, store.Verified), device(2, store.FirstUse)}, "encrypted, 1 of 2 compared"},
		{[]store.PeerDevice{device(1, store.Verified), device(2, store.Verified)}, "encrypted, 2 devices compared"},
		{[]store.PeerDevice{device(1, store.Verified), device(2, store.Distrusted)}, "encrypted, 1 device compared"},
		{many, "encrypted, 0 of 256 compared"},
	} {
		s := securityOf(x.rows, "Okafor", false, 0)
		if s.Words.String() != x.want || len(s.Words.String()) > 34 || s.Warn {
			t.Errorf("%q, want %q", s.Words, x.want)
		}
	}
}
