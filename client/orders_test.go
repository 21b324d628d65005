package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"sotto/client/membership"
	"sotto/client/org"
	"sotto/client/org/order"
	"sotto/client/org/orgtest"
	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/wire"
)

// commanded is a client whose orders a test carries out.
type commanded struct {
	*staffed
	ordered  chan Ordered
	warrants chan Warrant
}

func command(t testing.TB) *commanded {
	s := &commanded{staff(t), make(chan Ordered, 16), make(chan Warrant, 16)}
	s.config.OnOrder = func(o Ordered) { s.ordered <- o }
	s.config.OnWarrant = func(w Warrant) { s.warrants <- w }
	return s
}

// order signs an order, which the next head names.
func (s *commanded) order(do order.Action, change func(*order.Order)) *order.Order {
	s.double.t.Helper()
	s.head.Orders.Last++
	now := time.Now().UTC().Truncate(time.Second)
	x := &order.Order{Number: s.head.Orders.Last, Issued: now, Expires: now.Add(48 * time.Hour), Do: do, For: order.Target{Person: me}, Reason: "it was found"}
	if do == order.Recall {
		x.Message = order.Message{Author: ada, ID: "m1"}
		x.For = order.Target{}
	}
	if change != nil {
		change(x)
	}
	note, err := x.Sign(s.key)
	if err != nil {
		s.double.t.Fatal(err)
	}
	s.put(stanza.NodeOrders, stanza.NumberItem(s.head.Orders.Last), note)
	return x
}

// acknowledged waits for what the device says about an order.
func (s *commanded) acknowledged(x *order.Order) *order.Acknowledgement {
	t := s.double.t
	t.Helper()
	e := s.sent(func(e *stanza.Element) bool { _, ok := stanza.ReadAcknowledgement(e); return ok })
	a, _ := stanza.ReadAcknowledgement(e)
	if e.Get("to") != contact || a.Delegation != nil {
		t.Errorf("acknowledged with %s", e)
	}
	ack, err := order.OpenAcknowledgement(a.Note, x, mercyOrg, order.Target{Person: me, Device: s.c.device.ID()}, s.deviceKey(), nil)
	if err != nil {
		t.Fatalf("%v: %s", err, a.Note)
	}
	return ack
}

func (s *commanded) deviceKey() (key org.Key) {
	s.double.t.Helper()
	err := s.st.Update(context.Background(), func(tx *store.Tx) error {
		k, err := membership.DeviceKey(tx, s.c.device.ID())
		if err == nil {
			key = k.Public()
		}
		return err
	})
	if err != nil {
		s.double.t.Fatal(err)
	}
	return key
}

// owed is how many acknowledgements the relay does not have.
func (s *commanded) owed() (n int) {
	s.double.t.Helper()
	err := s.st.View(context.Background(), func(tx *store.Tx) error {
		list, err := tx.OwedAcknowledgements()
		n = len(list)
		return err
	})
	if err != nil {
		s.double.t.Fatal(err)
	}
	return n
}

func (s *commanded) nothingOwed() {
	s.double.t.Helper()
	eventually(s.double.t, "the relay has all acknowledgements", func() bool { return s.owed() == 0 })
}

// missing are the orders that are not dealt with.
func (s *commanded) missing() []uint64 {
	m := s.c.Membership()
	return m.Ledger().Missing(m.Head().Orders)
}

// again is the same device in its next life.
func (s *staffed) again(session uint64) {
	s.double.t.Helper()
	s.c.cfg.Link.Close()
	from(s.double.t, s.c.ended, "end of Run")
	for len(s.messages) > 0 {
		<-s.messages
	}
	s.begin(session)
}

func TestRecallByOrder(t *testing.T) {
	s := command(t)
	s.start()
	s.deliver(s.ada.write(s.c, "m1", "Give 10 mg"))
	s.deliver(s.ada.write(s.c, "m2", "> Give 10 mg\nor 5?"))
	s.deliver(s.ada.write(s.c, "m3", "Give 20 mg"))
	eventually(t, "the messages are here", func() bool { return strings.Contains(bodies(t, s.c, ada), "20 mg") })
	x := s.order(order.Recall, nil)
	s.nudge()
	if a := s.acknowledged(x); a.Result != order.Obeyed {
		t.Errorf("%+v", a)
	}
	list := messages(t, s.c, ada)
	if m := list[0]; !m.Body.Empty() || m.Gone != store.Recalled || m.GoneBy.String() != mercyOrg+" (it was found)" {
		t.Errorf("%+v", m)
	}
	if got := bodies(t, s.c, ada); strings.Contains(got, "10 mg") || !strings.Contains(got, "20 mg") {
		t.Errorf("what is left: %s", got)
	}

	later := s.order(order.Recall, func(x *order.Order) { x.Message.ID = "m4" }) // of what comes later
	s.nudge()
	if a := s.acknowledged(later); a.Result != order.Nothing {
		t.Errorf("%+v", a)
	}
	s.deliver(s.ada.write(s.c, "m4", "Give 30 mg"))
	s.deliver(s.ada.write(s.c, "m5", "Goodbye"))
	eventually(t, "the last is here", func() bool { return strings.Contains(bodies(t, s.c, ada), "Goodbye") })
	if got := bodies(t, s.c, ada); strings.Contains(got, "30 mg") {
		t.Errorf("it came after its recall: %s", got)
	}

	digest := func(id, body string) org.Hash {
		return org.Hash(sha256.Sum256([]byte("sotto recall\x00" + id + "\x00" + body)))
	}
	wrong := s.order(order.Recall, func(x *order.Order) { x.Message.ID, x.Message.Digest = "m3", digest("m3", "another text") })
	s.nudge()
	if a := s.acknowledged(wrong); a.Result != order.Failed {
		t.Errorf("%+v", a)
	}
	right := s.order(order.Recall, func(x *order.Order) { x.Message.ID, x.Message.Digest = "m3", digest("m3", "Give 20 mg") })
	s.nudge()
	if a := s.acknowledged(right); a.Result != order.Obeyed {
		t.Errorf("%+v", a)
	}
	if got := bodies(t, s.c, ada); strings.Contains(got, "20 mg") {
		t.Errorf("what is left: %s", got)
	}
	s.nothingOwed()
	if n := s.missing(); len(n) != 0 {
		t.Errorf("not dealt with: %v", n)
	}
}

func TestLockAndLogOffByOrder(t *testing.T) {
	for _, do := range []order.Action{order.Lock, order.LogOff} {
		s := command(t)
		s.start()
		x := s.order(do, nil)
		s.nudge()
		if a := s.acknowledged(x); a.Result != order.Obeyed {
			t.Errorf("%+v", a)
		}
		got := from(t, s.ordered, "order")
		if got.Do != do || got.Number != x.Number || got.Hash != x.Hash() || !strings.Contains(got.Words.String(), mercyOrg+" has lo") || !strings.Contains(got.Words.String(), "(it was found)") {
			t.Errorf("%+v", got)
		}
		eventually(t, "it is dealt with", func() bool { return len(s.missing()) == 0 })
		s.nothingOwed()
		s.nudge() // and stays so
		s.upToDate()
		s.again(2)
		from(t, s.c.Heard(), "word from the organisation")
		if len(s.ordered) > 0 {
			t.Error("it was carried out twice")
		}
	}
}

// TestNothingIsShownAfterAnOrderThatEndsTheRun: not even between the order and the end.
func TestNothingIsShownAfterAnOrderThatEndsTheRun(t *testing.T) {
	for _, do := range []order.Action{order.Lock, order.LogOff, order.Wipe} {
		s := command(t)
		s.start()
		s.order(do, nil)
		s.beat()
		s.again(2)
		if got := from(t, s.ordered, "order"); got.Do != do {
			t.Errorf("%+v", got)
		}
		s.nudge() // and another round
		s.upToDate()
		inRun(t, s.c, func() {
			select {
			case <-s.c.Heard():
				t.Errorf("after a %s something may be shown", do)
			default:
			}
			if !s.c.Ending() {
				t.Errorf("after a %s it goes on", do)
			}
		})
	}
}

// TestWipeByOrder is acknowledged first, and done again until it has happened.
func TestWipeByOrder(t *testing.T) {
	s := command(t)
	s.start()
	s.order(order.Lock, nil) // which is of no interest then
	x := s.order(order.Wipe, func(x *order.Order) { x.For.Device = s.c.device.ID() })
	s.nudge()
	if a := s.acknowledged(x); a.Result != order.Obeyed {
		t.Errorf("%+v", a)
	}
	if got := from(t, s.ordered, "order"); got.Do != order.Wipe || string(got.Note) != string(s.note(stanza.NodeOrders, "2")) {
		t.Errorf("%+v", got)
	}
	s.again(2)
	if got := from(t, s.ordered, "order"); got.Do != order.Wipe {
		t.Errorf("%+v", got)
	}
	select {
	case <-s.c.Heard():
		t.Error("something may be shown")
	default:
	}
}

// TestDeafRelayAndAWipe: a relay that does not take the acknowledgement gains a
// moment.
func TestDeafRelayAndAWipe(t *testing.T) {
	s := command(t)
	s.start()
	s.double.mu.Lock()
	s.settle = false
	s.double.mu.Unlock()
	if s.c.Ending() {
		t.Error("it ends before anything is ordered")
	}
	s.order(order.Wipe, nil)
	s.nudge()
	eventually(t, "the end is known before it comes", s.c.Ending)
	if got := from(t, s.ordered, "order"); got.Do != order.Wipe {
		t.Errorf("%+v", got)
	}
	if s.owed() != 1 {
		t.Error("the acknowledgement is forgotten")
	}
}

// TestAcknowledgementOutlivesAKill: what the relay has not taken is sent again.
func TestAcknowledgementOutlivesAKill(t *testing.T) {
	s := command(t)
	s.start()
	s.double.mu.Lock()
	s.settle = false
	s.double.mu.Unlock()
	x := s.order(order.Recall, nil)
	s.nudge()
	s.acknowledged(x)
	s.double.mu.Lock()
	s.settle = true
	s.double.mu.Unlock()
	s.again(2)
	s.acknowledged(x)
	s.nothingOwed()
}

// TestColdStart: what was ordered while nothing ran is carried out before Heard.
func TestColdStart(t *testing.T) {
	s := command(t)
	s.start()
	s.deliver(s.ada.write(s.c, "m1", "Give 10 mg"))
	eventually(t, "it is here", func() bool { return strings.Contains(bodies(t, s.c, ada), "10 mg") })
	s.order(order.Recall, nil)
	s.beat()
	s.again(2)
	select {
	case <-s.c.Heard():
	case <-time.After(patience):
		t.Fatal("nothing was heard")
	}
	if got := bodies(t, s.c, ada); strings.Contains(got, "10 mg") {
		t.Errorf("it is still here: %s", got)
	}
}

// TestOpenModeHearsNothing.
func TestOpenModeHearsNothing(t *testing.T) {
	c, d := online(t)
	from(t, c.Heard(), "word from the organisation")
	if len(d.duties) > 0 {
		t.Error("the link was told of an organisation")
	}
}

// TestDealtWithMeanwhile: what the link has done is not done again, and acknowledged
// once more. Of a wipe and a recall nobody is believed.
func TestDealtWithMeanwhile(t *testing.T) {
	s := command(t)
	s.start()
	lock, off := s.order(order.Lock, nil), s.order(order.LogOff, nil)
	recall, wipe := s.order(order.Recall, nil), s.order(order.Wipe, nil)
	s.beat()
	for _, x := range []*order.Order{lock, off, recall, wipe} {
		s.config.Dealt = append(s.config.Dealt, Dealt{x.Number, x.Hash()})
	}
	s.again(2)
	for _, x := range []*order.Order{lock, off} {
		if a := s.acknowledged(x); a.Result != order.Obeyed || a.Words == "" {
			t.Errorf("%+v", a)
		}
	}
	if a := s.acknowledged(recall); a.Result != order.Nothing {
		t.Errorf("%+v", a)
	}
	s.acknowledged(wipe)
	if got := from(t, s.ordered, "order"); got.Do != order.Wipe {
		t.Errorf("%+v", got)
	}

	other := s.order(order.LogOff, nil) // one of another text
	s.config.Dealt = []Dealt{{other.Number, org.HashOf("another")}}
	s.beat()
	s.again(3)
	if got := from(t, s.ordered, "order"); got.Do != order.Wipe { // the strictest
		t.Errorf("%+v", got)
	}
}

// TestHostileOrders has the relay make something of orders. Nothing comes of it, and
// the person is told.
func TestHostileOrders(t *testing.T) {
	forger := orgtest.New(mercyOrg, "2")
	for name, c := range map[string]struct {
		edit  func(s *commanded, x *order.Order, note []byte) []byte
		words string
	}{
		"forged": {func(_ *commanded, x *order.Order, _ []byte) []byte { b, _ := x.Sign(forger); return b }, "the signature is not"},
		"changed": {func(_ *commanded, x *order.Order, note []byte) []byte {
			return []byte(strings.Replace(string(note), "it was found", "it was lost", 1))
		}, "the signature is not"},
		"another number": {func(s *commanded, x *order.Order, note []byte) []byte {
			y := *x
			y.Number = 7
			b, _ := y.Sign(s.key)
			return b
		}, "the signature is not"},
		"no order":   {func(s *commanded, _ *order.Order, _ []byte) []byte { return s.note(stanza.NodeHead, "current") }, "this is no statement"},
		"a torn one": {func(_ *commanded, _ *order.Order, note []byte) []byte { return note[:len(note)/2] }, "this is no statement"},
	} {
		t.Run(name, func(t *testing.T) {
			s := command(t)
			s.start()
			x := s.order(order.Wipe, nil)
			s.put(stanza.NodeOrders, "1", c.edit(s, x, s.note(stanza.NodeOrders, "1")))
			s.nudge()
			s.says("Order 1 of " + mercyOrg + " that the relay shows was refused: " + c.words)
			if len(s.ordered) > 0 {
				t.Errorf("it was obeyed: %+v", from(t, s.ordered, "order"))
			}
			if n := s.missing(); len(n) != 1 {
				t.Errorf("missing: %v", n)
			}
			note, err := x.Sign(s.key) // and when the relay shows it at last, it is
			if err != nil {
				t.Fatal(err)
			}
			s.put(stanza.NodeOrders, "1", note)
			s.nudge()
			if got := from(t, s.ordered, "order"); got.Do != order.Wipe {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestOrdersForOthers: what is not for this device, or over, is not obeyed, and not
// asked for again.
func TestOrdersForOthers(t *testing.T) {
	s := command(t)
	s.start()
	s.order(order.Wipe, func(x *order.Order) { x.For = order.Target{Person: ada} })
	s.order(order.Wipe, func(x *order.Order) { x.For.Device = s.c.device.ID() ^ 1 })
	s.order(order.Wipe, func(x *order.Order) { x.For = order.Target{Role: "porter"} })
	s.order(order.Wipe, func(x *order.Order) { x.Issued = x.Issued.AddDate(0, 0, -30) }) // before it was taken in
	s.order(order.LogOff, func(x *order.Order) {
		x.Issued, x.Expires = x.Issued.Add(-90*time.Minute), x.Issued.Add(-61*time.Minute)
	})
	s.nudge()
	s.upToDate()
	eventually(t, "all were looked at", func() bool { return len(s.missing()) == 0 })
	if len(s.ordered) > 0 || s.owed() > 0 {
		t.Errorf("it was obeyed: %+v", from(t, s.ordered, "order"))
	}
}

// TestTwoOrdersWithOneNumber are told of: the organisation's key is in two hands.
func TestTwoOrdersWithOneNumber(t *testing.T) {
	s := command(t)
	s.start()
	x := s.order(order.Recall, nil)
	s.nudge()
	s.acknowledged(x)
	y := *x
	y.Reason = "another"
	note, err := y.Sign(s.key)
	if err != nil {
		t.Fatal(err)
	}
	if err := ofRun(t, s.c, func() error { return s.c.takeOrder(1, note) }); !errors.Is(err, org.ErrFork) {
		t.Error(err)
	}
	s.says("two different statements have the same number")
}

// TestWithheldOrder: the head names it, and the relay does not show it.
func TestWithheldOrder(t *testing.T) {
	s := command(t)
	s.start()
	s.order(order.Wipe, nil)
	note := s.note(stanza.NodeOrders, "1")
	s.put(stanza.NodeOrders, "1", nil)
	for range withheldAfter {
		s.nudge()
		s.upToDate()
		s.settledWith()
	}
	s.says("does not come from the relay")
	s.put(stanza.NodeOrders, "1", note)
	s.nudge()
	if got := from(t, s.ordered, "order"); got.Do != order.Wipe {
		t.Errorf("%+v", got)
	}
}

// TestLinkIsTold what it needs to go on while this device is locked.
func TestLinkIsTold(t *testing.T) {
	s := command(t)
	key := orgtest.New("link", "1").Key
	s.linkKey = key.Public()
	x := s.order(order.Lock, func(x *order.Order) { x.For.Person = ada })
	s.beat()
	s.start()
	var d wire.Duty
	eventually(t, "the link has the ledger", func() bool {
		select {
		case d = <-s.duties:
		default:
		}
		return strings.Contains(string(d.Ledger), x.Hash().String())
	})
	if d.Contact != contact || d.Address != me || d.Device != s.c.device.ID() || string(d.Head) != string(s.note(stanza.NodeHead, "current")) {
		t.Errorf("%+v", d)
	}
	var anchor org.Anchor
	if err := anchor.UnmarshalText(d.Anchor); err != nil || anchor.Key != s.key.Key {
		t.Errorf("%v %s", err, d.Anchor)
	}
	got, err := order.OpenDelegation(d.Delegation, mercyOrg, order.Target{Person: me, Device: d.Device}, s.deviceKey())
	if err != nil || string(got.To.Public()) != string(key.Public()) || got.To.Name() != org.DeviceName(d.Device) {
		t.Errorf("%+v %v", got, err)
	}
	w := from(t, s.warrants, "warrant")
	if string(w.Anchor) != string(d.Anchor) || w.Self.Address != me || w.Self.Device != d.Device || !w.Since.Equal(s.c.Membership().Added()) {
		t.Errorf("%+v", w)
	}
}

// TestLinkHasFollowed: the head that the link has is followed without asking.
func TestLinkHasFollowed(t *testing.T) {
	s := command(t)
	s.linkKey = orgtest.New("link", "1").Key.Public()
	s.linkHead = s.beat()
	s.relay(func(string, []byte) []byte { return nil }) // nothing else comes
	s.begin(1)
	select {
	case <-s.c.Heard():
	case <-time.After(patience):
		t.Fatal("nothing was heard")
	}
	if got := s.c.Membership().Head().Number; got != s.head.Number {
		t.Errorf("head %d", got)
	}
}

// TestOwnDeviceOfTheOrganisation does not wipe itself because everybody is to.
func TestOwnDeviceOfTheOrganisation(t *testing.T) {
	s := command(t)
	err := s.st.Update(context.Background(), func(tx *store.Tx) error {
		_, err := membership.Join(tx, org.NewAnchor(s.key.Key, 0), me, me, time.Now().Add(-2*time.Hour))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.begin(1)
	x := s.order(order.Wipe, func(x *order.Order) { x.For = order.Target{} })
	note := s.note(stanza.NodeOrders, "1")
	if err := ofRun(t, s.c, func() error { return s.c.takeOrder(1, note) }); err != nil {
		t.Fatal(err)
	}
	e := s.sent(func(e *stanza.Element) bool { _, ok := stanza.ReadAcknowledgement(e); return ok })
	a, _ := stanza.ReadAcknowledgement(e)
	if ack, err := order.OpenAcknowledgement(a.Note, x, mercyOrg, order.Target{Person: me, Device: s.c.device.ID()}, s.deviceKey(), nil); err != nil || ack.Result != order.Nothing {
		t.Errorf("%+v %v", ack, err)
	}
	if len(s.ordered) > 0 {
		t.Error("it was obeyed")
	}
}
