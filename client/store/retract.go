package store

import (
	"fmt"
	"math"

	"github.com/ncruces/go-sqlite3"

	"sotto/client/omemo"
	"sotto/client/quote"
)

// BySender returns the message that a sender has sent with an origin id in a
// conversation, or nil.
func (tx *Tx) BySender(peer, originID, sender string) (m *Message, err error) {
	_, err = tx.one(`SELECT `+messageColumns+` FROM conversation c JOIN message m ON m.conversation = c.id
		WHERE c.peer = ? AND m.origin = ? AND m.sender = ?`,
		func(st *sqlite3.Stmt) { m = new(scanMessage(st)) }, peer, originID, sender)
	return m, err
}

// SetCorrects notes that a stored message corrects an earlier one of its sender's
// in the same conversation, which may not be here yet. Both stay as they are.
func (tx *Tx) SetCorrects(messageID int64, originID string) error {
	if originID == "" || len(originID) > maxID {
		return fmt.Errorf("storing a correction: %w", ErrUnknown)
	}
	_, err := tx.change(`INSERT INTO correction (message, conversation, sender, origin) SELECT id, conversation, sender, ?2 FROM message
		WHERE id = ?1 AND origin IS NOT ?2 ON CONFLICT DO NOTHING`, messageID, originID)
	return err
}

// Corrects returns the origin id of the message that a message corrects, or "", and
// that message; nil if it is not here, or was not protected as well as the correction.
func (tx *Tx) Corrects(messageID int64) (originID string, m *Message, err error) {
	if _, err = tx.one(`SELECT origin FROM correction WHERE message = ?`,
		func(st *sqlite3.Stmt) { originID = st.ColumnText(0) }, messageID); err != nil || originID == "" {
		return "", nil, err
	}
	_, err = tx.one(`SELECT `+messageColumns+` FROM correction x JOIN message n ON n.id = x.message
		JOIN message m ON m.conversation = x.conversation AND m.origin = x.origin AND m.sender = x.sender
		JOIN conversation c ON c.id = m.conversation
		WHERE x.message = ? AND m.kind = ? AND m.encrypted = n.encrypted AND m.place < n.place`,
		func(st *sqlite3.Stmt) { m = new(scanMessage(st)) }, messageID, int(Text))
	return originID, m, err
}

// CorrectedBy returns the newest message that corrects a message, or nil.
func (tx *Tx) CorrectedBy(messageID int64) (m *Message, err error) {
	found, err := tx.one(`SELECT 1 FROM message o JOIN correction x ON x.conversation = o.conversation AND x.origin = o.origin AND x.sender = o.sender
		WHERE o.id = ? LIMIT 1`, func(*sqlite3.Stmt) {}, messageID)
	if err != nil || !found {
		return nil, err
	}
	_, err = tx.one(`SELECT `+messageColumns+` FROM message o
		JOIN correction x ON x.conversation = o.conversation AND x.origin = o.origin AND x.sender = o.sender
		JOIN message m ON m.id = x.message JOIN conversation c ON c.id = m.conversation
		WHERE o.id = ? AND o.kind = ? AND m.kind = ? AND m.gone = 0 AND m.encrypted = o.encrypted AND m.place > o.place ORDER BY m.place DESC LIMIT 1`,
		func(st *sqlite3.Stmt) { m = new(scanMessage(st)) }, messageID, int(Text), int(Text))
	return m, err
}

// RemoveQuotes takes the words of a text that is gone out of the messages and the
// draft of a conversation that quote it. It returns the ids of those messages.
func (tx *Tx) RemoveQuotes(peer, body string) (ids []int64, err error) {
	return tx.removeQuotes(peer, math.MinInt64, []string{body}, quote.TakenBack)
}

// removeQuotes is RemoveQuotes for several texts, in what stands from a place on, with
// what is put for their words.
func (tx *Tx) removeQuotes(peer string, from int64, bodies []string, instead string) (ids []int64, err error) {
	texts := quote.NewSet(bodies...)
	if len(texts) == 0 {
		return nil, nil
	}
	without := make(map[int64]string)
	if err := tx.query(`SELECT m.id, m.body FROM conversation c JOIN message m ON m.conversation = c.id
		WHERE c.peer = ? AND m.place >= ? AND m.kind = ? AND m.gone = 0 AND (m.body LIKE '>%' OR m.body LIKE '!%' AND instr(m.body, char(10) || '>') > 0)`,
		func(st *sqlite3.Stmt) {
			if s, ok := texts.Without(st.ColumnText(1), instead); ok {
				ids = append(ids, st.ColumnInt64(0))
				without[st.ColumnInt64(0)] = s
			}
		}, peer, from, int(Text)); err != nil {
		return nil, err
	}
	for _, id := range ids {
		if _, err := tx.change(`UPDATE message SET body = ? WHERE id = ?`, without[id], id); err != nil {
			return nil, err
		}
		if err := tx.setMarks(id, without[id]); err != nil {
			return nil, err
		}
	}
	if len(ids) > 0 {
		tx.grew = true
	}
	draft, err := tx.Draft(peer)
	if err != nil {
		return nil, err
	}
	if s, ok := texts.Without(draft.Text, instead); ok {
		tx.s.purge = true
		draft.Text = s
		return ids, tx.SetDraft(peer, draft)
	}
	return ids, nil
}

// Answer is what a device of somebody still has to be told of a recall of theirs.
type Answer struct {
	ID       string // of the stanza that tells
	Device   omemo.Address
	OriginID string // of the message that they took back
	Outcome  Outcome
}

// maxAnswers bounds those that wait.
const maxAnswers = 2000

// OweAnswer keeps an answer until Answered. When too many wait, it is left out: to
// who asked, this device then is one of those that have not said.
func (tx *Tx) OweAnswer(a Answer) error {
	_, err := tx.change(`INSERT INTO recall_answer (id, peer, device, origin, outcome) SELECT ?1, ?2, ?3, ?4, ?5
		WHERE (SELECT count(*) FROM recall_answer) < ?6 ON CONFLICT DO NOTHING`, a.ID, a.Device.JID, a.Device.Device, a.OriginID, int(a.Outcome), maxAnswers)
	return err
}

// Answers returns what still has to be told.
func (tx *Tx) Answers() (list []Answer, err error) {
	err = tx.query(`SELECT id, peer, device, origin, outcome FROM recall_answer ORDER BY id`, func(st *sqlite3.Stmt) {
		list = append(list, Answer{st.ColumnText(0), omemo.Address{JID: st.ColumnText(1), Device: uint32(st.ColumnInt64(2))},
			st.ColumnText(3), Outcome(st.ColumnInt(4))})
	})
	return list, err
}

// Answered forgets an answer that the relay has.
func (tx *Tx) Answered(id string) error {
	_, err := tx.change(`DELETE FROM recall_answer WHERE id = ?`, id)
	return err
}

// RecallsWaitingFor returns the recalled own messages of which a device has not said
// what became of them, the newest first, at most 1,000.
func (tx *Tx) RecallsWaitingFor(device omemo.Address) (list []Message, err error) {
	err = tx.query(`SELECT `+messageColumns+` FROM recall r JOIN message m ON m.id = r.message JOIN conversation c ON c.id = m.conversation
		WHERE r.peer = ? AND r.device = ? AND r.outcome <> ? ORDER BY r.message DESC LIMIT 1000`,
		func(st *sqlite3.Stmt) { list = append(list, scanMessage(st)) }, device.JID, device.Device, int(CarriedOut))
	return list, err
}
