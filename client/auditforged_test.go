package client

import (
	"testing"

	"sotto/client/audit"
	"sotto/client/omemo"
	"sotto/client/stanza"
	"sotto/client/store"
)

// TestForgedAuditor has the relay put a device of its own into the auditor's list,
// and answer with it that nothing has come: a fork, if the auditor said so.
func TestForgedAuditor(t *testing.T) {
	c, d := online(t)
	a := newAuditor(t, d, c)
	a.names(c)
	b := a.batch(d)
	a.answer(d, c, a.take(c, b))
	a.confirmed(c, has(b))

	fake := newRemote(t, d, vera)
	fake.start(d, c)
	var enc *stanza.Element
	fake.do(func(tx *store.Tx) (err error) {
		enc, err = fake.dev.Encrypt(tx, []omemo.Address{{JID: me, Device: c.device.ID()}}, (&audit.Answer{}).Marshal())
		return err
	})
	d.deliver(auditStanza(me, "forged", enc).With("from", vera+"/x"))
	if err := c.auditNow(ctx, audit.Event{Kind: audit.Searched, Count: 1}); err != nil {
		t.Fatal(err)
	}
	b = a.batchWith(d, "search count=1\n")
	a.answer(d, c, a.take(c, b))
	a.confirmed(c, has(b))
	if err := c.auditNow(ctx, audit.Event{Kind: audit.Searched, Count: 2}); err != nil {
		t.Fatal(err)
	}
	if got := has(a.batchWith(d, "search count=2\n")); got <= has(b) {
		t.Errorf("after a forged answer %d events are sent, before %d", got, has(b))
	}
	var forked []byte
	if err := c.store.View(ctx, func(tx *store.Tx) (err error) {
		forked, err = tx.Value(valueForked)
		return err
	}); err != nil || forked != nil {
		t.Errorf("the log is not sent any more: %q, %v", forked, err)
	}
}
