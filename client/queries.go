package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"sotto/client/omemo"
	"sotto/client/store"
	"sotto/client/text"
)

// Events returns the channel on which changes are told. It is never closed.
// Run does not wait for it: if nobody reads, events of the same kind are joined,
// and in the end dropped for one Resync.
func (c *Client) Events() <-chan Event { return c.events.out }

// State returns how the connection stands.
func (c *Client) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Self returns this account and device.
func (c *Client) Self() Self {
	return Self{Address: c.self, Name: text.Line(c.selfID.Localpart()), Device: c.device.ID(), Fingerprint: c.device.Fingerprint()}
}

// Route returns what the account is set up with to find its relay: the own address, the
// relay's URL, "" where it is discovered, and certificates in PEM.
func (c *Client) Route() (address, relay string, ca []byte) {
	a := &c.cfg.Account
	return c.self, a.Relay, bytes.Clone(a.CA)
}

// Conversations returns the conversation list in the order to show it in: the
// urgent, then the unread, then the others by name.
func (c *Client) Conversations(ctx context.Context) ([]Conversation, error) {
	var rows []store.Conversation
	err := c.store.View(ctx, func(tx *store.Tx) (err error) {
		rows, err = tx.Conversations()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the conversations: %w", err)
	}
	list := make([]Conversation, 0, len(rows))
	for i := range rows {
		r := &rows[i]
		list = append(list, Conversation{
			Peer: r.Peer, Name: nameOf(r.Name, r.Peer), Group: text.Line(r.Group), Contact: r.Contact,
			Last: r.Last, Preview: text.Line(r.Preview), LastOutgoing: r.LastOutgoing, LastState: r.LastState,
			Unread: r.Unread, Stats: r.Stats, Urgency: r.Urgency, FirstUnread: r.FirstUnread, Draft: r.Draft,
			Presence: c.Presence(r.Peer), Room: r.Room,
		})
	}
	return list, nil
}

// Messages returns up to limit messages of a conversation before the message
// with the id before, or the newest if before is 0: oldest first.
func (c *Client) Messages(ctx context.Context, peer string, before int64, limit int) ([]Message, error) {
	var list []Message
	err := c.store.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.Messages(peer, before, limit)
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
		return nil, fmt.Errorf("read the messages: %w", err)
	}
	return list, nil
}

// Devices returns the devices of a person, or the own ones, this among them.
func (c *Client) Devices(ctx context.Context, peer string) ([]Device, error) {
	var list []Device
	if peer == c.self {
		list = append(list, c.thisDevice())
	}
	err := c.store.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.Devices(peer)
		if c.Membership() != nil {
			rows = c.judgedIn(peer, rows)
		}
		for i := range rows {
			r := &rows[i]
			if peer == c.self && r.ID == c.device.ID() {
				continue
			}
			list = append(list, deviceOf(r))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the devices: %w", err)
	}
	return list, nil
}

// thisDevice is the very device this is.
func (c *Client) thisDevice() Device {
	return Device{ID: c.device.ID(), Own: true, Fingerprint: c.device.Fingerprint(), Known: true, Trust: store.Verified, Active: !c.isRemoved()}
}

// deviceOf makes a stored device fit for a screen.
func deviceOf(r *store.PeerDevice) Device {
	d := Device{ID: r.ID, Trust: r.Trust, Active: r.Active, FirstSeen: r.FirstSeen}
	d.Known = copy(d.Fingerprint[:], r.Fingerprint) == len(d.Fingerprint)
	return d
}

// Security returns who could read what is sent to peer now.
func (c *Client) Security(ctx context.Context, peer string) (Security, error) {
	var (
		s        Security
		lifespan time.Duration
		ours     []store.PeerDevice
	)
	err := c.store.View(ctx, func(tx *store.Tx) (err error) {
		if lifespan, err = tx.Lifespan(peer); err != nil {
			return err
		}
		if ours, err = tx.Devices(c.self); err != nil {
			return err
		}
		if r, err := tx.Room(peer); err != nil {
			return err
		} else if r != nil {
			if !r.Joined {
				s = Security{Room: true, Words: lineOf("%v", errNotIn)}
				return nil
			}
			s, err = c.roomSecurity(tx, peer)
			return err
		}
		if err := c.onlyInvited(tx, peer); errors.As(err, new(declined)) {
			s = Security{Room: true, Words: lineOf("you are invited: /join or /decline")}
			return nil
		} else if err != nil {
			return err
		}
		rows, err := tx.Devices(peer)
		if err != nil {
			return err
		}
		if rows = c.judged(peer, rows); c.Membership() != nil {
			s = c.securityIn(peer, rows)
			return nil
		}
		s = securityOf(rows, c.short(peer), peer == c.self, c.device.ID())
		return nil
	})
	if err != nil {
		return s, fmt.Errorf("read the devices: %w", err)
	}
	s.Lifespan = lifespan
	switch own := securityOf(c.judged(c.self, ours), "", true, c.device.ID()); {
	case c.isRemoved():
		s.Warn, s.Words, s.Short = true, lineOf("%v", errRemoved), lineOf("this device was removed: /rejoin")
	case own.Undecided > 0 && !s.Warn && peer != c.self && c.Membership() != nil:
		s.Warn, s.Words, s.Short = true, lineOf("You have %s that %s has not signed. Nothing is sent to it: /devices", newDevices(own.Undecided), c.Membership().Organisation()), ownUnsigned(own.Undecided)
	case own.Undecided > 0 && !s.Warn && peer != c.self:
		s.Warn, s.Words, s.Short = true, lineOf("You have %s. What you write does not go there until you compare: /devices", newDevices(own.Undecided)), ownUnsigned(own.Undecided)
	}
	return s, nil
}

// ownUnsigned says in a few words that devices of one's own get nothing yet.
func ownUnsigned(n int) text.Safe { return lineOf("%s of yours: /devices", newDevices(n)) }

// Draft returns what is being written in a conversation.
func (c *Client) Draft(ctx context.Context, peer string) (store.Draft, error) {
	var draft store.Draft
	err := c.store.View(ctx, func(tx *store.Tx) (err error) {
		draft, err = tx.Draft(peer)
		return err
	})
	if err != nil {
		return store.Draft{}, fmt.Errorf("read the draft: %w", err)
	}
	return draft, nil
}

// Presence returns the presence of the most reachable of a person's clients.
func (c *Client) Presence(peer string) Presence {
	c.mu.Lock()
	defer c.mu.Unlock()
	var best Presence
	for _, p := range c.presence[peer] {
		if p.Available && (!best.Available || rank(p.Show) < rank(best.Show)) {
			best = p
		}
	}
	return best
}

// rank orders the values of show by how reachable somebody is.
func rank(show string) int {
	switch show {
	case "chat":
		return 0
	case "":
		return 1
	case "dnd":
		return 2
	case "away":
		return 3
	}
	return 4
}

// messageOf makes a stored message fit for a screen.
func messageOf(tx *store.Tx, r *store.Message) (Message, error) {
	m := Message{
		ID: r.ID, Peer: r.Peer, Outgoing: r.Outgoing, Sender: text.Line(r.Sender), Time: r.Time,
		Body: text.Sanitize(r.Body), Kind: r.Kind, Urgency: r.Urgency, Read: r.Read,
		Encrypted: r.Encrypted, Device: r.Device, State: r.State, Place: r.Place,
	}
	m.Gone, m.GoneAt, m.GoneBy, m.Expires = r.Gone, r.GoneAt, text.Line(r.GoneBy), r.Expires
	if m.Gone == store.Here && !r.Expires.IsZero() && !r.Expires.After(time.Now()) {
		// It is about to be removed, and not to be shown until then.
		m.Gone, m.GoneAt, m.Body, m.Urgency, m.Read = store.RanOut, r.Expires, text.Safe{}, store.Routine, true
	}
	if !r.Outgoing && r.Encrypted && r.Kind == store.Text {
		m.Trust = r.Trust
		m.Untrusted = r.Trust == store.Undecided || r.Trust == store.Distrusted
	}
	if r.Outgoing {
		progress, err := tx.Progress(r.ID)
		if err != nil {
			return m, err
		}
		m.Progress = progress
	}
	files, err := filesOf(tx, r)
	if err != nil {
		return m, err
	}
	m.Files = files
	if err := aboutOf(tx, r, &m); err != nil {
		return m, err
	}
	if len(r.Fingerprint) == len(omemo.Fingerprint{}) {
		m.Fingerprint = omemo.Fingerprint(r.Fingerprint)
	}
	if r.Outgoing && (r.State == store.Queued || r.State == store.Sent || r.State == store.Failed) {
		why, err := tx.Value(whyName(r.ID))
		if err != nil {
			return m, err
		}
		m.Why = text.Line(string(why))
	}
	return m, nil
}
