package client

import (
	"strings"
	"testing"

	"sotto/client/stanza"
)

// TestNoReadMarkersByPolicy: with receipts = false nobody tells that they have read,
// and still that a message has arrived; then the policy is changed, and they do.
func TestNoReadMarkersByPolicy(t *testing.T) {
	s := staff(t)
	s.policy(2, "receipts = false\n")
	s.beat()
	s.start()
	displayed := func(e *stanza.Element) bool { return e.Child(stanza.NSMarkers, "displayed") != nil }
	reads := func(id string) {
		t.Helper()
		s.deliver(s.ada.write(s.c, id, id))
		x := wait(t, s.c, func(x MessageAdded) bool { return x.Message.Body.String() == id })
		if err := s.c.MarkRead(ctx, ada, x.Message.ID); err != nil {
			t.Fatal(err)
		}
	}
	reads("m1")
	s.sent(func(e *stanza.Element) bool {
		if displayed(e) {
			t.Error("it is said that a message was read")
		}
		return isReceipt(e)
	})
	s.policy(3, "receipts = true\n")
	s.nudge()
	s.upToDate()
	reads("m2")
	e := s.sent(func(e *stanza.Element) bool {
		if displayed(e) && strings.Contains(string(e.Bytes()), `"m1"`) {
			t.Error("it is said later that the message was read")
		}
		return displayed(e)
	})
	if e.Child("", "displayed").Get("id") != "m2" {
		t.Errorf("%s", e.Bytes())
	}
}
