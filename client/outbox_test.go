package client

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/wire"
)

// TestLinkIsNotGivenMoreThanItHolds writes more at once than a link takes.
func TestLinkIsNotGivenMoreThanItHolds(t *testing.T) {
	const n = 2*maxGiven + 100
	d := newDouble(t)
	d.settle = false
	c := run(t, memoryStore(t), d.attach(1))
	caught(t, c)
	newRemote(t, d, ada)
	for i := range n {
		if _, err := c.Send(ctx, ada, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	list := messages(t, c, ada)
	given, settled := 0, 0
	take := func(e *stanza.Element) {
		t.Helper()
		if given == n || c.originOf(t, list[given].ID) != e.Get("id") {
			t.Fatalf("number %d goes twice, or was overtaken", given)
		}
		if given++; given-settled > maxGiven {
			t.Fatalf("the link was given number %d with %d in its hands", given, maxGiven)
		}
	}
	for settled < n {
		// It is filled at first, and later when a quarter is free.
		most := settled + maxGiven*3/4
		if settled == 0 {
			most = maxGiven
		}
		for given < min(n, most) {
			take(d.sent(hasPayload))
		}
		// This comes after all that there was to send.
		fence := fmt.Sprint("after ", given)
		c.call(func() {
			c.flush()
			c.out.send(wire.Send{ID: fence, Stanza: stanza.NewChat(ada, fence).Bytes()})
		})
		d.sent(func(e *stanza.Element) bool {
			if hasPayload(e) {
				take(e)
			}
			return e.Get("id") == fence
		})
		eventually(t, "what the link does not have counts as queued", func() bool { return c.State().Queued == n-given })
		for ; settled < given; settled++ {
			d.out.send(wire.Settled{ID: c.originOf(t, list[settled].ID)})
		}
	}
	eventually(t, "all are sent", func() bool {
		for _, m := range messages(t, c, ada) {
			if m.State != store.Sent {
				return false
			}
		}
		return c.State().Queued == 0
	})
}

// originOf is the stanza id of a message.
func (c *Client) originOf(t testing.TB, id int64) (origin string) {
	t.Helper()
	if err := c.store.View(ctx, func(tx *store.Tx) error {
		m, err := tx.Message(id)
		origin = m.OriginID
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return origin
}

// TestRefusedGoesOutAgain has a link say that it does not hold what it was given.
func TestRefusedGoesOutAgain(t *testing.T) {
	d := newDouble(t)
	d.settle = false
	c := run(t, memoryStore(t), d.attach(1))
	caught(t, c)
	newRemote(t, d, ada)
	c.Send(ctx, ada, "kept")
	kept := d.sent(hasPayload)
	c.Send(ctx, ada, "refused")
	refused := d.sent(hasPayload)
	d.out.send(wire.Pending{IDs: []string{kept.Get("id")}})
	if again := d.sent(hasPayload); again.String() != refused.String() {
		t.Errorf("goes out again: %v", again)
	}
	d.out.send(wire.Settled{ID: kept.Get("id")})
	d.out.send(wire.Settled{ID: refused.Get("id")})
	eventually(t, "both are sent", func() bool {
		l := messages(t, c, ada)
		return l[0].State == store.Sent && l[1].State == store.Sent
	})
}

// TestManyAtOnce writes as fast as it goes through a real link and relay.
func TestManyAtOnce(t *testing.T) {
	w := newWard(t, "ada", "per")
	a, b := w.person("ada"), w.person("per")
	a.delivered(b, a.say(b, "first"))
	const n = 2500
	for i := range n {
		a.say(b, fmt.Sprint(i))
	}
	eventually(t, "all are delivered", func() bool {
		for _, m := range messages(t, a.Client, b.jid) {
			if m.State < store.Delivered {
				return false
			}
		}
		return true
	})
	want := "first"
	for i := range n {
		want += "|" + fmt.Sprint(i)
	}
	if got := bodies(t, b.Client, a.jid); got != want {
		t.Errorf("per reads them in another order, or not all: %d of %d bytes", len(got), len(want))
	}
}

// TestWithdraw takes back what has not left, and nothing else.
func TestWithdraw(t *testing.T) {
	d := newDouble(t)
	d.settle = false
	c := run(t, memoryStore(t), d.attach(1))
	caught(t, c)
	r := newRemote(t, d, ada)
	left, _ := c.Send(ctx, ada, "left")
	r.read(d.sent(hasPayload))
	kept, _ := c.Send(ctx, ada, "with the link")
	id := d.sent(hasPayload).Get("id")
	for _, m := range []Message{left, kept} {
		if err := c.Withdraw(soon(t), ada, m.ID); err == nil || !strings.Contains(err.Error(), "has left already") {
			t.Errorf("withdrawing %q: %v", m.Body, err)
		}
	}
	d.mu.Lock()
	d.unsent = map[string]bool{id: true} // the network is down
	d.mu.Unlock()
	if err := c.Withdraw(soon(t), ada, kept.ID); err != nil {
		t.Error(err)
	}
	wait(t, c, func(Resync) bool { return true })
	typo, _ := c.Send(ctx, "okafr@mercy.example", "typo")
	wait(t, c, func(x MessageChanged) bool { return x.Message.ID == typo.ID && !x.Message.Why.Empty() })
	if err := c.Withdraw(soon(t), ada, typo.ID); err == nil {
		t.Error("a message of another conversation was withdrawn")
	}
	if err := c.Withdraw(soon(t), "okafr@mercy.example", typo.ID); err != nil {
		t.Error(err)
	}
	if err := c.Withdraw(soon(t), "okafr@mercy.example", typo.ID); err == nil || !strings.Contains(err.Error(), "not here any more") {
		t.Errorf("withdrawn twice: %v", err)
	}
	if got := bodies(t, c, ada); got != "left" {
		t.Errorf("conversation is %q", got)
	}
	eventually(t, "one is queued", func() bool { return c.State().Queued == 0 })
	rows, err := c.Conversations(ctx)
	if err != nil || len(rows) != 1 || rows[0].Peer != ada || rows[0].Preview.String() != "left" {
		t.Errorf("conversations %+v, %v", rows, err)
	}
	if err := c.store.View(ctx, func(tx *store.Tx) error {
		why, err := tx.Value(whyName(typo.ID))
		if why != nil {
			t.Errorf("still kept: %q", why)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	// Received ones are not ours to take back.
	r.start(d, c)
	d.deliver(r.write(c, "m1", "hers"))
	x := wait(t, c, func(x MessageAdded) bool { return !x.Message.Outgoing })
	if err := c.Withdraw(soon(t), ada, x.Message.ID); err == nil {
		t.Error("a received message was withdrawn")
	}
}

// TestWithdrawFromAnUnknownLink does not take back what an earlier link may have sent.
func TestWithdrawFromAnUnknownLink(t *testing.T) {
	d := newDouble(t)
	d.settle = false
	st := memoryStore(t)
	conn := d.attach(1)
	c := run(t, st, conn)
	caught(t, c)
	newRemote(t, d, ada)
	m, _ := c.Send(ctx, ada, "perhaps sent")
	d.sent(hasPayload)
	conn.Close()
	from(t, c.ended, "end of Run")
	if err := c.Withdraw(soon(t), ada, m.ID); err == nil {
		t.Error("withdrawn after the end")
	}
	d.mute = true
	c = run(t, st, d.attach(1))
	if err := c.Withdraw(soon(t), ada, m.ID); err == nil || !strings.Contains(err.Error(), "may have left") {
		t.Errorf("withdrawing it: %v", err)
	}
	if err := c.Forget(soon(t), ada); err == nil {
		t.Error("forgotten with what may have been sent")
	}
}

// TestForget removes the conversation of a mistyped address for good.
func TestForget(t *testing.T) {
	const typo = "okafr@mercy.example"
	c, d := online(t)
	c.call(func() { c.listPatience = 0 })
	settledNow(t, c)
	m, err := c.Send(ctx, typo, "typo")
	if err != nil {
		t.Fatal(err)
	}
	wait(t, c, func(x MessageChanged) bool { return x.Message.ID == m.ID && x.Message.State == store.Failed })
	c.call(func() { c.listPatience = time.Hour })
	settledNow(t, c)
	if _, err := c.Send(ctx, typo, "queued"); err != nil {
		t.Fatal(err)
	}
	if err := c.SetDraft(ctx, typo, store.Draft{Text: "a draft"}); err != nil {
		t.Fatal(err)
	}
	d.deliver(stanza.NewIQ("set", me+"/test", "push", stanza.New(stanza.NSRoster, "query",
		stanza.New(stanza.NSRoster, "item").With("jid", ada).With("name", "Okafor, Ada").With("subscription", "both"))).With("from", me))
	eventually(t, "she is a contact", func() bool { l, _ := c.Conversations(ctx); return len(l) == 2 })
	if err := c.Forget(soon(t), ada); err == nil || !strings.Contains(err.Error(), "Okafor is one of your contacts") {
		t.Errorf("forgetting a contact: %v", err)
	}
	if err := c.Forget(soon(t), typo); err != nil {
		t.Fatal(err)
	}
	wait(t, c, func(Resync) bool { return true })
	if l, err := c.Conversations(ctx); err != nil || len(l) != 1 || l[0].Peer != ada {
		t.Errorf("conversations %+v, %v", l, err)
	}
	if l := messages(t, c, typo); len(l) != 0 {
		t.Errorf("messages %v", l)
	}
	eventually(t, "nothing is queued", func() bool { return c.State().Queued == 0 })
	if err := c.Forget(soon(t), typo); err != nil {
		t.Errorf("forgetting what is not there: %v", err)
	}
	if err := c.Forget(soon(t), ada); err == nil {
		t.Error("a contact was forgotten")
	}
}

// refusal answers what is asked of one person's device list.
func refusal(who, typ, condition string) func(*stanza.Element) *stanza.Element {
	return func(iq *stanza.Element) *stanza.Element {
		if iq.Get("to") != who {
			return nil
		}
		return stanza.ErrorReply(iq, typ, condition).With("from", who).With("to", me+"/test")
	}
}

// TestMistypedAddress ends what goes to an address that is nobody's.
func TestMistypedAddress(t *testing.T) {
	const typo = "okafr@mercy.exmple"
	for _, x := range []struct {
		condition string
		patience  time.Duration // for a server
		waits     string
		fails     string
	}{
		{"gone", 0, "", "Not sent: there is no " + typo + ". Check the address."},
		{"jid-malformed", 0, "", "Not sent: there is no " + typo + ". Check the address."},
		{"item-not-found", 0, "Waiting: no device of " + typo + " is found. Check the address. It is looked for again",
			"Not sent: there is no " + typo + ", or nobody there has an app that encrypts. Check the address."},
		{"service-unavailable", 0, "Waiting: no device of " + typo + " is found. Check the address. It is looked for again",
			"Not sent: there is no " + typo + ", or nobody there has an app that encrypts. Check the address."},
		{"remote-server-not-found", 3 * time.Second, "Waiting: the relay finds no server mercy.exmple. Check the address. It is looked for again",
			"Not sent: the relay finds no server mercy.exmple. Check the address, or send again later."},
	} {
		t.Run(x.condition, func(t *testing.T) {
			t.Parallel()
			c, d := online(t)
			c.call(func() { c.listPatience, c.serverPatience = time.Second, x.patience })
			settledNow(t, c)
			d.mu.Lock()
			d.hook = refusal(typo, "cancel", x.condition)
			d.mu.Unlock()
			m, err := c.Send(ctx, typo, "secret")
			if err != nil {
				t.Fatal(err)
			}
			waited := ""
			y := wait(t, c, func(y MessageChanged) bool {
				if y.Message.ID == m.ID && y.Message.State == store.Queued {
					waited = y.Message.Why.String()
				}
				return y.Message.ID == m.ID && y.Message.State == store.Failed
			})
			if waited != x.waits || y.Message.Why.String() != x.fails {
				t.Errorf("waits because %q, failed because %q", waited, y.Message.Why)
			}
		})
	}
}

// TestKnownPersonIsNoTypo has somebody's server vanish for a while: messages wait.
func TestKnownPersonIsNoTypo(t *testing.T) {
	c, d := online(t)
	c.call(func() { c.serverPatience = 0 })
	settledNow(t, c)
	r := newRemote(t, d, ada)
	r.start(d, c)
	d.deliver(r.write(c, "m1", "hello"))
	wait(t, c, func(x MessageAdded) bool { return x.Message.Body.String() == "hello" })
	d.mu.Lock()
	d.hook = refusal(ada, "cancel", "remote-server-not-found")
	d.mu.Unlock()
	d.next(2)
	caught(t, c)
	m, _ := c.Send(ctx, ada, "are you there?")
	y := wait(t, c, func(y MessageChanged) bool { return y.Message.ID == m.ID && !y.Message.Why.Empty() })
	if y.Message.State != store.Queued || strings.Contains(y.Message.Why.String(), "Check the address") {
		t.Errorf("%v because %q", y.Message.State, y.Message.Why)
	}
}

// TestBouncedFromNobody names the address that a relay knows nobody of.
func TestBouncedFromNobody(t *testing.T) {
	for condition, want := range map[string]string{
		"gone":                "Not delivered: there is no " + ada + ". Check the address",
		"service-unavailable": "Not delivered: nobody takes that at this address",
	} {
		c, d := online(t)
		newRemote(t, d, ada)
		m, _ := c.Send(ctx, ada, "hello")
		id := d.sent(hasPayload).Get("id")
		d.deliver(stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSClient, "error", stanza.New(stanza.NSStanzas, condition))).
			With("type", "error").With("from", ada).With("id", id).With("to", me))
		x := wait(t, c, func(x MessageChanged) bool { return x.Message.ID == m.ID && x.Message.State == store.Failed })
		if x.Message.Why.String() != want {
			t.Errorf("failed because %q", x.Message.Why)
		}
	}
}

// TestNotesToSelf go to the own other devices, and are refused at once without any.
func TestNotesToSelf(t *testing.T) {
	c, d := online(t)
	if s, err := c.Security(ctx, me); err != nil || !strings.Contains(s.Words.String(), "no other device to send notes to") {
		t.Errorf("says %q, %v", s.Words, err)
	}
	if _, err := c.Send(ctx, me, "note"); err == nil || !strings.HasPrefix(err.Error(), "you have no other device to send notes to") {
		t.Errorf("sending: %v", err)
	}
	if l, err := c.Conversations(ctx); err != nil || len(l) != 0 {
		t.Errorf("conversations %+v, %v", l, err)
	}
	other := newRemote(t, d, me)
	c.call(c.askOwnDevices)
	wait(t, c, func(x DevicesChanged) bool { return x.Peer == me })
	if err := c.Trust(ctx, me, other.dev.Fingerprint(), store.Verified); err != nil { // it came later
		eventually(t, "its key is known", func() bool { return c.Trust(ctx, me, other.dev.Fingerprint(), store.Verified) == nil })
	}
	m, err := c.Send(ctx, me, "note")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := other.read(d.sent(hasPayload)); err != nil || got != "note" {
		t.Errorf("the other device reads %q, %v", got, err)
	}
	wait(t, c, func(x MessageChanged) bool { return x.Message.ID == m.ID && x.Message.State == store.Sent })
}

// TestUnconfirmedByWhoNeverConfirms goes out once more when the recipient comes
// online, and is told of as unconfirmed while they are there.
func TestUnconfirmedByWhoNeverConfirms(t *testing.T) {
	c, d := online(t)
	c.call(func() { c.resendAfter = []time.Duration{50 * time.Millisecond, 300 * time.Millisecond, time.Second} })
	settledNow(t, c)
	newRemote(t, d, ada)
	presence := func(typ, resource string) {
		e := stanza.New(stanza.NSClient, "presence").With("from", ada+"/"+resource)
		if typ != "" {
			e.Set("type", typ)
		}
		d.deliver(e)
	}
	m, _ := c.Send(ctx, ada, "one")
	one := d.sent(hasPayload)
	wait(t, c, func(x MessageChanged) bool { return x.Message.ID == m.ID && x.Message.State == store.Sent })
	// What she writes is no reason to send her a repeat that her app may not understand.
	d.deliver(stanza.NewChat(me, "m", stanza.Body("hm?")).With("from", ada+"/x"))
	wait(t, c, func(x MessageAdded) bool { return !x.Message.Outgoing })
	eventually(t, "the session is not new any more", func() bool {
		return ofRun(t, c, func() bool { return time.Since(c.onlineAt) > c.resendAfter[0] })
	})
	presence("", "x")
	if again := d.sent(hasPayload); again.String() != one.String() {
		t.Fatalf("sent again: %v", again)
	}
	x := wait(t, c, func(x MessageChanged) bool { return x.Message.ID == m.ID && !x.Message.Why.Empty() })
	if x.Message.State != store.Sent || x.Message.Why.String() != "the app of okafor has not confirmed it, and may never do so" {
		t.Errorf("%v, %q", x.Message.State, x.Message.Why)
	}
	presence("unavailable", "x")
	presence("", "x")
	c.Send(ctx, ada, "two")
	if two := d.sent(hasPayload); two.Get("id") == one.Get("id") {
		t.Error("sent a third time")
	}
	// When she does confirm it, that is taken back.
	d.deliver(stanza.NewChat(me, "r", stanza.Received(one.Get("id"))).With("from", ada+"/x"))
	x = wait(t, c, func(x MessageChanged) bool { return x.Message.ID == m.ID && x.Message.State == store.Delivered })
	if !x.Message.Why.Empty() {
		t.Errorf("still says %q", x.Message.Why)
	}
}
