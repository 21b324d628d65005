package client

import (
	"testing"
	"time"

	"sotto/client/stanza"
	"sotto/client/store"
)

// TestRepeatedInANewSession repeats what was not confirmed before anything new, to
// whom it is known to be confirmed by, and no more once it is.
func TestRepeatedInANewSession(t *testing.T) {
	d := newDouble(t)
	d.roster = append(d.roster, stanza.New(stanza.NSRoster, "item").With("jid", ada).With("name", "Okafor, Ada").With("subscription", "both"))
	c := run(t, memoryStore(t), d.attach(1))
	caught(t, c)
	d.published(c)
	newRemote(t, d, ada)
	write := func(body string) (Message, string) {
		t.Helper()
		m, err := c.Send(ctx, ada, body)
		if err != nil {
			t.Fatal(err)
		}
		e := d.sent(hasPayload)
		wait(t, c, func(x MessageChanged) bool { return x.Message.ID == m.ID && x.Message.State == store.Sent })
		return m, e.Get("id")
	}
	confirm := func(m Message, id string) {
		t.Helper()
		d.deliver(stanza.NewChat(me, "r"+id, stanza.Received(id)).With("from", ada+"/x"))
		wait(t, c, func(x MessageChanged) bool { return x.Message.ID == m.ID && x.Message.State == store.Delivered })
	}
	next := func(what, want string) {
		t.Helper()
		if got := d.sent(hasPayload).Get("id"); got != want {
			t.Fatalf("%s: sent %s, want %s", what, got, want)
		}
	}
	// Nobody knows whether she confirms anything at all.
	first, one := write("one")
	d.next(2)
	caught(t, c)
	second, two := write("two") // and not "one" before it
	confirm(first, one)

	d.next(3)
	caught(t, c)
	third, err := c.Send(ctx, ada, "three")
	if err != nil {
		t.Fatal(err)
	}
	next("a new session", two)
	three := d.sent(hasPayload).Get("id")
	confirm(second, two)
	confirm(third, three)

	d.next(4)
	caught(t, c)
	fourth, four := write("four") // and nothing that is confirmed before it
	// She goes and comes: what goes with her session goes again.
	eventually(t, "the session is not new any more", func() bool {
		return ofRun(t, c, func() bool { return time.Since(c.onlineAt) > repeatAfter })
	})
	d.deliver(stanza.New(stanza.NSClient, "presence").With("from", ada+"/new"))
	next("she appears", four)
	confirm(fourth, four)
}

// TestRepeatedInAFirstConversation repeats to who has confirmed nothing yet, but marks
// their messages as sotto does; and not to who only asks for receipts.
func TestRepeatedInAFirstConversation(t *testing.T) {
	for _, x := range []struct {
		name  string
		mark  *stanza.Element
		again bool
	}{
		{"marks and asks", stanza.Markable(), true},
		{"only asks", nil, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			d := newDouble(t)
			d.roster = append(d.roster, stanza.New(stanza.NSRoster, "item").With("jid", ada).With("name", "Okafor, Ada").With("subscription", "both"))
			c := run(t, memoryStore(t), d.attach(1))
			caught(t, c)
			r := newRemote(t, d, ada)
			r.start(d, c)
			hers := r.write(c, "hers", "are you there?")
			if x.mark != nil {
				hers.Children = append(hers.Children, x.mark)
			}
			d.deliver(hers)
			wait(t, c, func(x MessageAdded) bool { return !x.Message.Outgoing && x.Message.Encrypted })
			m, err := c.Send(ctx, ada, "one")
			if err != nil {
				t.Fatal(err)
			}
			one := d.sent(hasPayload).Get("id")
			wait(t, c, func(x MessageChanged) bool { return x.Message.ID == m.ID && x.Message.State == store.Sent })

			c.call(func() { clear(c.marking) }) // as after a restart
			d.next(2)
			caught(t, c)
			if _, err := c.Send(ctx, ada, "two"); err != nil {
				t.Fatal(err)
			}
			if again := d.sent(hasPayload).Get("id") == one; again != x.again {
				t.Errorf("in a new session, what was lost came again: %v, want %v", again, x.again)
			}
		})
	}
}
