package link

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"sotto/client/org"
	"sotto/client/org/head"
	"sotto/client/org/order"
	"sotto/client/org/orgtest"
	"sotto/client/stanza"
	"sotto/client/wire"
)

const contactAddress = "sotto@h.example"

// hospital is an organisation whose statements the test's relay carries, and answers
// for.
type hospital struct {
	t      *testing.T
	s      *testServer
	key    *orgtest.Key
	device *orgtest.Key
	since  time.Time
	acks   chan stanza.Acknowledgement
	asked  chan string // node and item of each question

	mu    sync.Mutex
	items map[string][]byte // by node and item
	head  head.Head
	other string // who answers in the contact's place; "": the contact
}

func newHospital(t *testing.T, s *testServer) *hospital {
	now := time.Now().UTC().Truncate(time.Second)
	h := &hospital{
		t: t, s: s, key: orgtest.New("h.example", "1"), device: orgtest.New(org.DeviceName(7), "1"), since: now.Add(-time.Hour),
		acks: make(chan stanza.Acknowledgement, 64), asked: make(chan string, 4096), items: make(map[string][]byte),
		head: head.Head{Number: 1, Issued: now.Add(-time.Minute), Orders: head.Orders{First: 1, Last: 0}},
	}
	go h.answer()
	return h
}

// answer is the relay: it answers what is asked of the contact.
func (h *hospital) answer() {
	for e := range h.s.stanzas {
		if e.Local == "message" {
			if a, ok := stanza.ReadAcknowledgement(e); ok {
				h.acks <- a
			}
			continue
		}
		items := e.Child(stanza.NSPubSub, "pubsub").Child(stanza.NSPubSub, "items")
		if e.Local != "iq" || e.Get("to") != contactAddress || items == nil {
			continue
		}
		node, id := items.Get("node"), items.Child("", "item").Get("id")
		h.mu.Lock()
		note, from := h.items[node+" "+id], contactAddress
		if h.other != "" {
			from = h.other
		}
		h.mu.Unlock()
		body := stanza.New(stanza.NSPubSub, "items").With("node", node)
		if note != nil {
			body.Add(stanza.New(stanza.NSPubSub, "item", stanza.Note(note)).With("id", id))
		}
		h.s.deliver("%s", stanza.NewIQ("result", "", e.Get("id"), stanza.New(stanza.NSPubSub, "pubsub", body)).With("from", from).String())
		h.asked <- node + " " + id
	}
}

func (h *hospital) put(node, id string, note []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.items[node+" "+id] = note
}

// sign returns an order with the next number, which the head then names.
func (h *hospital) sign(do order.Action, change func(*order.Order)) (*order.Order, []byte) {
	h.t.Helper()
	h.head.Orders.Last++
	x := &order.Order{
		Number: h.head.Orders.Last, Issued: h.since.Add(time.Minute), Expires: h.since.Add(48 * time.Hour),
		Do: do, For: order.Target{Person: "ada@h.example"}, Reason: "a test",
	}
	if do == order.Recall {
		x.Message = order.Message{Author: "bob@h.example", ID: "m1"}
	}
	if change != nil {
		change(x)
	}
	note, err := x.Sign(h.key)
	if err != nil {
		h.t.Fatal(err)
	}
	return x, note
}

// order signs an order and publishes it.
func (h *hospital) order(do order.Action, change func(*order.Order)) *order.Order {
	h.t.Helper()
	x, note := h.sign(do, change)
	h.put(stanza.NodeOrders, stanza.NumberItem(h.head.Orders.Last), note)
	return x
}

// pulse signs the next head, publishes it and returns it.
func (h *hospital) pulse() []byte {
	h.t.Helper()
	h.head.Number++
	h.head.Issued = h.head.Issued.Add(time.Second)
	note, err := h.head.Sign(h.key)
	if err != nil {
		h.t.Fatal(err)
	}
	h.put(stanza.NodeHead, stanza.ItemCurrent, note)
	return note
}

func (h *hospital) nudge(note []byte) {
	h.s.deliver("%s", stanza.Nudge("ada@h.example", note).With("from", "mallory@evil.example/x").String())
}

// duty is what a desk would tell.
func (h *hospital) duty(key []byte) wire.Duty {
	h.t.Helper()
	anchor, _ := org.NewAnchor(h.key.Key, h.head.Keys).MarshalText()
	ledger, _ := order.NewLedger(h.since).MarshalText()
	note, err := h.head.Sign(h.key)
	if err != nil {
		h.t.Fatal(err)
	}
	to, err := org.NewKey(org.DeviceName(7), key)
	if err != nil {
		h.t.Fatal(err)
	}
	d := order.Delegation{Device: order.Target{Person: "ada@h.example", Device: 7}, To: to, Issued: h.since.Add(time.Minute), Expires: h.since.Add(24 * time.Hour)}
	delegation, err := d.Sign("h.example", h.device)
	if err != nil {
		h.t.Fatal(err)
	}
	return wire.Duty{Contact: contactAddress, Anchor: anchor, Head: note, Address: "ada@h.example", Device: 7, Roles: []string{"on-call"}, Ledger: ledger, Delegation: delegation}
}

// enlist is what a desk does; it returns what the link had followed.
func (h *hospital) enlist(d *testDesk) wire.Enlisted {
	h.t.Helper()
	d.write(wire.Enlist{})
	e := d.next("Enlisted", func(m wire.Message) bool { _, ok := m.(wire.Enlisted); return ok }).(wire.Enlisted)
	d.write(h.duty(e.Key))
	d.barrier()
	return e
}

// locked is a link that is online, knows the hospital, and has no desk.
func locked(t *testing.T) (*hospital, *Link) {
	t.Helper()
	s := newServer(t, script{}, nil)
	h := newHospital(t, s)
	h.pulse()
	l := start(t, Config{Logger: slog.New(slog.DiscardHandler)})
	d := attach(t, l, true)
	d.login(s.url)
	await(t, s.online, "login")
	d.phase(wire.Online)
	h.enlist(d)
	d.close()
	if q := await(t, h.asked, "question for the head"); q != stanza.NodeHead+" "+stanza.ItemCurrent {
		t.Fatalf("asked for %s", q)
	}
	return h, l
}

// obeyed waits for the link's word and the organisation's of an order.
func (h *hospital) obeyed(l *Link, x *order.Order) Ordered {
	h.t.Helper()
	got := await(h.t, l.Orders(), "order that was obeyed")
	if got.Order.Number != x.Number || got.Order.Hash() != x.Hash() || got.Organisation != "h.example" {
		h.t.Fatalf("obeyed %+v", got)
	}
	a := await(h.t, h.acks, "acknowledgement")
	ack, err := order.OpenAcknowledgement(a.Note, x, "h.example", order.Target{Person: "ada@h.example", Device: 7}, h.device.Key, a.Delegation)
	if err != nil || ack.Result != order.Obeyed {
		h.t.Fatalf("acknowledged %+v, %v", ack, err)
	}
	return got
}

// nothing sees to it that the link does nothing that it should not: it has asked for
// all that it was to ask for, then something else is ordered, and that comes first.
func (h *hospital) nothing(l *Link) {
	h.t.Helper()
	x := h.order(order.Lock, nil)
	h.nudge(h.pulse())
	h.obeyed(l, x)
	select {
	case a := <-h.acks:
		h.t.Errorf("something was acknowledged: %s", a.Note)
	default:
	}
}

func TestOrdersWhileLocked(t *testing.T) {
	h, l := locked(t)
	h.order(order.Recall, nil)
	for _, change := range []func(*order.Order){
		nil,
		func(x *order.Order) { x.For.Device = 7 },
		func(x *order.Order) { x.For = order.Target{Role: "on-call"} },
		func(x *order.Order) { x.For = order.Target{} },
	} {
		x := h.order(order.Lock, change)
		h.nudge(h.pulse())
		h.obeyed(l, x)
	}
	x := h.order(order.Wipe, nil)
	h.nudge(h.pulse())
	if got := h.obeyed(l, x); got.Order.Do != order.Wipe || len(got.Note) == 0 {
		t.Errorf("%+v", got)
	}
}

// TestLogOffWhileLocked ends the stream, and forgets the password.
// Relays may hold back from an inactive client what nobody reads, nudges among it.
func TestWithDutyTheLinkStaysActive(t *testing.T) {
	h, _ := locked(t)
	for range 2 {
		for {
			if e := await(t, h.s.other, "client state"); e.Space == stanza.NSCSI {
				if e.Local != "active" {
					t.Fatalf("the relay was told %s", e.Local)
				}
				break
			}
		}
		h.s.cut() // what it was told is lost with the stream
	}
}

func TestLogOffWhileLocked(t *testing.T) {
	h, l := locked(t)
	h.order(order.LogOff, nil)
	h.order(order.LogOff, nil)
	h.nudge(h.pulse())
	for n := range 2 {
		if got := await(t, l.Orders(), "order"); got.Order.Do != order.LogOff || got.Order.Number != uint64(n+1) {
			t.Errorf("%+v", got.Order)
		}
		await(t, h.acks, "acknowledgement")
	}
	status(t, l, "the relay left", func(s Status) bool { return s.State.Words == "Logged off." })
}

// TestWipeBeforeLogOff: a wipe is not missed because a log-off came with it.
func TestWipeBeforeLogOff(t *testing.T) {
	h, l := locked(t)
	h.order(order.LogOff, nil)
	x := h.order(order.Wipe, nil)
	h.nudge(h.pulse())
	h.obeyed(l, x)
}

// TestOfflineThenOnline: what was ordered meanwhile is carried out with the next
// session, without any desk.
func TestOfflineThenOnline(t *testing.T) {
	h, l := locked(t)
	h.s.set(func(sc *script) { sc.noResume = true })
	x := h.order(order.Wipe, nil)
	h.pulse() // nobody is nudged
	h.s.cut()
	await(t, h.s.online, "login")
	h.obeyed(l, x)
}

// TestWithDeskNothingIsDone: a desk does all of it itself.
func TestWithDeskNothingIsDone(t *testing.T) {
	h, l := locked(t)
	d := attach(t, l, true)
	d.login(h.s.url)
	h.enlist(d)
	x := h.order(order.Wipe, nil)
	note := h.pulse()
	h.nudge(note)
	in, e := d.inbound()
	if string(stanza.ReadNudge(e)) != string(note) {
		t.Errorf("the desk was given %q", in.Stanza)
	}
	d.barrier()
	select {
	case got := <-l.Orders():
		t.Errorf("obeyed %+v", got)
	case q := <-h.asked:
		t.Errorf("asked for %s", q)
	default:
	}
	d.close()
	h.obeyed(l, x) // which the desk has not done
}

// TestOwnDeviceOfTheOrganisation obeys what names it, and not what is for everybody.
func TestOwnDeviceOfTheOrganisation(t *testing.T) {
	s := newServer(t, script{}, nil)
	h := newHospital(t, s)
	h.pulse()
	l := start(t, Config{Logger: slog.New(slog.DiscardHandler)})
	d := attach(t, l, true)
	d.login(s.url)
	await(t, s.online, "login")
	d.phase(wire.Online)
	d.write(wire.Enlist{})
	e := d.next("Enlisted", func(m wire.Message) bool { _, ok := m.(wire.Enlisted); return ok }).(wire.Enlisted)
	m := h.duty(e.Key)
	m.Address = contactAddress
	d.write(m)
	d.barrier()
	for _, do := range []order.Action{order.Lock, order.LogOff, order.Wipe} {
		h.order(do, func(x *order.Order) { x.For = order.Target{} })
		h.order(do, func(x *order.Order) { x.For = order.Target{Role: "on-call"} })
	}
	h.pulse()
	d.close()
	for range 1 + 6 {
		await(t, h.asked, "question")
	}
	for _, target := range []order.Target{{Person: contactAddress}, {Person: contactAddress, Device: 7}} {
		x := h.order(order.Lock, func(x *order.Order) { x.For = target })
		h.nudge(h.pulse())
		if got := await(t, l.Orders(), "order that was obeyed"); got.Order.Number != x.Number {
			t.Errorf("obeyed %s for %s", got.Order.Do, got.Order.For)
		}
		await(t, h.acks, "acknowledgement")
	}
	if len(h.acks) > 0 {
		t.Error("something else was acknowledged")
	}
}

// TestDeskIsToldTheHead: what the link has followed the next desk need not ask for.
func TestDeskIsToldTheHead(t *testing.T) {
	h, l := locked(t)
	x := h.order(order.Lock, nil)
	note := h.pulse()
	h.nudge(note)
	h.obeyed(l, x)
	d := attach(t, l, true)
	d.login(h.s.url)
	if e := h.enlist(d); string(e.Head) != string(note) {
		t.Errorf("told %q", e.Head)
	}
	d.close() // a ledger without the lock: it is not obeyed again
	for range 2 {
		await(t, h.asked, "the head")
	}
	h.nothing(l)
}

// TestHostileRelay has the relay say what nobody has ordered. Nothing of it is done;
// what is signed afterwards is.
func TestHostileRelay(t *testing.T) {
	forger := orgtest.New("h.example", "2")
	for name, attack := range map[string]func(h *hospital){
		"a forged order": func(h *hospital) {
			x, _ := h.sign(order.Wipe, nil)
			note, _ := x.Sign(forger)
			h.put(stanza.NodeOrders, "1", note)
		},
		"a changed order": func(h *hospital) {
			_, note := h.sign(order.Wipe, func(x *order.Order) { x.For = order.Target{Person: "bob@h.example"} })
			h.put(stanza.NodeOrders, "1", []byte(strings.ReplaceAll(string(note), "bob@h.example", "ada@h.example")))
		},
		"an order for somebody else":   func(h *hospital) { h.order(order.Wipe, func(x *order.Order) { x.For.Person = "bob@h.example" }) },
		"an order for another device":  func(h *hospital) { h.order(order.Wipe, func(x *order.Order) { x.For.Device = 8 }) },
		"an order for the last device": func(h *hospital) { h.order(order.Wipe, func(x *order.Order) { x.Issued = h.since.Add(-time.Hour) }) },
		"an order that has expired": func(h *hospital) {
			h.order(order.LogOff, func(x *order.Order) { x.Expires = x.Issued.Add(time.Minute) })
		},
		"one order in place of another": func(h *hospital) {
			h.head.Orders.Last++ // the first was never for anybody here
			_, note := h.sign(order.Wipe, func(x *order.Order) { x.Number = 9 })
			h.put(stanza.NodeOrders, "1", note)
			h.put(stanza.NodeOrders, "2", note)
		},
		"no order": func(h *hospital) { h.sign(order.Wipe, nil) },
		"something long": func(h *hospital) {
			h.sign(order.Wipe, nil)
			h.put(stanza.NodeOrders, "1", []byte(strings.Repeat("x", 60<<10)))
		},
		"no note": func(h *hospital) {
			h.sign(order.Wipe, nil)
			h.put(stanza.NodeOrders, "1", []byte("wipe it"))
		},
		"somebody else's answer": func(h *hospital) {
			h.other = "mallory@evil.example"
			h.order(order.Wipe, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, l := locked(t)
			if strings.Contains(name, "expired") {
				h.head.Issued = time.Now().UTC().Truncate(time.Second) // the organisation's clock is beyond it
			}
			attack(h)
			h.nudge(h.pulse())
			await(t, h.asked, "a question")
			h.mu.Lock()
			h.other = ""
			h.mu.Unlock()
			h.nothing(l)
		})
	}
}

// TestHostileHeads: old, forged and forked heads change nothing.
func TestHostileHeads(t *testing.T) {
	h, l := locked(t)
	x := h.order(order.Lock, nil)
	old := h.head
	h.nudge(h.pulse())
	h.obeyed(l, x)
	h.order(order.Wipe, func(x *order.Order) { x.For.Device = 9 })

	forger := orgtest.New("h.example", "2")
	sign := func(k *orgtest.Key, change func(*head.Head)) []byte {
		x := h.head
		change(&x)
		note, err := x.Sign(k)
		if err != nil {
			t.Fatal(err)
		}
		return note
	}
	back, _ := old.Sign(h.key)
	for name, note := range map[string][]byte{
		"old":         back,
		"forged":      sign(forger, func(x *head.Head) { x.Number += 9 }),
		"forked":      sign(h.key, func(x *head.Head) { x.Orders.Last += 7 }),
		"fewer":       sign(h.key, func(x *head.Head) { x.Number += 9; x.Orders.Last = 0 }),
		"back":        sign(h.key, func(x *head.Head) { x.Number += 9; x.Issued = x.Issued.Add(-time.Hour) }),
		"of no key":   sign(h.key, func(x *head.Head) { x.Number += 9; x.Keys = 3 }),
		"cut off":     back[:len(back)/2],
		"nothing":     []byte("head"),
		"long":        []byte(strings.Repeat("x", 60<<10)),
		"an order":    func() []byte { _, n := h.sign(order.Lock, nil); h.head.Orders.Last--; return n }(),
		"another org": sign(orgtest.New("clinic.example", "1"), func(x *head.Head) { x.Number += 9 }),
	} {
		for len(h.asked) > 0 {
			<-h.asked
		}
		h.nudge(note)
		if name == "old" {
			h.put(stanza.NodeHead, stanza.ItemCurrent, note)
		}
	}
	h.nothing(l)
	for len(h.asked) > 0 {
		if q := <-h.asked; q != stanza.NodeOrders+" 2" && q != stanza.NodeOrders+" 3" {
			t.Errorf("asked for %s", q)
		}
	}
}

// TestFloodOfNudges: they cost little, and the next head is followed all the same,
// at the latest when it is asked for.
func TestFloodOfNudges(t *testing.T) {
	h, l := locked(t)
	forged, _ := h.head.Sign(orgtest.New("h.example", "2"))
	for range 500 {
		h.nudge(forged)
	}
	h.s.set(func(sc *script) { sc.noResume = true })
	x := h.order(order.Lock, nil)
	h.pulse()
	h.s.cut()
	await(t, h.s.online, "login")
	h.obeyed(l, x)
}

// TestAnotherKey: the organisation has changed its key while nobody was there.
func TestAnotherKey(t *testing.T) {
	h, l := locked(t)
	next := orgtest.New("h.example", "9")
	change, err := org.Rotation{Number: 1, Issued: time.Now(), From: h.key.Key, To: next.Key}.Sign(h.key, next)
	if err != nil {
		t.Fatal(err)
	}
	h.put(stanza.NodeKeys, "1", change)
	was := h.key
	h.key, h.head.Keys = next, 1
	x := h.order(order.Lock, nil)
	h.pulse()
	h.s.set(func(sc *script) { sc.noResume = true })
	h.s.cut()
	await(t, h.s.online, "login")
	if got := h.obeyed(l, x); len(got.Keys) != 1 || string(got.Keys[0]) != string(change) {
		t.Errorf("without the change of the key: %+v", got)
	}
	h.key, h.head.Keys = was, 0 // whoever has the old one orders nothing
	h.order(order.Wipe, nil)
	h.nudge(h.pulse())
	h.key, h.head.Keys = next, 1
	h.nothing(l)
}

// TestDeafRelay: a relay that takes no acknowledgement does not keep a wipe from being
// done.
func TestDeafRelay(t *testing.T) {
	h, l := locked(t)
	h.s.set(func(sc *script) { sc.deaf = true })
	x := h.order(order.Wipe, nil)
	h.nudge(h.pulse())
	h.obeyed(l, x)
}

// TestHostileDesk: what a desk says that was taken over ends its connection, or is of
// no use to it.
func TestHostileDesk(t *testing.T) {
	for name, spoil := range map[string]func(*wire.Duty){
		"no contact":    func(m *wire.Duty) { m.Contact = "" },
		"a full one":    func(m *wire.Duty) { m.Contact += "/x" },
		"no anchor":     func(m *wire.Duty) { m.Anchor = nil },
		"no ledger":     func(m *wire.Duty) { m.Ledger = []byte("order: 1 x\n") },
		"a forged head": func(m *wire.Duty) { m.Head = append(m.Head, '\n') },
		"no device":     func(m *wire.Duty) { m.Device = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, script{}, nil)
			h := newHospital(t, s)
			d := attach(t, start(t, Config{}), true)
			d.login(s.url)
			await(t, s.online, "login")
			d.write(wire.Enlist{})
			e := d.next("Enlisted", func(m wire.Message) bool { _, ok := m.(wire.Enlisted); return ok }).(wire.Enlisted)
			m := h.duty(e.Key)
			spoil(&m)
			d.write(m)
			closed(t, d)
		})
	}
	s := newServer(t, script{}, nil)
	d := attach(t, start(t, Config{}), true)
	d.login(s.url)
	await(t, s.online, "login")
	d.write(newHospital(t, s).duty(orgtest.New("x", "1").Public())) // before it has asked for a key
	closed(t, d)
}

// closed waits until the link has closed the connection.
func closed(t *testing.T, d *testDesk) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case _, open := <-d.msgs:
			if !open {
				return
			}
		case <-late:
			t.Fatal("the desk is still there")
		}
	}
}

// TestLogoffForgetsTheOrganisation: another account has nothing to do with it.
func TestLogoffForgetsTheOrganisation(t *testing.T) {
	h, l := locked(t)
	d := attach(t, l, true)
	m := account1(h.s.url)
	m.Legacy = true // another account, as the link sees it
	d.write(m)
	await(t, h.s.online, "login")
	d.write(wire.Enlist{})
	e := d.next("Enlisted", func(m wire.Message) bool { _, ok := m.(wire.Enlisted); return ok }).(wire.Enlisted)
	if len(e.Head) != 0 {
		t.Errorf("it knows a head: %q", e.Head)
	}
	d.close()
	h.order(order.Wipe, nil)
	h.nudge(h.pulse())
	d = attach(t, l, true)
	d.write(m)
	d.barrier()
	select {
	case got := <-l.Orders():
		t.Errorf("obeyed %+v", got)
	default:
	}
}
