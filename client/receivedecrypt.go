package client

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"

	"sotto/client/audit"
	"sotto/client/omemo"
	"sotto/client/stanza"
	"sotto/client/store"
)

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
