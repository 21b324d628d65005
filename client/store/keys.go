package store

import (
	"time"

	"github.com/ncruces/go-sqlite3"

	"sotto/client/omemo"
)

// Tx is where OMEMO keeps its keys, in the transaction of the message.
var _ omemo.Keys = (*Tx)(nil)

// Session returns the sessions with a device, marshalled; nil if there are none.
func (tx *Tx) Session(peer omemo.Address) (state []byte, err error) {
	_, err = tx.one(`SELECT state FROM session WHERE peer = ? AND device = ?`,
		func(st *sqlite3.Stmt) { state = blob(st, 0) }, peer.JID, peer.Device)
	return state, err
}

// PutSession replaces the sessions with a device. An empty state removes them.
func (tx *Tx) PutSession(peer omemo.Address, state []byte) error {
	if len(state) == 0 {
		_, err := tx.change(`DELETE FROM session WHERE peer = ? AND device = ?`, peer.JID, peer.Device)
		return err
	}
	_, err := tx.change(`INSERT INTO session (peer, device, state) VALUES (?, ?, ?)
		ON CONFLICT DO UPDATE SET state = excluded.state`, peer.JID, peer.Device, state)
	return err
}

// PreKey returns a private one-time prekey; nil if it is unknown.
func (tx *Tx) PreKey(id uint32) (key []byte, err error) {
	_, err = tx.one(`SELECT key FROM prekey WHERE id = ?`, func(st *sqlite3.Stmt) { key = blob(st, 0) }, id)
	return key, err
}

// PutPreKey keeps a private one-time prekey.
func (tx *Tx) PutPreKey(id uint32, key []byte) error {
	_, err := tx.change(`INSERT INTO prekey (id, key) VALUES (?, ?)
		ON CONFLICT DO UPDATE SET key = excluded.key`, id, key)
	return err
}

// DeletePreKey forgets a one-time prekey. It may be gone already.
func (tx *Tx) DeletePreKey(id uint32) error {
	_, err := tx.change(`DELETE FROM prekey WHERE id = ?`, id)
	return err
}

// PreKeyIDs returns the ids of the one-time prekeys, ascending.
func (tx *Tx) PreKeyIDs() ([]uint32, error) { return tx.ids(`SELECT id FROM prekey ORDER BY id`) }

// SignedPreKey returns a private signed prekey, the signature over its public
// half, and when it was made; a nil key if it is unknown.
func (tx *Tx) SignedPreKey(id uint32) (key, signature []byte, created time.Time, err error) {
	_, err = tx.one(`SELECT key, signature, created FROM signed_prekey WHERE id = ?`, func(st *sqlite3.Stmt) {
		key, signature, created = blob(st, 0), blob(st, 1), fromMicro(st.ColumnInt64(2))
	}, id)
	return key, signature, created, err
}

// PutSignedPreKey keeps a signed prekey.
func (tx *Tx) PutSignedPreKey(id uint32, key, signature []byte, created time.Time) error {
	_, err := tx.change(`INSERT INTO signed_prekey (id, key, signature, created) VALUES (?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET key = excluded.key, signature = excluded.signature, created = excluded.created`,
		id, key, signature, created)
	return err
}

// SignedPreKeyIDs returns the ids of the signed prekeys, oldest first.
func (tx *Tx) SignedPreKeyIDs() ([]uint32, error) {
	return tx.ids(`SELECT id FROM signed_prekey ORDER BY created, id`)
}

// DeleteSignedPreKey forgets a signed prekey. It may be gone already.
func (tx *Tx) DeleteSignedPreKey(id uint32) error {
	_, err := tx.change(`DELETE FROM signed_prekey WHERE id = ?`, id)
	return err
}

// Identity returns the own device, marshalled; nil if there is none yet.
func (tx *Tx) Identity() (identity []byte, err error) {
	_, err = tx.one(`SELECT state FROM identity`, func(st *sqlite3.Stmt) { identity = blob(st, 0) })
	return identity, err
}

// PutIdentity keeps the own device.
func (tx *Tx) PutIdentity(identity []byte) error {
	_, err := tx.change(`INSERT INTO identity (one, state) VALUES (1, ?)
		ON CONFLICT DO UPDATE SET state = excluded.state`, identity)
	return err
}

func (tx *Tx) ids(sql string) (ids []uint32, err error) {
	err = tx.query(sql, func(st *sqlite3.Stmt) { ids = append(ids, uint32(st.ColumnInt64(0))) })
	return ids, err
}
