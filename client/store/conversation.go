package store

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// previewSize bounds a conversation's preview, in characters.
const previewSize = 160

// Conversation is a line of the conversation list: a contact, or anyone with
// whom there are messages or a draft.
type Conversation struct {
	Peer         string // bare JID
	Name         string // from the roster; may be ""
	Group        string
	Subscription string // from the roster (RFC 6121): "none", "to", "from", "both"; "" if not in it
	Contact      bool   // in the roster
	Last         time.Time
	Preview      string // beginning of the message that stands last
	LastOutgoing bool   // whether that message is from here
	LastState    State  // its state, if it is
	LastGone     Gone   // why Preview is empty, if that is why
	Room         bool   // many people (XEP-0045)
	Unread       int
	Urgency      int   // the highest among the unread
	Stats        int   // unread that are Stat
	FirstUnread  int64 // id of the unread message that stands first; 0 if there is none
	Draft        string

	oldest int64 // id of the unread message that was stored first, of the most urgent
	sort   string
}

// conversation returns the row of a conversation, and makes it if need be.
func (tx *Tx) conversation(peer string) (id int64, err error) {
	id, _, err = tx.conversationFor(peer)
	return id, err
}

// conversationFor is conversation, with the lifespan of its messages.
func (tx *Tx) conversationFor(peer string) (id int64, lifespan time.Duration, err error) {
	row := func(st *sqlite3.Stmt) {
		id, lifespan = st.ColumnInt64(0), time.Duration(st.ColumnInt64(1))*time.Microsecond
	}
	found, err := tx.one(`SELECT id, lifespan FROM conversation WHERE peer = ?`, row, peer)
	if err != nil || found {
		return id, lifespan, err
	}
	if _, err := tx.change(`INSERT INTO conversation (peer) VALUES (?)`, peer); err != nil {
		return 0, 0, err
	}
	return tx.s.conn.LastInsertRowID(), 0, nil
}

// The conversation list's query: of all, and of one.
const (
	selectConversation = `SELECT c.peer, c.name, c.grp, c.subscription, c.contact, c.draft,
			m.time, substr(m.body, 1, ?1), m.outgoing, m.state, u.n, u.urgency, u.oldest,
			(SELECT f.id FROM message f WHERE f.conversation = c.id AND f.read = 0 ORDER BY f.place LIMIT 1),
			m.gone, (SELECT count(*) FROM room r WHERE r.conversation = c.id), u.stats
		FROM conversation c
		LEFT JOIN message m ON m.id = c.last
		LEFT JOIN (SELECT conversation, count(*) n, max(urgency) urgency, coalesce(min(id) FILTER (WHERE urgency >= 2), min(id) FILTER (WHERE urgency = 1), min(id)) oldest,
			count(*) FILTER (WHERE urgency >= 2) stats FROM message WHERE read = 0`
	selectAll = selectConversation + ` GROUP BY conversation) u ON u.conversation = c.id
		WHERE c.contact OR c.last IS NOT NULL OR c.draft <> ''`
	selectOne = selectConversation + ` AND conversation = (SELECT id FROM conversation WHERE peer = ?2) GROUP BY conversation) u
		ON u.conversation = c.id WHERE c.peer = ?2`
)

func scanConversation(st *sqlite3.Stmt) Conversation {
	return Conversation{
		Peer:         st.ColumnText(0),
		Name:         st.ColumnText(1),
		Group:        st.ColumnText(2),
		Subscription: st.ColumnText(3),
		Contact:      st.ColumnBool(4),
		Draft:        st.ColumnText(5),
		Last:         fromMicro(st.ColumnInt64(6)),
		Preview:      st.ColumnText(7),
		LastOutgoing: st.ColumnBool(8),
		LastState:    State(st.ColumnInt(9)),
		Unread:       st.ColumnInt(10),
		Urgency:      st.ColumnInt(11),
		oldest:       st.ColumnInt64(12),
		FirstUnread:  st.ColumnInt64(13),
		LastGone:     Gone(st.ColumnInt(14)),
		Room:         st.ColumnBool(15),
		Stats:        st.ColumnInt(16),
	}
}

// Conversation returns one line of the conversation list, or nil if nothing is
// known of the peer.
func (tx *Tx) Conversation(peer string) (c *Conversation, err error) {
	_, err = tx.one(selectOne, func(st *sqlite3.Stmt) { c = new(scanConversation(st)) }, previewSize, peer)
	return c, err
}

// Conversations returns the conversation list: the urgent first, the most
// urgent of them at the top; then those with unread messages, those who have
// waited longest at the top; then the others by name.
func (tx *Tx) Conversations() ([]Conversation, error) {
	var all []*Conversation // sorting moves pointers
	if err := tx.query(selectAll, func(st *sqlite3.Stmt) {
		c := scanConversation(st)
		c.sort = strings.ToLower(cmp.Or(c.Name, c.Peer))
		all = append(all, &c)
	}, previewSize); err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b *Conversation) int {
		if c := cmp.Compare(b.Urgency, a.Urgency); c != 0 {
			return c
		}
		if (a.Unread > 0) != (b.Unread > 0) {
			return cmp.Compare(b.Unread, a.Unread)
		}
		if a.Unread > 0 {
			if c := cmp.Compare(a.oldest, b.oldest); c != 0 {
				return c
			}
		}
		return cmp.Or(strings.Compare(a.sort, b.sort), strings.Compare(a.Peer, b.Peer))
	})
	out := make([]Conversation, len(all))
	for i, c := range all {
		out[i] = *c
	}
	return out, nil
}

// PutContact stores a contact of the roster, or changes it.
func (tx *Tx) PutContact(peer, name, group string) error {
	if peer == "" {
		return fmt.Errorf("storing a contact: %w", errNoPeer)
	}
	_, err := tx.change(`INSERT INTO conversation (peer, name, grp, contact) VALUES (?, ?, ?, 1)
		ON CONFLICT DO UPDATE SET name = excluded.name, grp = excluded.grp, contact = 1`, peer, name, group)
	return err
}

// SetSubscription stores the presence subscription of a contact (RFC 6121, 2.1.2.5).
func (tx *Tx) SetSubscription(peer, subscription string) error {
	_, err := tx.change(`UPDATE conversation SET subscription = ? WHERE peer = ? AND contact`, subscription, peer)
	return err
}

// RemoveContact takes someone out of the contacts. Messages and draft stay,
// and with them the conversation and the name it had.
func (tx *Tx) RemoveContact(peer string) error {
	_, err := tx.change(`UPDATE conversation SET contact = 0, subscription = '' WHERE peer = ?`, peer)
	return err
}

// Contacts returns the addresses of all contacts, in no order.
func (tx *Tx) Contacts() (peers []string, err error) {
	err = tx.query(`SELECT peer FROM conversation WHERE contact`,
		func(st *sqlite3.Stmt) { peers = append(peers, st.ColumnText(0)) })
	return peers, err
}
