package client

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"

	"sotto/client/aesgcm"
	"sotto/client/audit"
	"sotto/client/omemo"
	"sotto/client/stanza"
	"sotto/client/store"
)

// origin says how a message stanza came here.
type origin int

const (
	live     origin = iota // addressed to this client or this account
	carbon                 // a copy of what another own client sent or got (XEP-0280)
	archived               // from the own archive (XEP-0313)
)

// envelope is a message stanza whose way here was checked.
type envelope struct {
	stanza.Message
	stanza    *stanza.Element
	origin    origin
	archiveID string
	at        time.Time    // when it was sent, as far as the own relay says
	peer      string       // the other side, a bare JID
	sender    string       // a bare JID: peer or ourselves
	id        string       // the sender's id for it
	outgoing  bool         // written by another of our own clients
	room      *room        // nil: it is between two people
	file      *aesgcm.Link // what its text was the link to, if it was one
	ended     bool         // its time to live was over when it came
	fill      *filling     // the gap that it is in; nil: it comes next in its archive
	refused   audit.Reason // why it is not shown as what its sender wrote; 0: it is
}

// messages stores a run of message stanzas in one transaction. Only an error of
// the store is an error; whatever is wrong with a stanza is logged, and the
// stanza is done with.
func (c *Client) messages(list []inbound) error {
	var fx effects
	err := c.store.Update(c.ctx, func(tx *store.Tx) error {
		fx = effects{}
		for i := range list {
			if err := c.message(tx, &fx, list[i].stanza); err != nil {
				return err
			}
		}
		if err := c.keepRoomPositions(tx, &fx); err != nil {
			return err
		}
		if err := keepFilled(tx, &fx); err != nil {
			return err
		}
		return c.keepPosition(tx, &fx)
	})
	if err != nil {
		return err
	}
	c.tidying.stirred()
	c.apply(&fx)
	return nil
}

// message handles one message stanza: it finds out what it is and whether
// whoever sent it may.
func (c *Client) message(tx *store.Tx, fx *effects, e *stanza.Element) error {
	m, err := stanza.ReadMessage(e)
	if err != nil {
		c.log.Warn("message refused", "err", err)
		return nil
	}
	if done, err := c.joinStanza(tx, fx, e, &m); done || err != nil {
		return err
	}
	if done, err := c.organisationStanza(tx, fx, e, &m); done || err != nil {
		return err
	}
	if done, err := c.roomStanza(tx, fx, e, &m); done || err != nil {
		return err
	}
	// What comes without an address is from the own account (RFC 6120 section 8.1.2.1).
	own := m.From.Equal(c.selfID) || e.Get("from") == ""
	if r, ok := stanza.ReadMAMResult(e); ok {
		if f := c.filling; own && f != nil && f.room == nil && r.QueryID == f.query {
			if ok, err := c.inGap(tx, fx, f, r); !ok || err != nil {
				return err
			}
			return c.forwarded(tx, fx, r.Stanza, envelope{origin: archived, archiveID: r.ID, at: r.Time, fill: f})
		}
		if !own || c.archive.query == "" || r.QueryID != c.archive.query {
			c.log.Warn("archived message that nobody asked for", "from", m.From.String())
			return nil
		}
		if ok, err := c.result(tx, fx, c.self, &c.archive.pager, r); !ok || err != nil {
			return err
		}
		fx.position, fx.stamp = r.ID, r.Time
		return c.forwarded(tx, fx, r.Stanza, envelope{origin: archived, archiveID: r.ID, at: r.Time})
	}
	if stanza.IsCarbon(e) {
		inner, sent := stanza.ReadCarbon(e)
		if !own || inner == nil {
			c.log.Warn("forged copy of a message", "from", m.From.String())
			return nil
		}
		return c.forwarded(tx, fx, inner, envelope{origin: carbon, outgoing: sent})
	}
	if ev, ok := stanza.ReadEvent(e); ok {
		return c.onEvent(tx, fx, &m, own, ev)
	}
	if m.Type == "error" {
		return c.bounced(tx, fx, e, &m)
	}
	x := envelope{Message: m, stanza: e, at: m.Delay, archiveID: stanza.ArchiveID(e, c.selfID)}
	x.sender = m.From.Bare().String()
	if own {
		x.sender = c.self
	}
	return c.chat(tx, fx, &x)
}

// forwarded handles the message inside a copy or an archive's result. It must
// be from or to the own account.
func (c *Client) forwarded(tx *store.Tx, fx *effects, e *stanza.Element, x envelope) error {
	m, err := stanza.ReadMessage(e)
	if err != nil {
		c.log.Warn("forwarded message refused", "err", err)
		return nil
	}
	x.Message, x.stanza = m, e
	x.sender = m.From.Bare().String()
	if e.Get("from") == "" {
		x.sender = c.self
	}
	mine := x.sender == c.self
	toMe := m.To.Bare().String() == c.self || e.Get("to") == ""
	if x.origin == carbon {
		x.archiveID = stanza.ArchiveID(e, c.selfID)
		x.at = m.Delay
		if x.outgoing && !mine || !x.outgoing && !toMe {
			c.log.Warn("copy of a message between others", "from", m.From.String(), "to", m.To.String())
			return nil
		}
	} else if !mine && !toMe {
		c.log.Warn("archived message between others", "from", m.From.String(), "to", m.To.String())
		return nil
	}
	if done, err := c.joinStanza(tx, fx, e, &m); done || err != nil {
		return err
	}
	if inv, ok := stanza.ReadInvitation(e); ok {
		if mine || x.origin == archived && c.archive.past {
			return nil
		}
		return c.invited(tx, fx, inv, m.ID)
	}
	return c.chat(tx, fx, &x)
}

// chat handles a message of a conversation between two people.
func (c *Client) chat(tx *store.Tx, fx *effects, x *envelope) error {
	if x.Type != "chat" && x.Type != "normal" {
		return nil
	}
	x.outgoing = x.sender == c.self
	x.peer = x.sender
	if x.outgoing {
		if x.peer = x.To.Bare().String(); x.peer == "" {
			x.peer = c.self
		}
	}
	if x.id = x.OriginID; x.id == "" {
		x.id = x.ID
	}
	now := time.Now()
	if x.at.IsZero() || x.at.After(now) {
		x.at = now
	}
	if done, err := c.letter(tx, fx, x); done || err != nil {
		return err
	}
	if out, err := c.outsider(tx, fx, x); out || err != nil {
		return err
	}
	if err := c.marks(tx, fx, x); err != nil {
		return err
	}
	enc := x.stanza.Child(stanza.NSOmemo, "encrypted")
	if enc == nil {
		if done, err := c.gestures(tx, fx, x); done || err != nil || strings.TrimSpace(x.Body) == "" {
			return err
		}
	}
	if done, err := c.repeated(tx, fx, x); done || err != nil {
		return err
	}
	row := store.Message{
		Peer: x.peer, Outgoing: x.outgoing, Sender: x.sender, OriginID: x.id, ArchiveID: x.archiveID, Time: x.at,
	}
	if x.outgoing {
		row.State = store.Sent
	}
	show, err := c.fill(tx, fx, x, enc, &row)
	if !show || err != nil {
		return err
	}
	if err := c.keepUnderstood(tx, fx, x, &row); err != nil {
		return err
	}
	if row.Kind == store.Notice {
		return nil
	}
	c.owe(fx, x)
	if !row.Encrypted || x.room != nil {
		return nil
	}
	return c.noteMarking(tx, fx, x)
}

// fill fills row with what a message says; false if there is nothing to show.
func (c *Client) fill(tx *store.Tx, fx *effects, x *envelope, enc *stanza.Element, row *store.Message) (show bool, err error) {
	switch {
	case enc != nil:
		if show, err = c.decrypt(tx, fx, x, enc, row); !show || err != nil {
			return false, err
		}
	case x.Method != "":
		x.refused = audit.Undecipherable
		row.Kind, row.Body = store.Notice, "This message is encrypted in a way that sotto does not read. Ask for it with OMEMO (XEP-0384 version 0.3)."
	default:
		row.Body = x.Body
	}
	if row.Kind == store.Text {
		row.Body = strings.ToValidUTF8(row.Body, "\ufffd")
		x.fleeting(row)
		if err := x.outdated(tx, row); err != nil {
			return false, err
		}
		if len(row.Body) > MaxBody {
			row.Body = strings.ToValidUTF8(row.Body[:MaxBody], "") + "\n[the rest of this message is too long to be shown]"
		}
		x.takeOffer(row)
		row.Urgency = urgencyOf(row.Body)
		if !row.Encrypted {
			return true, c.unprotected(tx, fx, x, row)
		}
	}
	return true, nil
}

// owe notes the receipt that a message asks for. Copies of what went to another
// own client are that client's to answer.
func (c *Client) owe(fx *effects, x *envelope) {
	if x.Asks && !x.ended && !x.outgoing && x.origin != carbon && x.ID != "" {
		fx.receipts = append(fx.receipts, receipt{x.sender, x.ID})
	}
}

// repeated reports whether a message is here already. A repeat that came live
// is answered again, because the first answer may have been lost. Only a notice
// in place of a message may be replaced, so that is not a repeat.
func (c *Client) repeated(tx *store.Tx, fx *effects, x *envelope) (bool, error) {
	if x.id == "" {
		return false, nil
	}
	old, err := tx.MessageByOrigin(x.peer, x.id)
	if err != nil || old == nil || old.Sender != x.sender || old.Outgoing != x.outgoing || old.Kind == store.Notice {
		return false, err
	}
	if err := c.settle(tx, fx, x, old); err != nil {
		return false, err
	}
	if x.outgoing {
		return true, c.reached(tx, fx, x.peer, x.id, store.Sent)
	}
	if x.origin == live && old.Gone != store.RanOut {
		c.owe(fx, x)
	}
	return true, nil
}

// decrypt fills row with what an encrypted message says; false if there is
// nothing to show.
func (c *Client) decrypt(tx *store.Tx, fx *effects, x *envelope, enc *stanza.Element, row *store.Message) (show bool, err error) {
	got, err := c.device.Decrypt(graceKeys{tx}, x.sender, enc)
	if err != nil {
		return c.undecryptable(tx, fx, x, enc, row, err)
	}
	defer clear(got.Plaintext)
	if as, err := c.cameAs(tx, got); err != nil {
		return false, err
	} else if as != "" {
		return c.twoNames(tx, fx, x, got, row, as)
	}
	if err := c.sawDevice(tx, fx, got.From, got.Identity); err != nil {
		return false, err
	}
	if got.PreKey || got.Heal {
		fx.answers = append(fx.answers, got.From)
	}
	fx.republish = fx.republish || got.UsedPreKey
	epoch, err := tx.Epoch(got.Order.Session[:], got.Order.Chain[:])
	if err != nil {
		return false, err
	}
	if got.Plaintext == nil {
		return false, c.signalled(tx, fx, &got)
	}
	if taken, err := c.tookAudit(tx, fx, x, &got); taken || err != nil {
		return false, err
	}
	row.Body, row.Encrypted, row.Device = string(got.Plaintext), true, got.From.Device
	row.Fingerprint, row.Cipher = got.Identity[:], c.cipherOf(enc)
	row.Strand, row.Epoch, row.Counter = got.Order.Session[:], epoch, got.Order.Counter
	if row.Trust, err = trustIn(tx, got.From); err == nil && row.Trust == store.Withdrawn {
		return false, c.fromWithdrawn(tx, x, &got)
	}
	return err == nil, err
}

// cipherOf tells the key that a message came with for this device from every
// other: it is the one part of a message that opens only once.
func (c *Client) cipherOf(enc *stanza.Element) []byte {
	h := sha256.New()
	own := strconv.FormatUint(uint64(c.device.ID()), 10)
	for k := range enc.Child(stanza.NSOmemo, "header").Elements() {
		if k.Is(stanza.NSOmemo, "key") && k.Get("rid") == own {
			h.Write([]byte(k.Text()))
			h.Write([]byte{0})
		}
	}
	return h.Sum(nil)[:16]
}

// past stands in for the ids of messages from before this device was set up.
const past = "past"

// undecryptable decides what to say and do about a message that could not be
// decrypted. An error of the store ends up here too: the transaction is lost
// then, whatever is decided.
func (c *Client) undecryptable(tx *store.Tx, fx *effects, x *envelope, enc *stanza.Element, row *store.Message, err error) (show bool, _ error) {
	if errors.Is(err, omemo.ErrOwnMessage) {
		c.log.Info("own message returned", "err", err)
		return false, nil
	}
	if errors.Is(err, omemo.ErrDuplicate) {
		here := enc.Child(stanza.NSOmemo, "payload") == nil // an empty one comes again with the archive
		if !here {
			var failed error
			if here, failed = tx.HasCipher(x.peer, c.cipherOf(enc)); failed != nil {
				return false, failed
			}
		}
		if here {
			c.log.Info("message repeated")
			return false, nil
		}
	}
	c.log.Warn("message not decrypted", "from", x.sender, "err", err)
	sid := uint32(0)
	if r, rerr := stanza.ReadEncrypted(enc); rerr == nil {
		sid = r.SID
	}
	from := omemo.Address{JID: x.sender, Device: sid}
	who := c.short(x.sender)
	again := "Ask " + who + " to send it again."
	compare := "Ask " + who + " to compare this device first, and then to send it again."
	if x.outgoing {
		who, again = "you", "If you have another device, it has it."
		compare = again
	}
	repair := false
	x.refused = audit.Undecipherable
	switch {
	case errors.Is(err, omemo.ErrNotForUs) && x.origin == archived && c.pastOf(x):
		// The past of a new device: said once for each conversation.
		x.refused = 0
		row.OriginID, row.ArchiveID = past, ""
		row.Outgoing, row.Sender, row.State, row.Read = false, x.peer, 0, true
		row.Body = "Messages from before this device was set up cannot be read here. If you have other devices, they have them."
	case errors.Is(err, omemo.ErrNotForUs):
		row.Body = "This message was not encrypted for this device. " + compare
		fx.relist = append(fx.relist, x.sender)
	case errors.Is(err, omemo.ErrDuplicate):
		// Its key was used for something that is not here: for a copy that the
		// relay had emptied, perhaps.
		x.refused = audit.Repeated
		row.Body = "This message could not be opened: its key was used before, and its text is not here. " + again
	case errors.Is(err, omemo.ErrIdentityChanged):
		row.Body = "This message could not be opened: the device it came from has changed its key. Compare the new one (/trust), then ask for the message again."
		repair = true
	case errors.Is(err, omemo.ErrNoSession), errors.Is(err, omemo.ErrUnknownPreKey), errors.Is(err, omemo.ErrTooFarAhead):
		row.Body = "This message could not be opened: the keys with the device it came from no longer match. They are being renewed. " + again
		repair = true
	default:
		row.Body = "This message was damaged or altered on its way and could not be opened. " + again
		repair = !errors.Is(err, omemo.ErrMalformed)
	}
	if repair && sid != 0 {
		fx.repairs = append(fx.repairs, from)
	}
	if enc.Child(stanza.NSOmemo, "payload") == nil || c.auditBetween(x) {
		return false, nil // an empty message, or a part of a log: nobody misses it
	}
	row.Kind, row.Device = store.Notice, sid
	return true, nil
}

// pastOf reports whether what cannot be read may be from before this device.
func (c *Client) pastOf(x *envelope) bool {
	switch {
	case x.fill != nil:
		return false
	case x.room != nil:
		return x.room.archive.past
	}
	return c.archive.past
}

// cameAs returns under which other name messages of the same key exchange have
// come; "" if none. Somebody whose device was compared may take the name over.
func (c *Client) cameAs(tx *store.Tx, got omemo.Decrypted) (string, error) {
	name := "omemo.exchange." + hex.EncodeToString(got.Exchange[:])
	b, err := tx.Value(name)
	if err != nil || string(b) == got.From.JID {
		return "", err
	}
	if b != nil {
		trust, err := trustIn(tx, got.From)
		if err != nil || trust != store.Verified && trust != store.Signed {
			return string(b), err
		}
	}
	return "", tx.SetValue(name, []byte(got.From.JID))
}

// twoNames deals with a message that a relay delivers under a second name. Its
// text is authentic and says nothing of who wrote it.
func (c *Client) twoNames(tx *store.Tx, fx *effects, x *envelope, got omemo.Decrypted, row *store.Message, as string) (show bool, err error) {
	c.log.Warn("messages of one device come under two names", "one", as, "other", got.From.JID)
	if err := c.device.Forget(tx, got.From); err != nil || got.Plaintext == nil {
		return false, err
	}
	x.refused = audit.Untrusted
	row.Kind, row.Device = store.Notice, got.From.Device
	row.Body = "This message is not shown: what this device writes has come under the name of " + as + ", too. One of the two is forged. Compare the devices of both (/trust)."
	return true, nil
}

// marks handles receipts and read markers. Nothing proves who made them but the
// address that relays put there (OMEMO 0.3 does not cover them): so they count only
// for what was sent to that very address, and from one of its clients.
func (c *Client) marks(tx *store.Tx, fx *effects, x *envelope) error {
	if x.Receipt != "" && !x.outgoing {
		if done, err := c.roomReceipt(tx, fx, x); done || err != nil {
			return err
		}
		m, err := c.confirmed(tx, x, x.Receipt)
		if err == nil && m != nil {
			err = c.reached(tx, fx, x.peer, x.Receipt, store.Delivered)
		}
		if err != nil {
			return err
		}
	}
	if x.Read == "" {
		return nil
	}
	if x.outgoing { // another own client showed it
		m, err := tx.MessageByOrigin(x.peer, x.Read)
		if err != nil || m == nil || m.Outgoing {
			return err
		}
		read, err := tx.MarkRead(x.peer, m.ID)
		fx.list = fx.list || len(read) > 0
		return err
	}
	m, err := c.confirmed(tx, x, x.Read)
	if err != nil || m == nil {
		return err
	}
	if err := c.reached(tx, fx, x.peer, x.Read, store.Read); err != nil {
		return err
	}
	before, err := tx.OutgoingBefore(x.peer, m.ID, 50)
	for i := range before {
		// Who has seen this one has seen what was delivered before it; what was
		// not may never have arrived.
		if b := &before[i]; err == nil && b.State == store.Delivered {
			err = c.reached(tx, fx, x.peer, b.OriginID, store.Read)
		}
	}
	return err
}

// confirmed returns the own message that a receipt or marker is about; nil if there
// is none that its sender can have got.
func (c *Client) confirmed(tx *store.Tx, x *envelope, id string) (*store.Message, error) {
	m, err := tx.MessageByOrigin(x.peer, id)
	if err != nil {
		return nil, err
	}
	why := ""
	switch {
	case m == nil || !m.Outgoing:
		why = "no such message was sent to them"
	case x.From.Resourcepart() == "":
		why = "it is not from a client"
	case m.State == store.Queued:
		if left, err := tx.Encrypted(m.ID); err != nil {
			return nil, err
		} else if !left {
			why = "the message was not sent yet"
		}
	}
	if why != "" {
		c.log.Warn("confirmation ignored: "+why, "from", x.From.String())
		return nil, nil
	}
	return m, nil
}

// reached moves an own message forward: it needs no more sending.
func (c *Client) reached(tx *store.Tx, fx *effects, peer, id string, s store.State) error {
	m, err := tx.MessageByOrigin(peer, id)
	if err != nil || m == nil {
		return err
	}
	changed, err := tx.SetState(peer, id, s)
	if err != nil || !changed {
		return err
	}
	if err := c.auditProgress(tx, m, s); err != nil {
		return err
	}
	if err := c.got(tx, fx, m.ID, s); err != nil {
		return err
	}
	if m.Kind == store.Retraction {
		if err := tx.SetValue(digestName(m.ID), nil); err != nil {
			return err
		}
	}
	if _, err := tx.SetRecipientState(m.ID, peer, s, time.Now()); err != nil {
		return err
	}
	fx.settled = append(fx.settled, id)
	return fx.changed(tx, m.ID, "")
}

// bounced handles a message that came back: an own one has failed.
func (c *Client) bounced(tx *store.Tx, fx *effects, e *stanza.Element, m *stanza.Message) error {
	peer := m.From.Bare().String()
	own, err := tx.MessageByOrigin(peer, m.ID)
	if err != nil || m.ID == "" || own == nil || !own.Outgoing {
		return err
	}
	if own.State == store.Queued {
		if left, err := tx.Encrypted(own.ID); err != nil || !left {
			c.log.Warn("bounce of what was not sent yet", "from", m.From.String())
			return err
		}
	}
	why := "it was refused"
	if refusal := stanza.ReadError(e); refusal != nil {
		why = refusal.Error()
		switch refusal.Condition {
		case "gone", "jid-malformed":
			why = "there is no " + peer + ". Check the address"
		case "item-not-found", "service-unavailable", "remote-server-not-found":
			unknown, err := isStranger(tx, peer)
			if err != nil {
				return err
			}
			if unknown {
				why += ". Check the address: " + peer
			}
		}
	}
	return c.failed(tx, fx, own, audit.GivenUp, "Not delivered: "+why)
}

// failed marks an own message as failed and says why.
func (c *Client) failed(tx *store.Tx, fx *effects, m *store.Message, reason audit.Reason, why string) error {
	changed, err := tx.SetState(m.Peer, m.OriginID, store.Failed)
	if err != nil || !changed {
		return err
	}
	if err := c.auditNotSent(tx, m, reason); err != nil {
		return err
	}
	if err := tx.RemoveOut(m.ID); err != nil {
		return err
	}
	fx.settled = append(fx.settled, m.OriginID)
	return fx.changed(tx, m.ID, why)
}

// onEvent handles a notification of the personal eventing protocol (XEP-0163).
func (c *Client) onEvent(tx *store.Tx, fx *effects, m *stanza.Message, own bool, ev stanza.Event) error {
	if ev.Node == stanza.NSBookmarks && own {
		fx.after = append(fx.after, c.askBookmarks)
		return nil
	}
	if ev.Node != stanza.NodeDevices {
		return nil
	}
	who := m.From.Bare().String()
	if own {
		who = c.self
	} else if m.From.Resourcepart() != "" {
		c.log.Warn("device list from a client and not from its account", "from", m.From.String())
		return nil
	}
	if who != c.self && c.peers[who] == nil {
		// A relay can name as many people as it likes. Whoever is written to is asked.
		known, err := tx.Known(who)
		if err != nil {
			return err
		}
		if !known || len(c.peers) >= maxPeers {
			c.log.Warn("device list of somebody unknown", "of", who)
			if len(c.ignored) < maxPeers {
				c.ignored[who] = true // a relay may send it before the roster that has them
			}
			return nil
		}
	}
	ids, ok := newestList(ev.Items)
	switch {
	case !ok && ev.Items[0].Payload == nil:
		fx.relist = append(fx.relist, who) // a notification without the list
		return nil
	case !ok:
		c.log.Warn("device list is malformed", "of", who)
		return nil
	}
	return c.deviceList(tx, fx, who, ids)
}
