package client

import (
	"strings"
	"testing"

	"sotto/client/aesgcm"
	"sotto/client/store"
	"sotto/client/wire"
)

// TestFileThatIsNeverWhole has a server break off in the middle of a file and go on
// with another one, again and again: that ends.
func TestFileThatIsNeverWhole(t *testing.T) {
	c, d, _, said := filesDouble(t)
	r := newRemote(t, d, ada)
	r.start(d, c)
	link, _ := aesgcm.NewKey().Link("https://files.mercy.example/x.png")
	d.deliver(r.write(c, "m", link))
	m := wait(t, c, func(MessageAdded) bool { return true }).Message
	if err := c.Fetch(ctx, m.Files[0].ID); err != nil {
		t.Fatal(err)
	}
	state := func() File { return messages(t, c, ada)[0].Files[0] }
	whole := 0 // times that all of it came
	for round := 0; ; round++ {
		if round > 10*fetchTries {
			t.Fatalf("it is fetched for ever: %d times so far", whole)
		}
		var get wire.Get
		eventually(t, "it goes on or ends", func() bool {
			c.call(c.retryFiles)
			select {
			case x := <-said:
				var ok bool
				get, ok = x.(wire.Get)
				return ok
			default:
				return state().State == store.Broken
			}
		})
		if get.ID == 0 {
			break
		}
		d.out.send(wire.Begin{ID: get.ID, Offset: get.From, Size: 100})
		if get.From == 0 {
			d.out.send(wire.Chunk{ID: get.ID, Data: make([]byte, 50)})
			d.out.send(wire.Ended{ID: get.ID, Outcome: wire.Broke, Words: "x broke off."})
			continue
		}
		whole++
		d.out.send(wire.Chunk{ID: get.ID, Offset: get.From, Data: make([]byte, 100-get.From)})
		d.out.send(wire.Ended{ID: get.ID})
	}
	if f := state(); !strings.Contains(f.Why.String(), "damaged or altered") || whole > fetchTries {
		t.Errorf("after %d times: %s", whole, f.Why)
	}
}
