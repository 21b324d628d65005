package client

import (
	"testing"

	"sotto/client/stanza"
	"sotto/client/store"
)

// TestArchiveIDThatIsAnOriginID has an archive give one message the id by which its
// sender named another. What answers or acknowledges the one is not of the other.
func TestArchiveIDThatIsAnOriginID(t *testing.T) {
	c, d, r := talking(t)
	var ids []string
	for _, s := range []string{"!stat Give 10 mg", "!stat Stop, she is allergic", "!stat Give 20 mg"} {
		if _, err := c.Send(ctx, ada, s); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, d.sent(hasPayload).Get("id"))
	}
	for body, as := range map[string]string{"!stat Stop, she is allergic": ids[0], "!stat Give 10 mg": ids[2]} {
		id := textOf(t, c, body).ID
		if err := c.store.Update(ctx, func(tx *store.Tx) error {
			_, err := tx.Settle(id, as, true)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	d.deliver(r.write(c, "b", "!ack\n> Give 10 mg").Add(stanza.ReplyTo(me, ids[0])))
	d.deliver(r.write(c, "c", "!ack\n> Give 20 mg").Add(stanza.ReplyTo(me, ids[2])))
	d.deliver(r.write(c, "d", "> Give 20 mg\nis this right?").Add(stanza.ReplyTo(me, ids[2])))
	d.deliver(r.write(c, "behind", "behind"))
	eventually(t, "what was sent behind it is there", func() bool { return textOf(t, c, "behind") != nil })
	first, second, third := textOf(t, c, "!stat Give 10 mg"), textOf(t, c, "!stat Stop, she is allergic"), textOf(t, c, "!stat Give 20 mg")
	if len(first.Acks) != 1 || len(second.Acks) != 0 || len(third.Acks) != 1 {
		t.Errorf("acknowledged: %+v, %+v, %+v", first.Acks, second.Acks, third.Acks)
	}
	for body, of := range map[string]int64{"!ack\n> Give 10 mg": first.ID, "!ack\n> Give 20 mg": third.ID, "> Give 20 mg\nis this right?": third.ID} {
		if m := textOf(t, c, body); m.About != of {
			t.Errorf("%q is about %d, and not %d", body, m.About, of)
		}
	}
}
