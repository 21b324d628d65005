package client

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"sotto/client/audit"
	"sotto/client/store"
)

// Access is an opening of the vault with the recovery key (keystore.Access), as the
// gate has noted it.
type Access struct {
	ID     [8]byte
	Time   time.Time
	Reason string // as the audit log has it: "forgotten-pin", "emergency", "absent", "investigation"
	Words  string // the same for people, after "because of"
	By     string // an address
}

// seenAccess is the name of the value that says that an access was dealt with.
const seenAccess = "recovery-access "

// accessed writes accesses that were not written before into the audit log, and as
// a line into the conversation with the organisation, or with oneself: what the lock
// screen says goes, this stays. Those of before are logged with their own time.
func (c *Client) accessed(tx *store.Tx, list []Access, before bool, now time.Time) error {
	peer := c.Membership().Contact()
	if peer == "" {
		peer = c.self
	}
	for _, x := range list {
		id := hex.EncodeToString(x.ID[:])
		seen, err := tx.Value(seenAccess + id)
		if err != nil || seen != nil {
			if err != nil {
				return err
			}
			continue
		}
		words := lineOf("This device was opened with the recovery key on %s, by %s, because of %s.", x.Time.Local().Format("2 January 2006 at 15:04"), x.By, x.Words)
		row := store.Message{Peer: peer, Sender: peer, OriginID: "access " + id, Time: x.Time, Body: words.String(), Kind: store.Notice}
		if _, err := tx.AddMessage(&row); err != nil {
			return err
		}
		at := now
		if before && x.Time.Before(now) {
			at = x.Time
		}
		if err := c.auditAt(tx, at, audit.Event{Kind: audit.EmergencyAccess, By: audit.PersonOf(x.By), Ref: audit.IDOf(id), Reason: accessReason(x.Reason)}); err != nil {
			return err
		}
		if err := tx.SetValue(seenAccess+id, []byte{1}); err != nil {
			return err
		}
	}
	return nil
}

// ErrUnloggedAccess is wrapped where the audit log does not have an access.
var ErrUnloggedAccess = errors.New("the vault was opened with the recovery key, and that could not be written down")

// unlogged reports whether the audit log does not have one of the accesses, as far as
// it can be read.
func (c *Client) unlogged(ctx context.Context, list []Access) bool {
	missing := false
	err := c.store.View(context.WithoutCancel(ctx), func(tx *store.Tx) error {
		for _, x := range list {
			seen, err := tx.Value(seenAccess + hex.EncodeToString(x.ID[:]))
			if err != nil {
				return err
			}
			missing = missing || seen == nil
		}
		return nil
	})
	return missing || err != nil && len(list) > 0
}

func accessReason(s string) audit.Reason {
	for _, r := range []audit.Reason{audit.ForgottenPIN, audit.Absent, audit.Investigation} {
		if r.String() == s {
			return r
		}
	}
	return audit.Emergency
}

// RecoveryKey returns the serial number of the organisation's policy, and the
// recovery key that it names, "" for none. Without an organisation or a policy ok is
// false: nobody decides.
func (c *Client) RecoveryKey() (serial uint64, recipient string, ok bool) {
	p := c.Membership().Policy()
	if p == nil {
		return 0, "", false
	}
	return p.Serial, p.Value("recovery-key").Text(), true
}
