package client

import (
	"strings"
	"testing"
	"time"

	"sotto/client/omemo"
	"sotto/client/stanza"
	"sotto/client/store"
)

func TestNewDeviceIsNotTrusted(t *testing.T) {
	c, d := online(t)
	r := newRemote(t, d, ada)
	if _, err := c.Send(ctx, ada, "one"); err != nil {
		t.Fatal(err)
	}
	r.read(d.sent(hasPayload))
	second := newRemote(t, d, ada)
	list := d.nodes[ada+" "+stanza.NodeDevices]
	d.deliver(stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSPubSubEvent, "event", stanza.New(stanza.NSPubSubEvent, "items",
		stanza.New(stanza.NSPubSubEvent, "item", list).With("id", "current")).With("node", stanza.NodeDevices))).With("from", ada))
	wait(t, c, func(x NoticeEvent) bool {
		return x.Text.String() == "okafor has a new device. Nothing is sent to it until you compare: /trust"
	})
	var undecided Device
	eventually(t, "the new device's fingerprint is known", func() bool {
		devices, err := c.Devices(ctx, ada)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range devices {
			if x.ID == second.dev.ID() && x.Known {
				undecided = x
				return true
			}
		}
		return false
	})
	if undecided.Trust != store.Undecided || undecided.Fingerprint != second.dev.Fingerprint() {
		t.Errorf("new device is %+v", undecided)
	}
	s, err := c.Security(ctx, ada)
	if err != nil || !s.Warn || s.Devices != 2 || s.Trusted != 1 || s.Undecided != 1 {
		t.Errorf("security %+v, %v", s, err)
	}
	c.Send(ctx, ada, "two")
	e := d.sent(hasPayload)
	if got, err := r.read(e); err != nil || got != "two" {
		t.Errorf("first device reads %q, %v", got, err)
	}
	if _, err := second.read(e); err == nil {
		t.Error("the new device was encrypted to")
	}
	if err := c.Trust(ctx, ada, second.dev.Fingerprint(), store.Verified); err != nil {
		t.Fatal(err)
	}
	c.Send(ctx, ada, "three")
	e = d.sent(hasPayload)
	for _, x := range []*remote{r, second} {
		if got, err := x.read(e); err != nil || got != "three" {
			t.Errorf("after comparing: %q, %v", got, err)
		}
	}
	if err := c.Trust(ctx, ada, omemo.Fingerprint{1}, store.Verified); err == nil {
		t.Error("an unknown fingerprint was trusted")
	}
}

func TestChangedKeyIsNotTrusted(t *testing.T) {
	c, d := online(t)
	r := newRemote(t, d, ada)
	r.start(d, c)
	d.deliver(r.write(c, "m1", "it is me"))
	wait(t, c, func(x MessageAdded) bool { return true })
	// The same device id with other keys: the session is gone on this side.
	evil := newRemote(t, nil, ada)
	addr := omemo.Address{JID: ada, Device: r.dev.ID()}
	if err := c.store.Update(ctx, func(tx *store.Tx) error { return c.device.Forget(tx, addr) }); err != nil {
		t.Fatal(err)
	}
	evil.do(func(tx *store.Tx) error {
		b, err := evil.dev.Bundle(tx)
		d.mu.Lock()
		d.nodes[ada+" "+stanza.NodeBundle(r.dev.ID())] = b.Element()
		d.mu.Unlock()
		return err
	})
	m, err := c.Send(ctx, ada, "secret")
	if err != nil {
		t.Fatal(err)
	}
	wait(t, c, func(x NoticeEvent) bool { return strings.Contains(x.Text.String(), "changed its key") })
	failed := wait(t, c, func(x MessageChanged) bool { return x.Message.ID == m.ID && x.Message.State == store.Failed })
	if !strings.Contains(failed.Message.Why.String(), "Compare") {
		t.Errorf("failed because %q", failed.Message.Why)
	}
}

func TestNobodyToEncryptTo(t *testing.T) {
	c, d := online(t)
	c.call(func() { c.listPatience = time.Second })
	settledNow(t, c)
	m, err := c.Send(ctx, "phone@mercy.example", "secret")
	if err != nil {
		t.Fatal(err)
	}
	x := wait(t, c, func(x MessageChanged) bool { return x.Message.ID == m.ID && x.Message.State == store.Failed })
	if !strings.Contains(x.Message.Why.String(), "there is no phone@mercy.example, or nobody there") {
		t.Errorf("failed because %q", x.Message.Why)
	}
	select {
	case e := <-d.messages:
		t.Errorf("sent %v", e)
	default:
	}
	r := newRemote(t, d, "phone@mercy.example")
	d.deliver(stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSPubSubEvent, "event", stanza.New(stanza.NSPubSubEvent, "items",
		stanza.New(stanza.NSPubSubEvent, "item", stanza.DeviceList([]uint32{r.dev.ID()}))).With("node", stanza.NodeDevices))).With("from", "phone@mercy.example"))
	wait(t, c, func(x DevicesChanged) bool { return x.Peer == "phone@mercy.example" })
	if err := c.Resend(ctx, m.ID); err != nil {
		t.Fatal(err)
	}
	if got, err := r.read(d.sent(hasPayload)); err != nil || got != "secret" {
		t.Errorf("after sending again: %q, %v", got, err)
	}
}

func TestRelayWithoutPEP(t *testing.T) {
	d := newDouble(t)
	d.hook = func(iq *stanza.Element) *stanza.Element {
		if iq.Child(stanza.NSPubSub, "pubsub") != nil {
			return stanza.ErrorReply(iq, "cancel", "service-unavailable").With("from", iq.Get("to"))
		}
		return nil
	}
	c := run(t, memoryStore(t), d.attach(1))
	wait(t, c, func(x NoticeEvent) bool { return strings.Contains(x.Text.String(), "PEP") })
	m, _ := c.Send(ctx, ada, "secret")
	x := wait(t, c, func(x MessageChanged) bool { return x.Message.ID == m.ID && x.Message.State == store.Failed })
	if !strings.Contains(x.Message.Why.String(), "XEP-0163") {
		t.Errorf("failed because %q", x.Message.Why)
	}
}

func TestClosedNodeIsOpened(t *testing.T) {
	d := newDouble(t)
	configured := make(map[string]bool)
	d.hook = func(iq *stanza.Element) *stanza.Element {
		if cfg := iq.Child(stanza.NSPubSubOwner, "pubsub").Child("", "configure"); cfg != nil {
			d.mu.Lock()
			configured[cfg.Get("node")] = true
			d.mu.Unlock()
			return nil
		}
		pub := iq.Child(stanza.NSPubSub, "pubsub").Child("", "publish")
		d.mu.Lock()
		defer d.mu.Unlock()
		if pub != nil && !configured[pub.Get("node")] {
			e := stanza.ErrorReply(iq, "cancel", "conflict")
			e.Child("", "error").Add(stanza.New(stanza.NSPubSubErrors, "precondition-not-met"))
			return e
		}
		return nil
	}
	c := run(t, memoryStore(t), d.attach(1))
	d.published(c)
	d.mu.Lock()
	defer d.mu.Unlock()
	if !configured[stanza.NodeDevices] || !configured[stanza.NodeBundle(c.device.ID())] {
		t.Errorf("configured %v", configured)
	}
}
