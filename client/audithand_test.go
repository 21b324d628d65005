package client

import (
	"context"
	"testing"
	"time"

	"sotto/client/audit"
)

// TestHandInAudit has what happened last be with the relay before a program ends,
// though it is not time yet, and nobody wait where it cannot be.
func TestHandInAudit(t *testing.T) {
	c, d := online(t)
	c.HandInAudit(ctx) // there is no auditor
	a := newAuditor(t, d, c)
	a.names(c)
	b := a.batch(d)
	a.answer(d, c, a.take(c, b))
	a.confirmed(c, has(b))
	inRun(t, c, func() {
		c.auditing.pause, c.auditing.lookAt, c.auditing.heard = time.Hour, time.Now().Add(time.Hour), time.Now()
	})
	c.HandInAudit(ctx) // there is nothing new
	last := has(b)
	for range 2 { // the second time while the auditor has not answered
		if err := c.auditNow(ctx, audit.Event{Kind: audit.SaveAttempted, Reason: audit.ByPolicy}); err != nil {
			t.Fatal(err)
		}
		c.HandInAudit(ctx)
		if n := ofRun(t, c, func() int { return len(c.window.given) + len(c.window.notes) }); n != 0 {
			t.Errorf("%d stanzas are not with the relay", n)
		}
		last++
		for b = a.batch(d); has(b) < last; b = a.batch(d) { // sent again while its answer was on its way
		}
		if has(b) != last {
			t.Errorf("the batch has events up to %d, and there are %d", has(b), last)
		}
	}
	a.answer(d, c, a.take(c, b))
	a.confirmed(c, last)
}

// TestHandInAuditToNobody returns though there is something to send.
func TestHandInAuditToNobody(t *testing.T) {
	c, d := online(t)
	a := newAuditor(t, d, c)
	d.mu.Lock()
	clear(d.nodes)
	d.mu.Unlock()
	a.names(c)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c.HandInAudit(ctx)
	if ctx.Err() != nil {
		t.Error("it waited for what cannot be sent")
	}
}
