package client

import (
	"strings"
	"testing"
	"time"

	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/wire"
)

// TestUnconfirmedIsSentAgain has a relay lose what it had acknowledged, to
// somebody who confirms messages.
func TestUnconfirmedIsSentAgain(t *testing.T) {
	c, d, r := talking(t)
	after := func(again time.Duration) {
		c.call(func() { c.resendAfter = []time.Duration{50 * time.Millisecond, again, again} })
		settledNow(t, c)
	}
	after(time.Hour) // nothing goes out a third time before it is confirmed
	confirm := func(e *stanza.Element) {
		d.deliver(stanza.NewChat(me, "r", stanza.Received(e.Get("id"))).With("from", ada+"/x"))
	}
	c.Send(ctx, ada, "one")
	one := d.sent(hasPayload)
	r.read(one)
	c.Send(ctx, ada, "lost")
	lost := d.sent(hasPayload)
	// She has never confirmed anything and is not there: nothing happens until
	// she has confirmed a later one.
	c.Send(ctx, ada, "three")
	three := d.sent(hasPayload)
	r.read(three)
	confirm(one)
	confirm(three)
	again := d.sent(hasPayload)
	if again.String() != lost.String() {
		t.Fatalf("sent again: %v, lost: %v", again, lost)
	}
	if got, err := r.read(again); err != nil || got != "lost" {
		t.Errorf("reads %q, %v", got, err)
	}
	confirm(again)
	eventually(t, "it is delivered", func() bool { return messages(t, c, ada)[2].State == store.Delivered })
	// Once she is there, what she does not confirm is sent again, but not for ever.
	after(time.Second)
	c.Send(ctx, ada, "four")
	four := d.sent(hasPayload)
	d.deliver(stanza.New(stanza.NSClient, "presence").With("from", ada+"/x"))
	for range 3 {
		if again := d.sent(hasPayload); again.String() != four.String() {
			t.Fatalf("sent again: %v", again)
		}
	}
	eventually(t, "it is given up", func() bool {
		n := -1
		if err := c.store.View(ctx, func(tx *store.Tx) error {
			list, err := tx.Unconfirmed()
			n = len(list)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return n == 0
	})
	if got := messages(t, c, ada)[4]; got.State != store.Sent || !strings.HasPrefix(got.Why.String(), "no device of okafor has confirmed it") {
		t.Errorf("it is %v, %q", got.State, got.Why)
	}
}

// TestLostInAResumedSession has the archive supply what a resumption lost.
func TestLostInAResumedSession(t *testing.T) {
	c, d, r := talking(t)
	d.out.send(wire.State{Phase: wire.Offline, Session: 1})
	d.keep(r.write(c, "lost", "lost"))
	d.next(1)
	shows(t, c, "first|lost")
}

// TestPositionIsTheArchives has a sender, through a relay that lets it pass,
// claim an archive id from the far future.
func TestPositionIsTheArchives(t *testing.T) {
	c, d, r := talking(t)
	d.deliver(numbered(r.write(c, "m1", "poison"), "a999999"))
	shows(t, c, "first|poison")
	d.keep(r.write(c, "m2", "missed"))
	d.next(2)
	caught(t, c)
	shows(t, c, "first|poison|missed")
}

// TestOneArchiveIDForTwo has a relay give two messages the same archive id.
func TestOneArchiveIDForTwo(t *testing.T) {
	c, d, r := talking(t)
	d.deliver(numbered(r.write(c, "m1", "give 10 mg"), "a5"))
	d.deliver(numbered(r.write(c, "m2", "no, 1 mg"), "a5"))
	shows(t, c, "first|give 10 mg|no, 1 mg")
}
