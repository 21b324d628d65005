package client

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"sotto/client/audit"
	"sotto/client/membership"
	"sotto/client/omemo"
	"sotto/client/org/directory"
	"sotto/client/stanza"
	"sotto/client/store"
)

// What the auditor's client knows of devices, and what is asked of a device's own log.

// SigningKey returns with what a device signs its audit log, as the organisation's
// directory has it; false if that has no such device. It may be called from any
// goroutine.
func (c *Client) SigningKey(d audit.Device) (key ed25519.PublicKey, ok bool) {
	if d == c.auditLog.Device() {
		return c.ownKey, true
	}
	all := c.Directory()
	if all == nil {
		return nil, false
	}
	e, ok := all.Entry(d.Owner.String())
	if !ok {
		return nil, false
	}
	x := e.Device(d.ID)
	if x == nil {
		return nil, false
	}
	return x.Signing.Public(), true
}

// A device that has just joined sends its log as soon as it can, which may be before
// this one has heard of it: the organisation is asked before the batch is judged.
const (
	maxEarly   = 64 // batches that wait for that; others come again by themselves
	earlyEvery = time.Minute
)

// early is a batch of a device that is not in the directory yet.
type early struct {
	from  omemo.Address
	batch []byte
}

// comesEarly reports whether what somebody unknown has sent may be the log of a
// colleague whom the directory does not have yet: it is held as all messages of
// strangers are, and is nothing to write down.
func (c *Client) comesEarly(x *envelope, why error) bool {
	return c.cfg.Collect != nil && x.room == nil && stanza.IsAudit(x.stanza) &&
		(errors.Is(why, directory.ErrStranger) || errors.Is(why, membership.ErrNoDirectory))
}

// asksFirst keeps a batch of a device that the directory does not have until the
// organisation was asked, in memory only: it is not confirmed, and so comes again. It
// reports false for a batch that is to be judged now.
func (c *Client) asksFirst(fx *effects, got *omemo.Decrypted) bool {
	f := &c.following
	from := got.From
	if _, known := c.SigningKey(audit.Device{Owner: audit.PersonOf(from.JID), ID: from.Device}); known || c.Membership() == nil {
		return false
	}
	if at, asked := f.asked[from]; asked && time.Since(at) < earlyEvery || len(f.asked) >= maxEarly && !asked {
		return false
	}
	b := early{from, bytes.Clone(got.Plaintext)}
	fx.after = append(fx.after, func() {
		if f.asked == nil {
			f.asked = make(map[omemo.Address]time.Time)
		}
		f.asked[from] = time.Now()
		f.early = append(f.early, b)
		c.follow()
	})
	return true
}

// judgeEarly judges the batches that have waited for the organisation's word.
func (c *Client) judgeEarly() {
	f := &c.following
	if len(f.early) == 0 || f.again {
		return // another round follows, which was begun for them
	}
	list := f.early
	f.early = nil
	c.update("judge what came early", func(_ *store.Tx, fx *effects) error {
		for _, b := range list {
			if err := c.judge(fx, b.from, b.batch); err != nil {
				return err
			}
		}
		return nil
	})
	for who, at := range f.asked {
		if time.Since(at) >= earlyEvery {
			delete(f.asked, who)
		}
	}
}

// Logging returns the devices of which the organisation expects a log, and since when:
// those of everybody who is active, since they are in the directory.
func (c *Client) Logging() map[audit.Device]time.Time {
	all := c.Directory()
	if all == nil {
		return nil
	}
	expected := make(map[audit.Device]time.Time)
	for _, e := range all.All() {
		if e.State != directory.Active {
			continue
		}
		for _, d := range e.Devices {
			expected[audit.Device{Owner: audit.PersonOf(e.Address), ID: d.ID}] = d.Added
		}
	}
	return expected
}

// CollectorKey is the key with which this account confirms what it collects.
func (c *Client) CollectorKey(ctx context.Context) (public *audit.CollectorKey, key crypto.Signer, err error) {
	err = c.store.Update(ctx, func(tx *store.Tx) (err error) {
		public, key, err = CollectorKey(tx, c.self)
		return err
	})
	return public, key, err
}

// VerifyLog compares this device's audit log with what was signed of it, here and by
// the auditor.
func (c *Client) VerifyLog(ctx context.Context) (r *audit.Report, err error) {
	err = c.store.View(ctx, func(tx *store.Tx) error {
		var collector *audit.CollectorKey
		known, err := tx.Value(valueCollector)
		if err != nil {
			return err
		}
		if known != nil {
			if collector, err = audit.ParseCollectorKey(string(known)); err != nil {
				return err
			}
		}
		r, err = c.auditLog.Verify(tx, c.ownKey, collector)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("verify the audit log: %w", err)
	}
	return r, nil
}
