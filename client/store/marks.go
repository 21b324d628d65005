package store

import (
	"strings"
	"time"
	"unicode"

	"github.com/ncruces/go-sqlite3"
)

// Only the text of a message is end-to-end encrypted, so what it means beyond its
// words is written in the text, as people type it: !stat, !urgent or !ack at the
// beginning, #mrn:44120, @role/cardiology and @okafor anywhere. This is where such
// marks are read.

// MarkKind is what a mark in a text points at.
type MarkKind int

// The kinds of marks. Their values are folded to lower case.
const (
	Record  MarkKind = iota + 1 // #mrn:44120, the value is 44120
	Role                        // @role/cardiology, the value is cardiology
	Mention                     // @okafor, the value is okafor
)

// Mark is one mark in a text.
type Mark struct {
	Kind  MarkKind
	Value string
}

// Bounds of the marks that are read in one text. The value's is in bytes.
const (
	maxMarks     = 16
	maxMarkValue = 64
)

// Marks returns the different marks in a text, at most 16, in their order.
func Marks(body string) []Mark {
	if !strings.ContainsAny(body, "#@") {
		return nil
	}
	var marks []Mark
	for word := range strings.FieldsSeq(body) {
		word = strings.TrimLeft(word, `("'[`)
		var m Mark
		switch {
		case prefixFold(word, "#mrn:"):
			m = Mark{Record, word[len("#mrn:"):]}
		case prefixFold(word, "@role/"):
			m = Mark{Role, word[len("@role/"):]}
		case strings.HasPrefix(word, "@"):
			m = Mark{Mention, word[1:]}
		default:
			continue
		}
		end := strings.IndexFunc(m.Value, func(r rune) bool {
			return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r) && !strings.ContainsRune("-_./", r)
		})
		if end >= 0 {
			m.Value = m.Value[:end]
		}
		m.Value = strings.ToLower(strings.TrimRight(m.Value, "-_./"))
		if m.Value == "" || len(m.Value) > maxMarkValue {
			continue
		}
		known := false
		for _, x := range marks {
			known = known || x == m
		}
		if !known {
			if marks = append(marks, m); len(marks) == maxMarks {
				break
			}
		}
	}
	return marks
}

// UrgencyOf reads how urgent a text says it is: Stat, Urgent or Routine.
func UrgencyOf(body string) int {
	switch {
	case begins(body, "!stat"):
		return Stat
	case begins(body, "!urgent"):
		return Urgent
	}
	return Routine
}

// Acknowledges reports whether a text says: seen, and in hand.
func Acknowledges(body string) bool { return begins(body, "!ack") }

// begins reports whether body starts with the word mark, in any case.
func begins(body, mark string) bool {
	body = strings.TrimLeft(body, " \t\r\n")
	if !prefixFold(body, mark) {
		return false
	}
	rest := body[len(mark):]
	return rest == "" || strings.ContainsAny(rest[:1], " \t\r\n:,.!-")
}

func prefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// setMarks keeps the marks of a message's text.
func (tx *Tx) setMarks(id int64, body string) error {
	if _, err := tx.change(`DELETE FROM mark WHERE message = ?`, id); err != nil {
		return err
	}
	return tx.addMarks(id, Marks(body))
}

func (tx *Tx) addMarks(id int64, marks []Mark) error {
	for _, m := range marks {
		if _, err := tx.change(`INSERT INTO mark (kind, value, message) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`, int(m.Kind), m.Value, id); err != nil {
			return err
		}
	}
	return nil
}

// readMarks reads the marks of texts from before they were kept.
func (tx *Tx) readMarks() error {
	marks := make(map[int64][]Mark)
	if err := tx.query(`SELECT id, body FROM message WHERE kind = 0 AND (body LIKE '%#mrn:%' OR body LIKE '%@%')`, func(st *sqlite3.Stmt) {
		if list := Marks(st.ColumnText(1)); list != nil {
			marks[st.ColumnInt64(0)] = list
		}
	}); err != nil {
		return err
	}
	for id, list := range marks {
		if err := tx.addMarks(id, list); err != nil {
			return err
		}
	}
	// What was read and urgent then was not asked to be acknowledged.
	_, err := tx.change(`INSERT INTO waiting (message, urgency) SELECT id, urgency FROM message m WHERE read = 0 AND kind = 0 AND NOT outgoing
		AND (urgency > 0 OR EXISTS (SELECT 1 FROM mark k WHERE k.message = m.id AND k.kind <> ?))`, int(Record))
	return err
}

// Marked returns up to limit messages whose text has a mark, and whose id is
// below before (0: any), the newest first.
func (tx *Tx) Marked(mark Mark, before int64, limit int) (list []Message, err error) {
	if before == 0 {
		before = 1 << 62
	}
	err = tx.query(`SELECT `+messageColumns+` FROM mark k CROSS JOIN message m ON m.id = k.message CROSS JOIN conversation c ON c.id = m.conversation
		WHERE k.kind = ? AND k.value = ? AND k.message < ? ORDER BY k.message DESC LIMIT ?`,
		func(st *sqlite3.Stmt) { list = append(list, scanMessage(st)) }, int(mark.Kind), strings.ToLower(mark.Value), before, min(max(limit, 0), MaxHits))
	return list, err
}

// added does what a new text leads to, beyond its line.
func (tx *Tx) added(conversation int64, m *Message) error {
	if m.Kind != Text {
		return nil
	}
	if m.Body != "" {
		tx.grew = true
		if _, err := tx.change(`INSERT INTO unindexed (message) VALUES (?) ON CONFLICT DO NOTHING`, m.ID); err != nil {
			return err
		}
	}
	marks := Marks(m.Body)
	if err := tx.addMarks(m.ID, marks); err != nil {
		return err
	}
	if Acknowledges(m.Body) {
		if err := tx.acknowledgeBy(conversation, m); err != nil {
			return err
		}
	}
	if !m.Outgoing && (m.Urgency > Routine || !m.Read && (pointsAtPeople(marks) || m.Reply != "" && !Acknowledges(m.Body))) {
		if _, err := tx.change(`INSERT INTO waiting (message, urgency) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET urgency = ?2`, m.ID, m.Urgency); err != nil {
			return err
		}
	}
	return tx.recallAhead(conversation, m, m.Body)
}

func pointsAtPeople(marks []Mark) bool {
	for _, m := range marks {
		if m.Kind != Record {
			return true
		}
	}
	return false
}

// maxAcknowledged bounds what one !ack acknowledges.
const maxAcknowledged = 100

// acknowledgeBy notes what a message that begins with !ack acknowledges: the one
// it answers, if it answers one. One that was written here and answers none is of
// all that is urgent and stands before it in its conversation. Of another's it is
// not known what had reached them when they wrote it: it counts for none.
func (tx *Tx) acknowledgeBy(conversation int64, m *Message) error {
	var ids []int64
	row := func(st *sqlite3.Stmt) { ids = append(ids, st.ColumnInt64(0)) }
	var err error
	if m.Reply != "" {
		// By the id of its sender, if there is such a one: an archive chooses its own.
		err = tx.query(`SELECT id FROM message WHERE conversation = ?1 AND (origin = ?2 AND (?4 = '' OR sender = ?4) OR archive = ?2) AND sender <> ?3 AND urgency > 0
			ORDER BY origin IS ?2 AND sender = ?4 DESC, archive IS ?2 DESC LIMIT 1`, row, conversation, m.Reply, m.Sender, m.ReplyTo)
	} else if m.Outgoing && m.State == Queued {
		err = tx.query(`SELECT id FROM message WHERE conversation = ? AND outgoing = ? AND urgency > 0 AND place < ? AND sender <> ?
			ORDER BY place DESC LIMIT ?`, row, conversation, !m.Outgoing, m.Place, m.Sender, maxAcknowledged)
	}
	if err != nil {
		return err
	}
	for _, id := range ids {
		if _, err := tx.Acknowledge(id, m.Sender, m.Outgoing, m.Time); err != nil {
			return err
		}
	}
	return nil
}

// maxAcknowledgers bounds who is remembered for one message.
const maxAcknowledgers = 1000

// Acknowledge notes that somebody has a message in hand; mine says that it is this
// person, for whom it does not wait then. It reports false if that is known, or the
// message is not.
func (tx *Tx) Acknowledge(messageID int64, sender string, mine bool, at time.Time) (changed bool, err error) {
	n, err := tx.change(`INSERT INTO acknowledgement (message, sender, time) SELECT ?1, ?2, ?3
		WHERE EXISTS (SELECT 1 FROM message WHERE id = ?1 AND gone = 0) AND (SELECT count(*) FROM acknowledgement WHERE message = ?1) < ?4
		ON CONFLICT DO NOTHING`, messageID, sender, at, maxAcknowledgers)
	if err == nil && mine {
		_, err = tx.change(`DELETE FROM waiting WHERE message = ?`, messageID)
	}
	return n > 0, err
}

// Acknowledgement is somebody's word that a message is in hand.
type Acknowledgement struct {
	Sender string
	Time   time.Time
}

// Acknowledgements returns who has a message in hand, the first first.
func (tx *Tx) Acknowledgements(messageID int64) (list []Acknowledgement, err error) {
	err = tx.query(`SELECT sender, time FROM acknowledgement WHERE message = ? ORDER BY time, sender`,
		func(st *sqlite3.Stmt) {
			list = append(list, Acknowledgement{st.ColumnText(0), fromMicro(st.ColumnInt64(1))})
		}, messageID)
	return list, err
}

// Me is what a mark calls the person here.
type Me struct {
	Names []string // @name: the local part of the address, nicknames in rooms
	Roles []string // @role/name
}
