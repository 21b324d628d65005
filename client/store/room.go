package store

import (
	"fmt"
	"time"

	"github.com/ncruces/go-sqlite3"

	"sotto/client/omemo"
)

// Room is a conversation among many (XEP-0045). Its messages, draft and lifespan
// are those of the conversation with its address; so is its name. How far its
// archive was taken over is kept under its address, too (ArchivePosition, Gaps).
type Room struct {
	Address string // bare JID
	Name    string
	Nick    string // our own
	Topic   string
	Joined  bool // whether the person wants to be in it
}

// Bounds of a room, in bytes and members.
const (
	maxTopic   = 4096
	maxNick    = 1024
	MaxMembers = 2000
)

// Member is somebody who may read a room.
type Member struct {
	Address     string // bare JID
	Nick        string // reserved or last used; may be ""
	Affiliation string // "owner", "admin" or "member"
	Since       time.Time
}

// PutRoom stores a room, or changes it.
func (tx *Tx) PutRoom(r Room) error {
	if r.Address == "" || len(r.Address) > maxID || len(r.Nick) > maxNick {
		return fmt.Errorf("storing a room: %w", errNoPeer)
	}
	conversation, err := tx.conversation(r.Address)
	if err != nil {
		return err
	}
	if _, err := tx.change(`UPDATE conversation SET name = ? WHERE id = ?`, bounded(r.Name, maxNick), conversation); err != nil {
		return err
	}
	_, err = tx.change(`INSERT INTO room (conversation, nick, topic, joined) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET nick = excluded.nick, topic = excluded.topic, joined = excluded.joined`,
		conversation, r.Nick, bounded(r.Topic, maxTopic), r.Joined)
	return err
}

// RemoveRoom forgets that a conversation is a room, and its members. Messages stay.
func (tx *Tx) RemoveRoom(address string) error {
	_, err := tx.change(`DELETE FROM room WHERE conversation = (SELECT id FROM conversation WHERE peer = ?)`, address)
	return err
}

const selectRooms = `SELECT c.peer, c.name, r.nick, r.topic, r.joined FROM room r CROSS JOIN conversation c ON c.id = r.conversation`

func scanRoom(st *sqlite3.Stmt) Room {
	return Room{st.ColumnText(0), st.ColumnText(1), st.ColumnText(2), st.ColumnText(3), st.ColumnBool(4)}
}

// Room returns a room, or nil if the address is not one's.
func (tx *Tx) Room(address string) (r *Room, err error) {
	_, err = tx.one(`SELECT c.peer, c.name, r.nick, r.topic, r.joined FROM conversation c JOIN room r ON r.conversation = c.id WHERE c.peer = ?`,
		func(st *sqlite3.Stmt) { r = new(scanRoom(st)) }, address)
	return r, err
}

// Rooms returns all rooms, by address.
func (tx *Tx) Rooms() (list []Room, err error) {
	err = tx.query(selectRooms+` ORDER BY c.peer`, func(st *sqlite3.Stmt) { list = append(list, scanRoom(st)) })
	return list, err
}

// roomRow returns the row of a room.
func (tx *Tx) roomRow(address string) (id int64, err error) {
	found, err := tx.one(`SELECT r.conversation FROM conversation c JOIN room r ON r.conversation = c.id WHERE c.peer = ?`,
		func(st *sqlite3.Stmt) { id = st.ColumnInt64(0) }, address)
	if err == nil && !found {
		err = ErrNoRoom
	}
	return id, err
}

// SetMembers says who may read a room now, by the lists that its relay gives, and
// returns the addresses that were not there before. Who is not in the list is
// forgotten, and new on return. Since says, of who is new, when that was noticed.
func (tx *Tx) SetMembers(room string, members []Member, now time.Time) (fresh []string, err error) {
	id, err := tx.roomRow(room)
	if err != nil {
		return nil, err
	}
	if len(members) > MaxMembers {
		return nil, fmt.Errorf("storing the members of a room: %d are more than %d", len(members), MaxMembers)
	}
	gone := make(map[string]bool)
	if err := tx.query(`SELECT address FROM member WHERE conversation = ?`, func(st *sqlite3.Stmt) { gone[st.ColumnText(0)] = true }, id); err != nil {
		return nil, err
	}
	for _, m := range members {
		added, err := tx.putMember(id, m, now)
		if err != nil {
			return nil, err
		}
		if added {
			fresh = append(fresh, m.Address)
		}
		delete(gone, m.Address)
	}
	for address := range gone {
		if _, err := tx.change(`DELETE FROM member WHERE conversation = ? AND address = ?`, id, address); err != nil {
			return nil, err
		}
	}
	return fresh, nil
}

// PutMember adds somebody to who may read a room, or changes what is known of them.
func (tx *Tx) PutMember(room string, m Member, now time.Time) (fresh bool, err error) {
	id, err := tx.roomRow(room)
	if err != nil {
		return false, err
	}
	n := 0
	if _, err := tx.one(`SELECT count(*) FROM member WHERE conversation = ?`, func(st *sqlite3.Stmt) { n = st.ColumnInt(0) }, id); err != nil {
		return false, err
	}
	if n >= MaxMembers {
		return false, fmt.Errorf("storing a member of a room: there are %d already", n)
	}
	return tx.putMember(id, m, now)
}

func (tx *Tx) putMember(room int64, m Member, now time.Time) (fresh bool, err error) {
	if m.Address == "" || len(m.Address) > maxID || len(m.Affiliation) > maxNick {
		return false, fmt.Errorf("storing a member of a room: %w", errNoPeer)
	}
	nick := bounded(m.Nick, maxNick)
	n, err := tx.change(`UPDATE member SET nick = ?, affiliation = ? WHERE conversation = ? AND address = ?`, nick, m.Affiliation, room, m.Address)
	if err != nil || n > 0 {
		return false, err
	}
	_, err = tx.change(`INSERT INTO member (conversation, address, nick, affiliation, since) VALUES (?, ?, ?, ?, ?)`,
		room, m.Address, nick, m.Affiliation, now)
	return true, err
}

// RemoveMember notes that somebody may not read a room any more.
func (tx *Tx) RemoveMember(room, address string) error {
	id, err := tx.roomRow(room)
	if err != nil {
		return err
	}
	_, err = tx.change(`DELETE FROM member WHERE conversation = ? AND address = ?`, id, address)
	return err
}

// Members returns who may read a room, by address.
func (tx *Tx) Members(room string) (list []Member, err error) {
	err = tx.query(`SELECT m.address, m.nick, m.affiliation, m.since FROM conversation c JOIN member m ON m.conversation = c.id
		WHERE c.peer = ? ORDER BY m.address`, func(st *sqlite3.Stmt) {
		list = append(list, Member{st.ColumnText(0), st.ColumnText(1), st.ColumnText(2), fromMicro(st.ColumnInt64(3))})
	}, room)
	return list, err
}

// maxReaders bounds the devices that one conversation is known to be readable by.
const maxReaders = 20000

// NewReaders returns those of the devices that could read what is written to a
// conversation now that the person was not shown yet; all of them, if nothing was
// ever shown there: tell that by MarkShown having been called.
func (tx *Tx) NewReaders(peer string, readers []omemo.Address) (fresh []omemo.Address, err error) {
	for _, r := range readers {
		known, err := tx.one(`SELECT 1 FROM conversation c JOIN reader r ON r.conversation = c.id
			WHERE c.peer = ? AND r.address = ? AND r.device = ?`, func(*sqlite3.Stmt) {}, peer, r.JID, r.Device)
		if err != nil {
			return nil, err
		}
		if !known {
			fresh = append(fresh, r)
		}
	}
	return fresh, nil
}

// Shown reports whether the person was ever shown who can read a conversation.
func (tx *Tx) Shown(peer string) (bool, error) {
	return tx.one(`SELECT 1 FROM conversation c JOIN reader r ON r.conversation = c.id WHERE c.peer = ? LIMIT 1`, func(*sqlite3.Stmt) {}, peer)
}

// MarkShown notes that the person was shown that these devices, and no others,
// can read a conversation.
func (tx *Tx) MarkShown(peer string, readers []omemo.Address, now time.Time) error {
	if len(readers) > maxReaders {
		return fmt.Errorf("noting who can read: %d devices are more than %d", len(readers), maxReaders)
	}
	conversation, err := tx.conversation(peer)
	if err != nil {
		return err
	}
	// One that was away in between is new when it comes back.
	if _, err := tx.change(`DELETE FROM reader WHERE conversation = ?`, conversation); err != nil {
		return err
	}
	for _, r := range readers {
		if _, err := tx.change(`INSERT INTO reader (conversation, address, device, shown) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
			conversation, r.JID, r.Device, now); err != nil {
			return err
		}
	}
	return nil
}
