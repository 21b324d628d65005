package client

import (
	"encoding/hex"
	"slices"
	"testing"

	"sotto/client/audit"
	"sotto/client/omemo"
	"sotto/client/stanza"
	"sotto/client/store"
)

// TestDevicesAreLogged: which devices were seen, and what was thought of them since.
func TestDevicesAreLogged(t *testing.T) {
	c, d := online(t)
	l := keeps(t, c, "the first words", "the last words")
	first := newRemote(t, d, ada)
	if _, err := c.Send(ctx, ada, "the first words"); err != nil {
		t.Fatal(err)
	}
	d.sent(hasPayload)
	fingerprint := func(r *remote) string { f := r.dev.Fingerprint(); return hex.EncodeToString(f[:]) }
	l.leaves(audit.DeviceNew, "peer=%s device=%d", ada, first.dev.ID())
	l.leaves(audit.DeviceTrusted, "peer=%s device=%d ref=%s reason=on-first-use", ada, first.dev.ID(), fingerprint(first))

	// Another one, which the person decides about.
	second := newRemote(t, d, ada)
	d.deliver(listFrom(ada, first.dev.ID(), second.dev.ID()))
	eventually(t, "the other device's key is known", func() bool {
		list, err := c.Devices(ctx, ada)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(list, func(x Device) bool { return x.ID == second.dev.ID() && x.Known })
	})
	l.leaves(audit.DeviceNew, "peer=%s device=%d", ada, second.dev.ID())
	for _, x := range []struct {
		trust store.Trust
		kind  audit.Kind
		why   audit.Reason
	}{{store.Verified, audit.DeviceTrusted, audit.Compared}, {store.Distrusted, audit.DeviceDistrusted, audit.ByPerson}} {
		if err := c.Trust(ctx, ada, second.dev.Fingerprint(), x.trust); err != nil {
			t.Fatal(err)
		}
		l.leaves(x.kind, "peer=%s device=%d ref=%s reason=%s", ada, second.dev.ID(), fingerprint(second), x.why)
	}

	// The first shows another key: nothing is sent to it.
	evil := newRemote(t, nil, ada)
	err := c.store.Update(ctx, func(tx *store.Tx) error {
		return c.device.Forget(tx, omemo.Address{JID: ada, Device: first.dev.ID()})
	})
	if err != nil {
		t.Fatal(err)
	}
	evil.do(func(tx *store.Tx) error {
		b, err := evil.dev.Bundle(tx)
		d.mu.Lock()
		d.nodes[ada+" "+stanza.NodeBundle(first.dev.ID())] = b.Element()
		d.mu.Unlock()
		return err
	})
	m, err := c.Send(ctx, ada, "the last words")
	if err != nil {
		t.Fatal(err)
	}
	l.leaves(audit.DeviceDistrusted, "peer=%s device=%d ref=%s reason=key-changed", ada, first.dev.ID(), fingerprint(evil))
	l.leaves(audit.MessageNotSent, "peer=%s message=%s reason=untrusted-device", ada, idOfRow(t, c, m.ID))
}

// TestRefusedMessagesAreLogged: what came, and is not shown.
func TestRefusedMessagesAreLogged(t *testing.T) {
	const one, two, three = "0b9f8f5c-91f2-4b0b-8a54-0f3d1e0d6c11", "0b9f8f5c-91f2-4b0b-8a54-0f3d1e0d6c12", "0b9f8f5c-91f2-4b0b-8a54-0f3d1e0d6c13"
	t.Run("that cannot be read", func(t *testing.T) {
		c, d, r := talking(t)
		l := keeps(t, c, "words")
		l.leaves(audit.MessageReceived, "peer=%s device=%d message=%s", ada, r.dev.ID(), audit.IDOf("first"))
		e := r.write(c, one, "words")
		bad := copied(e)
		bad.Child(stanza.NSOmemo, "encrypted").Child("", "payload").Children[0].Data = "AAAA"
		d.deliver(bad)
		l.leaves(audit.MessageRefused, "peer=%s device=%d message=%s reason=undecipherable", ada, r.dev.ID(), one)
		// Its key is used by that, for what was not here, and is not used again.
		empty := r.write(c, two, "words")
		payload := copied(empty)
		enc := payload.Child(stanza.NSOmemo, "encrypted")
		enc.Children = slices.DeleteFunc(enc.Children, func(x *stanza.Element) bool { return x.Local == "payload" })
		d.deliver(payload)
		d.deliver(empty)
		l.leaves(audit.MessageRefused, "peer=%s device=%d message=%s reason=repeated", ada, r.dev.ID(), two)
		other := stanza.NewChat(me, three, stanza.New(stanza.NSEME, "encryption").With("namespace", "urn:xmpp:otr:0"), stanza.Body("words")).With("from", ada+"/phone")
		d.deliver(other)
		l.leaves(audit.MessageRefused, "peer=%s message=%s reason=undecipherable", ada, three)
	})
	t.Run("of people and devices outside of the organisation", func(t *testing.T) {
		s := staff(t).start()
		l := keeps(t, s.c, "words")
		stranger := newRemote(t, s.double, eve)
		stranger.start(s.double, s.c)
		s.deliver(stranger.write(s.c, one, "words"))
		l.leaves(audit.MessageRefused, "peer=%s message=%s reason=not-a-member", eve, one)
		s.deliver(s.ada.write(s.c, two, "words"))
		l.leaves(audit.MessageReceived, "peer=%s device=%d message=%s", ada, s.ada.dev.ID(), two)
		s.sign(listed(ada, "Okafor, Ada"))
		s.nudge()
		s.upToDate()
		s.deliver(s.ada.write(s.c, three, "words"))
		l.leaves(audit.MessageRefused, "peer=%s device=%d message=%s reason=untrusted-device", ada, s.ada.dev.ID(), three)
	})
}
