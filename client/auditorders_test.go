package client

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sotto/client/audit"
	"sotto/client/omemo"
	"sotto/client/org/order"
	"sotto/client/stanza"
	"sotto/client/store"
)

// TestForwardedIsLogged: what was handed on, to whom, and that nothing was where it
// was refused.
func TestForwardedIsLogged(t *testing.T) {
	c, d := online(t)
	r := newRemote(t, d, ada)
	r.start(d, c)
	const id = "0b9f8f5c-91f2-4b0b-8a54-0f3d1e0d6c11"
	d.deliver(r.write(c, id, "ECG?"))
	m := wait(t, c, func(x MessageAdded) bool { return x.Message.Body.String() == "ECG?" }).Message
	sent, err := c.Forward(ctx, m.ID, "lind@mercy.example", "")
	if err != nil {
		t.Fatal(err)
	}
	forwarded := func(s string) bool { return strings.HasPrefix(s, "message-forwarded ") }
	list := slices.DeleteFunc(logged(t, c), func(s string) bool { return !forwarded(s) })
	if len(list) != 1 || !strings.HasPrefix(list[0], "message-forwarded peer=lind@mercy.example message=") || !strings.HasSuffix(list[0], " ref="+id) {
		t.Errorf("message %d is logged as %q", sent.ID, list)
	}
	o := govern(t, c, ada, "lind@mercy.example")
	o.decides("forwarding = \"nobody\"\n")
	if _, err := c.Forward(ctx, m.ID, "lind@mercy.example", ""); err == nil {
		t.Error("forwarded against the policy")
	}
	list = logged(t, c)
	if i := slices.IndexFunc(list, forwarded); slices.ContainsFunc(list[i+1:], forwarded) || !slices.Contains(list, "forward-attempt peer="+ada+" message="+id+" reason=by-policy") {
		t.Errorf("refused, it is logged as %q", list)
	}
}

// TestExpiredByPolicyIsLogged tells what the policy removes from what the sender does,
// also where it comes too late.
func TestExpiredByPolicyIsLogged(t *testing.T) {
	c, d := online(t)
	r := newRemote(t, d, ada)
	r.start(d, c)
	twoHoursAgo := stanza.New("urn:xmpp:delay", "delay").With("stamp", time.Now().Add(-2*time.Hour).UTC().Format(time.RFC3339))
	const old, fleeting, late = "0b9f8f5c-91f2-4b0b-8a54-0f3d1e0d6c11", "0b9f8f5c-91f2-4b0b-8a54-0f3d1e0d6c12", "0b9f8f5c-91f2-4b0b-8a54-0f3d1e0d6c13"
	d.deliver(r.write(c, old, "the old one").Add(twoHoursAgo))
	d.deliver(r.write(c, fleeting, "the fleeting one !expires:10s"))
	wait(t, c, func(x MessageAdded) bool { return x.Message.Body.String() == "the fleeting one" })
	govern(t, c, ada).decides("retention = \"1h\"\n")
	logs(t, c, "message-expired peer="+ada+" message="+old+" reason=by-policy")
	d.deliver(r.write(c, late, "as old").Add(twoHoursAgo))
	logs(t, c, "message-expired peer="+ada+" message="+late+" reason=by-policy")
	logs(t, c, "message-expired peer="+ada+" message="+fleeting)
}

// TestNotSentIsLogged: what is refused before it is stored.
func TestNotSentIsLogged(t *testing.T) {
	c, _ := online(t)
	govern(t, c, ada).decides("lease = \"7d\"\n")
	if _, err := c.Send(ctx, "eve@elsewhere.example", "a"); err == nil {
		t.Error("sent to an outsider")
	}
	if got := logged(t, c); !slices.Contains(got, "message-not-sent peer=eve@elsewhere.example reason=not-a-member") {
		t.Errorf("the log has %q", got)
	}
	inRun(t, c, func() {
		c.mu.Lock()
		c.removed = true
		c.mu.Unlock()
	})
	if _, err := c.Send(ctx, ada, "a"); err == nil {
		t.Error("sent from a device that was removed")
	}
	if got := logged(t, c); !slices.Contains(got, "message-not-sent peer="+ada+" reason=not-possible") {
		t.Errorf("the log has %q", got)
	}
}

// TestWipeIsLogged: the auditor gets it before the relay has the acknowledgement, and
// without waiting for what was sent last to be confirmed.
func TestWipeIsLogged(t *testing.T) {
	s := command(t)
	s.start()
	a := newAuditor(t, s.double, s.c)
	s.sign(listed(vera, "Vera", a.dev))
	s.policy(2, "auditor = \""+vera+"\"\nauditor-key = \""+a.public.String()+"\"\n")
	s.nudge()
	a.batch(s.double)
	x := s.order(order.Wipe, nil)
	s.nudge()
	for {
		e := s.sent(func(e *stanza.Element) bool {
			_, ack := stanza.ReadAcknowledgement(e)
			return ack || isAudit(e)
		})
		if _, ack := stanza.ReadAcknowledgement(e); ack {
			t.Fatal("the order is acknowledged, and the auditor does not know of it")
		}
		text, err := a.read(e)
		if err != nil {
			t.Fatal(err)
		}
		ref := " ref=" + audit.IDOf(x.Hash().String()).String()
		if strings.Contains(text, " wipe"+ref+" reason=by-order\n") && strings.Contains(text, " order-obeyed"+ref) {
			break
		}
	}
	if got := from(t, s.ordered, "order"); got.Do != order.Wipe {
		t.Errorf("%+v", got)
	}
}

// TestCollectorAsksFirst has logs of devices come that the collector's directory does
// not have yet: of a new person, and another device of somebody known. Neither is told
// of as something wrong.
func TestCollectorAsksFirst(t *testing.T) {
	s := staff(t)
	var mu sync.Mutex
	var judged []string
	s.config.Collect = func(from audit.Device, batch []byte) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		known := " unknown"
		if _, ok := s.c.SigningKey(from); ok {
			known = " known"
		}
		judged = append(judged, from.Owner.String()+known)
		return (&audit.Answer{}).Marshal(), nil
	}
	s.start()
	batch := (&audit.Batch{Lines: [][]byte{[]byte("1 0 x")}, Checkpoint: []byte("x")}).Marshal()
	sends := func(r *remote, id string) {
		var enc *stanza.Element
		r.do(func(tx *store.Tx) (err error) {
			enc, err = r.dev.Encrypt(tx, []omemo.Address{{JID: me, Device: s.c.device.ID()}}, bytes.Clone(batch))
			return err
		})
		s.deliver(auditStanza(me, id, enc).With("from", r.jid+"/x"))
	}
	has := func(want string) {
		t.Helper()
		eventually(t, want, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return strings.Join(judged, "|") == want
		})
	}
	bo, phone := newRemote(t, s.double, lind), newRemote(t, s.double, ada)
	bo.start(s.double, s.c)
	sends(bo, "b1")
	s.settledWith()
	s.sign(listed(lind, "Lind, Bo", bo.dev))
	s.nudge()
	has(lind + " known")
	s.sign(listed(ada, "Okafor, Ada", sorted(s.ada.dev, phone.dev)...)) // the relay has it; no nudge has come
	s.beat()
	phone.start(s.double, s.c)
	sends(phone, "p1")
	has(lind + " known|" + ada + " known")
	for _, l := range logged(t, s.c) {
		if strings.HasPrefix(l, "message-refused") {
			t.Errorf("logged: %s", l)
		}
	}
	// One that the organisation does not know either is judged, and not put off again.
	thief := newRemote(t, s.double, ada)
	thief.start(s.double, s.c)
	sends(thief, "t1")
	has(lind + " known|" + ada + " known|" + ada + " unknown")
	sends(thief, "t2")
	has(lind + " known|" + ada + " known|" + ada + " unknown|" + ada + " unknown")
}
