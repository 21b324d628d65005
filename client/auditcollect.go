package client

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"fmt"
	"time"

	"sotto/client/audit"
	"sotto/client/org/directory"
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
