package store

import (
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// Reason is why a message is in the inbox.
type Reason int

// The reasons.
const (
	Unacknowledged Reason = iota + 1 // it is urgent, and nobody here has said that it is in hand
	NotSent                          // an own one that has failed, or still waits
	Mentioned                        // it names this person or a role of theirs
	Replied                          // it answers a message of theirs
)

// Entry is a message that waits for this person.
type Entry struct {
	Message
	Reason Reason
}

// unsentAfter is how long an own message may wait to be sent before it is in the
// inbox.
const unsentAfter = time.Minute

// Inbox returns up to limit messages that wait for this person, at most 500: what
// is urgent and not acknowledged, the most urgent first; own messages that have
// failed, or have waited for more than a minute; then what mentions one of the
// names or roles, or answers a message of theirs, and is not read; each the oldest
// first.
func (tx *Tx) Inbox(me Me, now time.Time, limit int) (list []Entry, err error) {
	limit = min(limit, MaxHits)
	if limit <= 0 {
		return nil, nil
	}
	names := make(map[Mark]bool)
	for _, n := range me.Names {
		names[Mark{Mention, strings.ToLower(n)}] = true
	}
	for _, r := range me.Roles {
		names[Mark{Role, strings.ToLower(r)}] = true
	}
	type entry struct {
		id, urgency int64
		reason      Reason
	}
	var found []entry
	// A page at a time, as what waits for others may be much.
	from := entry{urgency: Stat + 1}
	for len(found) < limit {
		var page []entry
		if err := tx.query(`SELECT message, urgency FROM waiting WHERE urgency = ?1 AND message > ?2
			UNION ALL SELECT message, urgency FROM (SELECT message, urgency FROM waiting WHERE urgency < ?1 ORDER BY urgency DESC, message LIMIT ?3)
			LIMIT ?3`, func(st *sqlite3.Stmt) {
			page = append(page, entry{id: st.ColumnInt64(0), urgency: st.ColumnInt64(1)})
		}, from.urgency, from.id, MaxHits); err != nil {
			return nil, err
		}
		for _, e := range page {
			if len(found) == limit {
				break
			}
			from = e
			if e.reason, err = tx.reason(e.id, e.urgency, names); err != nil {
				return nil, err
			}
			if e.reason != 0 {
				found = append(found, e)
			}
		}
		if len(page) < MaxHits {
			break
		}
	}
	if err := tx.query(`SELECT m.id FROM outbox o CROSS JOIN message m ON m.id = o.message WHERE m.state = ? AND m.stored < ? ORDER BY m.id LIMIT ?`,
		func(st *sqlite3.Stmt) { found = append(found, entry{id: st.ColumnInt64(0), reason: NotSent}) },
		int(Queued), now.Add(-unsentAfter), limit); err != nil {
		return nil, err
	}
	for _, part := range []func(entry) bool{
		func(e entry) bool { return e.reason == Unacknowledged },
		func(e entry) bool { return e.reason == NotSent },
		func(e entry) bool { return e.reason > NotSent },
	} {
		for _, e := range found {
			if !part(e) || len(list) == limit {
				continue
			}
			m, err := tx.Message(e.id)
			if err != nil {
				return nil, err
			}
			if m != nil {
				list = append(list, Entry{*m, e.reason})
			}
		}
	}
	return list, nil
}

// reason says why a message of the table waiting is in the inbox; 0 if it is not.
func (tx *Tx) reason(id, urgency int64, names map[Mark]bool) (why Reason, err error) {
	if urgency > Routine {
		return Unacknowledged, nil
	}
	if err := tx.query(`SELECT kind, value FROM mark WHERE message = ?`, func(st *sqlite3.Stmt) {
		if names[Mark{MarkKind(st.ColumnInt(0)), st.ColumnText(1)}] {
			why = Mentioned
		}
	}, id); err != nil || why != 0 {
		return why, err
	}
	_, err = tx.one(`SELECT m.state = ?2, EXISTS (SELECT 1 FROM message x WHERE x.conversation = m.conversation AND x.outgoing AND x.origin = m.reply)
		OR EXISTS (SELECT 1 FROM message x WHERE x.conversation = m.conversation AND x.outgoing AND x.archive = m.reply)
		FROM message m WHERE m.id = ?1`, func(st *sqlite3.Stmt) {
		switch {
		case st.ColumnBool(0):
			why = NotSent
		case st.ColumnBool(1):
			why = Replied
		}
	}, id, int(Failed))
	return why, err
}

// Dismiss takes a message out of the inbox that needs nothing to be done: all but
// what is urgent, which has to be acknowledged.
func (tx *Tx) Dismiss(id int64) error {
	_, err := tx.change(`DELETE FROM waiting WHERE message = ? AND urgency = 0`, id)
	return err
}
