package store

import "github.com/ncruces/go-sqlite3"

// Value returns what SetValue kept under name, or nil.
func (tx *Tx) Value(name string) (value []byte, err error) {
	_, err = tx.one(`SELECT value FROM value WHERE name = ?`,
		func(st *sqlite3.Stmt) { value = blob(st, 0) }, name)
	return value, err
}

// SetValue keeps a small value under name; nil removes it.
func (tx *Tx) SetValue(name string, value []byte) error {
	if value == nil {
		_, err := tx.change(`DELETE FROM value WHERE name = ?`, name)
		return err
	}
	_, err := tx.change(`INSERT INTO value (name, value) VALUES (?, ?)
		ON CONFLICT DO UPDATE SET value = excluded.value`, name, value)
	return err
}

// ArchivePosition returns the id of the last stanza that was taken from an
// archive (XEP-0313), or "" if none was. The archive's name is its bare JID.
func (tx *Tx) ArchivePosition(archive string) (id string, err error) {
	_, err = tx.one(`SELECT position FROM archive WHERE name = ?`,
		func(st *sqlite3.Stmt) { id = st.ColumnText(0) }, archive)
	return id, err
}

// SetArchivePosition keeps the id of the last stanza taken from an archive.
// Call it in the transaction that stores the stanza.
func (tx *Tx) SetArchivePosition(archive, id string) error {
	_, err := tx.change(`INSERT INTO archive (name, position) VALUES (?, ?)
		ON CONFLICT DO UPDATE SET position = excluded.position`, archive, id)
	return err
}
