package client

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"sotto/client/omemo"
	"sotto/client/stanza"
	"sotto/client/store"
)

// listed is the own device list as the relay has it.
func (d *double) listed() []uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids, _ := stanza.ReadDeviceList(d.nodes[me+" "+stanza.NodeDevices])
	return ids
}

// relist puts another list of own devices in place, and tells the client.
func (d *double) relist(ids ...uint32) {
	d.mu.Lock()
	d.nodes[me+" "+stanza.NodeDevices] = stanza.DeviceList(ids)
	d.mu.Unlock()
	d.deliver(listFrom(me, ids...))
}

// settledNow waits until the client has done what it was told before.
func settledNow(t testing.TB, c *Client) {
	for range 3 {
		inRun(t, c, func() {})
	}
}

// noThrottle has the client look at its list as often as it is told to.
func noThrottle(c *Client) {
	c.call(func() { c.relistAt = c.relistAt.Add(-2 * askAgain) })
}

func TestRemovedStaysRemoved(t *testing.T) {
	c, d, r := talking(t)
	eventually(t, "it knows that it is listed", func() bool {
		var v []byte
		err := c.store.View(ctx, func(tx *store.Tx) (err error) { v, err = tx.Value(valueListed); return err })
		return v != nil && err == nil
	})
	other := newRemote(t, d, me)
	d.mu.Lock()
	delete(d.nodes, me+" "+stanza.NodeBundle(c.device.ID()))
	d.mu.Unlock()
	noThrottle(c)
	d.relist(other.dev.ID())
	wait(t, c, func(e NoticeEvent) bool { return strings.Contains(e.Text.String(), "was removed from your devices") })
	eventually(t, "it holds itself for removed", c.isRemoved)
	for range 3 { // and whatever the list says, it does not come back by itself
		noThrottle(c)
		d.relist(other.dev.ID())
		settledNow(t, c)
	}
	d.next(2)
	caught(t, c)
	settledNow(t, c)
	if ids := d.listed(); !slices.Equal(ids, []uint32{other.dev.ID()}) {
		t.Errorf("it put itself back: %v", ids)
	}
	d.mu.Lock()
	back := d.nodes[me+" "+stanza.NodeBundle(c.device.ID())]
	d.mu.Unlock()
	if back != nil {
		t.Error("it has published its keys again")
	}
	if _, err := c.Send(ctx, ada, "from beyond"); !errors.Is(err, errRemoved) {
		t.Errorf("sending: %v", err)
	}
	if s, err := c.Security(ctx, ada); !s.Warn || !strings.Contains(s.Words.String(), "/rejoin") || err != nil {
		t.Errorf("%+v %v", s, err)
	}
	// A restart changes nothing.
	again := &Client{store: c.store}
	if err := c.store.View(ctx, again.readRemoved); err != nil || !again.removed {
		t.Errorf("after a restart: %v %v", again.removed, err)
	}
	if err := c.Rejoin(soon(t)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is back", func() bool { return slices.Contains(d.listed(), c.device.ID()) })
	d.published(c)
	if c.Rejoin(soon(t)) == nil {
		t.Error("back twice")
	}
	if _, err := c.Send(ctx, ada, "here again"); err != nil {
		t.Fatal(err)
	}
	if got, err := r.read(d.sent(hasPayload)); got != "here again" || err != nil {
		t.Errorf("%q %v", got, err)
	}
}

// TestLostFromTheListIsPutBack: where two write the list at once, the one that is
// left out comes back, but does not fight for ever.
func TestLostFromTheListIsPutBack(t *testing.T) {
	c, d := online(t)
	other := newRemote(t, d, me)
	puts := 0
	for range maxRelists + 3 {
		noThrottle(c)
		d.relist(other.dev.ID())
		if puts < maxRelists {
			eventually(t, "it puts itself back", func() bool { return slices.Contains(d.listed(), c.device.ID()) })
			puts++
		}
	}
	wait(t, c, func(e NoticeEvent) bool { return strings.Contains(e.Text.String(), "again and again") })
	settledNow(t, c)
	if c.isRemoved() || slices.Contains(d.listed(), c.device.ID()) {
		t.Errorf("removed %v, list %v", c.isRemoved(), d.listed())
	}
}

func TestRemoveDevice(t *testing.T) {
	c, d, r := talking(t)
	other := newRemote(t, d, me)
	d.deliver(listFrom(me, c.device.ID(), other.dev.ID()))
	wait(t, c, func(e NoticeEvent) bool { return strings.Contains(e.Text.String(), "You have a new device") })
	eventually(t, "its key is known", func() bool {
		list, _ := c.Devices(ctx, me)
		return slices.ContainsFunc(list, func(x Device) bool { return x.ID == other.dev.ID() && x.Known })
	})
	if s, _ := c.Security(ctx, ada); !s.Warn || !strings.Contains(s.Words.String(), "You have a new device") {
		t.Errorf("in another conversation: %+v", s)
	}
	if err := c.Trust(ctx, me, other.dev.Fingerprint(), store.Verified); err != nil {
		t.Fatal(err)
	}
	c.Send(ctx, ada, "to both")
	e := d.sent(hasPayload)
	if got, err := other.read(e); got != "to both" || err != nil {
		t.Fatalf("%q %v", got, err)
	}
	r.read(e)
	if err := c.RemoveDevice(soon(t), c.device.ID()); err == nil {
		t.Error("it removed itself")
	}
	if err := c.RemoveDevice(soon(t), 4711); err == nil {
		t.Error("it removed what is not there")
	}
	if err := c.RemoveDevice(soon(t), other.dev.ID()); err != nil {
		t.Fatal(err)
	}
	if ids := d.listed(); !slices.Equal(ids, []uint32{c.device.ID()}) {
		t.Errorf("list: %v", ids)
	}
	d.mu.Lock()
	left := d.nodes[me+" "+stanza.NodeBundle(other.dev.ID())]
	var order []string
	for _, q := range d.asked {
		if p := q.Child("", "").Child("", "delete"); p != nil {
			order = append(order, "bundle")
		}
		if p := q.Child("", "").Child("", "publish"); p != nil && p.Get("node") == stanza.NodeDevices {
			order = append(order, "list")
		}
	}
	d.mu.Unlock()
	if left != nil || len(order) < 2 || !slices.Equal(order[len(order)-2:], []string{"bundle", "list"}) {
		t.Errorf("bundle %v, in the order %v", left, order)
	}
	// It comes back by itself, or by a relay's hand: nothing is encrypted to it.
	other.publish(d)
	d.deliver(listFrom(me, c.device.ID(), other.dev.ID()))
	settledNow(t, c)
	c.Send(ctx, ada, "not to it")
	e = d.sent(hasPayload)
	if got, err := other.read(e); err == nil {
		t.Errorf("the removed one reads %q", got)
	}
	if got, err := r.read(e); got != "not to it" || err != nil {
		t.Errorf("%q %v", got, err)
	}
}

// TestNoTrustOnFirstUseAfterComparing: who has compared one device of somebody is
// asked about every other whose key was not known by then.
func TestNoTrustOnFirstUseAfterComparing(t *testing.T) {
	c, d := online(t)
	r := newRemote(t, d, ada)
	late := newRemote(t, nil, ada) // listed, and its keys are not to be had yet
	d.mu.Lock()
	d.nodes[ada+" "+stanza.NodeDevices] = stanza.DeviceList([]uint32{r.dev.ID(), late.dev.ID()})
	d.mu.Unlock()
	c.Send(ctx, ada, "one")
	if got, err := r.read(d.sent(hasPayload)); got != "one" || err != nil {
		t.Fatal(got, err)
	}
	if err := c.Trust(ctx, ada, r.dev.Fingerprint(), store.Verified); err != nil {
		t.Fatal(err)
	}
	late.publish(d)
	c.call(c.retry)
	settledNow(t, c) // or the message goes while the keys of the late one still count as missing
	c.Send(ctx, ada, "two")
	e := d.sent(hasPayload)
	if got, err := late.read(e); err == nil {
		t.Errorf("the device that came late reads %q", got)
	}
	r.read(e)
	// The message may go without waiting for its keys, and what asked for them before
	// they were there may have its answer only now.
	eventually(t, "a person is to decide about it", func() bool {
		c.call(c.retry)
		trust := store.FirstUse
		c.store.View(ctx, func(tx *store.Tx) (err error) {
			trust, err = trustIn(tx, omemo.Address{JID: ada, Device: late.dev.ID()})
			return err
		})
		return trust == store.Undecided
	})
	c.Send(ctx, ada, "three")
	e = d.sent(hasPayload)
	if got, err := late.read(e); err == nil {
		t.Errorf("the device that came late reads %q", got)
	}
	if got, err := r.read(e); got != "three" || err != nil {
		t.Errorf("%q %v", got, err)
	}
}

// TestRefusedWhileQueued: what is encrypted and has not left is encrypted anew when
// a device is refused meanwhile.
func TestRefusedWhileQueued(t *testing.T) {
	c, d := online(t)
	r, evil := newRemote(t, d, ada), newRemote(t, d, ada)
	c.Send(ctx, ada, "one")
	e := d.sent(hasPayload)
	r.read(e)
	evil.read(e)
	inRun(t, c, func() { // the link has enough
		for i := range maxGiven {
			c.window.given[string(rune('a'+i))] = 0
		}
	})
	m, err := c.Send(ctx, ada, "two")
	if err != nil {
		t.Fatal(err)
	}
	// As if it had been encrypted just before the link was full.
	if err := c.store.Update(ctx, func(tx *store.Tx) error { return tx.SetOut(m.ID, []byte("<message/>")) }); err != nil {
		t.Fatal(err)
	}
	if err := c.Trust(ctx, ada, evil.dev.Fingerprint(), store.Distrusted); err != nil {
		t.Fatal(err)
	}
	c.call(func() {
		for i := range maxGiven {
			delete(c.window.given, string(rune('a'+i)))
		}
		c.window.held = true
		c.refill()
	})
	e = d.sent(hasPayload)
	if got, err := evil.read(e); err == nil {
		t.Errorf("the refused device reads %q", got)
	}
	if got, err := r.read(e); got != "two" || err != nil {
		t.Errorf("%q %v", got, err)
	}
}
