package client

import (
	"fmt"
	"testing"

	"sotto/client/stanza"
	"sotto/client/wire"
)

// What a link or a relay invents must not fill the memory.
func TestInventionsAreBounded(t *testing.T) {
	d := newDouble(t)
	c := run(t, memoryStore(t), d.attach(1))
	wait(t, c, func(CaughtUp) bool { return true })
	count := func() (pending, peers int) {
		inRun(t, c, func() { pending, peers = len(c.window.given), len(c.peers) })
		return pending, peers
	}
	for i := range 10 {
		var p wire.Pending
		for j := range wire.MaxPending {
			p.IDs = append(p.IDs, fmt.Sprint(i, "-", j))
		}
		d.out.send(p)
	}
	stored := func() {
		t.Helper()
		eventually(t, "everything is done with", func() bool {
			d.mu.Lock()
			defer d.mu.Unlock()
			return d.stored == d.seq
		})
	}
	d.deliver(stanza.New(stanza.NSClient, "presence"))
	stored()
	if n, _ := count(); n > wire.MaxPending {
		t.Errorf("%d ids", n)
	}

	// Lists of people whom nobody has named here. That of a contact is taken, and
	// that of somebody who has written.
	_, before := count()
	list := func(of string) {
		d.deliver(stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSPubSubEvent, "event", stanza.New(stanza.NSPubSubEvent, "items",
			stanza.New(stanza.NSPubSubEvent, "item", stanza.DeviceList([]uint32{7}))).With("node", stanza.NodeDevices))).With("from", of))
	}
	for i := range 50 {
		list(fmt.Sprintf("invented%d@mercy.example", i))
	}
	d.deliver(stanza.NewIQ("set", me+"/test", "push", stanza.New(stanza.NSRoster, "query",
		stanza.New(stanza.NSRoster, "item").With("jid", "contact@mercy.example").With("subscription", "both"))).With("from", me))
	list("contact@mercy.example")
	d.deliver(stanza.NewChat(me, "m", stanza.Body("hello")).With("from", "writer@mercy.example/x"))
	list("writer@mercy.example")
	stored()
	if _, n := count(); n > before+2 {
		t.Errorf("%d people more", n-before)
	}
	for who, want := range map[string]int{"invented0@mercy.example": 0, "invented49@mercy.example": 0, "contact@mercy.example": 1, "writer@mercy.example": 1} {
		if list, err := c.Devices(ctx, who); err != nil || len(list) != want {
			t.Errorf("devices of %s: %v, %v", who, list, err)
		}
	}
}

// A relay may tell of a contact's devices before the roster that has the contact.
func TestDevicesBeforeTheContact(t *testing.T) {
	c, d := online(t)
	early := newRemote(t, d, "early@mercy.example")
	early.publish(d)
	d.deliver(stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSPubSubEvent, "event", stanza.New(stanza.NSPubSubEvent, "items",
		stanza.New(stanza.NSPubSubEvent, "item", stanza.DeviceList([]uint32{7}))).With("node", stanza.NodeDevices))).With("from", "early@mercy.example"))
	d.deliver(stanza.NewIQ("set", me+"/test", "push", stanza.New(stanza.NSRoster, "query",
		stanza.New(stanza.NSRoster, "item").With("jid", "early@mercy.example").With("subscription", "both"))).With("from", me))
	eventually(t, "the contact's device is known", func() bool {
		list, err := c.Devices(ctx, "early@mercy.example")
		return err == nil && len(list) == 1
	})
}
