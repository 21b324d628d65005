package client

import (
	"testing"
	"time"

	"sotto/client/stanza"
	"sotto/client/store"
)

// TestQueuedIsToldBeforeSent: however soon Run finds a message, it does nothing with
// it before the screen is told that it is queued.
func TestQueuedIsToldBeforeSent(t *testing.T) {
	c, d, r := talking(t)
	var m Message
	stored, tell, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		done <- c.announce(ctx, func(tx *store.Tx) error {
			row := store.Message{
				Peer: ada, Outgoing: true, Sender: c.self, Device: c.device.ID(), OriginID: newID(), Time: time.Now(), Body: "soon",
				State: store.Queued, Encrypted: true, Fingerprint: fingerprintBytes(c.device.Fingerprint()),
			}
			if _, err := tx.AddMessage(&row); err != nil {
				return err
			}
			if err := tx.QueueOut(row.ID); err != nil {
				return err
			}
			if err := tx.SetRecipients(row.ID, []string{ada}); err != nil {
				return err
			}
			var err error
			m, err = messageOf(tx, &row)
			return err
		}, func() []Event { close(stored); <-tell; return []Event{MessageAdded{m}} })
	}()
	select {
	case <-stored:
	case err := <-done:
		t.Fatal(err)
	}
	c.kick()                           // unless it is there already
	time.Sleep(100 * time.Millisecond) // what is tested is that nothing happens meanwhile
	select {
	case e := <-d.messages:
		t.Errorf("sent: %s", e.Bytes())
	default:
	}
	close(tell)
	if err := from(t, done, "end of announce"); err != nil {
		t.Fatal(err)
	}
	added := false
	wait(t, c, func(e Event) bool {
		switch e := e.(type) {
		case MessageAdded:
			added = added || e.Message.ID == m.ID
		case MessageChanged:
			if e.Message.ID == m.ID && !added {
				t.Errorf("it is %v before it is there", e.Message.State)
			}
			return e.Message.ID == m.ID && e.Message.State == store.Sent
		}
		return false
	})
	if got, err := r.read(d.sent(func(e *stanza.Element) bool { return hasPayload(e) && e.Get("to") == ada })); err != nil || got != "soon" {
		t.Errorf("she reads %q, %v", got, err)
	}
}
