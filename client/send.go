package client

import (
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"sotto/client/audit"
	"sotto/client/omemo"
	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/wire"
)

// fallback is what a client without OMEMO shows in place of a message.
const fallback = "This message is encrypted with OMEMO (XEP-0384), which your app does not show."

// encryptAtOnce bounds the messages encrypted in one transaction.
const encryptAtOnce = 64

// flush looks at the outbox: what is encrypted goes to the link, unless the
// link has it; what is not is encrypted as soon as the keys are there.
func (c *Client) flush() {
	var list []store.OutHead
	err := c.store.View(c.ctx, func(tx *store.Tx) (err error) {
		list, err = tx.OutboxHead()
		return err
	})
	if err != nil {
		c.log.Error("read the outbox", "err", err)
		return
	}
	c.announced()
	outs := make(map[string]*outgoing, len(list))
	for i := range list {
		o := c.outs[list[i].OriginID]
		if o == nil {
			o = &outgoing{id: list[i].MessageID, peer: list[i].Peer}
			_, o.handed = c.window.given[list[i].OriginID]
		}
		outs[list[i].OriginID] = o
	}
	c.outs = outs
	switch {
	case !c.online || !c.rosterDone || !c.devicesDone || !c.archiveDone:
	case c.removed:
		c.explain(list, "Waiting: this device was removed from your devices. /rejoin puts it back")
	default:
		if !c.repeatDone {
			c.repeatDone = true
			c.repeat(time.Now(), "")
		}
		c.sendAll(list)
	}
	c.tellState()
}

func (c *Client) sendAll(list []store.OutHead) {
	waiting := make(map[string][]store.OutHead)
	var order []string
	var ready []store.OutHead
	for i := range list {
		o := &list[i]
		switch {
		case !o.Encrypted:
			if waiting[o.Peer] == nil {
				order = append(order, o.Peer)
			}
			waiting[o.Peer] = append(waiting[o.Peer], *o)
		case !c.outs[o.OriginID].handed && c.roomReady(o.Peer):
			ready = append(ready, *o)
		}
	}
	if c.window.held = false; !c.handOut(ready) {
		c.window.held = true
		return
	}
	for _, who := range order {
		c.sendTo(who, waiting[who])
	}
}

// sendTo encrypts messages for one person, or asks for what is missing.
func (c *Client) sendTo(who string, list []store.OutHead) {
	if r := c.rooms[who]; r != nil {
		c.sendToRoom(r, list)
		return
	}
	p, self := c.peer(who), c.peer(c.self)
	switch {
	case !c.noPEP.Empty():
		c.refuse(list, "Not sent: "+c.noPEP.String())
		return
	case c.hold(who, list):
		return
	case p.nobody != "":
		why := p.nobody
		p.nobody = "" // what is sent later asks anew
		c.refuse(list, why)
		return
	case !p.listed && !p.retry.IsZero():
		c.explain(list, p.why)
		return
	case !p.listed:
		c.askList(who)
		return
	case len(p.fetching) > 0 || len(self.fetching) > 0:
		return // the answer brings us back
	}
	for len(list) > 0 {
		if !c.window.room() {
			c.window.held = true
			return
		}
		n := min(len(list), encryptAtOnce)
		if !c.encrypt(who, list[:n]) {
			return
		}
		list = list[n:]
	}
}

// targets are the devices of one person to encrypt to.
type targets struct {
	ready   []omemo.Address // trusted, with a session
	missing []omemo.Address // trusted, without one: ask for the bundle
	unseen  []omemo.Address // undecided, fingerprint not known yet
	failed  error           // why the bundle of one could not be had
	devices int             // active ones
}

func (c *Client) targets(tx *store.Tx, who string) (t targets, err error) {
	p := c.peer(who)
	devices, err := tx.Devices(who)
	if err != nil {
		return t, err
	}
	for i := range devices {
		d := &devices[i]
		a := omemo.Address{JID: who, Device: d.ID}
		if !d.Active || who == c.self && d.ID == c.device.ID() {
			continue
		}
		t.devices++
		if d.Fingerprint == nil && p.failed[d.ID] == nil && (d.Trust == store.Undecided || d.Trust == store.FirstUse && !c.mayEncrypt(who, d)) {
			t.unseen = append(t.unseen, a)
		}
		if !c.mayEncrypt(who, d) {
			continue
		}
		has, key, err := c.device.HasSession(tx, a)
		switch {
		case err != nil:
			return t, err
		case has && c.barred(a, key):
		case has && (d.Fingerprint == nil || string(d.Fingerprint) == string(key[:])):
			t.ready = append(t.ready, a)
		case p.failed[d.ID] != nil:
			t.failed = p.failed[d.ID]
		default:
			t.missing = append(t.missing, a)
		}
	}
	return t, nil
}

// encrypt encrypts messages to all trusted devices of both sides, moving the
// ratchets in the transaction that puts the stanzas into the outbox. False means
// that something is missing first, or that the messages have failed.
func (c *Client) encrypt(who string, list []store.OutHead) bool {
	var theirs, ours targets
	type ready struct {
		id     string
		stanza []byte
	}
	var done []ready
	ok := c.update("encrypt a message", func(tx *store.Tx, fx *effects) (err error) {
		done, ours = nil, targets{}
		if theirs, err = c.targets(tx, who); err != nil {
			return err
		}
		if who != c.self {
			if ours, err = c.targets(tx, c.self); err != nil {
				return err
			}
		}
		if len(theirs.missing)+len(ours.missing) > 0 || len(theirs.ready) == 0 {
			return nil
		}
		to := slices.Concat(theirs.ready, ours.ready)
		for i := range list {
			m, err := tx.Message(list[i].MessageID)
			if err != nil {
				return err
			}
			if m == nil || m.State != store.Queued {
				if err := tx.RemoveOut(list[i].MessageID); err != nil {
					return err
				}
				continue
			}
			more, err := extras(tx, m)
			if err != nil {
				return err
			}
			enc, err := c.encryptText(tx, to, m)
			if err != nil {
				c.log.Error("encrypt", "to", who, "err", err)
				if err := c.failed(tx, fx, m, audit.GivenUp, "Not sent: it could not be encrypted. Try again"); err != nil {
					return err
				}
				continue
			}
			b := chatStanza(m, enc).Add(more...).Bytes()
			if err := tx.SetOut(m.ID, b); err != nil {
				return err
			}
			if err := fx.clearWhy(tx, m.ID); err != nil {
				return err
			}
			done = append(done, ready{m.OriginID, b})
		}
		return nil
	})
	if !ok {
		return false
	}
	for _, a := range theirs.unseen {
		c.askBundle(a, toLook)
	}
	if len(theirs.missing)+len(ours.missing) > 0 {
		for _, a := range slices.Concat(theirs.missing, ours.missing) {
			c.askBundle(a, toSend)
		}
		return false
	}
	if len(theirs.ready) == 0 {
		c.nobody(who, list, &theirs)
		return false
	}
	c.peer(who).absent = time.Time{}
	for _, d := range done {
		if o := c.outs[d.id]; o != nil {
			o.fresh = true
		}
		c.hand(d.id, d.stanza)
	}
	return true
}

// chatStanza builds the stanza of an encrypted message.
func chatStanza(m *store.Message, enc *stanza.Element) *stanza.Element {
	e := stanza.NewChat(m.Peer, m.OriginID, enc, stanza.ReceiptRequest(), stanza.Markable(),
		stanza.EncryptedWith(stanza.NSOmemo, "OMEMO"), stanza.StoreHint(), stanza.Body(fallback))
	if m.Urgency == store.Stat {
		e.Add(stanza.UrgencyHigh())
	}
	return e
}

// nobody deals with messages to somebody without a device to encrypt to. They
// are never sent in the clear.
func (c *Client) nobody(who string, list []store.OutHead, t *targets) {
	name := c.short(who)
	p := c.peer(who)
	switch {
	case t.failed != nil && passing(t.failed):
		if p.retry.IsZero() {
			p.retry = time.Now().Add(peerRetry)
		}
		p.why = "Waiting: the keys of " + name + " cannot be had now. " + describe(t.failed)
		c.explain(list, p.why)
	case who == c.self && t.devices == 0:
		c.refuse(list, "Not sent: "+noOwnDevice)
	case who == c.self:
		c.refuseFor(list, audit.Untrusted, "Not sent: no other device of yours is trusted. Compare first (/trust), then send again.")
	case t.devices == 0 && c.stranger(who):
		// Relays say the same of somebody who is not there and of somebody who
		// has no app that encrypts, or does not know us.
		if c.await(p, list, "Waiting: no device of "+who+" is found. Check the address. It is looked for again") {
			return
		}
		c.refuse(list, "Not sent: there is no "+who+", or nobody there has an app that encrypts. Check the address.")
	case t.devices == 0:
		if c.await(p, list, "Waiting: "+name+" has no device that reads encrypted messages yet. It is looked for again") {
			return
		}
		c.refuse(list, "Not sent: "+name+" has no device that reads encrypted messages. Ask "+name+" to sign in with sotto or another OMEMO app, then send again.")
	case t.failed != nil:
		if condition(t.failed) == "item-not-found" && c.await(p, list, "Waiting: the keys of "+name+"'s device are not published yet. They are looked for again") {
			return
		}
		c.refuse(list, "Not sent: the keys that "+name+"'s device has published cannot be used. Ask "+name+" to open the app again, then send again.")
	default:
		c.refuseFor(list, audit.Untrusted, "Not sent: no device of "+name+" is trusted. Compare first (/trust), then send again.")
	}
}

// noOwnDevice is why there is nobody to send a note to.
const noOwnDevice = "you have no other device to send notes to. Sign in on another one first."

// refuse marks messages as failed.
func (c *Client) refuse(list []store.OutHead, why string) { c.refuseFor(list, audit.GivenUp, why) }

func (c *Client) refuseFor(list []store.OutHead, reason audit.Reason, why string) {
	c.update("note a failure", func(tx *store.Tx, fx *effects) error {
		for i := range list {
			m, err := tx.Message(list[i].MessageID)
			if err != nil {
				return err
			}
			if m == nil {
				continue
			}
			if err := c.failed(tx, fx, m, reason, why); err != nil {
				return err
			}
		}
		return nil
	})
}

// explain says why messages are still queued.
func (c *Client) explain(list []store.OutHead, why string) {
	c.update("note a delay", func(tx *store.Tx, fx *effects) error {
		for i := range list {
			known, err := tx.Value(whyName(list[i].MessageID))
			if err != nil {
				return err
			}
			if string(known) == why {
				continue
			}
			if err := fx.changed(tx, list[i].MessageID, why); err != nil {
				return err
			}
		}
		return nil
	})
}

// clearWhy drops the reason why a message was queued, if there was one.
func (fx *effects) clearWhy(tx *store.Tx, id int64) error {
	why, err := tx.Value(whyName(id))
	if err != nil || why == nil {
		return err
	}
	return fx.changed(tx, id, "")
}

// settled notes that the relay has messages.
func (c *Client) settled(list []inbound) error {
	known := false
	var ids []string
	for i := range list {
		if s, ok := list[i].msg.(wire.Settled); ok {
			known = known || c.outs[s.ID] != nil
			c.window.settle(s.ID)
			ids = append(ids, s.ID)
		}
	}
	c.posted(ids)
	if err := c.answered(ids); err != nil {
		return err
	}
	if err := c.acknowledged(ids); err != nil {
		return err
	}
	if !known {
		c.refill() // they were receipts and the like
		return nil
	}
	var fx effects
	err := c.store.Update(c.ctx, func(tx *store.Tx) error {
		fx = effects{}
		for i := range list {
			s, _ := list[i].msg.(wire.Settled)
			o := c.outs[s.ID]
			if o == nil || c.roomSettled(o) {
				continue
			}
			// Its receipt may have come first: then there is no change.
			if err := c.reached(tx, &fx, o.peer, s.ID, store.Sent); err != nil {
				return err
			}
			fx.settled = append(fx.settled, s.ID)
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.apply(&fx)
	c.refill()
	return nil
}

// sendReceipt tells a sender that a message is stored here (XEP-0184). It is
// addressed to the account and kept in archives, so that whichever of the
// sender's devices comes online next learns of it.
func (c *Client) sendReceipt(r receipt) {
	c.sendSmall(r.to, stanza.Received(r.id), stanza.StoreHint())
}

// sendMarker tells a sender that a message was shown to the person (XEP-0333).
func (c *Client) sendMarker(to, id string) {
	if !c.mayTellRead() {
		return
	}
	c.sendSmall(to, stanza.Displayed(id), stanza.StoreHint())
}

// sendKey sends an empty OMEMO message.
func (c *Client) sendKey(to string, enc *stanza.Element) {
	c.sendSmall(to, enc, stanza.StoreHint())
}

func (c *Client) sendSmall(to string, children ...*stanza.Element) {
	id := rand.Text()
	c.note(wire.Send{ID: id, Stanza: stanza.NewChat(to, id, children...).Bytes()})
}

// sendAnswers answers key exchanges with empty messages, one for each device
// however many messages came: it proves that the session works, and moves the
// other side's ratchet.
func (c *Client) sendAnswers() {
	if len(c.answersDue) == 0 {
		return
	}
	due := c.answersDue
	c.answersDue = make(map[omemo.Address]bool)
	type answer struct {
		to  string
		enc *stanza.Element
	}
	var list []answer
	ok := c.update("answer a key exchange", func(tx *store.Tx, _ *effects) error {
		list = nil
		for a := range due {
			if out, err := c.barredIn(tx, a); err != nil {
				return err
			} else if out {
				continue
			}
			enc, err := c.device.EncryptKey(tx, []omemo.Address{a})
			if err != nil {
				if !errors.Is(err, omemo.ErrNoSession) {
					c.log.Warn("answer a key exchange", "with", a.String(), "err", err)
				}
				continue
			}
			list = append(list, answer{a.JID, enc})
		}
		return nil
	})
	if !ok {
		c.answersDue = due
		return
	}
	for _, x := range list {
		c.sendKey(x.to, x.enc)
	}
}
