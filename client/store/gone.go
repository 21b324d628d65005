package store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"

	"sotto/client/omemo"
)

// Gone says why the text of a message is no longer here. The line stays, so that
// people see that there was one and no repeat of it is taken for new.
type Gone int

// The reasons.
const (
	Here     Gone = iota // it is not gone
	Recalled             // by its author, or a moderator of the room (XEP-0424, XEP-0425)
	RanOut               // its time to live has ended
)

// Bounds of what relays and others fill in, in bytes.
const (
	maxID      = 1024 // ids and addresses
	maxAhead   = 1000 // recalls of messages that are not here yet, a conversation
	maxDevices = 2000 // devices that are to carry out a recall
)

// bounded cuts what comes from elsewhere, and is of no use when it is longer.
func bounded(s string, n int) string {
	if len(s) > n {
		return ""
	}
	return s
}

// Recalling says which message is taken back (XEP-0424), and by whom.
type Recalling struct {
	Peer     string // the conversation
	OriginID string // of the message
	Sender   string // as Message.Sender
	Author   string // as Message.Author
	Time     time.Time
	Digest   []byte // of the text that is to go, see Digest; nil: whatever it is
}

// ErrOtherText is returned for a recall of a message that has another text here
// than the one that was taken back.
var ErrOtherText = errors.New("this is another text than the one that was taken back")

// Digest ties a text to the id it was sent with: ids are the relay's to exchange,
// texts are not.
func Digest(originID, body string) []byte {
	sum := sha256.Sum256([]byte("sotto recall\x00" + originID + "\x00" + body))
	return sum[:16]
}

// is reports whether a text is the one that was to go.
func (r *Recalling) is(body string) bool {
	return r.Digest == nil || string(r.Digest) == string(Digest(r.OriginID, body))
}

// Recall takes back a message: text, index, attachments, reactions and marks are
// gone from the database when the Update returns, and from its WAL (see
// [Store.Purge]). It returns the message as it is then. Nobody can recall what
// somebody else has sent: m is nil if there is no such message of the sender's,
// or another one stands behind that name by now. If there is none yet, the recall
// is remembered, and carried out when the message comes. gone reports whether its
// text went just now. ErrOtherText means that the text is not the one of r.Digest.
func (tx *Tx) Recall(r Recalling) (m *Message, gone bool, err error) {
	if r.Peer == "" || r.OriginID == "" || r.Sender == "" || len(r.OriginID) > maxID || len(r.Sender) > maxID || len(r.Author) > maxID {
		return nil, false, fmt.Errorf("recalling a message: %w", errNoPeer)
	}
	conversation, err := tx.conversation(r.Peer)
	if err != nil {
		return nil, false, err
	}
	var (
		id           int64
		author, body string
		text         bool // Body is the sender's, and here
	)
	found, err := tx.one(`SELECT id, author, body, kind = 0 AND gone = 0 FROM message WHERE conversation = ? AND origin = ? AND sender = ?`,
		func(st *sqlite3.Stmt) {
			id, author, body, text = st.ColumnInt64(0), st.ColumnText(1), st.ColumnText(2), st.ColumnBool(3)
		}, conversation, r.OriginID, r.Sender)
	switch {
	case err != nil:
		return nil, false, err
	case found && author != r.Author && author != "":
		return nil, false, nil
	case found && text && !r.is(body):
		return nil, false, ErrOtherText
	case found:
		return tx.recall(id, r.Sender, r.Time)
	}
	if _, err := tx.change(`INSERT INTO recalled_ahead (conversation, origin, sender, author, time, digest) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		conversation, r.OriginID, r.Sender, r.Author, r.Time, r.Digest); err != nil {
		return nil, false, err
	}
	_, err = tx.change(`DELETE FROM recalled_ahead WHERE conversation = ?1 AND id <=
		(SELECT id FROM recalled_ahead WHERE conversation = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)`, conversation, maxAhead)
	return nil, false, err
}

// RecallModerated takes a message out of a room on the word of a moderator
// (XEP-0425), by the id that the room's archive has for it. That the word came
// from the room is for the caller to check; in a conversation that is no room,
// nothing happens. See Recall.
func (tx *Tx) RecallModerated(room, archiveID, by string, at time.Time) (m *Message, gone bool, err error) {
	id := int64(0)
	found, err := tx.one(`SELECT m.id FROM conversation c JOIN room r ON r.conversation = c.id
		JOIN message m ON m.conversation = c.id WHERE c.peer = ? AND m.archive = ?`,
		func(st *sqlite3.Stmt) { id = st.ColumnInt64(0) }, room, archiveID)
	if err != nil || !found || archiveID == "" {
		return nil, false, err
	}
	return tx.recall(id, bounded(by, maxID), at)
}

func (tx *Tx) recall(id int64, by string, at time.Time) (m *Message, gone bool, err error) {
	if at.IsZero() {
		at = time.Now()
	}
	if gone, err = tx.forget(id, Recalled, by, at); err != nil {
		return nil, false, err
	}
	m, err = tx.Message(id)
	return m, gone, err
}

// forget removes what a message says, and leaves its line.
func (tx *Tx) forget(id int64, why Gone, by string, at time.Time) (bool, error) {
	// A recall after the end of its life is worth saying; nothing else is.
	n, err := tx.change(`UPDATE message SET body = '', kind = ?, urgency = 0, read = 1, reply = NULL, reply_to = NULL, expires = 0, corrected = 0,
			gone = ?2, gone_at = ?3, gone_by = ?4
		WHERE id = ?5 AND (gone = 0 OR gone = ?6 AND ?2 = ?7)`, int(Text), int(why), at, by, id, int(RanOut), int(Recalled))
	if err != nil || n == 0 {
		return false, err
	}
	for _, sql := range []string{
		`DELETE FROM outbox WHERE message = ?`,
		`DELETE FROM mark WHERE message = ?`,
		`DELETE FROM waiting WHERE message = ?`,
		`DELETE FROM reaction WHERE message = ?`,
		`DELETE FROM attachment WHERE message = ?`,
		`DELETE FROM acknowledgement WHERE message = ?`,
	} {
		if _, err := tx.change(sql, id); err != nil {
			return false, err
		}
	}
	if err := tx.forgetInDraft(id); err != nil {
		return false, err
	}
	tx.s.purge = true // even if it was a notice
	return true, nil
}

// RecallAhead carries out a recall that came before its message, for one of which
// text was sent, and Body is a label for it. AddMessage does so for all others.
func (tx *Tx) RecallAhead(m *Message, text string) error {
	conversation, err := tx.conversation(m.Peer)
	if err != nil {
		return err
	}
	return tx.recallAhead(conversation, m, text)
}

func (tx *Tx) recallAhead(conversation int64, m *Message, text string) error {
	if m.OriginID == "" {
		return nil
	}
	var (
		at     time.Time
		author string
		r      = Recalling{OriginID: m.OriginID}
	)
	found, err := tx.one(`SELECT time, author, digest FROM recalled_ahead WHERE conversation = ? AND origin = ? AND sender = ?`,
		func(st *sqlite3.Stmt) {
			at, author, r.Digest = fromMicro(st.ColumnInt64(0)), st.ColumnText(1), blob(st, 2)
		}, conversation, m.OriginID, m.Sender)
	if err != nil {
		return err
	}
	by := m.Sender
	if !found || m.Author != "" && m.Author != author || !r.is(text) {
		if by, at, err = tx.orderedRecall(m, text); err != nil || by == "" {
			return err
		}
	} else if _, err := tx.change(`DELETE FROM recalled_ahead WHERE conversation = ? AND origin = ? AND sender = ?`, conversation, m.OriginID, m.Sender); err != nil {
		return err
	}
	gone, _, err := tx.recall(m.ID, by, at)
	if err == nil {
		err = tx.findLast(conversation) // which may have been the Retraction
	}
	if err == nil {
		place := m.Place
		*m = *gone
		m.Place = max(place, gone.Place)
	}
	return err
}

// Outcome is what became of a recall on one device.
type Outcome int

// The outcomes.
const (
	Waiting    Outcome = iota // it has not answered
	CarriedOut                // the text is gone there
	Refused                   // it has said that it could not, or does not know how
)

// RecallDevice is a device that is to carry out a recall.
type RecallDevice struct {
	omemo.Address
	Outcome Outcome
	Time    time.Time // of its answer
}

// ExpectRecall notes the devices that a recalled message of ours had gone to; at
// most 2,000 are. What is known of them already stays.
func (tx *Tx) ExpectRecall(messageID int64, devices []omemo.Address) error {
	if found, err := tx.one(`SELECT 1 FROM message WHERE id = ? AND outgoing AND gone = ?`, func(*sqlite3.Stmt) {}, messageID, int(Recalled)); err != nil {
		return err
	} else if !found {
		return ErrUnknown
	}
	for i, d := range devices {
		if i == maxDevices {
			break
		}
		if _, err := tx.change(`INSERT INTO recall (message, peer, device) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, messageID, d.JID, d.Device); err != nil {
			return err
		}
	}
	return nil
}

// SetRecall notes what a device says about a recall. It reports false if the
// device was not expected to say anything, or has said so before.
func (tx *Tx) SetRecall(messageID int64, device omemo.Address, o Outcome, at time.Time) (changed bool, err error) {
	if o != CarriedOut && o != Refused {
		return false, fmt.Errorf("noting a recall: no such outcome: %d", o)
	}
	n, err := tx.change(`UPDATE recall SET outcome = ?1, time = ?2 WHERE message = ?3 AND peer = ?4 AND device = ?5 AND outcome <> ?1 AND outcome <> ?6`,
		int(o), at, messageID, device.JID, device.Device, int(CarriedOut))
	return n > 0, err
}

// RecallDevices returns where a recall of ours was carried out and where not, by
// address.
func (tx *Tx) RecallDevices(messageID int64) (devices []RecallDevice, err error) {
	err = tx.query(`SELECT peer, device, outcome, time FROM recall WHERE message = ? ORDER BY peer, device`, func(st *sqlite3.Stmt) {
		devices = append(devices, RecallDevice{omemo.Address{JID: st.ColumnText(0), Device: uint32(st.ColumnInt64(1))},
			Outcome(st.ColumnInt(2)), fromMicro(st.ColumnInt64(3))})
	}, messageID)
	return devices, err
}
