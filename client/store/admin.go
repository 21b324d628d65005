package store

import (
	"time"

	"github.com/ncruces/go-sqlite3"
)

// adminSchema is the migration that brings what an organisation's own account
// keeps: what it has signed, what it was asked, and what devices said. See package
// admin.
const adminSchema = `
CREATE TABLE admin_item (                     -- what the account shows, or is about to
	node      TEXT NOT NULL,
	item      TEXT NOT NULL,
	note      BLOB,                           -- NULL where the relay is to remove it
	turn      INTEGER NOT NULL,               -- the order in which they are to be published
	published INTEGER NOT NULL,               -- whether the relay has taken it
	PRIMARY KEY (node, item)
) WITHOUT ROWID;
CREATE INDEX admin_item_turn ON admin_item (published, turn);

CREATE TABLE admin_expected (                 -- addresses that requests to join may come from
	address TEXT PRIMARY KEY
) WITHOUT ROWID;

CREATE TABLE admin_inbox (                    -- what came and was not looked at yet
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	kind       INTEGER NOT NULL,
	sender     TEXT NOT NULL,                 -- full JID
	bare       TEXT NOT NULL,
	note       BLOB NOT NULL,
	delegation BLOB,
	at         INTEGER NOT NULL
);
CREATE INDEX admin_inbox_bare ON admin_inbox (bare, kind);

CREATE TABLE admin_answer (                   -- requests that were answered
	request BLOB PRIMARY KEY,                 -- digest
	sender  TEXT NOT NULL,                    -- full JID, of the last who asked
	note    BLOB NOT NULL,
	at      INTEGER NOT NULL,
	sent    INTEGER NOT NULL                  -- whether the relay has taken the answer
) WITHOUT ROWID;
CREATE INDEX admin_answer_at ON admin_answer (at);
CREATE INDEX admin_answer_sent ON admin_answer (sent, at);

CREATE TABLE admin_device (                   -- every device that was ever taken in: what it signs is verified later, too
	address TEXT NOT NULL,
	id      INTEGER NOT NULL,
	key     TEXT NOT NULL,
	added   INTEGER NOT NULL,
	PRIMARY KEY (address, id, key)
) WITHOUT ROWID;

CREATE TABLE admin_order (
	number INTEGER PRIMARY KEY,
	note   BLOB NOT NULL
);

CREATE TABLE admin_acknowledgement (
	number  INTEGER NOT NULL REFERENCES admin_order,
	address TEXT NOT NULL,
	device  INTEGER NOT NULL,
	result  TEXT NOT NULL,
	words   TEXT NOT NULL,
	at      INTEGER NOT NULL,                 -- by the device's clock
	came    INTEGER NOT NULL,
	PRIMARY KEY (number, address, device)
) WITHOUT ROWID;
`

// Item is a statement as an organisation's account shows it: an item of a node.
type Item struct {
	Node, ID  string
	Note      []byte // nil where the relay is to remove it
	Published bool
}

// PutItem has an item published, in turn, or removed if note is nil.
func (tx *Tx) PutItem(node, id string, note []byte) error {
	_, err := tx.change(`INSERT INTO admin_item (node, item, note, turn, published)
		VALUES (?1, ?2, ?3, coalesce((SELECT max(turn) + 1 FROM admin_item), 1), 0)
		ON CONFLICT DO UPDATE SET note = excluded.note, turn = excluded.turn, published = 0`, node, id, note)
	return err
}

// Item returns the note of an item; nil if there is none.
func (tx *Tx) Item(node, id string) (note []byte, err error) {
	_, err = tx.one(`SELECT note FROM admin_item WHERE node = ? AND item = ?`, func(st *sqlite3.Stmt) { note = blob(st, 0) }, node, id)
	return note, err
}

// Items returns the items of a node, or of all if it is "", without those that are
// to be removed, in the order in which they were put.
func (tx *Tx) Items(node string) (items []Item, err error) {
	err = tx.query(`SELECT node, item, note, published FROM admin_item
		WHERE note IS NOT NULL AND (?1 = '' OR node = ?1) ORDER BY turn`, func(st *sqlite3.Stmt) {
		items = append(items, Item{st.ColumnText(0), st.ColumnText(1), blob(st, 2), st.ColumnBool(3)})
	}, node)
	return items, err
}

// PendingItems returns up to most items that the relay does not have as they are
// here, in turn, those to be removed last.
func (tx *Tx) PendingItems(most int) (items []Item, err error) {
	err = tx.query(`SELECT node, item, note FROM admin_item WHERE published = 0 ORDER BY note IS NULL, turn LIMIT ?`, func(st *sqlite3.Stmt) {
		items = append(items, Item{Node: st.ColumnText(0), ID: st.ColumnText(1), Note: blob(st, 2)})
	}, most)
	return items, err
}

// PendingCount returns how many items the relay does not have as they are here.
func (tx *Tx) PendingCount() (n int, err error) {
	_, err = tx.one(`SELECT count(*) FROM admin_item WHERE published = 0`, func(st *sqlite3.Stmt) { n = st.ColumnInt(0) })
	return n, err
}

// ItemPublished notes that the relay has an item as it was given: if it has changed
// since, it is published again.
func (tx *Tx) ItemPublished(it Item) error {
	if it.Note == nil {
		_, err := tx.change(`DELETE FROM admin_item WHERE node = ? AND item = ? AND note IS NULL`, it.Node, it.ID)
		return err
	}
	_, err := tx.change(`UPDATE admin_item SET published = 1 WHERE node = ? AND item = ? AND note = ?`, it.Node, it.ID, it.Note)
	return err
}

// ItemLost has an item published again, unless it has changed since it was read.
func (tx *Tx) ItemLost(it Item) error {
	_, err := tx.change(`UPDATE admin_item SET published = 0 WHERE node = ? AND item = ? AND note = ?`, it.Node, it.ID, it.Note)
	return err
}

// Unpublish has all items published again: the relay may have lost them.
func (tx *Tx) Unpublish() error {
	_, err := tx.change(`UPDATE admin_item SET published = 0`)
	return err
}

// Expect replaces the addresses that requests to join may come from.
func (tx *Tx) Expect(addresses []string) error {
	if _, err := tx.change(`DELETE FROM admin_expected`); err != nil {
		return err
	}
	for _, a := range addresses {
		if _, err := tx.change(`INSERT INTO admin_expected (address) VALUES (?) ON CONFLICT DO NOTHING`, a); err != nil {
			return err
		}
	}
	return nil
}

// Letter is what came for the organisation.
type Letter struct {
	ID         int64
	Kind       LetterKind
	Sender     string // full JID
	Bare       string
	Note       []byte
	Delegation []byte // of an acknowledgement by a link; else nil
	At         time.Time
}

// LetterKind says what a Letter is.
type LetterKind int

// The kinds of letters.
const (
	LetterRequest         LetterKind = 1 // to join
	LetterAcknowledgement LetterKind = 2 // of an order
)

// Bounds of what waits, of one sender and altogether.
const (
	maxLetters       = 16 << 10
	requestsEach     = 8    // at a time: a device asks again
	acknowledgedEach = 4096 // a device says a thing once
)

// PutLetter keeps what came, unless nobody expects it: a request is from an address
// that was invited, an acknowledgement from one that had a device at some time. It
// reports whether it was kept; the same letter is kept once.
func (tx *Tx) PutLetter(l Letter) (kept bool, err error) {
	who, most := `SELECT count(*) FROM admin_expected WHERE address = ?`, requestsEach
	if l.Kind == LetterAcknowledgement {
		who, most = `SELECT count(*) FROM admin_device WHERE address = ?`, acknowledgedEach
	}
	n := 0
	if _, err := tx.one(who, func(st *sqlite3.Stmt) { n = st.ColumnInt(0) }, l.Bare); err != nil || n == 0 {
		return false, err
	}
	same, each, all := 0, 0, 0
	_, err = tx.one(`SELECT coalesce(sum(note = ?3 AND sender = ?4), 0), count(*), (SELECT count(*) FROM admin_inbox) FROM admin_inbox WHERE bare = ?1 AND kind = ?2`, func(st *sqlite3.Stmt) {
		same, each, all = st.ColumnInt(0), st.ColumnInt(1), st.ColumnInt(2)
	}, l.Bare, int(l.Kind), l.Note, l.Sender)
	if err != nil || same > 0 || each >= most || all >= maxLetters {
		return false, err
	}
	_, err = tx.change(`INSERT INTO admin_inbox (kind, sender, bare, note, delegation, at) VALUES (?, ?, ?, ?, ?, ?)`,
		int(l.Kind), l.Sender, l.Bare, l.Note, l.Delegation, l.At)
	return err == nil, err
}

// Letters returns up to most letters, in the order in which they came.
func (tx *Tx) Letters(most int) (list []Letter, err error) {
	err = tx.query(`SELECT id, kind, sender, bare, note, delegation, at FROM admin_inbox ORDER BY id LIMIT ?`, func(st *sqlite3.Stmt) {
		list = append(list, Letter{st.ColumnInt64(0), LetterKind(st.ColumnInt(1)), st.ColumnText(2), st.ColumnText(3),
			blob(st, 4), blob(st, 5), fromMicro(st.ColumnInt64(6))})
	}, most)
	return list, err
}

// RemoveLetter removes a letter that was dealt with.
func (tx *Tx) RemoveLetter(id int64) error {
	_, err := tx.change(`DELETE FROM admin_inbox WHERE id = ?`, id)
	return err
}

// Reply is an answer to a request.
type Reply struct {
	Request []byte // digest
	Sender  string // full JID
	Note    []byte
}

// maxReplies bounds the answers that are kept for who asks again.
const maxReplies = 16 << 10

// PutReply keeps the answer to a request, and has it sent.
func (tx *Tx) PutReply(r Reply, at time.Time) error {
	_, err := tx.change(`INSERT INTO admin_answer (request, sender, note, at, sent) VALUES (?, ?, ?, ?, 0)
		ON CONFLICT DO UPDATE SET sender = excluded.sender, note = excluded.note, at = excluded.at, sent = 0`, r.Request, r.Sender, r.Note, at)
	if err != nil {
		return err
	}
	_, err = tx.change(`DELETE FROM admin_answer WHERE sent = 1 AND at < (SELECT at FROM admin_answer ORDER BY at DESC LIMIT 1 OFFSET ?)`, maxReplies)
	return err
}

// ReplyTo returns the answer that a request has had; nil if none.
func (tx *Tx) ReplyTo(request []byte) (note []byte, err error) {
	_, err = tx.one(`SELECT note FROM admin_answer WHERE request = ?`, func(st *sqlite3.Stmt) { note = blob(st, 0) }, request)
	return note, err
}

// PendingReplies returns up to most answers that the relay has not taken.
func (tx *Tx) PendingReplies(most int) (list []Reply, err error) {
	err = tx.query(`SELECT request, sender, note FROM admin_answer WHERE sent = 0 ORDER BY at LIMIT ?`, func(st *sqlite3.Stmt) {
		list = append(list, Reply{blob(st, 0), st.ColumnText(1), blob(st, 2)})
	}, most)
	return list, err
}

// ReplySent notes that the relay has an answer.
func (tx *Tx) ReplySent(request []byte) error {
	_, err := tx.change(`UPDATE admin_answer SET sent = 1 WHERE request = ?`, request)
	return err
}

// ForgetReplies forgets all answers: what they say is signed with a key that does
// not count any more.
func (tx *Tx) ForgetReplies() error {
	_, err := tx.change(`DELETE FROM admin_answer`)
	return err
}

// KnownDevice is a device that the organisation has taken in at some time.
type KnownDevice struct {
	Address string
	ID      uint32
	Key     string // it signs with, as org.Key writes it
	Added   time.Time
}

// PutKnownDevice keeps a device for good.
func (tx *Tx) PutKnownDevice(d KnownDevice) error {
	_, err := tx.change(`INSERT INTO admin_device (address, id, key, added) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`, d.Address, d.ID, d.Key, d.Added)
	return err
}

// KnownDevices returns the devices of an address, those of today and earlier ones,
// or of everybody if it is "".
func (tx *Tx) KnownDevices(address string) (list []KnownDevice, err error) {
	err = tx.query(`SELECT address, id, key, added FROM admin_device WHERE ?1 = '' OR address = ?1 ORDER BY address, added`, func(st *sqlite3.Stmt) {
		list = append(list, KnownDevice{st.ColumnText(0), uint32(st.ColumnInt64(1)), st.ColumnText(2), fromMicro(st.ColumnInt64(3))})
	}, address)
	return list, err
}

// PutOrder keeps an order for good.
func (tx *Tx) PutOrder(number uint64, note []byte) error {
	_, err := tx.change(`INSERT INTO admin_order (number, note) VALUES (?, ?) ON CONFLICT DO UPDATE SET note = excluded.note`, int64(number), note)
	return err
}

// Orders returns the newest orders, up to most, the newest first.
func (tx *Tx) Orders(most int) (notes [][]byte, err error) {
	err = tx.query(`SELECT note FROM admin_order ORDER BY number DESC LIMIT ?`, func(st *sqlite3.Stmt) { notes = append(notes, blob(st, 0)) }, most)
	return notes, err
}

// Order returns the note of an order; nil if there is none.
func (tx *Tx) Order(number uint64) (note []byte, err error) {
	if number > 1<<62 {
		return nil, nil
	}
	_, err = tx.one(`SELECT note FROM admin_order WHERE number = ?`, func(st *sqlite3.Stmt) { note = blob(st, 0) }, int64(number))
	return note, err
}

// Heard is what a device has said about an order.
type Heard struct {
	Order   uint64
	Address string
	Device  uint32
	Result  string
	Words   string
	At      time.Time // by its clock
	Came    time.Time
}

// PutHeard keeps what a device said about an order. Of several sayings the last one
// holds; that it obeyed is not taken back.
func (tx *Tx) PutHeard(h Heard) error {
	_, err := tx.change(`INSERT INTO admin_acknowledgement (number, address, device, result, words, at, came) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET result = excluded.result, words = excluded.words, at = excluded.at, came = excluded.came WHERE result <> 'obeyed'`,
		int64(h.Order), h.Address, h.Device, h.Result, h.Words, h.At, h.Came)
	return err
}

// HeardOf returns what devices have said about an order.
func (tx *Tx) HeardOf(order uint64) (list []Heard, err error) {
	err = tx.query(`SELECT number, address, device, result, words, at, came FROM admin_acknowledgement WHERE number = ? ORDER BY address, device`, func(st *sqlite3.Stmt) {
		list = append(list, Heard{uint64(st.ColumnInt64(0)), st.ColumnText(1), uint32(st.ColumnInt64(2)), st.ColumnText(3), st.ColumnText(4),
			fromMicro(st.ColumnInt64(5)), fromMicro(st.ColumnInt64(6))})
	}, int64(order))
	return list, err
}
