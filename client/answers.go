package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"sotto/client/quote"
	"sotto/client/stanza"
	"sotto/client/store"
)

// Answers, corrections and acknowledgements are messages like any other, whose
// encrypted text says all there is to say: an answer quotes what it answers, an
// acknowledgement what it acknowledges, a correction stands beside what it
// corrects and hides nothing of it. The elements that other apps know (XEP-0461,
// XEP-0308, XEP-0444) go with them unencrypted; of those that come, none counts
// for more than the text bears out.

// seen is the reaction that says to other apps what !ack says to this one.
const seen = "\u2705"

// Reply sends an answer to a message; see Send. Its text quotes the message.
func (c *Client) Reply(ctx context.Context, peer string, id int64, body string) (Message, error) {
	return c.compose(ctx, peer, body, func(tx *store.Tx, row *store.Message) error {
		return answerTo(tx, row, id)
	}, nil)
}

// Acknowledge tells everybody in a conversation that this person has an urgent
// message in hand; words may be "". See Send.
func (c *Client) Acknowledge(ctx context.Context, peer string, id int64, words string) (Message, error) {
	body := strings.TrimSpace("!ack " + words)
	return c.compose(ctx, peer, body, func(tx *store.Tx, row *store.Message) error {
		m, err := tx.Message(id)
		if err == nil && m != nil && (m.Outgoing || m.Urgency == store.Routine) {
			return declined{errors.New("only a STAT or urgent message of somebody else is acknowledged")}
		}
		if err != nil {
			return err
		}
		return answerTo(tx, row, id)
	}, nil)
}

// Correct sends a better version of an own message; see Send. The old one stays.
func (c *Client) Correct(ctx context.Context, peer string, id int64, body string) (Message, error) {
	first := ""
	return c.compose(ctx, peer, body, func(tx *store.Tx, row *store.Message) error {
		m, err := answerable(tx, row, id)
		if err != nil {
			return err
		}
		if !m.Outgoing {
			return declined{errors.New("only your own messages can be corrected")}
		}
		if m.OriginID == "" {
			return declined{errGone}
		}
		// All corrections of a message name the first (XEP-0308 section 3).
		if first, _, err = tx.Corrects(m.ID); err == nil && first == "" {
			first = m.OriginID
		}
		row.Reply, row.ReplyTo = m.Reply, m.ReplyTo
		return err
	}, func(tx *store.Tx, row *store.Message) error {
		if err := c.auditCorrected(tx, row, first); err != nil {
			return err
		}
		return tx.SetCorrects(row.ID, first)
	})
}

// answerable returns the message that row is about.
func answerable(tx *store.Tx, row *store.Message, id int64) (*store.Message, error) {
	m, err := tx.Message(id)
	switch {
	case err != nil:
		return nil, err
	case m == nil || m.Peer != row.Peer:
		return nil, declined{errGone}
	case m.Kind != store.Text:
		return nil, declined{errors.New("these are sotto's own words, and not a message")}
	case m.Gone != store.Here:
		return nil, declined{errIsGone}
	}
	row.Expires = m.Expires // or its text would outlive it
	return m, nil
}

func answerTo(tx *store.Tx, row *store.Message, id int64) error {
	m, err := answerable(tx, row, id)
	if err != nil {
		return err
	}
	row.Body = quote.Join(m.Body, row.Body)
	row.Reply, row.ReplyTo = nameOfAnswered(m)
	return nil
}

// nameOfAnswered is how a stored answer names what it answers: by the id that its
// sender gave it. That of an archive is the archive's to change, and may be what
// somebody else named another one by.
func nameOfAnswered(m *store.Message) (id, sender string) {
	if m.OriginID == "" {
		return m.ArchiveID, m.Sender
	}
	return m.OriginID, m.Sender
}

// extras are the elements that go with an encrypted message, unencrypted.
func extras(tx *store.Tx, m *store.Message) (list []*stanza.Element, err error) {
	if m.Kind == store.Retraction {
		id := m.Reply
		if room, err := tx.Room(m.Peer); err != nil {
			return nil, err
		} else if room != nil {
			old, err := tx.MessageByOrigin(m.Peer, m.Reply)
			if err != nil || old == nil || old.ArchiveID == "" {
				return nil, err
			}
			id = old.ArchiveID
			if old.Sender != m.Sender {
				return nil, nil // a moderator's: the room is asked
			}
		}
		return []*stanza.Element{stanza.Retract(id), stanza.Fallback{For: stanza.NSRetract, Whole: true}.Element()}, nil
	}
	first, _, err := tx.Corrects(m.ID)
	if err != nil {
		return nil, err
	}
	if first != "" {
		list = append(list, stanza.Replace(first))
	}
	mark, quoted, rest := quote.Split(m.Body)
	if m.Reply == "" || quoted == "" {
		return list, nil
	}
	start, end := 0, utf8.RuneCountInString(m.Body)-utf8.RuneCountInString(rest)
	if mark != "" {
		start = utf8.RuneCountInString(mark) + 1
	}
	id := m.Reply
	if room, err := tx.Room(m.Peer); err != nil {
		return nil, err
	} else if room != nil { // whose archive names it for everybody (XEP-0461 section 3.1)
		answered, err := targetOf(tx, m)
		if err != nil {
			return nil, err
		}
		if answered != nil && answered.ArchiveID != "" {
			id = answered.ArchiveID
		}
	}
	list = append(list, stanza.ReplyTo(m.ReplyTo, id), stanza.Fallback{For: stanza.NSReply, Start: start, End: end}.Element())
	if store.Acknowledges(m.Body) {
		list = append(list, stanza.Reactions(id, seen))
	}
	return list, nil
}

// maxAckSearch bounds the messages among which one is looked for that an
// acknowledgement quotes.
const maxAckSearch = 200

// understand finds out what a message is that was just read, beyond its text. What
// is to be done once it is stored comes back as then; nil: nothing.
func (c *Client) understand(tx *store.Tx, fx *effects, x *envelope, row *store.Message) (then func() error, err error) {
	if row.Kind != store.Text {
		return nil, nil
	}
	if err := c.takenBack(tx, fx, x, row); err != nil || row.Kind != store.Text {
		return nil, err
	}
	if id, ok := stanza.ReadRetract(x.stanza); ok {
		if err := c.asksBack(tx, fx, x, id); err != nil {
			return nil, err
		}
	}
	if err := c.findAnswered(tx, x, row); err != nil {
		return nil, err
	}
	first, ok := stanza.ReadReplace(x.stanza)
	if !ok || row.Encrypted && row.Trust != store.FirstUse && row.Trust != store.Verified {
		return nil, nil
	}
	return func() error {
		if err := tx.SetCorrects(row.ID, first); err != nil {
			return err
		}
		_, old, err := tx.Corrects(row.ID)
		if err != nil || old == nil {
			return err
		}
		if err := c.auditCorrected(tx, row, first); err != nil {
			return err
		}
		return fx.changedAs(tx, old.ID)
	}, nil
}

// keepUnderstood stores a message that was read.
func (c *Client) keepUnderstood(tx *store.Tx, fx *effects, x *envelope, row *store.Message) error {
	then, err := c.understand(tx, fx, x, row)
	if err != nil {
		return err
	}
	added, err := c.put(tx, fx, x, row)
	if err != nil || !added {
		return err
	}
	if err := c.auditReceived(tx, x, row); err != nil {
		return err
	}
	if err := c.keepOffer(tx, x, row); err != nil {
		return err
	}
	if x.file != nil && row.Gone == store.Here {
		said, err := plaintext(tx, row)
		if err == nil {
			err = tx.RecallAhead(row, string(said))
		}
		clear(said)
		if err != nil {
			return err
		}
	}
	if then != nil {
		if err := then(); err != nil {
			return err
		}
	}
	if err := fx.added(tx, row); err != nil {
		return err
	}
	return fx.acknowledged(tx, row)
}

// acknowledged tells of the message that row acknowledges.
func (fx *effects) acknowledged(tx *store.Tx, row *store.Message) error {
	if row.Kind != store.Text || !store.Acknowledges(row.Body) {
		return nil
	}
	m, err := targetOf(tx, row)
	if err != nil || m == nil {
		return err
	}
	return fx.changedAs(tx, m.ID)
}

// findAnswered finds the message that row answers, by the words that it quotes.
func (c *Client) findAnswered(tx *store.Tx, x *envelope, row *store.Message) error {
	_, quoted, _ := quote.Split(row.Body)
	if quoted == "" {
		return nil
	}
	ack := store.Acknowledges(row.Body)
	if ack && row.Encrypted && row.Trust != store.FirstUse && row.Trust != store.Verified || ack && !row.Encrypted {
		return nil
	}
	if id, _, ok := stanza.ReadReply(x.stanza); ok {
		m, err := c.named(tx, x.peer, id)
		if err != nil {
			return err
		}
		if m != nil && m.Kind == store.Text && m.Gone == store.Here && quote.Matches(quoted, m.Body) {
			row.Reply, row.ReplyTo = nameOfAnswered(m)
			return nil
		}
		c.log.Warn("answer to something that it does not quote", "from", x.sender)
	}
	if !ack {
		return nil
	}
	recent, err := tx.Messages(x.peer, 0, maxAckSearch)
	for i := len(recent) - 1; i >= 0 && err == nil; i-- {
		m := &recent[i]
		if m.Urgency > store.Routine && m.Sender != x.sender && m.Kind == store.Text && m.OriginID != "" && quote.Matches(quoted, m.Body) {
			row.Reply, row.ReplyTo = m.OriginID, m.Sender
			return nil
		}
	}
	return err
}

// named returns the message of a conversation that an element names, by either id.
func (c *Client) named(tx *store.Tx, peer, id string) (*store.Message, error) {
	if c.rooms[peer] != nil {
		if m, err := tx.ByArchive(peer, id); err != nil || m != nil {
			return m, err
		}
	}
	return tx.MessageByOrigin(peer, id)
}

// gestures handles the elements that came without an encrypted text: reactions,
// which are shown as what anybody could have said, and retractions, which are not
// carried out. done means that there is nothing else in it to show.
func (c *Client) gestures(tx *store.Tx, fx *effects, x *envelope) (done bool, err error) {
	if id, set, ok := stanza.ReadReactions(x.stanza); ok {
		m, err := c.named(tx, x.peer, id)
		if err != nil || m == nil || m.Kind != store.Text {
			return false, err
		}
		changed, err := tx.SetReactions(m.ID, x.sender, set, x.at)
		if err == nil && changed {
			err = fx.changedAs(tx, m.ID)
		}
		return false, err
	}
	id, ok := stanza.ReadRetract(x.stanza)
	if !ok {
		return false, nil
	}
	for _, f := range stanza.ReadFallbacks(x.stanza) {
		done = done || f.Whole && f.For == stanza.NSRetract
	}
	return done, c.asksBack(tx, fx, x, id)
}

// targetOf returns the message that another one is about, or nil.
func targetOf(tx *store.Tx, r *store.Message) (m *store.Message, err error) {
	if r.Reply == "" {
		return nil, nil
	}
	if r.Kind == store.Retraction {
		if m, err = tx.BySender(r.Peer, r.Reply, r.Sender); err != nil || m != nil {
			return m, err
		}
		return tx.MessageByOrigin(r.Peer, r.Reply)
	}
	if r.ReplyTo != "" {
		if m, err = tx.BySender(r.Peer, r.Reply, r.ReplyTo); err != nil || m != nil {
			return m, err
		}
	}
	if m, err = tx.ByArchive(r.Peer, r.Reply); err != nil || m != nil {
		return m, err
	}
	if m, err = tx.MessageByOrigin(r.Peer, r.Reply); err != nil {
		return nil, fmt.Errorf("find what is answered: %w", err)
	}
	return m, nil
}
