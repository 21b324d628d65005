package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// SavedConversation is a conversation as a backup has it, without its messages.
type SavedConversation struct {
	ID       int64 // here; not in the backup
	Peer     string
	Lifespan time.Duration
	Draft    string
	Nick     string // in a room; "" if it is none
	Topic    string
	Members  []SavedMember
}

// SavedMember is somebody in a room.
type SavedMember struct{ Address, Nick, Affiliation string }

// SavedMessage is a message as a backup has it: what a person would miss, and
// nothing that a session could be continued with.
type SavedMessage struct {
	Message
	Waits            bool // for this person
	Attachments      []Attachment
	Acknowledgements []SavedMark
	Reactions        []SavedMark
}

// SavedMark is an acknowledgement, or a reaction, of somebody.
type SavedMark struct {
	Sender, Set string
	Time        time.Time
}

// ConversationsToSave returns conversations with an id above after, in order.
func (tx *Tx) ConversationsToSave(after int64, limit int) (list []SavedConversation, err error) {
	err = tx.query(`SELECT c.id, c.peer, c.lifespan, c.draft, r.nick, r.topic FROM conversation c LEFT JOIN room r ON r.conversation = c.id
		WHERE c.id > ? AND (c.last IS NOT NULL OR c.draft <> '' OR r.nick IS NOT NULL) ORDER BY c.id LIMIT ?`, func(st *sqlite3.Stmt) {
		list = append(list, SavedConversation{ID: st.ColumnInt64(0), Peer: st.ColumnText(1), Lifespan: time.Duration(st.ColumnInt64(2)) * time.Microsecond,
			Draft: st.ColumnText(3), Nick: st.ColumnText(4), Topic: st.ColumnText(5)})
	}, after, limit)
	for i := range list {
		if err != nil {
			return nil, err
		}
		c := &list[i]
		err = tx.query(`SELECT address, nick, affiliation FROM member WHERE conversation = ? ORDER BY address LIMIT 10000`, func(st *sqlite3.Stmt) {
			c.Members = append(c.Members, SavedMember{st.ColumnText(0), st.ColumnText(1), st.ColumnText(2)})
		}, c.ID)
	}
	return list, err
}

// MessagesToSave returns messages of a conversation behind a place, in their order:
// those with an id above after, those whose text went, or changed, at since or
// later, and those with the ids also, a list in JSON.
func (tx *Tx) MessagesToSave(conversation, place, after int64, since time.Time, also string, limit int) (list []SavedMessage, err error) {
	err = tx.query(`SELECT `+messageColumns+`, EXISTS (SELECT 1 FROM waiting w WHERE w.message = m.id) FROM message m JOIN conversation c ON c.id = m.conversation
		WHERE m.conversation = ?1 AND m.place > ?2 AND (m.id > ?3 OR m.gone_at >= ?4 OR m.corrected >= ?4
			OR m.id IN (SELECT value FROM json_each(?5))) ORDER BY m.place LIMIT ?6`, func(st *sqlite3.Stmt) {
		list = append(list, SavedMessage{Message: scanMessage(st), Waits: st.ColumnBool(messageWidth)})
	}, conversation, place, after, since, also, limit)
	for i := range list {
		if err != nil {
			return nil, err
		}
		m := &list[i]
		if m.Attachments, err = tx.Attachments(m.ID); err != nil {
			return nil, err
		}
		mark := func(to *[]SavedMark) func(*sqlite3.Stmt) {
			return func(st *sqlite3.Stmt) {
				*to = append(*to, SavedMark{st.ColumnText(0), st.ColumnText(1), fromMicro(st.ColumnInt64(2))})
			}
		}
		err = tx.query(`SELECT sender, '', time FROM acknowledgement WHERE message = ?`, mark(&m.Acknowledgements), m.ID)
		if err == nil {
			err = tx.query(`SELECT sender, set_, time FROM reaction WHERE message = ?`, mark(&m.Reactions), m.ID)
		}
	}
	return list, err
}

// Unsent returns up to limit messages that were written here and have not gone out, the
// newest first.
func (tx *Tx) Unsent(limit int) (ids []int64, err error) {
	err = tx.query(`SELECT id FROM message WHERE outgoing AND state IN (?, ?) ORDER BY id DESC LIMIT ?`,
		func(st *sqlite3.Stmt) { ids = append(ids, st.ColumnInt64(0)) }, int(Queued), int(Failed), limit)
	return ids, err
}

// RestoreConversation makes a conversation as it was saved, unless it is here: then
// it takes over what that one has not.
func (tx *Tx) RestoreConversation(c *SavedConversation) error {
	if c.Peer == "" || len(c.Peer) > maxID {
		return fmt.Errorf("restoring a conversation: %w", errNoPeer)
	}
	id, err := tx.conversation(c.Peer)
	if err != nil {
		return err
	}
	c.ID = id
	if _, err := tx.change(`UPDATE conversation SET lifespan = ? WHERE id = ? AND lifespan = 0`, max(0, c.Lifespan.Microseconds()), id); err != nil {
		return err
	}
	if _, err := tx.change(`UPDATE conversation SET draft = ? WHERE id = ? AND draft = ''`, c.Draft, id); err != nil {
		return err
	}
	if c.Nick == "" {
		return nil
	}
	// Who wants to be in it again says so: a restored device enters nothing by itself.
	if _, err := tx.change(`INSERT INTO room (conversation, nick, topic, joined) VALUES (?, ?, ?, 0) ON CONFLICT DO NOTHING`, id, c.Nick, c.Topic); err != nil {
		return err
	}
	now := time.Now()
	for _, m := range c.Members {
		if _, err := tx.change(`INSERT INTO member (conversation, address, nick, affiliation, since) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			id, bounded(m.Address, maxID), bounded(m.Nick, maxID), bounded(m.Affiliation, 64), now); err != nil {
			return err
		}
	}
	return nil
}

// Front is where RestoreMessage begins in a conversation: before all that is there.
const Front = front

// RestoreMessage stores a message as it was saved, behind the one with the id after,
// or Front, unless it is here; m.ID is then that one's. What was to be sent is shown
// as not sent, and nothing of it goes out. What was read is read. A text that is gone
// on either side stays gone.
func (tx *Tx) RestoreMessage(m *SavedMessage, after int64) (added bool, err error) {
	row := m.Message
	row.ID, row.Place, row.Strand, row.Epoch, row.Counter, row.Read = 0, 0, nil, 0, 0, true
	if row.Outgoing && (row.State < Sent || row.State > Failed) {
		row.State = Failed
	}
	if row.Gone != Here {
		row.Body = ""
	}
	if row.OriginID == "" && row.ArchiveID == "" {
		known := int64(0)
		if _, err := tx.one(`SELECT m.id FROM conversation c JOIN message m ON m.conversation = c.id WHERE c.peer = ? AND m.origin IS NULL AND m.archive IS NULL
			AND m.sender = ? AND m.time = ? AND m.body = ? LIMIT 1`, func(st *sqlite3.Stmt) { known = st.ColumnInt64(0) },
			row.Peer, row.Sender, row.Time, row.Body); err != nil {
			return false, err
		}
		if known != 0 {
			m.ID = known
			return false, nil
		}
	}
	how, err := tx.addMessage(&row, after, false)
	if err != nil {
		return false, err
	}
	m.ID = row.ID
	if how == known {
		return false, tx.renew(m)
	}
	if m.Gone == Here && row.Gone != Here {
		return true, nil // its recall was here before it
	}
	if m.Gone != Here || !m.Corrected.IsZero() {
		if _, err := tx.change(`UPDATE message SET gone = ?, gone_at = ?, gone_by = ?, corrected = ? WHERE id = ? AND gone = 0`,
			int(m.Gone), m.GoneAt, bounded(m.GoneBy, maxID), m.Corrected, m.ID); err != nil {
			return false, err
		}
	}
	if !m.Waits {
		if _, err := tx.change(`DELETE FROM waiting WHERE message = ?`, m.ID); err != nil {
			return false, err
		}
	}
	return true, tx.restoreParts(m)
}

// renew has a message that is here take over what has become of it by the time that
// it was saved: that its text went, or was corrected later than the one here.
func (tx *Tx) renew(m *SavedMessage) error {
	if m.ID == 0 {
		return nil
	}
	if m.Gone == Here {
		if m.Corrected.IsZero() || m.Kind != Text {
			return nil
		}
		n, err := tx.change(`UPDATE message SET body = ?, urgency = ?, corrected = ? WHERE id = ? AND gone = 0 AND kind = ? AND corrected < ?3`,
			m.Body, m.Urgency, m.Corrected, m.ID, int(Text))
		if n == 0 || err != nil {
			return err
		}
		tx.grew = true
		return tx.setMarks(m.ID, m.Body)
	}
	n, err := tx.change(`UPDATE message SET body = '', gone = ?, gone_at = ?, gone_by = ? WHERE id = ? AND gone = 0`,
		int(m.Gone), m.GoneAt, bounded(m.GoneBy, maxID), m.ID)
	if n == 0 || err != nil {
		return err
	}
	_, err = tx.change(`DELETE FROM attachment WHERE message = ?`, m.ID)
	return err
}

// RestoreState says of a message that RestoreMessage has shown as not sent that it was
// sent after all, as a later backup knows.
func (tx *Tx) RestoreState(id int64, s State) error {
	if s < Sent || s >= Failed {
		return nil
	}
	_, err := tx.change(`UPDATE message SET state = ? WHERE id = ? AND outgoing AND state = ?`, int(s), id, int(Failed))
	return err
}

func (tx *Tx) restoreParts(m *SavedMessage) error {
	if m.Gone != Here {
		return nil
	}
	for _, a := range m.Attachments {
		a.MessageID, a.Progress = m.ID, 0
		if a.State = Lost; a.URL != "" {
			a.State = Offered
		}
		if err := tx.AddAttachment(&a); err != nil && !errors.Is(err, ErrUnknown) {
			return err
		}
	}
	for _, x := range m.Acknowledgements {
		if _, err := tx.change(`INSERT INTO acknowledgement (message, sender, time) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, m.ID, bounded(x.Sender, maxID), x.Time); err != nil {
			return err
		}
	}
	for _, x := range m.Reactions {
		if _, err := tx.change(`INSERT INTO reaction (message, sender, set_, time) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`, m.ID, bounded(x.Sender, maxID), bounded(x.Set, maxID), x.Time); err != nil {
			return err
		}
	}
	return nil
}

// FilesToSave returns files with an id above after whose ciphertext is here, in order.
func (tx *Tx) FilesToSave(after int64, limit int) (list []Attachment, err error) {
	err = tx.query(`SELECT `+attachmentColumns+` FROM attachment WHERE id > ? AND state = ? ORDER BY id LIMIT ?`,
		func(st *sqlite3.Stmt) { list = append(list, scanAttachment(st)) }, after, int(Done), limit)
	return list, err
}

// FileRestored notes that the ciphertext of files is here whose keys begin with name.
func (tx *Tx) FileRestored(name []byte) error {
	_, err := tx.change(`UPDATE attachment SET state = ? WHERE substr(key, 1, ?) = ? AND state IN (?, ?)`, int(Done), len(name), name, int(Offered), int(Lost))
	return err
}

// WantsFile reports whether a message has a file whose key begins with name, and its
// ciphertext is not here.
func (tx *Tx) WantsFile(name []byte) (bool, error) {
	return tx.one(`SELECT 1 FROM attachment WHERE substr(key, 1, ?) = ? AND state IN (?, ?) LIMIT 1`, func(*sqlite3.Stmt) {}, len(name), name, int(Offered), int(Lost))
}

// StandsBehind reports whether a message stands behind another one in its conversation.
func (tx *Tx) StandsBehind(id, other int64) (bool, error) {
	return tx.one(`SELECT 1 FROM message a JOIN message b ON b.conversation = a.conversation WHERE a.id = ? AND b.id = ? AND a.place > b.place`,
		func(*sqlite3.Stmt) {}, id, other)
}
