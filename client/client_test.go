package client

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"sotto/client/omemo"
	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/wire"
)

var ctx = context.Background()

func TestSendAndDelivered(t *testing.T) {
	c, d := online(t)
	r := newRemote(t, d, ada)
	m, err := c.Send(ctx, ada, "!stat K 6.8\x1b[2J")
	if err != nil {
		t.Fatal(err)
	}
	if m.State != store.Queued || m.Urgency != store.Stat || strings.Contains(m.Body.String(), "\x1b") {
		t.Errorf("stored as %+v", m)
	}
	e := d.sent(hasPayload)
	if got, err := r.read(e); err != nil || got != "!stat K 6.8\x1b[2J" {
		t.Errorf("the recipient reads %q, %v", got, err)
	}
	env, err := stanza.ReadMessage(e)
	if err != nil || env.Type != "chat" || env.OriginID == "" || env.ID != env.OriginID || !env.Asks || !env.Urgent ||
		env.Method != stanza.NSOmemo || env.To.String() != ada || e.Child(stanza.NSHints, "store") == nil || strings.Contains(e.String(), "6.8") {
		t.Errorf("sent as %v", e)
	}
	wait(t, c, func(x MessageChanged) bool { return x.Message.ID == m.ID && x.Message.State == store.Sent })
	// A receipt counts from the recipient only.
	d.deliver(stanza.NewChat(me, "f1", stanza.Received(env.ID)).With("from", "eve@mercy.example/x"))
	d.deliver(stanza.NewChat(me, "f2", stanza.Body("after the forgery")).With("from", ada+"/x"))
	wait(t, c, func(x MessageAdded) bool { return x.Message.Body.String() == "after the forgery" })
	if got := messages(t, c, ada)[0]; got.State != store.Sent {
		t.Errorf("a stranger's receipt made it %v", got.State)
	}
	d.deliver(stanza.NewChat(me, "r1", stanza.Received(env.ID)).With("from", ada+"/x"))
	wait(t, c, func(x MessageChanged) bool { return x.Message.ID == m.ID && x.Message.State == store.Delivered })
	d.deliver(stanza.NewChat(me, "r2", stanza.Displayed(env.ID)).With("from", ada+"/x"))
	wait(t, c, func(x MessageChanged) bool { return x.Message.ID == m.ID && x.Message.State == store.Read })
}

func TestReceiveStoresAnswersAndDropsRepeats(t *testing.T) {
	c, d := online(t)
	r := newRemote(t, d, ada)
	r.start(d, c)
	e := r.write(c, "m1", "Hold the spironolactone.")
	d.deliver(e)
	wait(t, c, func(x MessageAdded) bool {
		return x.Message.Body.String() == "Hold the spironolactone." && x.Message.Encrypted && x.Message.Fingerprint == r.dev.Fingerprint()
	})
	if got := d.sent(isReceipt); got.Child("", "received").Get("id") != "m1" || got.Get("to") != ada {
		t.Errorf("receipt %v", got)
	}
	// The key exchange is answered with an empty message.
	answer := d.sent(func(e *stanza.Element) bool { return e.Child(stanza.NSOmemo, "encrypted") != nil })
	if got, err := r.read(answer); err != nil || got != "" || hasPayload(answer) {
		t.Errorf("answer reads %q, %v", got, err)
	}
	d.deliver(e)
	if got := d.sent(isReceipt); got.Child("", "received").Get("id") != "m1" {
		t.Errorf("repeat answered with %v", got)
	}
	d.deliver(r.write(c, "m2", "ECG?"))
	wait(t, c, func(x MessageAdded) bool { return x.Message.Body.String() == "ECG?" })
	if got := bodies(t, c, ada); got != "Hold the spironolactone.|ECG?" {
		t.Errorf("conversation is %q", got)
	}
	d.mu.Lock()
	seq := d.seq
	d.mu.Unlock()
	eventually(t, "everything is acknowledged", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.stored == seq
	})
}

func TestCatchUpInPages(t *testing.T) {
	d := newDouble(t)
	st := memoryStore(t)
	conn := d.attach(1)
	c := run(t, st, conn)
	wait(t, c, func(CaughtUp) bool { return true })
	d.published(c)
	r := newRemote(t, d, ada)
	r.start(d, c)
	d.deliver(r.write(c, "first", "first"))
	wait(t, c, func(x MessageAdded) bool { return true })
	conn.Close()
	if err := st.Update(ctx, func(tx *store.Tx) error { return tx.SetArchivePosition(me, "a0") }); err != nil {
		t.Fatal(err)
	}

	const n = 3*pageSize + 10
	d.mu.Lock()
	d.archive = append(d.archive, stanza.NewChat(me, "first", stanza.Body("x")).With("from", ada))
	d.mu.Unlock()
	for i := range n {
		e := r.write(c, fmt.Sprintf("m%d", i), fmt.Sprint(i))
		d.mu.Lock()
		d.archive = append(d.archive, e)
		d.mu.Unlock()
	}
	c = run(t, st, d.attach(2))
	// Live meanwhile: one that the archive has too, and one it has not.
	d.mu.Lock()
	double := d.archive[n]
	d.mu.Unlock()
	d.deliver(double)
	d.deliver(r.write(c, "live", "live"))
	wait(t, c, func(CaughtUp) bool { return true })
	seen := make(map[string]int)
	for _, m := range messages(t, c, ada) {
		seen[m.Body.String()]++
		if m.Kind != store.Text {
			t.Errorf("%q", m.Body)
		}
	}
	for i := range n {
		if seen[fmt.Sprint(i)] != 1 {
			t.Fatalf("message %d is there %d times", i, seen[fmt.Sprint(i)])
		}
	}
	if seen["live"] != 1 || seen["first"] != 1 || len(seen) != n+2 {
		t.Errorf("%d messages, live %d, first %d", len(seen), seen["live"], seen["first"])
	}
}

func TestFirstRunSaysThePastOnce(t *testing.T) {
	d := newDouble(t)
	other := newRemote(t, d, me) // an own device of before
	r := newRemote(t, d, ada)
	r.do(func(tx *store.Tx) error {
		b, err := stanza.ReadBundle(d.nodes[me+" "+stanza.NodeBundle(other.dev.ID())])
		if err != nil {
			return err
		}
		return r.dev.StartSession(tx, omemo.Address{JID: me, Device: other.dev.ID()}, b)
	})
	for i := range 5 {
		r.do(func(tx *store.Tx) error {
			enc, err := r.dev.Encrypt(tx, []omemo.Address{{JID: me, Device: other.dev.ID()}}, []byte("old"))
			d.archive = append(d.archive, stanza.NewChat(me, fmt.Sprint(i), enc).With("from", ada+"/phone"))
			return err
		})
	}
	// And what the other device wrote to her.
	other.do(func(tx *store.Tx) error {
		b, err := stanza.ReadBundle(d.nodes[ada+" "+stanza.NodeBundle(r.dev.ID())])
		if err == nil {
			err = other.dev.StartSession(tx, omemo.Address{JID: ada, Device: r.dev.ID()}, b)
		}
		if err != nil {
			return err
		}
		enc, err := other.dev.Encrypt(tx, []omemo.Address{{JID: ada, Device: r.dev.ID()}}, []byte("old"))
		d.archive = append(d.archive, stanza.NewChat(ada, "o", enc).With("from", me+"/phone"))
		return err
	})
	d.archive = append(d.archive, stanza.NewChat(me, "p", stanza.Body("in the clear")).With("from", ada))
	c := run(t, memoryStore(t), d.attach(1))
	wait(t, c, func(CaughtUp) bool { return true })
	list := messages(t, c, ada)
	if len(list) != 2 || list[0].Kind != store.Notice || !strings.Contains(list[0].Body.String(), "before this device") || list[1].Encrypted || list[1].Body.String() != "in the clear" {
		t.Errorf("conversation is %q", bodies(t, c, ada))
	}
	if rows, err := c.Conversations(ctx); err != nil || rows[0].Unread != 1 {
		t.Errorf("unread: %+v, %v", rows, err)
	}
	d.published(c)
	ids, _ := stanza.ReadDeviceList(d.nodes[me+" "+stanza.NodeDevices])
	if len(ids) != 2 {
		t.Errorf("own device list is %v", ids)
	}
}

func TestUndecryptable(t *testing.T) {
	c, d := online(t)
	r := newRemote(t, d, ada)
	r.start(d, c)
	d.deliver(r.write(c, "m1", "hello"))
	wait(t, c, func(x MessageAdded) bool { return true })
	// The client lists the device only once it has asked.
	eventually(t, "the device is listed", func() bool {
		devices, _ := c.Devices(ctx, ada)
		return len(devices) == 1 && devices[0].Active
	})

	// Not for this device.
	other := newRemote(t, nil, me)
	r.do(func(tx *store.Tx) error {
		var b omemo.Bundle
		other.do(func(tx *store.Tx) (err error) { b, err = other.dev.Bundle(tx); return err })
		return r.dev.StartSession(tx, omemo.Address{JID: me, Device: other.dev.ID()}, b)
	})
	r.do(func(tx *store.Tx) error {
		enc, err := r.dev.Encrypt(tx, []omemo.Address{{JID: me, Device: other.dev.ID()}}, []byte("x"))
		d.deliver(stanza.NewChat(me, "m2", enc, stanza.ReceiptRequest()).With("from", ada+"/phone"))
		return err
	})
	wait(t, c, func(x MessageAdded) bool {
		return x.Message.Kind == store.Notice && x.Message.Body.String() == "This message was not encrypted for this device. Ask okafor to compare this device first, and then to send it again."
	})

	// The session is lost here: said once, and renewed.
	addr := omemo.Address{JID: ada, Device: r.dev.ID()}
	d.sent(func(e *stanza.Element) bool { _, err := r.read(e); return err == nil }) // the answer to the key exchange
	if err := c.store.Update(ctx, func(tx *store.Tx) error { return c.device.Forget(tx, addr) }); err != nil {
		t.Fatal(err)
	}
	lost := r.write(c, "m3", "lost")
	d.deliver(lost)
	d.deliver(lost)
	wait(t, c, func(x MessageAdded) bool { return strings.Contains(x.Message.Body.String(), "no longer match") })
	d.sent(func(e *stanza.Element) bool {
		if e.Child(stanza.NSOmemo, "encrypted") == nil {
			return false
		}
		_, err := r.read(e)
		return err == nil
	})
	d.deliver(r.write(c, "m4", "found again"))
	wait(t, c, func(x MessageAdded) bool { return x.Message.Body.String() == "found again" })
	n := 0
	for _, m := range messages(t, c, ada) {
		if m.Kind == store.Notice {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d notices in %q", n, bodies(t, c, ada))
	}
	// Sent again with the same id, it takes the place of its notice.
	d.deliver(r.write(c, "m3", "no longer lost"))
	wait(t, c, func(x MessageAdded) bool { return x.Message.Body.String() == "no longer lost" })

	// Altered on the way.
	bad := r.write(c, "m5", "altered")
	bad.Child(stanza.NSOmemo, "encrypted").Child("", "payload").Children[0].Data = "AAAA"
	d.deliver(bad)
	wait(t, c, func(x MessageAdded) bool { return strings.Contains(x.Message.Body.String(), "damaged or altered") })
	d.deliver(stanza.NewChat(me, "m6", stanza.Body("?"), stanza.EncryptedWith("urn:xmpp:openpgp:0", "OX")).With("from", ada))
	wait(t, c, func(x MessageAdded) bool { return strings.Contains(x.Message.Body.String(), "does not read") })
}

func TestBounce(t *testing.T) {
	c, d := online(t)
	newRemote(t, d, ada)
	m, _ := c.Send(ctx, ada, "hello")
	id := d.sent(hasPayload).Get("id")
	d.deliver(stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSClient, "error", stanza.New(stanza.NSStanzas, "service-unavailable"),
		stanza.TextElement(stanza.NSStanzas, "text", "\x1b[2J"))).With("type", "error").With("from", ada).With("id", id).With("to", me))
	x := wait(t, c, func(x MessageChanged) bool { return x.Message.ID == m.ID && x.Message.State == store.Failed })
	if !strings.HasPrefix(x.Message.Why.String(), "Not delivered: ") {
		t.Errorf("failed because %q", x.Message.Why)
	}
}

func TestOutboxSurvivesAndIsNotSentTwice(t *testing.T) {
	d := newDouble(t)
	d.settle = false
	st := memoryStore(t)
	conn := d.attach(1)
	c := run(t, st, conn)
	wait(t, c, func(CaughtUp) bool { return true })
	r := newRemote(t, d, ada)
	c.Send(ctx, ada, "one")
	c.Send(ctx, ada, "two")
	one, two := d.sent(hasPayload), d.sent(hasPayload)
	conn.Close()

	// The link still has the first: only the second goes out again, the same.
	c = run(t, st, d.attach(1, one.Get("id")))
	again := d.sent(hasPayload)
	if again.String() != two.String() {
		t.Errorf("sent again as %v, first %v", again, two)
	}
	d.out.send(wire.Settled{ID: one.Get("id")})
	d.out.send(wire.Settled{ID: two.Get("id")})
	eventually(t, "both are sent", func() bool {
		list := messages(t, c, ada)
		return list[0].State == store.Sent && list[1].State == store.Sent
	})
	eventually(t, "nothing is queued", func() bool { return c.State().Queued == 0 })
	for _, e := range []*stanza.Element{one, two} {
		if _, err := r.read(e); err != nil {
			t.Error(err)
		}
	}
	select {
	case e := <-d.messages:
		t.Errorf("sent too: %v", e)
	default:
	}
}

func TestCarbonsFromAnotherOwnDevice(t *testing.T) {
	d := newDouble(t)
	other := newRemote(t, d, me)
	c := run(t, memoryStore(t), d.attach(1))
	wait(t, c, func(CaughtUp) bool { return true })
	d.published(c)
	other.start(d, c)
	sent := other.write(c, "c1", "from my phone").With("to", ada).With("from", me+"/phone")
	copied := stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSCarbons, "sent",
		stanza.New(stanza.NSForward, "forwarded", sent))).With("from", me).With("to", me+"/test")
	d.deliver(copied)
	wait(t, c, func(x MessageAdded) bool {
		m := x.Message
		return m.Outgoing && m.Peer == ada && m.State == store.Sent && m.Body.String() == "from my phone" && m.Encrypted
	})
	// What this device sends, the other own device can read.
	newRemote(t, d, ada)
	c.Send(ctx, ada, "from here")
	if got, err := other.read(d.sent(hasPayload)); err != nil || got != "from here" {
		t.Errorf("the other own device reads %q, %v", got, err)
	}
}

func TestMarkReadTellsTheSender(t *testing.T) {
	c, d := online(t)
	r := newRemote(t, d, ada)
	r.start(d, c)
	d.deliver(r.write(c, "m1", "one"))
	x := wait(t, c, func(x MessageAdded) bool { return true })
	if err := c.MarkRead(ctx, ada, x.Message.ID); err != nil {
		t.Fatal(err)
	}
	e := d.sent(func(e *stanza.Element) bool { return e.Child(stanza.NSMarkers, "displayed") != nil })
	if e.Child("", "displayed").Get("id") != "m1" || e.Get("to") != ada {
		t.Errorf("sent %v", e)
	}
}

func TestRosterAndPresence(t *testing.T) {
	d := newDouble(t)
	item := func(jid, name string) *stanza.Element {
		return stanza.New(stanza.NSRoster, "item", stanza.TextElement(stanza.NSRoster, "group", "cardiology")).
			With("jid", jid).With("name", name).With("subscription", "both")
	}
	d.roster = append(d.roster, item(ada, "Okafor,\u202e Ada"), item("lind@mercy.example", ""))
	c := run(t, memoryStore(t), d.attach(1))
	wait(t, c, func(CaughtUp) bool { return true })
	list, err := c.Conversations(ctx)
	if err != nil || len(list) != 2 || list[1].Name.String() != "Okafor,<U+202E> Ada" || list[0].Name.String() != "lind@mercy.example" ||
		list[1].Group.String() != "cardiology" {
		t.Fatalf("conversations %+v, %v", list, err)
	}
	d.deliver(stanza.New(stanza.NSClient, "presence", stanza.TextElement(stanza.NSClient, "show", "away")).With("from", ada+"/a"))
	d.deliver(stanza.New(stanza.NSClient, "presence", stanza.TextElement(stanza.NSClient, "status", "theatre\x1b 2")).With("from", ada+"/b"))
	eventually(t, "she is there", func() bool {
		p := c.Presence(ada)
		return p.Available && p.Show == "" && p.Status.String() != ""
	})
	d.deliver(stanza.New(stanza.NSClient, "presence").With("type", "unavailable").With("from", ada+"/b"))
	eventually(t, "she is away", func() bool { return c.Presence(ada).Show == "away" })
	d.deliver(stanza.NewIQ("set", me+"/test", "push", stanza.New(stanza.NSRoster, "query", item(ada, "").With("subscription", "remove"))).With("from", me))
	eventually(t, "she is removed", func() bool {
		list, err := c.Conversations(ctx)
		return err == nil && len(list) == 1
	})
	eventually(t, "the push is done with", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.stored == d.seq
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.asked {
		if e.Get("id") == "push" {
			t.Errorf("the link has answered the push, and the client did too: %s", e)
		}
	}
}

func TestSendRefuses(t *testing.T) {
	c, _ := online(t)
	for _, x := range [][2]string{{"", "hi"}, {"mercy.example", "hi"}, {"@", "hi"}, {"a\xff@b", "hi"}, {ada, " \n"}, {ada, strings.Repeat("x", MaxBody+1)}} {
		if _, err := c.Send(ctx, x[0], x[1]); err == nil {
			t.Errorf("sent %.20q to %q", x[1], x[0])
		}
	}
	if _, err := New(Config{Account: Account{Address: "mercy.example"}, Store: memoryStore(t), Link: nopConn{}}); err == nil {
		t.Error("an account without a name was opened")
	}
}

func TestLoginHandsOverThePassword(t *testing.T) {
	c, d := online(t)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.login.Address != me || string(d.login.Password) != "pw" {
		t.Errorf("login %+v", d.login)
	}
	_ = c
}

func TestWrongPasswordSaysWhatToDo(t *testing.T) {
	c, d := online(t)
	d.out.send(wire.State{Phase: wire.Refused, Words: "The relay does not accept\x1b[2J the password.", WrongPassword: true})
	x := wait(t, c, func(x StateChanged) bool { return x.State.Phase == wire.Refused })
	if got := x.State.Words.String(); got != "The relay does not accept<U+001B>[2J the password. Then quit and run: sotto password" {
		t.Errorf("says %q", got)
	}
}

func TestUrgency(t *testing.T) {
	for s, want := range map[string]int{
		"!stat K 6.8": store.Stat, " !STAT": store.Stat, "!stat: now": store.Stat, "!statistics": store.Routine,
		"!urgent x": store.Urgent, "not !stat": store.Routine, "": store.Routine,
	} {
		if got := urgencyOf(s); got != want {
			t.Errorf("urgencyOf(%q) = %d", s, got)
		}
	}
}

func TestEventsAreBounded(t *testing.T) {
	q := newEvents()
	for i := range 3 * maxEvents {
		q.put(MessageAdded{Message{ID: int64(i)}}, ConversationsChanged{}, StateChanged{State{Queued: i}})
	}
	if len(q.queue) > maxEvents {
		t.Fatalf("%d events wait", len(q.queue))
	}
	resync, lists, states := 0, 0, 0
	for e, ok := q.pop(); ok; e, ok = q.pop() {
		switch e := e.(type) {
		case Resync:
			resync++
		case ConversationsChanged:
			lists++
		case StateChanged:
			states++
			if e.State.Queued != 3*maxEvents-1 {
				t.Errorf("state of %d", e.State.Queued)
			}
		}
	}
	if resync != 1 || lists != 1 || states != 1 {
		t.Errorf("%d resyncs, %d lists, %d states", resync, lists, states)
	}
}

func TestTwoStartWithTheSamePreKey(t *testing.T) {
	c, d := online(t)
	// A bundle with a single prekey: everybody has to choose it.
	d.mu.Lock()
	e := d.nodes[me+" "+stanza.NodeBundle(c.device.ID())]
	pre := e.Child("", "prekeys")
	pre.Children = pre.Children[:1]
	d.mu.Unlock()
	var all []*remote
	for i := range 5 { // before any is used, or there is another bundle soon
		r := newRemote(t, d, fmt.Sprintf("p%d@mercy.example", i))
		r.start(d, c)
		all = append(all, r)
	}
	for i, r := range all {
		d.deliver(r.write(c, "m", "hello"))
		x := wait(t, c, func(x MessageAdded) bool { return x.Message.Peer == r.jid })
		if x.Message.Body.String() != "hello" {
			t.Errorf("number %d: %q", i, x.Message.Body)
		}
	}
	// It is replaced in the bundle, and gone when its grace is over.
	eventually(t, "the bundle is published again without it", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		b, err := stanza.ReadBundle(d.nodes[me+" "+stanza.NodeBundle(c.device.ID())])
		return err == nil && len(b.PreKeys) == omemo.PreKeyCount
	})
	err := c.store.Update(ctx, func(tx *store.Tx) error {
		next, err := graceKeys{tx}.sweep(time.Now())
		all, _ := tx.PreKeyIDs()
		if err != nil || next.IsZero() || len(all) != omemo.PreKeyCount+1 {
			t.Errorf("early: next %v, %v, %d keys", next, err, len(all))
		}
		next, err = graceKeys{tx}.sweep(time.Now().Add(preKeyGrace + time.Second))
		all, _ = tx.PreKeyIDs()
		if err != nil || !next.IsZero() || len(all) != omemo.PreKeyCount {
			t.Errorf("late: next %v, %v, %d keys", next, err, len(all))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
