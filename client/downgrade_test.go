package client

import (
	"strings"
	"testing"

	"sotto/client/stanza"
	"sotto/client/store"
)

// TestUnencryptedIsNotActedOn has a relay write in the clear in the name of somebody
// who encrypts, and somebody write so whose keys nobody knows.
func TestUnencryptedIsNotActedOn(t *testing.T) {
	c, d := online(t)
	r := newRemote(t, d, ada)
	r.start(d, c)
	d.deliver(r.write(c, "m1", "!stat Bed 9"))
	x := wait(t, c, func(x MessageAdded) bool { return true })
	if !x.Message.Encrypted || x.Message.Urgency != store.Stat {
		t.Fatalf("%+v", x.Message)
	}
	for _, mark := range []string{"!stat", "!urgent"} {
		d.deliver(stanza.NewChat(me, "f"+mark, stanza.Body(mark+" Bed 9 to theatre now"), stanza.UrgencyHigh()).With("from", ada+"/phone"))
		x = wait(t, c, func(x MessageAdded) bool { return strings.HasSuffix(x.Message.Body.String(), "theatre now") })
		if x.Message.Encrypted || x.Message.Urgency != store.Routine || x.Message.Body.String() != mark+" Bed 9 to theatre now" {
			t.Errorf("forged with %s: %+v", mark, x.Message)
		}
		if mark == "!stat" {
			wait(t, c, func(n NoticeEvent) bool {
				return n.Peer == ada && n.Text.String() == "A message of okafor came without encryption, which okafor otherwise uses. Anybody on its way may have written it"
			})
		}
	}
	rows, err := c.Conversations(ctx)
	if err != nil || len(rows) != 1 || rows[0].Stats != 1 {
		t.Errorf("%+v, %v", rows, err)
	}
	// Of whom no keys are known, nothing better can be had.
	d.deliver(stanza.NewChat(me, "p", stanza.Body("!stat Bed 4")).With("from", eve+"/x"))
	x = wait(t, c, func(x MessageAdded) bool { return x.Message.Peer == eve })
	if x.Message.Encrypted || x.Message.Urgency != store.Stat {
		t.Errorf("%+v", x.Message)
	}
}
