package client

import (
	"testing"
	"time"

	"sotto/client/stanza"
	"sotto/client/wire"
)

// TestLookForUploadsAgain: where files go is asked again at once when the
// connection is back, and soon anyway, where the relay gave no answer.
func TestLookForUploadsAgain(t *testing.T) {
	const domain = "mercy.example"
	c, d := online(t)
	asked := func() (n int) {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, iq := range d.asked {
			if iq.Get("to") == domain && iq.Child(stanza.NSDiscoInfo, "query") != nil {
				n++
			}
		}
		return n
	}
	unsure := func() (n int, left time.Duration) {
		inRun(t, c, func() { n, left = c.mover.unsure, time.Until(c.mover.askAt) })
		return n, left
	}
	eventually(t, "the first question is answered", func() bool {
		return !ofRun(t, c, func() bool { return c.mover.asking || c.mover.askAt.IsZero() })
	})
	d.mu.Lock()
	d.hook = refusal(domain, "wait", "remote-server-timeout")
	d.mu.Unlock()
	c.call(func() { c.renewUploads(); c.findUploads(time.Now()) })
	eventually(t, "no answer", func() bool { n, left := unsure(); return n == 1 && left < 3*time.Second })
	eventually(t, "it asks by itself", func() bool { n, _ := unsure(); return n >= 2 })
	before := asked()
	c.call(func() { c.mover.askAt = time.Now().Add(time.Hour) })
	d.out.send(wire.State{Phase: wire.Offline, Session: 1})
	d.out.send(wire.State{Phase: wire.Online, Address: me + "/test", Session: 1})
	eventually(t, "it asks once it is back", func() bool { return asked() > before })
}
