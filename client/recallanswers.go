package client

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"sotto/client/omemo"
	"sotto/client/stanza"
	"sotto/client/store"
	"sotto/client/wire"
)

// Who takes a message back is told by each sotto what became of it. The answer is
// an empty OMEMO message, for the one device that asked, of which no app shows
// anything: the key that it transports says it (XEP-0384 version 0.3, section 4.6).
// There is one answer to one recall, and none to an answer.

// newID is the id of a new stanza.
func newID() string { return rand.Text() }

// signalOf is the key that says what became of the recall of a message.
func signalOf(originID string, o store.Outcome) [16]byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "sotto recall answer\x00%d\x00%s", o, originID))
	return [16]byte(sum[:16])
}

// oweAnswer keeps an answer, and sends it once the transaction is done.
func (c *Client) oweAnswer(tx *store.Tx, fx *effects, a store.Answer) error {
	if a.Device.JID == c.self && a.Device.Device == c.device.ID() {
		return nil
	}
	a.ID = newID()
	fx.after = append(fx.after, c.sendRecallAnswers)
	return tx.OweAnswer(a)
}

// sendRecallAnswers sends the answers that are due and not with the link.
func (c *Client) sendRecallAnswers() {
	if !c.online || !c.archiveDone {
		return
	}
	var due []wire.Send
	ok := c.update("answer a recall", func(tx *store.Tx, _ *effects) error {
		due = nil
		list, err := tx.Answers()
		if err != nil {
			return err
		}
		for _, a := range list {
			if _, held := c.window.given[a.ID]; held { // from before the last lock, perhaps
				c.answering[a.ID] = true
			}
			if c.answering[a.ID] || len(due) == encryptAtOnce {
				continue
			}
			if out, err := c.barredIn(tx, a.Device); err != nil {
				return err
			} else if out {
				if err := tx.Answered(a.ID); err != nil {
					return err
				}
				continue
			}
			enc, err := c.device.EncryptSignal(tx, []omemo.Address{a.Device}, signalOf(a.OriginID, a.Outcome))
			if err != nil {
				if !errors.Is(err, omemo.ErrNoSession) {
					c.log.Warn("answer a recall", "to", a.Device.String(), "err", err)
				}
				if err := tx.Answered(a.ID); err != nil {
					return err
				}
				continue
			}
			due = append(due, wire.Send{ID: a.ID, Stanza: stanza.NewChat(a.Device.JID, a.ID, enc, stanza.StoreHint()).Bytes()})
		}
		return nil
	})
	if !ok {
		return
	}
	for _, m := range due {
		c.answering[m.ID] = true
		c.note(m)
	}
	if len(due) == encryptAtOnce {
		c.later(0, c.sendRecallAnswers)
	}
}

// answered forgets the answers among what the relay has.
func (c *Client) answered(ids []string) error {
	var done []string
	for _, id := range ids {
		if c.answering[id] {
			done = append(done, id)
		}
	}
	if len(done) == 0 {
		return nil
	}
	err := c.store.Update(c.ctx, func(tx *store.Tx) error {
		for _, id := range done {
			if err := tx.Answered(id); err != nil {
				return err
			}
		}
		return nil
	})
	for _, id := range done {
		delete(c.answering, id)
	}
	return err
}

// signalled takes what an empty message says.
func (c *Client) signalled(tx *store.Tx, fx *effects, got *omemo.Decrypted) error {
	waiting, err := tx.RecallsWaitingFor(got.From)
	if err != nil {
		return err
	}
	for i := range waiting {
		m := &waiting[i]
		for _, o := range []store.Outcome{store.CarriedOut, store.Refused} {
			if signalOf(m.OriginID, o) != got.Signal {
				continue
			}
			changed, err := tx.SetRecall(m.ID, got.From, o, time.Now())
			if err != nil || !changed {
				return err
			}
			return fx.changedAs(tx, m.ID)
		}
	}
	return nil
}
