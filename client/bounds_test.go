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
		done := make(chan struct{})
		c.call(func() { pending, peers = len(c.pending), len(c.peers); close(done) })
		<-done
		return pending, peers
	}
	for i := range 10 {
		var p wire.Pending
		for j := range wire.MaxPending {
			p.IDs = append(p.IDs, fmt.Sprint(i, "-", j))
		}
		d.out.send(p)
	}
	eventually(t, "the ids are at their bound", func() bool { n, _ := count(); return n == maxPendings })

	done := make(chan struct{})
	c.call(func() {
		for i := len(c.peers); i < maxPeers; i++ {
			c.peer(fmt.Sprintf("p%d@mercy.example", i))
		}
		close(done)
	})
	<-done
	d.deliver(stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSPubSubEvent, "event", stanza.New(stanza.NSPubSubEvent, "items",
		stanza.New(stanza.NSPubSubEvent, "item", stanza.DeviceList([]uint32{7}))).With("node", stanza.NodeDevices))).With("from", "invented@mercy.example"))
	eventually(t, "the list is done with", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.stored == d.seq
	})
	if _, n := count(); n > maxPeers {
		t.Errorf("%d people", n)
	}
	if list, err := c.Devices(ctx, "invented@mercy.example"); err != nil || len(list) != 0 {
		t.Errorf("devices of an invented person: %v, %v", list, err)
	}
}
