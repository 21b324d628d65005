//go:build unix

package desk

import (
	"context"
	"sync"

	"sotto/client"
	"sotto/client/audit"
	"sotto/tui"
)

// opening is what the audit log is to say of how this desk came to be.
func (d *desk) opening(pinMark []byte) client.Opening {
	o := client.Opening{PINMark: pinMark, Recovered: d.setup.Recovered}
	if !d.atTerminal() {
		o.Reason = audit.Unattended
	}
	for _, h := range d.setup.Past {
		kind, ok := audit.KindNamed(h.What)
		reason, named := audit.ReasonNamed(h.Why)
		e := audit.Event{Kind: kind, Reason: reason, Count: uint32(h.Count)}
		if ok && named && e.Check() == nil {
			o.Past = append(o.Past, client.Happened{Event: e, At: h.At})
		}
	}
	return o
}

// ending is why this desk ends, as far as somebody else than the screens knows. The
// first reason stands.
type ending struct {
	mu     sync.Mutex
	reason audit.Reason
}

func (e *ending) because(reason audit.Reason) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.reason == 0 {
		e.reason = reason
	}
}

func (e *ending) or(otherwise audit.Reason) audit.Reason {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.reason != 0 {
		return e.reason
	}
	return otherwise
}

// written says in the audit log why this desk locks. If that cannot be written, the
// next desk finds no lock in the log, and says that.
func (d *desk) written(c *client.Client, why tui.Reason) {
	ctx, cancel := context.WithTimeout(context.Background(), orphanTime)
	defer cancel()
	reason := audit.Stopped
	switch why {
	case tui.Asked, tui.Quit:
		reason = audit.ByPerson
	case tui.Idle, tui.Unfocused:
		reason = audit.Idle
	case tui.Suspended:
		reason = audit.Asleep
	}
	_ = c.Locked(ctx, d.why.or(reason), why == tui.Quit || d.logsOff.Load())
}
