package store

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// State is how far an outgoing message has come. It only moves forward.
type State int

// The states, in order. Failed can be entered from Queued and Sent, and be left
// only to Queued, by sending again.
const (
	Queued    State = iota + 1 // stored here
	Sent                       // the relay has it
	Delivered                  // a device of the recipient has stored it (XEP-0184)
	Read                       // the recipient has seen it
	Failed
)

func (s State) String() string {
	switch s {
	case Queued:
		return "queued"
	case Sent:
		return "sent"
	case Delivered:
		return "delivered"
	case Read:
		return "read"
	case Failed:
		return "failed"
	}
	return "unknown"
}

// follows reports whether a message may go from one state to another.
func (s State) follows(from State) bool {
	switch {
	case from == Failed:
		return s == Queued
	case s == Failed:
		return from == Queued || from == Sent
	}
	return s > from && s <= Read
}

// Kind says whose words a message is.
type Kind int

// The kinds of messages.
const (
	Text       Kind = iota // what the sender wrote
	Notice                 // what sotto says in its place, as of a message that cannot be decrypted
	Retraction             // takes back the message with the OriginID in Reply (XEP-0424); Body says so in words
)

// Urgencies of a message.
const (
	Routine = iota
	Urgent
	Stat
)

// Message is one line of a conversation.
type Message struct {
	ID          int64  // filled by AddMessage; grows, and is never used twice
	Peer        string // the conversation: a bare JID
	Outgoing    bool
	Sender      string // a bare JID; in a room the occupant's full address
	Author      string // in a room, who stands behind Sender: the bare JID, or the occupant id (XEP-0421); else ""
	Device      uint32 // the sender's OMEMO device; 0 if it was not encrypted
	OriginID    string // the sender's id (XEP-0359), else the stanza's; may be ""
	ArchiveID   string // the id in the conversation's archive (XEP-0313); may be ""
	Cipher      []byte // tells this ciphertext from every other; nil if there is none
	Strand      []byte // the session it was encrypted in; nil if it was not, or here
	Epoch       int64  // of its chain there, see Epoch
	Counter     uint32 // in its chain
	Place       int64  // filled by AddMessage; grows along the conversation (see place.go)
	Time        time.Time
	Stored      time.Time // when it was stored here
	Body        string
	State       State // of outgoing messages; else 0
	Encrypted   bool
	Fingerprint []byte // identity of the device that sent it; nil if unknown
	Trust       Trust  // in that device, as long as it has this identity; is not stored with the message
	Kind        Kind
	Urgency     int  // Routine, Urgent or Stat
	Read        bool // by the person here; outgoing messages always are

	Gone      Gone      // why Body is empty, if it is gone
	GoneAt    time.Time // when it was recalled, or expired
	GoneBy    string    // who recalled it
	Corrected time.Time // when Body was written, if it is not what came first
	Reply     string    // the OriginID, in a room the ArchiveID, of the message that this one answers (XEP-0461); of a Retraction, the OriginID
	ReplyTo   string    // that message's author, as far as this one says
	Expires   time.Time // when the text goes; zero: never, or after the conversation's lifespan
}

const messageColumns = `m.id, c.peer, m.outgoing, m.sender, m.device, m.origin, m.archive, m.time, m.stored,
	m.body, m.state, m.encrypted, m.fingerprint, m.kind, m.urgency, m.read, m.place, m.cipher,
	coalesce((SELECT d.trust FROM device d WHERE d.peer = m.sender AND d.id = m.device AND d.fingerprint = m.fingerprint), 0),
	m.gone, m.gone_at, m.gone_by, m.corrected, m.reply, m.reply_to, m.expires, m.author`

// Columns of messageColumns.
const (
	messageBody  = 9
	messageWidth = 27
)

func scanMessage(st *sqlite3.Stmt) Message {
	return Message{
		ID:          st.ColumnInt64(0),
		Peer:        st.ColumnText(1),
		Outgoing:    st.ColumnBool(2),
		Sender:      st.ColumnText(3),
		Device:      uint32(st.ColumnInt64(4)),
		OriginID:    st.ColumnText(5),
		ArchiveID:   st.ColumnText(6),
		Time:        fromMicro(st.ColumnInt64(7)),
		Stored:      fromMicro(st.ColumnInt64(8)),
		Body:        st.ColumnText(9),
		State:       State(st.ColumnInt(10)),
		Encrypted:   st.ColumnBool(11),
		Fingerprint: blob(st, 12),
		Kind:        Kind(st.ColumnInt(13)),
		Urgency:     st.ColumnInt(14),
		Read:        st.ColumnBool(15),
		Place:       st.ColumnInt64(16),
		Cipher:      blob(st, 17),
		Trust:       Trust(st.ColumnInt(18)),
		Gone:        Gone(st.ColumnInt(19)),
		GoneAt:      fromMicro(st.ColumnInt64(20)),
		GoneBy:      st.ColumnText(21),
		Corrected:   fromMicro(st.ColumnInt64(22)),
		Reply:       st.ColumnText(23),
		ReplyTo:     st.ColumnText(24),
		Expires:     fromMicro(st.ColumnInt64(25)),
		Author:      st.ColumnText(26),
	}
}

// AddMessage stores m at the end of its conversation (or before what its device
// has encrypted after it), unless it is a repeat:
// its sender has sent a message with the same origin id there, or it is the
// message that the archive id is known for. It fills m.ID in either case,
// m.Place if m was added, and m.Stored and m.Time where they are zero. An
// outgoing message without a state becomes Queued.
//
// A repeat can teach two things about the message that is here already: its
// archive id; and, where a Notice stands in for it, its text (which counts as
// added: the notice is replaced in place, and is unread again).
func (tx *Tx) AddMessage(m *Message) (added bool, err error) {
	added, _, err = tx.AddLive(m)
	return added, err
}

// AddLive is AddMessage, and reports, too, whether m stands elsewhere than at the
// end.
func (tx *Tx) AddLive(m *Message) (added, reordered bool, err error) {
	how, err := tx.addMessage(m, atEnd, false)
	return how > known, how == inside, err
}

// outcome is what became of a message that was to be stored.
type outcome int

const (
	known    outcome = iota // it was here
	replaced                // its notice was here
	inside                  // it is new, and others stand behind it
	last                    // it is new, and stands last
)

// addMessage stores m after the message with the id after. With settles, it is
// settled there, which settleAdded completes.
func (tx *Tx) addMessage(m *Message, after int64, settles bool) (outcome, error) {
	if m.Peer == "" || m.Sender == "" {
		return known, fmt.Errorf("storing a message: %w", errNoPeer)
	}
	if !tx.write {
		return known, ErrViewWrites
	}
	conversation, lifespan, err := tx.conversationFor(m.Peer)
	if err != nil {
		return known, err
	}
	if m.Stored.IsZero() {
		m.Stored = time.Now()
	}
	if m.Time.IsZero() {
		m.Time = m.Stored
	}
	switch {
	case !m.Outgoing:
		m.State = 0
	case m.State == 0:
		m.State = Queued
	}
	if m.Outgoing {
		m.Read = true
	}
	if end := m.Stored.Add(lifespan); lifespan > 0 && m.Kind == Text && (m.Expires.IsZero() || end.Before(m.Expires)) {
		m.Expires = end
	}
	m.Reply, m.ReplyTo = bounded(m.Reply, maxID), bounded(m.ReplyTo, maxID)
	if after, err = tx.clamp(conversation, after, m.Strand, m.Epoch, m.Counter, settles); err != nil {
		return known, err
	}
	place, end, err := tx.room(conversation, after)
	if err != nil {
		return known, err
	}
	insert := func() (int64, error) {
		return tx.change(`INSERT INTO message (conversation, outgoing, sender, device, origin, archive, cipher, strand, epoch, counter,
				place, settled, time, stored, body, state, encrypted, fingerprint, kind, urgency, read, reply, reply_to, expires, author)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			conversation, m.Outgoing, m.Sender, m.Device, nullable(m.OriginID), nullable(m.ArchiveID), m.Cipher, m.Strand, m.Epoch, m.Counter,
			place, settles, m.Time, m.Stored, m.Body, int(m.State), m.Encrypted, m.Fingerprint, int(m.Kind), m.Urgency, m.Read,
			nullable(m.Reply), nullable(m.ReplyTo), m.Expires, m.Author)
	}
	n, err := insert()
	if err != nil {
		return known, err
	}
	if n == 0 {
		another, how, err := tx.repeat(conversation, m)
		if err != nil || !another {
			return how, err
		}
		// The relay gives one id to two messages. The later one goes without.
		m.ArchiveID = ""
		if _, err := insert(); err != nil {
			return known, err
		}
	}
	m.ID, m.Place = tx.s.conn.LastInsertRowID(), place
	if err := tx.added(conversation, m); err != nil || !end {
		return inside, err
	}
	if m.Kind == Retraction {
		return last, tx.findLast(conversation)
	}
	if settles {
		_, err = tx.change(`UPDATE conversation SET last = ?1, anchor = ?1 WHERE id = ?2`, m.ID, conversation)
	} else {
		_, err = tx.change(`UPDATE conversation SET last = ? WHERE id = ?`, m.ID, conversation)
	}
	return last, err
}

// repeat deals with a message that is in the store already, or has the archive
// id of another one.
func (tx *Tx) repeat(conversation int64, m *Message) (another bool, how outcome, err error) {
	var old Message
	row := func(st *sqlite3.Stmt) {
		old = Message{ID: st.ColumnInt64(0), Kind: Kind(st.ColumnInt(1)), ArchiveID: st.ColumnText(2), Outgoing: st.ColumnBool(3),
			OriginID: st.ColumnText(4), Sender: st.ColumnText(5), Cipher: blob(st, 6)}
	}
	byOrigin := false
	if m.OriginID != "" {
		byOrigin, err = tx.one(`SELECT id, kind, archive, outgoing, origin, sender, cipher FROM message
			WHERE conversation = ? AND origin = ? AND sender = ?`, row, conversation, m.OriginID, m.Sender)
		if err != nil {
			return false, known, err
		}
	}
	if !byOrigin {
		_, err = tx.one(`SELECT id, kind, archive, outgoing, origin, sender, cipher FROM message
			WHERE conversation = ? AND archive = ?`, row, conversation, m.ArchiveID)
		same := old.Sender == m.Sender && (old.OriginID == m.OriginID || old.OriginID == "" || m.OriginID == "") &&
			(old.Cipher == nil || m.Cipher == nil || bytes.Equal(old.Cipher, m.Cipher))
		m.ID = old.ID
		return !same, known, err
	}
	m.ID = old.ID
	if old.ArchiveID == "" && m.ArchiveID != "" {
		// OR IGNORE: a relay may have given the id to another message too.
		if _, err := tx.change(`UPDATE OR IGNORE message SET archive = ? WHERE id = ?`, m.ArchiveID, m.ID); err != nil {
			return false, known, err
		}
	}
	if old.Kind != Notice || m.Kind != Text || old.Outgoing || m.Outgoing {
		return false, known, nil
	}
	_, err = tx.change(`UPDATE message SET kind = ?, body = ?, device = ?, encrypted = ?, fingerprint = ?, urgency = ?, read = ?, cipher = ?,
			reply = ?, reply_to = ?, expires = ?, author = ? WHERE id = ?`,
		int(m.Kind), m.Body, m.Device, m.Encrypted, m.Fingerprint, m.Urgency, m.Read, m.Cipher,
		nullable(m.Reply), nullable(m.ReplyTo), m.Expires, m.Author, m.ID)
	if err == nil {
		err = tx.added(conversation, m)
	}
	return false, replaced, err
}

// HasCipher reports whether the text of a ciphertext is in a conversation, or was,
// or was taken as something other than a line of its own (see Spend).
func (tx *Tx) HasCipher(peer string, cipher []byte) (bool, error) {
	found, err := tx.one(`SELECT 1 FROM conversation c JOIN message m ON m.conversation = c.id
		WHERE c.peer = ? AND m.cipher = ? AND m.kind = ? LIMIT 1`, func(*sqlite3.Stmt) {}, peer, cipher, int(Text))
	if found || err != nil {
		return found, err
	}
	return tx.one(`SELECT 1 FROM conversation c JOIN spent s ON s.conversation = c.id WHERE c.peer = ? AND s.cipher = ?`,
		func(*sqlite3.Stmt) {}, peer, cipher)
}

// Spend notes a ciphertext that led to no line of its own, such as a correction,
// so that its repeat is known for one.
func (tx *Tx) Spend(peer string, cipher []byte) error {
	if len(cipher) == 0 {
		return nil
	}
	conversation, err := tx.conversation(peer)
	if err != nil {
		return err
	}
	_, err = tx.change(`INSERT INTO spent (conversation, cipher) VALUES (?, ?) ON CONFLICT DO NOTHING`, conversation, cipher)
	return err
}

// Messages returns up to limit messages of a conversation that stand before the
// message with the id before, or the last ones if before is 0: in the order of
// their places. It leaves out what is no line of its own, see IsShown.
func (tx *Tx) Messages(peer string, before int64, limit int) ([]Message, error) {
	if limit <= 0 {
		return nil, nil
	}
	messages := make([]Message, 0, min(limit, 256))
	row := func(st *sqlite3.Stmt) { messages = append(messages, scanMessage(st)) }
	var err error
	if before == 0 {
		err = tx.query(`SELECT `+messageColumns+` FROM conversation c JOIN message m ON m.conversation = c.id
			WHERE c.peer = ? AND `+isShown+` ORDER BY m.place DESC LIMIT ?`, row, peer, limit)
	} else {
		err = tx.query(`SELECT `+messageColumns+` FROM conversation c JOIN message m ON m.conversation = c.id
			WHERE c.peer = ?1 AND m.place < (SELECT place FROM message WHERE id = ?2 AND conversation = c.id) AND `+isShown+`
			ORDER BY m.place DESC LIMIT ?3`, row, peer, before, limit)
	}
	if err != nil {
		return nil, err
	}
	slices.Reverse(messages)
	return messages, nil
}

// Message returns the message with an id, or nil.
func (tx *Tx) Message(id int64) (m *Message, err error) {
	_, err = tx.one(`SELECT `+messageColumns+` FROM message m JOIN conversation c ON c.id = m.conversation WHERE m.id = ?`,
		func(st *sqlite3.Stmt) { m = new(scanMessage(st)) }, id)
	return m, err
}

// MessageByOrigin returns the message in a conversation with an origin id, or
// nil. If several senders used the same id, an outgoing message comes first,
// then the oldest.
func (tx *Tx) MessageByOrigin(peer, originID string) (m *Message, err error) {
	// Most of what is looked for is new, and looking for one row is cheaper than
	// making ready to sort some.
	found, err := tx.one(`SELECT 1 FROM conversation c JOIN message m ON m.conversation = c.id WHERE c.peer = ? AND m.origin = ? LIMIT 1`,
		func(*sqlite3.Stmt) {}, peer, originID)
	if err != nil || !found {
		return nil, err
	}
	_, err = tx.one(`SELECT `+messageColumns+` FROM conversation c JOIN message m ON m.conversation = c.id
		WHERE c.peer = ? AND m.origin = ? ORDER BY m.outgoing DESC, m.id LIMIT 1`,
		func(st *sqlite3.Stmt) { m = new(scanMessage(st)) }, peer, originID)
	return m, err
}

// OutgoingBefore returns which of the n messages that stand before one of a
// conversation are outgoing: their ids, origin ids and states only, the nearest
// first.
func (tx *Tx) OutgoingBefore(peer string, id int64, n int) (list []Message, err error) {
	err = tx.query(`SELECT id, origin, state FROM (SELECT b.id, b.origin, b.state, b.outgoing FROM conversation c JOIN message m ON m.conversation = c.id
			JOIN message b ON b.conversation = m.conversation AND b.place < m.place WHERE c.peer = ? AND m.id = ? ORDER BY b.place DESC LIMIT ?)
		WHERE outgoing`,
		func(st *sqlite3.Stmt) {
			list = append(list, Message{ID: st.ColumnInt64(0), Peer: peer, OriginID: st.ColumnText(1), State: State(st.ColumnInt(2)), Outgoing: true})
		}, peer, id, n)
	return list, err
}

// SetState moves an outgoing message forward. It reports false, without an
// error, if the message is unknown or has come further already.
func (tx *Tx) SetState(peer, originID string, s State) (changed bool, err error) {
	var (
		id  int64
		now State
	)
	found, err := tx.one(`SELECT m.id, m.state FROM conversation c JOIN message m ON m.conversation = c.id
		WHERE c.peer = ? AND m.origin = ? AND m.outgoing ORDER BY m.id LIMIT 1`,
		func(st *sqlite3.Stmt) { id, now = st.ColumnInt64(0), State(st.ColumnInt(1)) }, peer, originID)
	if err != nil || !found || !s.follows(now) {
		return false, err
	}
	n, err := tx.change(`UPDATE message SET state = ? WHERE id = ?`, int(s), id)
	return n > 0, err
}

// SetBody replaces the text of an outgoing message that nobody has yet: one
// that is Queued or Failed.
func (tx *Tx) SetBody(id int64, body string) error {
	n, err := tx.change(`UPDATE message SET body = ? WHERE id = ? AND outgoing AND gone = 0 AND state IN (?, ?)`, body, id, int(Queued), int(Failed))
	if err == nil && n == 0 {
		return ErrUnknown
	}
	if err != nil {
		return err
	}
	return tx.setMarks(id, body)
}

// MarkRead marks the messages of a conversation up to the one with the id upTo
// as read, and returns those that were not yet, in their order.
func (tx *Tx) MarkRead(peer string, upTo int64) (newlyRead []Message, err error) {
	if !tx.write {
		return nil, ErrViewWrites
	}
	err = tx.query(`SELECT `+messageColumns+` FROM conversation c JOIN message m ON m.conversation = c.id
		WHERE c.peer = ?1 AND m.read = 0 AND m.place <= (SELECT place FROM message WHERE id = ?2 AND conversation = c.id)
		ORDER BY m.place`, func(st *sqlite3.Stmt) {
		m := scanMessage(st)
		m.Read = true
		newlyRead = append(newlyRead, m)
	}, peer, upTo)
	if err != nil {
		return nil, err
	}
	for i := range newlyRead {
		if _, err := tx.change(`UPDATE message SET read = 1 WHERE id = ?`, newlyRead[i].ID); err != nil {
			return nil, err
		}
		// What is urgent waits until it is acknowledged.
		if _, err := tx.change(`DELETE FROM waiting WHERE message = ? AND urgency = 0`, newlyRead[i].ID); err != nil {
			return nil, err
		}
	}
	return newlyRead, nil
}

// Unread returns how many messages of a conversation are unread, and the
// highest urgency among them.
func (tx *Tx) Unread(peer string) (count, urgency int, err error) {
	_, err = tx.one(`SELECT count(*), max(m.urgency) FROM conversation c JOIN message m ON m.conversation = c.id
		WHERE c.peer = ? AND m.read = 0`,
		func(st *sqlite3.Stmt) { count, urgency = st.ColumnInt(0), st.ColumnInt(1) }, peer)
	return count, urgency, err
}
