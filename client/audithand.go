package client

import (
	"context"
	"slices"
	"time"

	"sotto/client/store"
	"sotto/client/wire"
)

// How often HandInAudit looks: whether the relay has what was sent, and whether what is
// missing for sending it has come.
const (
	handedAgain = 10 * time.Millisecond
	handAgain   = 200 * time.Millisecond
)

// HandInAudit sends the auditor the audit log as far as it is not confirmed, and waits
// until the relay has it, or ctx ends. It returns at once where there is nothing to send,
// where the relay is not reached, or where no device of the auditor is known that it
// could go to: what is left goes with the next run. It is for whoever ends soon.
func (c *Client) HandInAudit(ctx context.Context) {
	id := ""
	for {
		over := true
		err := c.do(ctx, func(done chan<- error) {
			if id == "" {
				id, over = c.handInAudit()
			} else {
				over = c.handedIn(id)
			}
			done <- nil
		})
		if err != nil || over {
			return
		}
		again := handAgain
		if id != "" {
			again = handedAgain
		}
		select {
		case <-time.After(again):
		case <-ctx.Done():
			return
		}
	}
}

// handInAudit sends a batch and returns its id. Without one, over says that none is to
// be sent, and otherwise that what is needed for it was asked for.
func (c *Client) handInAudit() (id string, over bool) {
	who, key, ok := c.auditor()
	if !ok || !c.online || c.removed || who == c.self && c.cfg.Collect != nil {
		return "", true
	}
	due, known := false, false
	ok = c.update("look what the auditor does not have", func(tx *store.Tx, _ *effects) (err error) {
		if due, err = c.auditDue(tx, key, time.Now()); err != nil || !due {
			return err
		}
		devices, err := tx.Devices(who)
		known = slices.ContainsFunc(devices, func(d store.PeerDevice) bool { return d.Active && c.mayEncrypt(who, &d) })
		return err
	})
	if !ok || !due || !known {
		return "", true
	}
	c.auditing.sent = ""
	c.sendAuditLast()
	return c.auditing.sent, false
}

// handedIn reports whether the relay has a batch, or will not get it now.
func (c *Client) handedIn(id string) bool {
	if !c.online {
		return true
	}
	_, flies := c.window.given[id]
	return !flies && !slices.ContainsFunc(c.window.notes, func(m wire.Send) bool { return m.ID == id })
}
