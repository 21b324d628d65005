package client

import (
	"context"
	"errors"
	"fmt"

	"sotto/client/omemo"
	"sotto/client/store"
)

// What programs need of a messenger that nobody looks at: to take what came one
// by one, and to meet somebody before the first message.

// trusts reports whether something may be encrypted to a device of this trust.
func (c *Client) trusts(t store.Trust) bool {
	return t == store.Verified || t == store.Signed || t == store.FirstUse && !c.comparedOnly()
}

// judged are devices with the trust that counts here: where only compared ones
// are trusted, what is trusted on first use is not decided yet.
func (c *Client) judged(peer string, rows []store.PeerDevice) []store.PeerDevice {
	if c.Membership() != nil {
		return c.judgedIn(peer, rows)
	}
	if !c.comparedOnly() {
		return rows
	}
	for i := range rows {
		if rows[i].Trust == store.FirstUse {
			rows[i].Trust = store.Undecided
		}
	}
	return rows
}

// Waiting returns up to limit messages that were not taken yet, see [Client.Taken],
// in the order in which they came: of one conversation or, if peer is "", of all.
// Messages of others and sotto's notices are among them, own messages are not.
func (c *Client) Waiting(ctx context.Context, peer string, limit int) ([]Message, error) {
	var list []Message
	err := c.store.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.AllUnread(peer, limit)
		if err != nil {
			return err
		}
		list = make([]Message, 0, len(rows))
		for i := range rows {
			m, err := messageOf(tx, &rows[i])
			if err != nil {
				return err
			}
			list = append(list, m)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what waits: %w", err)
	}
	return list, nil
}

// Taken notes that messages were handed on. Their senders are not told that
// somebody has read them, because nobody has: see [Client.MarkRead] for that.
func (c *Client) Taken(ctx context.Context, ids []int64) error {
	err := c.store.Update(ctx, func(tx *store.Tx) error {
		read, err := tx.MarkTaken(ids)
		if err != nil {
			return err
		}
		return c.auditShown(tx, read)
	})
	if err != nil {
		return fmt.Errorf("note what was handed on: %w", err)
	}
	c.events.put(ConversationsChanged{})
	return nil
}

// ByID returns a message; false if there is none.
func (c *Client) ByID(ctx context.Context, id int64) (m Message, found bool, err error) {
	err = c.store.View(ctx, func(tx *store.Tx) error {
		row, err := tx.Message(id)
		if err != nil || row == nil {
			return err
		}
		found = true
		m, err = messageOf(tx, row)
		return err
	})
	if err != nil {
		return m, false, fmt.Errorf("read the message: %w", err)
	}
	return m, found, nil
}

// Meet asks for the devices of somebody and for the fingerprints that are not known
// yet, without sending anything to them. It reports whether the answers are in; if
// not, events tell when to look again. It answers false while offline.
func (c *Client) Meet(ctx context.Context, peer string) (met bool, err error) {
	peer, err = c.address(peer)
	if err != nil {
		return false, err
	}
	err = c.do(ctx, func(done chan<- error) {
		met = c.meet(peer)
		done <- nil
	})
	if err != nil {
		return false, err // met may be written yet
	}
	return met, nil
}

func (c *Client) meet(peer string) bool {
	p := c.peer(peer)
	if !c.online || !c.rosterDone || !c.devicesDone {
		return false
	}
	if peer != c.self && !p.listed {
		if p.retry.IsZero() {
			c.askList(peer)
		}
		return false
	}
	var unknown []omemo.Address
	c.update("look at devices", func(tx *store.Tx, _ *effects) error {
		unknown = nil
		rows, err := tx.Devices(peer)
		for i := range rows {
			d := &rows[i]
			if d.Active && d.Fingerprint == nil && p.failed[d.ID] == nil && (peer != c.self || d.ID != c.device.ID()) {
				unknown = append(unknown, omemo.Address{JID: peer, Device: d.ID})
			}
		}
		return err
	})
	for _, a := range unknown {
		c.askBundle(a, toLook)
	}
	return len(unknown) == 0 && len(p.fetching) == 0
}

// Declines reports whether an error of [Client.Send] says that nobody may have the
// message as things are, and not that it could not be kept.
func Declines(err error) bool {
	readers := (*NewReaders)(nil)
	return errors.As(err, &readers) || errors.Is(err, errNotIn) || errors.Is(err, errNoPeople) || errors.Is(err, errNoOwnDevice) || errors.Is(err, errOutside) || errors.Is(err, errNobodyReads)
}

// Address checks an address and writes it as conversations are named.
func (c *Client) Address(s string) (string, error) { return c.address(s) }
