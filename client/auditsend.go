package client

import (
	"errors"
	"slices"
	"time"

	"sotto/client/audit"
	"sotto/client/omemo"
	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/wire"
)

// Where the organisation's policy names an auditor, the audit log goes there: in
// batches that are the texts of OMEMO messages, to that account's devices only, one
// at a time. The log is the outbox. What the auditor has not confirmed is sent again,
// and what was confirmed goes from here after a while. Nothing of it is a message to
// anybody who looks at a screen.

// How the log is sent.
const (
	auditPause = 15 * time.Second    // between two looks whether there is something new
	auditAlive = 24 * time.Hour      // without anything new, a sign of life goes out so often
	auditAgain = time.Minute         // without an answer it is sent again; then after twice as long
	auditMost  = 15 * time.Minute    // but after so long at most
	auditKeeps = 30 * 24 * time.Hour // confirmed events stay here so long
	auditPrune = time.Hour           // between two looks for older ones
	auditSays  = time.Hour           // between two events about the same that is wrong with answers
)

// auditing is how sending the log stands. Run owns it.
type auditing struct {
	pause, again time.Duration
	lookAt       time.Time // when to look for something new
	waits        time.Time // until when an answer is waited for; zero: none is
	wait         time.Duration
	heard        time.Time // when the auditor has confirmed last, in this run
	pruneAt      time.Time
	said         map[audit.Reason]time.Time
	sent         string // id of the batch that was sent last
}

func newAuditing() auditing {
	return auditing{pause: auditPause, again: auditAgain, said: make(map[audit.Reason]time.Time)}
}

// The values in the store about sending the log.
const (
	valueCollector = "audit.collector" // the key of the one that the log is sent to
	valueForked    = "audit.forked"    // it has another history of this device
)

// auditor returns where the log goes; false if nowhere.
func (c *Client) auditor() (address string, key *audit.CollectorKey, ok bool) {
	p := c.Membership().Policy()
	if p == nil {
		if p = c.Policy(); p == nil {
			return "", nil, false
		}
	}
	address, err := c.address(p.Value("auditor").Text())
	if err != nil {
		return "", nil, false
	}
	key, err = audit.ParseCollectorKey(p.Value("auditor-key").Text())
	return address, key, err == nil
}

// renewAudit begins anew in a new session: what was under way may be lost.
func (c *Client) renewAudit() {
	c.auditing.waits, c.auditing.wait, c.auditing.lookAt = time.Time{}, 0, time.Time{}
}

// sendAudit sends the next batch if it is time.
func (c *Client) sendAudit(now time.Time) {
	a := &c.auditing
	switch {
	case !c.online || !c.rosterDone || !c.devicesDone || !c.archiveDone || c.removed || !c.noPEP.Empty(), now.Before(a.lookAt):
		return
	case !a.waits.IsZero() && now.Before(a.waits):
		return
	}
	a.lookAt = now.Add(a.pause)
	who, key, ok := c.auditor()
	if !ok {
		return
	}
	c.pruneAudit(now)
	if who == c.self && c.cfg.Collect != nil {
		c.collectOwn(key)
		return
	}
	p := c.peer(who)
	if who != c.self && !p.listed {
		if p.retry.IsZero() {
			c.askList(who)
		}
		a.lookAt = now.Add(min(a.pause, listRetry))
		return
	}
	if len(p.fetching) > 0 {
		a.lookAt = now.Add(min(a.pause, listRetry))
		return
	}
	var t targets
	var e *stanza.Element
	due := false
	id := newID()
	ok = c.update("send the audit log", func(tx *store.Tx, _ *effects) (err error) {
		e, due = nil, false
		due, err = c.auditDue(tx, key, now)
		if err != nil || !due {
			return err
		}
		if t, err = c.targets(tx, who); err != nil || len(t.missing) > 0 || len(t.ready) == 0 {
			return err
		}
		signer, err := c.auditKey(tx)
		if err != nil {
			return err
		}
		b, _, err := c.auditLog.Batch(tx, now, signer, audit.MaxLines)
		if err != nil {
			return err
		}
		enc, err := c.device.Encrypt(tx, t.ready, b.Marshal())
		if err == nil {
			e = auditStanza(who, id, enc)
		}
		return err
	})
	for _, x := range slices.Concat(t.missing, t.unseen) {
		c.askBundle(x, toSend)
	}
	if !ok || e == nil {
		switch {
		case len(t.missing) > 0:
			a.lookAt = now.Add(min(a.pause, listRetry))
		case ok && due && who != c.self && len(t.ready) == 0:
			// Asked before the auditor had published them: no news of its devices comes
			// unasked, unless it is a contact.
			p.listed = false
			clear(p.failed)
		}
		return
	}
	if a.wait *= 2; a.wait == 0 {
		a.wait = a.again
	}
	a.wait = min(a.wait, auditMost)
	a.waits, a.sent = now.Add(a.wait), id
	c.note(wire.Send{ID: id, Stanza: e.Bytes()})
}

// sendAuditLast sends what the auditor does not have, because there will be nothing
// left of it here.
func (c *Client) sendAuditLast() {
	c.auditing.waits, c.auditing.lookAt = time.Time{}, time.Time{}
	c.sendAudit(time.Now())
}

// auditStanza is a message of which nobody is shown anything.
func auditStanza(to, id string, enc *stanza.Element) *stanza.Element {
	return stanza.NewChat(to, id, enc, stanza.AuditMark(), stanza.PrivateHint(), stanza.StoreHint())
}

// auditDue reports whether there is something to send.
func (c *Client) auditDue(tx *store.Tx, key *audit.CollectorKey, now time.Time) (bool, error) {
	known, err := tx.Value(valueCollector)
	if err != nil {
		return false, err
	}
	if string(known) != key.String() {
		if err := c.auditLog.Renew(tx); err != nil {
			return false, err
		}
		if err := tx.SetValue(valueForked, nil); err != nil {
			return false, err
		}
		if err := tx.SetValue(valueCollector, []byte(key.String())); err != nil {
			return false, err
		}
	}
	if forked, err := tx.Value(valueForked); err != nil || forked != nil {
		return false, err
	}
	size, err := tx.AuditSize()
	if err != nil {
		return false, err
	}
	state, err := tx.AuditState()
	since := now.Sub(c.auditing.heard)
	return state.Next < size || since >= auditAlive || since < 0, err
}

// pruneAudit removes what the auditor has had for long.
func (c *Client) pruneAudit(now time.Time) {
	if now.Before(c.auditing.pruneAt) {
		return
	}
	removed := 0
	c.update("remove old audit events", func(tx *store.Tx, _ *effects) (err error) {
		removed, err = c.auditLog.Prune(tx, now, now.Add(-auditKeeps))
		return err
	})
	if removed == 0 { // else the rest goes the next time
		c.auditing.pruneAt = now.Add(auditPrune)
	}
}

// tookAudit takes a text that came and is a part of an audit log, or an answer; false
// if it is neither. What only begins like one, or comes from where none is expected, is
// a text as all others: nobody is kept from seeing it.
func (c *Client) tookAudit(tx *store.Tx, fx *effects, x *envelope, got *omemo.Decrypted) (bool, error) {
	if x.room != nil {
		return false, nil
	}
	who, _, named := c.auditor()
	switch {
	case audit.IsBatch(got.Plaintext):
		switch {
		case c.colleague(got.From.JID) != nil:
			return false, nil
		case c.cfg.Collect != nil:
			return true, c.collect(fx, got)
		case named && who == c.self:
			return true, nil // another device of this account collects
		}
		b, err := audit.ParseBatch(got.Plaintext)
		d := audit.Device{Owner: audit.PersonOf(got.From.JID), ID: got.From.Device}
		if key, ok := c.SigningKey(d); err != nil || !ok || !b.Of(d, key) {
			return false, nil
		}
		c.log.Warn("part of an audit log for somebody else", "from", got.From.String())
		return true, nil
	case audit.IsAnswer(got.Plaintext):
		if named && who == got.From.JID {
			return true, c.auditAnswered(tx, fx, got)
		}
		a, err := audit.ParseAnswer(got.Plaintext)
		if err != nil || c.colleague(got.From.JID) != nil || !a.To(c.auditLog.Device(), c.ownKey) {
			return false, nil
		}
		c.log.Warn("confirmation of audit events by somebody else", "from", got.From.JID)
		return true, nil
	}
	return false, nil
}

// auditBetween reports whether a message that cannot be read may be taken at its mark
// for a part of an audit log, or an answer.
func (c *Client) auditBetween(x *envelope) bool {
	who, _, named := c.auditor()
	return x.room == nil && stanza.IsAudit(x.stanza) && (named && who == x.sender || c.colleague(x.sender) == nil)
}

// collect hands on what a device has sent of its log, and answers once it is on the
// disk.
func (c *Client) collect(fx *effects, got *omemo.Decrypted) error {
	if c.asksFirst(fx, got) {
		return nil
	}
	return c.judge(fx, got.From, got.Plaintext)
}

func (c *Client) judge(fx *effects, from omemo.Address, batch []byte) error {
	answer, err := c.cfg.Collect(audit.Device{Owner: audit.PersonOf(from.JID), ID: from.Device}, batch)
	if err == nil && answer != nil {
		fx.after = append(fx.after, func() { c.sendAnswer(from, answer) })
	}
	return err
}

// sendAnswer sends an answer to the device that has sent the batch. If it is lost, so
// what: the batch comes again.
func (c *Client) sendAnswer(to omemo.Address, answer []byte) {
	var enc *stanza.Element
	ok := c.update("answer an audit log", func(tx *store.Tx, _ *effects) (err error) {
		enc, err = c.device.Encrypt(tx, []omemo.Address{to}, answer)
		if errors.Is(err, omemo.ErrNoSession) {
			err = nil
		}
		return err
	})
	if !ok || enc == nil {
		return
	}
	id := newID()
	c.note(wire.Send{ID: id, Stanza: auditStanza(to.JID, id, enc).Bytes()})
}

// auditAnswered takes what the auditor has confirmed.
func (c *Client) auditAnswered(tx *store.Tx, fx *effects, got *omemo.Decrypted) error {
	who, key, _ := c.auditor()
	devices, err := tx.Devices(who)
	if err != nil {
		return err
	}
	// The relay can put a device of its own into the auditor's list. Believed are those
	// that the log is sent to.
	if !slices.ContainsFunc(devices, func(d store.PeerDevice) bool {
		return d.ID == got.From.Device && string(d.Fingerprint) == string(got.Identity[:]) && c.mayEncrypt(who, &d)
	}) {
		c.log.Warn("confirmation of audit events by a device that is not trusted", "from", got.From.String())
		return nil
	}
	answer, err := audit.ParseAnswer(got.Plaintext)
	if err == nil {
		err = c.confirm(tx, answer, key)
	}
	return c.afterAnswer(tx, fx, err)
}

// confirm compares what the auditor has with the log.
func (c *Client) confirm(tx *store.Tx, answer *audit.Answer, key *audit.CollectorKey) error {
	return c.auditLog.Confirm(tx, answer, c.ownKey, key)
}

// afterAnswer goes on after an answer.
func (c *Client) afterAnswer(tx *store.Tx, fx *effects, err error) error {
	reason := audit.Malformed
	switch {
	case err == nil:
		fx.after = append(fx.after, func() {
			a := &c.auditing
			a.waits, a.wait, a.heard, a.lookAt = time.Time{}, 0, time.Now(), time.Time{}
		})
		return nil
	case errors.Is(err, audit.ErrForked):
		reason = audit.Forked
		fx.after = append(fx.after, func() { c.sayOnce("", "%v", err) })
		if err := tx.SetValue(valueForked, []byte{1}); err != nil {
			return err
		}
	case errors.Is(err, audit.ErrSignature):
		reason = audit.BadSignature
	case errors.Is(err, audit.ErrCheckpoint), errors.Is(err, audit.ErrBatch):
	default:
		return err // of the store
	}
	c.log.Warn("confirmation of audit events refused", "err", err)
	if now := time.Now(); now.Sub(c.auditing.said[reason]) > auditSays {
		c.auditing.said[reason] = now
		return c.audit(tx, audit.Event{Kind: audit.AuditRefused, Reason: reason})
	}
	return nil
}

// collectOwn takes the log of the very device that collects.
func (c *Client) collectOwn(key *audit.CollectorKey) {
	c.update("keep the own audit log", func(tx *store.Tx, fx *effects) error {
		for {
			due, err := c.auditDue(tx, key, time.Now())
			if err != nil || !due {
				return err
			}
			signer, err := c.auditKey(tx)
			if err != nil {
				return err
			}
			b, more, err := c.auditLog.Batch(tx, time.Now(), signer, audit.MaxLines)
			if err != nil {
				return err
			}
			data, err := c.cfg.Collect(c.auditLog.Device(), b.Marshal())
			if err != nil || data == nil {
				return err
			}
			answer, err := audit.ParseAnswer(data)
			if err == nil {
				err = c.confirm(tx, answer, key)
			}
			if err := c.afterAnswer(tx, fx, err); err != nil || !more {
				return err
			}
		}
	})
}
