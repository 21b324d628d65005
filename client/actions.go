package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"mellium.im/xmpp/jid"

	"sotto/client/audit"
	"sotto/client/omemo"
	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/wire"
)

// Send stores a message for peer as queued and returns it; Run encrypts it and
// hands it to the link. Its progress comes as MessageChanged. An error means
// that nothing was stored, in words that say what to do: *NewReaders if peer is a
// room, and others can read there than the person was shown. What is sent to the
// own address is a note to the own other devices.
func (c *Client) Send(ctx context.Context, peer, body string) (Message, error) {
	return c.compose(ctx, peer, body, nil, nil)
}

// compose is Send, with what is to be done with the row before it is stored and
// after.
func (c *Client) compose(ctx context.Context, peer, body string, before, after func(tx *store.Tx, row *store.Message) error) (Message, error) {
	peer, err := c.address(peer)
	if err != nil {
		return Message{}, err
	}
	body = strings.ToValidUTF8(strings.TrimRight(body, " \t\r\n"), "\ufffd")
	switch {
	case strings.TrimSpace(body) == "":
		return Message{}, errors.New("there is nothing to send yet")
	case len(body) > MaxBody:
		return Message{}, fmt.Errorf("this message is too long: %d kB of at most %d. Send it in parts", len(body)>>10, MaxBody>>10)
	}
	body, lifespan := takeLifespan(body)
	var m Message
	var fx effects
	err = c.announce(ctx, func(tx *store.Tx) error {
		fx = effects{}
		if c.isRemoved() {
			return declined{errRemoved}
		}
		people, err := c.maySend(tx, peer)
		if err != nil {
			return err
		}
		if peer == c.self {
			if noted, err := c.otherOwnDevice(tx); err != nil || !noted {
				return cmp.Or(err, error(errNoOwnDevice))
			}
		}
		row := store.Message{
			Peer: peer, Outgoing: true, Sender: c.self, Device: c.device.ID(), OriginID: newID(),
			Time: time.Now(), Body: body, State: store.Queued, Encrypted: true,
			Fingerprint: fingerprintBytes(c.device.Fingerprint()),
		}
		if before != nil {
			if err := before(tx, &row); err != nil {
				return err
			}
		}
		if len(row.Body) > MaxBody {
			return declined{errors.New("this message is too long with what it quotes. Send it in parts")}
		}
		row.Urgency = urgencyOf(row.Body)
		if err := giveLife(tx, &row, lifespan); err != nil {
			return err
		}
		if _, err := tx.AddMessage(&row); err != nil {
			return err
		}
		if after != nil {
			if err := after(tx, &row); err != nil {
				return err
			}
		}
		if err := tx.QueueOut(row.ID); err != nil {
			return err
		}
		if people == nil {
			people = []string{peer}
		}
		if err := tx.SetRecipients(row.ID, people); err != nil {
			return err
		}
		if err := fx.acknowledged(tx, &row); err != nil {
			return err
		}
		if _, old, err := tx.Corrects(row.ID); err != nil {
			return err
		} else if old != nil {
			if err := fx.changedAs(tx, old.ID); err != nil {
				return err
			}
		}
		m, err = messageOf(tx, &row)
		return err
	}, func() []Event {
		return slices.Concat([]Event{MessageAdded{m}}, fx.events, []Event{ConversationsChanged{}})
	})
	if no, ok := errors.AsType[declined](err); ok {
		c.auditDeclined(ctx, peer, no)
		return Message{}, no.error
	}
	if errors.Is(err, errNoOwnDevice) {
		return Message{}, err
	}
	if err != nil {
		return Message{}, fmt.Errorf("keep the message: %w", err)
	}
	if !m.Expires.IsZero() {
		c.call(func() { c.expireBy(m.Expires) })
	}
	c.kick()
	return m, nil
}

var errNoOwnDevice = errors.New(strings.TrimSuffix(noOwnDevice, "."))

// otherOwnDevice reports whether there is another own device to send notes to.
func (c *Client) otherOwnDevice(tx *store.Tx) (bool, error) {
	devices, err := tx.Devices(c.self)
	return slices.ContainsFunc(devices, func(d store.PeerDevice) bool { return d.Active && d.ID != c.device.ID() }), err
}

// Resend tries again to send a message that has failed.
func (c *Client) Resend(ctx context.Context, id int64) error {
	var fx effects
	err := c.announce(ctx, func(tx *store.Tx) error {
		fx = effects{}
		m, err := tx.Message(id)
		if err != nil {
			return err
		}
		if m == nil || !m.Outgoing {
			return store.ErrUnknown
		}
		if m.Gone != store.Here {
			return declined{errors.New("its text is not here any more")}
		}
		changed, err := tx.SetState(m.Peer, m.OriginID, store.Queued)
		if err != nil || !changed {
			return err
		}
		if again, err := c.uploadAgain(tx, m); err != nil || again {
			return errors.Join(err, fx.changed(tx, id, uploadWords(0, 0)))
		}
		if err := tx.QueueOut(id); err != nil {
			return err
		}
		if err := tx.SetOut(id, nil); err != nil {
			return err
		}
		// The recipient gets it after what was sent since: so it stands here, too.
		moved, err := tx.MoveToEnd(id)
		if err != nil {
			return err
		}
		if err := fx.changed(tx, id, ""); err != nil {
			return err
		}
		if moved {
			fx.events = append(fx.events, Resync{})
		}
		return nil
	}, func() []Event { return fx.events })
	if err != nil {
		return fmt.Errorf("send again: %w", err)
	}
	c.call(c.retry)
	c.wakeFiles()
	return nil
}

// MarkRead marks the messages of a conversation up to the one with the id upTo
// as read, and tells the sender if it asked to be told.
func (c *Client) MarkRead(ctx context.Context, peer string, upTo int64) error {
	var read []store.Message
	var among *store.Room
	err := c.store.Update(ctx, func(tx *store.Tx) (err error) {
		if read, err = tx.MarkRead(peer, upTo); err != nil {
			return err
		}
		if err := c.auditShown(tx, read); err != nil {
			return err
		}
		among, err = tx.Room(peer)
		return err
	})
	if err != nil {
		return fmt.Errorf("mark as read: %w", err)
	}
	if len(read) == 0 {
		return nil
	}
	c.events.put(ConversationsChanged{})
	for i := len(read) - 1; i >= 0; i-- {
		if m := &read[i]; among != nil && m.ArchiveID != "" && m.Kind == store.Text && m.Sender != c.self {
			id := m.ArchiveID
			c.call(func() { c.sendRoomMarker(peer, id) })
			break
		}
		if m := &read[i]; m.OriginID != "" && m.Kind == store.Text && m.Sender == peer {
			id := m.OriginID
			c.call(func() { c.sendMarker(peer, id) })
			break
		}
	}
	return nil
}

// SetDraft keeps what is being written in a conversation; the zero Draft removes it.
func (c *Client) SetDraft(ctx context.Context, peer string, draft store.Draft) error {
	draft.Text = strings.ToValidUTF8(draft.Text, "\ufffd")
	err := c.store.Update(ctx, func(tx *store.Tx) error { return tx.SetDraft(peer, draft) })
	if err != nil {
		return fmt.Errorf("keep the draft: %w", err)
	}
	return nil
}

// Trust records what the person decided about the device of peer that has this
// fingerprint: store.Verified after comparing, store.Distrusted, or
// store.Undecided to take a decision back.
func (c *Client) Trust(ctx context.Context, peer string, fp omemo.Fingerprint, trust store.Trust) error {
	found := false
	trust, err := c.mayTrust(peer, fp, trust)
	if err != nil {
		return err
	}
	err = c.store.Update(ctx, func(tx *store.Tx) error {
		devices, err := tx.Devices(peer)
		if err != nil {
			return err
		}
		for _, d := range devices {
			if string(d.Fingerprint) != string(fp[:]) {
				continue
			}
			found = true
			d.Trust = trust
			if err := c.auditTrust(tx, &d, audit.Compared); err != nil {
				return err
			}
			if err := tx.PutDevice(d); err != nil {
				return err
			}
			if trust != store.Verified && trust != store.FirstUse && trust != store.Signed {
				continue
			}
			if err := c.forgetOther(tx, omemo.Address{JID: peer, Device: d.ID}, fp); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep the decision: %w", err)
	}
	if !found {
		return errors.New("no device with this fingerprint is known any more. Look at the list again")
	}
	c.events.put(DevicesChanged{peer})
	if trust == store.Verified || trust == store.FirstUse || trust == store.Signed {
		c.call(c.retry)
	} else {
		c.call(c.trustLost)
	}
	return nil
}

// Block has the relay keep everything from peer away (XEP-0191), or let it
// through again. The relay's refusal comes as a NoticeEvent.
func (c *Client) Block(peer string, block bool) error {
	peer, err := c.address(peer)
	if err != nil {
		return err
	}
	payload := stanza.Block(peer)
	if !block {
		payload = stanza.Unblock(peer)
	}
	c.call(func() {
		c.ask("set", "", payload, func(_ *stanza.Element, err error) {
			if err != nil {
				c.notice(peer, "%s could not be blocked or unblocked: %v", peer, err)
			}
		})
	})
	return nil
}

// address checks and normalises the address of somebody to write to.
func (c *Client) address(s string) (string, error) {
	if !utf8.ValidString(s) || len(s) > wire.MaxAddress {
		return "", errors.New("this is not an address. One looks like okafor@mercy.example")
	}
	j, err := jid.Parse(s)
	if err != nil || j.Localpart() == "" {
		return "", fmt.Errorf("%q is not an address. One looks like okafor@mercy.example", s)
	}
	return j.Bare().String(), nil
}

func fingerprintBytes(f omemo.Fingerprint) []byte { return f[:] }
