package client

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/wire"
)

// delayed stamps a message as a relay does that delivers it again.
func delayed(e *stanza.Element, stamp string) *stanza.Element {
	return copied(e).Add(stanza.New(stanza.NSDelay, "delay").With("stamp", stamp))
}

// numbered gives a message an id of the archive of me.
func numbered(e *stanza.Element, id string) *stanza.Element {
	return copied(e).Add(stanza.New(stanza.NSStanzaID, "stanza-id").With("id", id).With("by", me))
}

func copied(e *stanza.Element) *stanza.Element {
	c, err := stanza.Parse(e.Bytes())
	if err != nil {
		panic(err)
	}
	return c
}

// keep puts messages into the archive.
func (d *double) keep(list ...*stanza.Element) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.archive = append(d.archive, list...)
}

// next begins a session that resumes none.
func (d *double) next(session uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.out.send(wire.State{Phase: wire.Online, Address: me + "/test", Session: session})
}

// caught waits until a client has caught up, once more.
func caught(t testing.TB, c *Client) { t.Helper(); wait(t, c, func(CaughtUp) bool { return true }) }

// talking is a client with a session with ada.
func talking(t testing.TB) (*Client, *double, *remote) {
	t.Helper()
	c, d := online(t)
	r := newRemote(t, d, ada)
	r.start(d, c)
	first := r.write(c, "first", "first")
	d.keep(first)
	d.deliver(first)
	wait(t, c, func(x MessageAdded) bool { return x.Message.Body.String() == "first" })
	d.sent(func(e *stanza.Element) bool { _, err := r.read(e); return err == nil }) // the answer to the key exchange
	return c, d, r
}

// shows waits until a conversation stands as it should, by pages as well as all
// at once.
func shows(t *testing.T, c *Client, want string) {
	t.Helper()
	eventually(t, want, func() bool { return bodies(t, c, ada) == want })
	var paged []string
	for before := int64(0); ; {
		list, err := c.Messages(ctx, ada, before, 3)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			break
		}
		var part []string
		for i := range list {
			part = append(part, list[i].Body.String())
			if i > 0 && list[i].Place <= list[i-1].Place {
				t.Errorf("places %d, %d", list[i-1].Place, list[i].Place)
			}
		}
		paged = append(part, paged...)
		before = list[0].ID
	}
	if got := strings.Join(paged, "|"); got != want {
		t.Errorf("in pages: %s", got)
	}
	rows, err := c.Conversations(ctx)
	if err != nil || len(rows) == 0 || rows[0].Preview.String() != paged[len(paged)-1] {
		t.Errorf("the list shows %+v, %v", rows, err)
	}
}

// TestOrderAfterReconnects is a session that resumes none, in which newer
// messages come first, then some of the missed ones, delivered again with
// stamps that are of no use, then the archive.
func TestOrderAfterReconnects(t *testing.T) {
	c, d, r := talking(t)
	list := make([]*stanza.Element, 10)
	for i := range list {
		list[i] = r.write(c, fmt.Sprint("m", i), fmt.Sprint(i))
		if i < 9 {
			d.keep(list[i])
		}
	}
	var held []func() // answers of the archive
	d.mu.Lock()
	d.hook = func(iq *stanza.Element) *stanza.Element {
		if iq.Child(stanza.NSMAM, "query") == nil {
			return nil
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.hook = nil
		held = append(held, func() { d.iq(iq) })
		return &stanza.Element{}
	}
	d.mu.Unlock()
	d.next(2)
	eventually(t, "the archive is asked", func() bool { d.mu.Lock(); defer d.mu.Unlock(); return len(held) > 0 })
	d.deliver(numbered(list[7], "a8"))
	d.deliver(numbered(list[8], "a9"))
	for _, i := range []int{3, 5, 4} {
		d.deliver(delayed(list[i], "2026-11-21T19:02:00Z"))
	}
	d.deliver(delayed(list[6], "2099-01-01T00:00:00Z"))
	// What one device wrote is in its order at once, archive or no archive.
	shows(t, c, "first|3|4|5|6|7|8")
	mine, err := c.Send(ctx, ada, "queued")
	if err != nil {
		t.Fatal(err)
	}
	held[0]()
	caught(t, c)
	shows(t, c, "first|0|1|2|3|4|5|6|7|8|queued")
	d.deliver(list[9])
	shows(t, c, "first|0|1|2|3|4|5|6|7|8|queued|9")

	// Everything is delivered once more, and archived once more: nothing moves.
	for _, e := range list {
		d.keep(e)
		d.deliver(delayed(e, "2026-11-21T19:05:00Z"))
	}
	sent := d.sent(hasPayload)
	d.keep(copied(sent).With("from", me+"/test"))
	d.next(3)
	caught(t, c)
	shows(t, c, "first|0|1|2|3|4|5|6|7|8|queued|9")
	if now := messages(t, c, ada); now[len(now)-2].ID != mine.ID {
		t.Error("the own message is another one now")
	}
}

// TestMissedOnesStandBeforeWhatIsQueued is somebody who wrote while offline.
func TestMissedOnesStandBeforeWhatIsQueued(t *testing.T) {
	c, d, r := talking(t)
	d.out.send(wire.State{Phase: wire.Offline})
	eventually(t, "it is offline", func() bool { return c.State().Phase == wire.Offline })
	if _, err := c.Send(ctx, ada, "Give it?"); err != nil {
		t.Fatal(err)
	}
	d.keep(r.write(c, "m0", "Bed 4 is stable."), r.write(c, "m1", "Yes."))
	d.next(2)
	caught(t, c)
	shows(t, c, "first|Bed 4 is stable.|Yes.|Give it?")
}

// TestReadUpToWhatStandsThere marks as read what stands above a message, and
// not what came before it in time.
func TestReadUpToWhatStandsThere(t *testing.T) {
	c, d, r := talking(t)
	a, b, z := r.write(c, "a", "a"), r.write(c, "b", "b"), r.write(c, "z", "z")
	d.deliver(z)
	shows(t, c, "first|z")
	d.keep(a, b, z)
	d.next(2)
	caught(t, c)
	shows(t, c, "first|a|b|z")
	list := messages(t, c, ada)
	if err := c.MarkRead(ctx, ada, list[1].ID); err != nil {
		t.Fatal(err)
	}
	rows, err := c.Conversations(ctx)
	if err != nil || rows[0].Unread != 2 || rows[0].FirstUnread != list[2].ID {
		t.Errorf("after reading up to a: %+v, %v", rows, err)
	}
}

// TestDelayedIsAskedForSoon has the archive put right what a relay delivers
// late within a session, from two devices between which nothing else decides.
func TestDelayedIsAskedForSoon(t *testing.T) {
	c, d, r := talking(t)
	other := newRemote(t, d, ada)
	other.start(d, c)
	a, b := r.write(c, "a", "a"), other.write(c, "b", "b")
	d.keep(a, b)
	d.deliver(numbered(b, "a2"))
	eventually(t, "the first is there", func() bool { return strings.HasSuffix(bodies(t, c, ada), "|b") })
	d.deliver(delayed(a, "2026-11-21T19:02:00Z"))
	eventually(t, "the archive puts it right", func() bool {
		now := bodies(t, c, ada)
		return strings.Contains(now, "|a|") && strings.HasSuffix(now, "|b")
	})
}

// TestNoRelayReorders has a relay, and its archive, turn round what one device
// wrote, over several turns of the ratchet.
func TestNoRelayReorders(t *testing.T) {
	c, d, r := talking(t)
	var list []*stanza.Element
	want := "first"
	for i := range 9 {
		if i%3 == 0 && i > 0 { // the ratchet turns
			if _, err := c.Send(ctx, ada, fmt.Sprint("mine ", i)); err != nil {
				t.Fatal(err)
			}
			if _, err := r.read(d.sent(hasPayload)); err != nil {
				t.Fatal(err)
			}
		}
		e := r.write(c, fmt.Sprint("m", i), fmt.Sprint(i))
		list = append(list, e)
		if i%3 == 1 { // one of each turn arrives when it should
			d.deliver(e)
			wait(t, c, func(x MessageAdded) bool { return x.Message.Body.String() == fmt.Sprint(i) })
		}
	}
	for i := range 9 {
		want += "|" + fmt.Sprint(i)
	}
	slices.Reverse(list)
	for _, e := range list[:4] {
		d.deliver(e)
	}
	d.keep(list...)
	d.next(2)
	caught(t, c)
	var theirs []string
	for _, m := range messages(t, c, ada) {
		if !m.Outgoing {
			theirs = append(theirs, m.Body.String())
		}
	}
	if got := strings.Join(theirs, "|"); got != want {
		t.Errorf("stands as %s", got)
	}
}

// TestPositionLost goes on where the archive does not know the position.
func TestPositionLost(t *testing.T) {
	for _, cond := range []string{"item-not-found", "bad-request"} {
		t.Run(cond, func(t *testing.T) {
			c, d, r := talking(t)
			for i := range 3 * firstPage {
				d.keep(r.write(c, fmt.Sprint("m", i), fmt.Sprint("m", i)))
			}
			if err := c.store.Update(ctx, func(tx *store.Tx) error { return tx.SetArchivePosition(me, "gone") }); err != nil {
				t.Fatal(err)
			}
			d.mu.Lock()
			d.hook = func(iq *stanza.Element) *stanza.Element {
				if iq.Child(stanza.NSMAM, "query").Child("", "set").Child("", "after").Text() == "gone" {
					return stanza.ErrorReply(iq, "cancel", cond).With("from", me)
				}
				return nil
			}
			d.mu.Unlock()
			d.next(2)
			caught(t, c)
			if n := len(messages(t, c, ada)); n != 3*firstPage+1 {
				t.Errorf("%d messages", n)
			}
		})
	}
}

// TestManyWhileAwayAfterAnEmptyArchive is somebody who signs in for the first
// time, goes, and is written to more often than a first page holds.
func TestManyWhileAwayAfterAnEmptyArchive(t *testing.T) {
	c, d := online(t)
	r := newRemote(t, d, ada)
	r.start(d, c)
	const n = 2*firstPage + 7
	for i := range n {
		d.keep(r.write(c, fmt.Sprint("m", i), fmt.Sprint("m", i)))
	}
	d.next(2)
	caught(t, c)
	if got := len(messages(t, c, ada)); got != n {
		t.Errorf("%d of %d messages", got, n)
	}
}

// TestNewSessionDuringCatchUp ends the session in the middle of a page.
func TestNewSessionDuringCatchUp(t *testing.T) {
	c, d, r := talking(t)
	for i := range pageSize + 20 {
		d.keep(r.write(c, fmt.Sprint("m", i), fmt.Sprint(i)))
	}
	cut := make(chan bool, 1)
	d.mu.Lock()
	d.hook = func(iq *stanza.Element) *stanza.Element {
		q := iq.Child(stanza.NSMAM, "query")
		if q == nil {
			return nil
		}
		d.mu.Lock()
		d.hook = nil
		for i := 1; i < 100; i++ { // some results, and no end of the page
			d.deliverLocked(result(q.Get("queryid"), fmt.Sprint("a", i), d.archive[i]))
		}
		d.mu.Unlock()
		cut <- true
		return &stanza.Element{}
	}
	d.mu.Unlock()
	d.next(2)
	from(t, cut, "question in the second session")
	d.next(3)
	caught(t, c)
	list := messages(t, c, ada)
	if len(list) != pageSize+21 || !slices.IsSortedFunc(list, func(a, b Message) int { return int(a.Place - b.Place) }) {
		t.Errorf("%d messages", len(list))
	}
	for i, m := range list[1:] {
		if m.Body.String() != fmt.Sprint(i) {
			t.Fatalf("%q is number %d", m.Body, i)
		}
	}
}

// TestEmptiedIsNotSilent has a relay empty a message, which uses its key up, and
// deliver it in full later.
func TestEmptiedIsNotSilent(t *testing.T) {
	c, d, r := talking(t)
	e := r.write(c, "m1", "give 10 mg")
	empty := copied(e)
	enc := empty.Child(stanza.NSOmemo, "encrypted")
	enc.Children = slices.DeleteFunc(enc.Children, func(x *stanza.Element) bool { return x.Local == "payload" })
	d.deliver(empty)
	d.deliver(e)
	d.deliver(e)
	eventually(t, "it is said", func() bool { return strings.Contains(bodies(t, c, ada), "was used before") })
	d.deliver(r.write(c, "m2", "after"))
	eventually(t, "the next one is there", func() bool { return strings.HasSuffix(bodies(t, c, ada), "|after") })
	if n := strings.Count(bodies(t, c, ada), "was used before"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// TestReplayUnderAnotherID shows nothing twice.
func TestReplayUnderAnotherID(t *testing.T) {
	c, d, r := talking(t)
	e := r.write(c, "m1", "give 10 mg")
	d.deliver(e)
	again := copied(e)
	again.Set("id", "m9")
	again.Children = slices.DeleteFunc(again.Children, func(x *stanza.Element) bool { return x.Local == "origin-id" })
	d.deliver(again)
	d.keep(e, again)
	d.next(2)
	caught(t, c)
	d.deliver(r.write(c, "m2", "after"))
	shows(t, c, "first|give 10 mg|after")
}

// TestReadSaysNothingOfWhatWasNotDelivered takes a later message's marker for
// no proof that an earlier one has arrived.
func TestReadSaysNothingOfWhatWasNotDelivered(t *testing.T) {
	c, d, _ := talking(t)
	for _, b := range []string{"one", "two", "three"} {
		if _, err := c.Send(ctx, ada, b); err != nil {
			t.Fatal(err)
		}
	}
	var ids []string
	for range 3 {
		ids = append(ids, d.sent(hasPayload).Get("id"))
	}
	d.deliver(stanza.NewChat(me, "r1", stanza.Received(ids[0])).With("from", ada+"/x"))
	d.deliver(stanza.NewChat(me, "r3", stanza.Displayed(ids[2])).With("from", ada+"/x"))
	eventually(t, "the third is read", func() bool { l := messages(t, c, ada); return l[3].State == store.Read })
	l := messages(t, c, ada)
	if l[1].State != store.Read || l[2].State != store.Sent {
		t.Errorf("states %v %v", l[1].State, l[2].State)
	}
}

// TestWaitsForDevices sends to somebody who signs in a moment later.
func TestWaitsForDevices(t *testing.T) {
	c, d := online(t)
	m, err := c.Send(ctx, ada, "good morning")
	if err != nil {
		t.Fatal(err)
	}
	x := wait(t, c, func(x MessageChanged) bool { return x.Message.ID == m.ID && !x.Message.Why.Empty() })
	if x.Message.State != store.Queued || !strings.HasPrefix(x.Message.Why.String(), "Waiting: no device of okafor@mercy.example is found. Check the address") {
		t.Errorf("%v because %q", x.Message.State, x.Message.Why)
	}
	r := newRemote(t, d, ada) // no notification: she is no contact
	if got, err := r.read(d.sent(hasPayload)); err != nil || got != "good morning" {
		t.Errorf("reads %q, %v", got, err)
	}
	if now := messages(t, c, ada)[0]; !now.Why.Empty() {
		t.Errorf("still says %q", now.Why)
	}
}

// TestResendStandsWhereItWasSent puts a message that is sent again after what
// was sent since, as its recipient has it.
func TestResendStandsWhereItWasSent(t *testing.T) {
	c, d, _ := talking(t)
	m, _ := c.Send(ctx, ada, "give 10 mg")
	id := d.sent(hasPayload).Get("id")
	d.deliver(stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSClient, "error", stanza.New(stanza.NSStanzas, "service-unavailable"))).
		With("type", "error").With("from", ada).With("id", id))
	wait(t, c, func(x MessageChanged) bool { return x.Message.ID == m.ID && x.Message.State == store.Failed })
	c.Send(ctx, ada, "no, 1 mg")
	d.sent(hasPayload)
	if err := c.Resend(ctx, m.ID); err != nil {
		t.Fatal(err)
	}
	shows(t, c, "first|no, 1 mg|give 10 mg")
}

// TestReceiptOfAThirdPerson counts for nobody's message, however it comes.
func TestReceiptOfAThirdPerson(t *testing.T) {
	c, d, _ := talking(t)
	m, _ := c.Send(ctx, ada, "one")
	id := d.sent(hasPayload).Get("id")
	wait(t, c, func(x MessageChanged) bool { return x.Message.ID == m.ID && x.Message.State == store.Sent })
	for _, what := range []*stanza.Element{stanza.Received(id), stanza.Displayed(id)} {
		forged := stanza.NewChat(me, "f", what).With("from", "eve@mercy.example/x")
		d.deliver(forged)
		d.deliver(stanza.New(stanza.NSClient, "message", stanza.New(stanza.NSCarbons, "received", stanza.New(stanza.NSForward, "forwarded", forged))).With("from", me))
		d.keep(forged)
	}
	d.next(2)
	caught(t, c)
	if got := messages(t, c, ada)[1]; got.State != store.Sent {
		t.Errorf("it is %v", got.State)
	}
}

// TestFutureStampsStayInTheirPlace caps what a stamp can say.
func TestFutureStampsStayInTheirPlace(t *testing.T) {
	c, d, r := talking(t)
	d.deliver(delayed(r.write(c, "m1", "from the future"), "2099-01-01T00:00:00Z"))
	d.deliver(r.write(c, "m2", "now"))
	shows(t, c, "first|from the future|now")
	if at := messages(t, c, ada)[1].Time; at.After(time.Now()) {
		t.Errorf("it is of %v", at)
	}
}
