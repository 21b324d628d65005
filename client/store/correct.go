package store

import (
	"fmt"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// Correction is another text for a message that is here (XEP-0308).
type Correction struct {
	Peer     string
	OriginID string // of the message, as it was first sent
	Sender   string // who corrects, as Message.Sender
	Author   string // as Message.Author
	Body     string
	Time     time.Time
	Urgency  int // of Body

	// How the correction came: one that anybody along the way could have written
	// does not replace a text that nobody could. So does not one that another
	// identity has written than the text.
	Encrypted   bool
	Fingerprint []byte
	Cipher      []byte // see Spend; may be nil
}

// Correct replaces the text of the message that the sender has sent with the
// origin id. Only the newest text is kept, and when it was written; what was
// there before is gone from the database, its index and its WAL. It returns nil
// if there is no such message of the sender's, its text is gone, or the
// correction is older than the one that is here, or comes less protected than the
// text: take it for a message of its own then, if it is new.
func (tx *Tx) Correct(c Correction) (*Message, error) {
	if c.Peer == "" || c.Sender == "" || c.OriginID == "" {
		return nil, fmt.Errorf("correcting a message: %w", errNoPeer)
	}
	if c.Time.IsZero() {
		c.Time = time.Now()
	}
	var (
		id        int64
		encrypted bool
		identity  []byte
	)
	found, err := tx.one(`SELECT m.id, m.encrypted, m.fingerprint FROM conversation c JOIN message m ON m.conversation = c.id
		WHERE c.peer = ? AND m.origin = ? AND m.sender = ? AND m.author IN ('', ?) AND m.kind = ? AND m.gone = 0 AND m.corrected <= ?`,
		func(st *sqlite3.Stmt) { id, encrypted, identity = st.ColumnInt64(0), st.ColumnBool(1), blob(st, 2) },
		c.Peer, c.OriginID, c.Sender, c.Author, int(Text), c.Time)
	if err != nil || !found {
		return nil, err
	}
	if encrypted && (!c.Encrypted || identity != nil && string(identity) != string(c.Fingerprint)) {
		return nil, nil
	}
	if _, err := tx.change(`UPDATE message SET body = ?, urgency = ?, corrected = ? WHERE id = ?`, c.Body, c.Urgency, c.Time, id); err != nil {
		return nil, err
	}
	tx.grew = true
	if err := tx.setMarks(id, c.Body); err != nil {
		return nil, err
	}
	if _, err := tx.change(`UPDATE waiting SET urgency = ? WHERE message = ?`, c.Urgency, id); err != nil {
		return nil, err
	}
	if c.Urgency > Routine {
		if _, err := tx.change(`INSERT INTO waiting (message, urgency) SELECT id, urgency FROM message WHERE id = ? AND NOT outgoing
			ON CONFLICT DO NOTHING`, id); err != nil {
			return nil, err
		}
	}
	if err := tx.Spend(c.Peer, c.Cipher); err != nil {
		return nil, err
	}
	return tx.Message(id)
}

// Bounds of reactions.
const (
	MaxReactions    = 16   // of one sender to one message
	MaxReactionSize = 64   // bytes
	maxReacting     = 1000 // senders, for one message
)

// Reaction is how one sender has reacted to a message.
type Reaction struct {
	Sender string
	Set    []string // as they were sent: Sanitize them
	Time   time.Time
}

// SetReactions replaces what a sender has reacted to a message with (XEP-0444); an
// empty set removes it. Empty, repeated and too long reactions are left out, and
// those beyond the sixteenth. It reports false if the message is gone or unknown,
// or a later set of the sender's is here.
func (tx *Tx) SetReactions(messageID int64, sender string, set []string, at time.Time) (changed bool, err error) {
	if sender == "" || len(sender) > maxID {
		return false, fmt.Errorf("storing reactions: %w", errNoPeer)
	}
	var keep []string
	for _, r := range set {
		if r = strings.TrimSpace(r); r == "" || len(r) > MaxReactionSize || strings.ContainsAny(r, "\r\n") {
			continue
		}
		known := false
		for _, k := range keep {
			known = known || k == r
		}
		if !known && len(keep) < MaxReactions {
			keep = append(keep, r)
		}
	}
	if at.IsZero() {
		at = time.Now()
	}
	// An empty set stays, so that an older one does not come back.
	n, err := tx.change(`INSERT INTO reaction (message, sender, set_, time) SELECT ?1, ?2, ?3, ?4
		WHERE EXISTS (SELECT 1 FROM message WHERE id = ?1 AND gone = 0) AND (EXISTS (SELECT 1 FROM reaction WHERE message = ?1 AND sender = ?2)
			OR (SELECT count(*) FROM reaction WHERE message = ?1) < ?5)
		ON CONFLICT DO UPDATE SET set_ = excluded.set_, time = excluded.time WHERE excluded.time >= time`,
		messageID, sender, strings.Join(keep, "\n"), at, maxReacting)
	return n > 0, err
}

// Reactions returns how people have reacted to a message, the first first.
func (tx *Tx) Reactions(messageID int64) (list []Reaction, err error) {
	err = tx.query(`SELECT sender, set_, time FROM reaction WHERE message = ? AND set_ <> '' ORDER BY time, sender`, func(st *sqlite3.Stmt) {
		list = append(list, Reaction{st.ColumnText(0), strings.Split(st.ColumnText(1), "\n"), fromMicro(st.ColumnInt64(2))})
	}, messageID)
	return list, err
}
