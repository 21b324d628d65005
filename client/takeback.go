package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"sotto/client/audit"
	"sotto/client/store"
	"sotto/client/wire"
)

// Why a message or a conversation cannot be taken away.
var (
	errGone    = errors.New("this message is not here any more")
	errLeft    = errors.New("this message has left already: it cannot be taken back any more")
	errMayLeft = errors.New("this message may have left already: it cannot be taken back. Wait until the relay is online, which tells")
	errEnding  = errors.New("sotto is being locked: nothing was changed")
)

// maxWithdrawals bounds those that wait for the link's answer.
const maxWithdrawals = 64

// withdrawal is a message that the link is asked for.
type withdrawal struct {
	id   int64
	done chan<- error
}

// do has Run do f and waits until it has. An error means that it has not, but that of a
// ctx that ended while Run was at it: what f set must not be looked at then.
func (c *Client) do(ctx context.Context, f func(done chan<- error)) error {
	done := make(chan error, 1)
	c.call(func() {
		if ctx.Err() == nil { // nobody else would hear of it
			f(done)
		}
	})
	select {
	case err := <-done:
		return err
	case <-c.ended:
		return errEnding
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Withdraw takes back an own message of a conversation that has not left this
// computer: one that is Queued, or has Failed. It is removed, not marked: a Resync
// tells. An error, in words, means that it stays; above all that it has left, or
// may have.
func (c *Client) Withdraw(ctx context.Context, peer string, id int64) error {
	if err := c.do(ctx, func(done chan<- error) { c.withdraw(peer, id, done) }); err != nil {
		return fmt.Errorf("take the message back: %w", err)
	}
	return nil
}

func (c *Client) withdraw(peer string, id int64, done chan<- error) {
	var (
		m         *store.Message
		encrypted bool
	)
	err := c.store.View(c.ctx, func(tx *store.Tx) (err error) {
		if m, err = tx.Message(id); err == nil && m != nil {
			encrypted, err = tx.Encrypted(id)
		}
		return err
	})
	switch {
	case err != nil:
		done <- err
		return
	case m == nil || !m.Outgoing || m.Peer != peer:
		done <- errGone
		return
	case m.Kind == store.Retraction: // the text is gone here, and others still have it
		done <- errNotText
		return
	}
	o := c.outs[m.OriginID]
	switch {
	case m.State != store.Queued && m.State != store.Failed:
		done <- errLeft
	case m.State == store.Failed || !encrypted, o != nil && o.fresh && !o.handed:
		done <- c.removeMessage(id, m.OriginID)
	case o == nil || !o.handed:
		done <- errMayLeft // to a link that there is no more, or that has not said yet what it holds
	case len(c.withdrawals) >= maxWithdrawals:
		done <- errTooMany
	default:
		c.withdrawals[m.OriginID] = append(c.withdrawals[m.OriginID], withdrawal{id, done})
		c.out.send(wire.Withdraw{ID: m.OriginID})
	}
}

// withdrawn takes the link's answer.
func (c *Client) withdrawn(m wire.Withdrawn) {
	list := c.withdrawals[m.ID]
	delete(c.withdrawals, m.ID)
	if len(list) == 0 {
		return
	}
	err := errLeft
	if m.Back {
		c.window.settle(m.ID)
		err = c.removeMessage(list[0].id, m.ID)
	}
	for _, w := range list {
		w.done <- err
	}
}

// removeMessage removes an own message that nobody else has.
func (c *Client) removeMessage(id int64, originID string) error {
	return c.remove(func(tx *store.Tx) error {
		if err := tx.SetValue(whyName(id), nil); err != nil {
			return err
		}
		m, err := tx.Message(id)
		if err == nil && m != nil {
			err = c.auditRecalled(tx, m, audit.Event{Reason: audit.ByPerson})
		}
		if err != nil {
			return err
		}
		return tx.RemoveMessage(id)
	}, originID)
}

// remove runs a transaction that removes something, and tells.
func (c *Client) remove(fn func(tx *store.Tx) error, settled ...string) error {
	if err := c.store.Update(c.ctx, fn); err != nil {
		return err
	}
	c.apply(&effects{events: []Event{Resync{}}, list: true, settled: settled})
	return nil
}

// Forget removes a conversation with somebody who is no contact, with all of its
// messages and the draft: as one with a mistyped address, which nothing else
// removes. What waits to be sent is taken back; if something of it may have left
// already, nothing is removed. Devices and the trust in them are kept. A Resync
// tells.
func (c *Client) Forget(ctx context.Context, peer string) error {
	if err := c.do(ctx, func(done chan<- error) { done <- c.forget(peer) }); err != nil {
		return fmt.Errorf("remove the conversation: %w", err)
	}
	return nil
}

func (c *Client) forget(peer string) error {
	if r := c.rooms[peer]; r != nil && r.wanted {
		return errors.New("you are in this room. Leave it first: /leave")
	}
	var settled []string
	for id, o := range c.outs {
		if o.peer != peer {
			continue
		}
		if o.handed {
			return errors.New("a message of it is just being sent. Wait a moment, or take it back first")
		}
		settled = append(settled, id)
	}
	err := c.remove(func(tx *store.Tx) error {
		for _, id := range settled {
			o := c.outs[id]
			if left, err := tx.Encrypted(o.id); err != nil || left && !o.fresh {
				return cmp.Or(err, errMayLeft)
			}
		}
		gone, err := tx.RemoveConversation(peer)
		if errors.Is(err, store.ErrContact) {
			return fmt.Errorf("%s is one of your contacts, and contacts stay in the list", c.short(peer))
		}
		if err == nil {
			err = tx.SetValue(invitedName(peer), nil)
		}
		for _, id := range gone {
			if err := tx.SetValue(whyName(id), nil); err != nil {
				return err
			}
		}
		return err
	}, settled...)
	if err != nil {
		return err
	}
	c.mu.Lock()
	delete(c.names, peer)
	c.mu.Unlock()
	delete(c.warned, peer)
	delete(c.rooms, peer)
	return nil
}
